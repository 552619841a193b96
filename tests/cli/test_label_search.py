"""Keys of labels, and the labels near to what was typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variegate.cli.label_search import COMMANDS, assign_keys, named, search

BANKING = {
    name: name.replace("_", " ")
    for name in (
        "card_arrival", "card_not_working", "card_payment_fee_charged", "cash_withdrawal_charge", "change_pin",
        "lost_or_stolen_card", "lost_or_stolen_phone", "pin_blocked", "top_up_failed", "transfer_fee_charged", "wrong_amount_of_cash_received",
    )
}  # fmt: skip


def plain(*labels: str) -> dict[str, str]:
    return {label: label for label in labels}


# -- keys ------------------------------------------------------------------------------------------------------


def test_digits_first_then_letters_that_are_no_commands() -> None:
    keys = assign_keys({f"label {number}": f"label {number}" for number in range(31)})
    assert "".join(keys) == "123456789abcdefghijklmnprtvwxyz"
    assert list(keys.values()) == [f"label {number}" for number in range(31)]
    assert assign_keys({f"label {number}": "" for number in range(32)}) == {}


def test_a_label_that_is_called_like_a_key_has_that_key() -> None:
    assert assign_keys(plain("0", "1", "2")) == {"3": "0", "1": "1", "2": "2"}
    assert assign_keys({"yes": "1", "no": "A", "o": "o"}) == {"1": "yes", "a": "no", "2": "o"}
    assert assign_keys({"2": "a", "x y": "z z"}) == {"2": "2", "1": "x y"}  # the name before the title


@pytest.mark.slow
@given(st.dictionaries(st.text(max_size=2), st.text("12abuso", max_size=2), max_size=31))
def test_every_label_has_one_key_and_no_command_is_taken(titles: dict[str, str]) -> None:
    keys = assign_keys(titles)
    assert sorted(keys.values()) == sorted(titles)
    assert not set(keys) & {*COMMANDS, "/"}
    assert all(len(key) == 1 for key in keys)


# -- search ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("card a", ["card_arrival"]),
        ("CARD_NOT", ["card_not_working"]),
        ("pin", ["pin_blocked", "change_pin"]),  # at the beginning before a later word
        ("l s p", ["lost_or_stolen_phone"]),  # words by their beginnings
        ("fee", ["transfer_fee_charged", "card_payment_fee_charged"]),
        ("olen", ["lost_or_stolen_card", "lost_or_stolen_phone"]),  # in the midst of a word
        ("tpfl", ["top_up_failed"]),  # letters in their order
        ("chnage pin", ["change_pin"]),  # a slip of the finger
        ("top up failed", ["top_up_failed"]),
        ("xyz", []),
    ],
)
def test_the_nearest_first(typed: str, first: list[str]) -> None:
    assert search(typed, BANKING)[: len(first) or 1] == first


def test_nothing_typed_is_all_in_order() -> None:
    assert search("", BANKING) == search(" _ ", BANKING) == list(BANKING)


def test_a_name_counts_beside_the_title() -> None:
    titles = {"ABBR": "abbreviation", "NUM": "numeric value", "HUM": "human being"}
    assert search("num", titles)[0] == "NUM"
    assert search("human", titles) == ["HUM"]


@given(st.sampled_from(sorted(BANKING)), st.data())
def test_every_beginning_and_every_inner_part_finds_the_label(label: str, data: st.DataObject) -> None:
    title = BANKING[label]
    end = data.draw(st.integers(1, len(title)))
    begin = data.draw(st.integers(0, end - 1))
    part = title[begin:end].strip()
    if part:
        assert label in search(part, BANKING)
        assert label in search(part.upper(), BANKING)
    assert search(title, BANKING)[0] == label


@given(st.text(alphabet="acdefghilnoprstuw ", min_size=2, max_size=8))
def test_typing_on_only_narrows(typed: str) -> None:
    """But for a slip of the finger, where nothing fits: the labels of a longer text were all there before its last letter."""
    before, after = set(search(typed[:-1], BANKING)), set(search(typed, BANKING))
    fits = {label for label in after if is_subsequence(typed.replace(" ", ""), BANKING[label])}
    if fits and len(typed.strip()) == len(typed):
        assert fits <= before


def is_subsequence(letters: str, word: str) -> bool:
    rest = iter(word)
    return all(letter in rest for letter in letters)


def test_every_label_of_banking77_is_found_within_eight_letters(data_folder: Path) -> None:
    lines = (data_folder / "banking77" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    labels = sorted({str(json.loads(line)["label"]) for line in lines})
    titles = {label: label.replace("_", " ") for label in labels}
    assert len(titles) == 77
    for label, title in titles.items():
        assert search(title, titles)[0] == label
        initials = " ".join(word[:3] for word in title.split())
        assert label in search(initials, titles)[:3]


# -- exact names -----------------------------------------------------------------------------------------------


def test_exact_names_alone() -> None:
    titles = {"a_b": "A b", "A_B": "another", "x": "a_b", "y": "Y!"}
    assert named("a_b", titles) == "a_b"  # the name before another one's title
    assert named("A_B", titles) == "A_B"
    assert named("A b", titles) == "a_b"
    assert named("ANOTHER", titles) == "A_B"
    assert named("y!", titles) == "y"
    assert named("anothe", titles) is None
    assert named("A_b", titles) is None  # two, when case is let go

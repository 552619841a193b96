"""Texts that contain a known one, against a slow and obvious search."""

from __future__ import annotations

import random
import time

import pytest

from variegate.containment import ENOUGH_WORDS, KnownTexts, run_length, words_of

KNOWN = "my card has not arrived yet, what should I do"


def contains(text: str, known: str) -> bool:
    """Every run of `known`, looked for in every place of `text`."""
    a, b = words_of(text), words_of(known)
    length = run_length(len(b))
    if length is None:
        return False
    runs = {tuple(b[i : i + length]) for i in range(len(b) - length + 1)}
    return any(tuple(a[i : i + length]) in runs for i in range(len(a) - length + 1))


@pytest.mark.parametrize(
    "text",
    [
        KNOWN,
        f"Tweet: {KNOWN}",
        f"Sure, here is one: “{KNOWN.upper()}”!",
        f"{KNOWN} It is the third time that this has happened to me.",
        "my card hasn't... no: My card has not  arrived yet; what should I do?",
        "My card has not arrived yet, what should we do",
        "**my card** has not arrived yet what should I",
    ],
)
def test_a_known_text_behind_a_label_in_quotation_marks_or_with_a_tail_is_found(text: str) -> None:
    assert KnownTexts(["another text that is not it", KNOWN]).find(text) == 1


@pytest.mark.parametrize(
    "text",
    ["my card has not been stolen, what should I do", "what should I do", "", "...", "yet arrived not has card my", "the card is here"],
)
def test_what_shares_less_is_no_copy(text: str) -> None:
    assert KnownTexts([KNOWN]).find(text) is None


def test_a_known_text_of_few_words_is_never_found() -> None:
    known = KnownTexts(["how are you", "thank you", "", "how are you doing today"])
    assert known.find("Hello, how are you, and thank you") is None
    assert known.find("So, how are you doing today?") == 3


def test_forty_words_in_a_row_are_a_copy_of_a_text_of_any_length() -> None:
    words = [f"word{i}" for i in range(300)]
    known = KnownTexts([" ".join(words)])
    assert known.find(" ".join(words[100 : 100 + ENOUGH_WORDS])) == 0
    assert known.find(" ".join(words[100 : 100 + ENOUGH_WORDS - 1])) is None


def test_against_every_run_in_every_place() -> None:
    rng = random.Random(0)
    vocabulary = [f"w{i}" for i in range(4)]  # so few that runs are shared by chance
    known = [" ".join(rng.choices(vocabulary, k=rng.randint(1, 9))) for _ in range(150)]
    index = KnownTexts(known)
    found = 0
    for _ in range(400):
        text = " ".join(rng.choices(vocabulary, k=rng.randint(0, 30)))
        place = index.find(text)
        expected = [number for number, each in enumerate(known) if contains(text, each)]
        assert (place in expected) if expected else place is None, (text, place, expected)
        found += place is not None
    assert 20 < found < 380


def test_the_time_does_not_grow_with_the_known_texts() -> None:
    rng = random.Random(0)
    vocabulary = [f"w{i}" for i in range(5000)]
    texts = [" ".join(rng.choices(vocabulary, k=20)) for _ in range(500)]

    def seconds(count: int) -> float:
        known = KnownTexts(" ".join(rng.choices(vocabulary, k=rng.randint(5, 30))) for _ in range(count))
        for text in texts[:50]:
            known.find(text)
        start = time.process_time()
        for text in texts:
            known.find(text)
        return time.process_time() - start

    assert seconds(20_000) < 4 * seconds(200) + 0.05

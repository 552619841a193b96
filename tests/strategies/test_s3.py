"""S3 as a conversation: rationales by name and slot, errors of any class, caps and order, refills, and when its rounds end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.strategies.conftest import Played, make_brief
from variegate.records import KEPT, Completion, Request, Work
from variegate.strategies import begin

NAMES = ("crime", "love", "sci_fi")  # classes 0, 1 and 2


def row(number: int, label: str, said: str, *, confidence: float = 0.6, hardness: float = 0.5, split: str = "validation") -> dict[str, Any]:
    return {
        "id": f"{split}:{number}", "split": split, "label": label, "fields": {"text": f"Real text {number}.", "label": label},
        "said": [said], "confidence": [confidence], "right": float(said == label), "hardness": hardness,
    }  # fmt: skip


def found(*rows: dict[str, Any], select: float = 0.5) -> list[dict[str, Any]]:
    """With a select split of ten, of which that share is right."""
    return [*rows, *({"id": f"select:{n}", "split": "select", "right": float(n < 10 * select)} for n in range(10))]


def rounds_of(*each: list[dict[str, Any]]) -> Callable[[Work], list[dict[str, Any]]]:
    """The rows of student-0, student-1, ...; the last stands for all later ones."""
    return lambda work: each[min(int(work.name.removeprefix("student-")), len(each) - 1)] if work.task == "student" else []


def play(*each: list[dict[str, Any]], outcome: Callable[[str, int], str] = lambda *_: KEPT, **parts: Any) -> Played:
    played = Played(
        begin(make_brief("s3", **{"rationales": 0, "per_label": 4, **parts})), outcome, rounds_of(*each) if each else rounds_of(found())
    )
    played.all()
    return played


def errors_asked(played: Played) -> list[tuple[str, str, int]]:
    """(id, label, slot) of what was asked for errors."""
    return [(r.facts["error"], r.target.name, r.slot) for asked in played.rounds for r in asked if r.facts.get("stage") == "error"]


# -- rationales --------------------------------------------------------------------------------------------------------


def test_rationales_are_asked_for_once_a_label_as_notes_and_drawn_by_name_and_slot() -> None:
    def answers(played: Played) -> dict[tuple[str, int], str]:
        return {(r.target.name, r.slot): r.prompt for asked in played.rounds for r in asked if not r.note}

    def noted(per_label: int) -> Played:
        played = Played(begin(make_brief("s3", rationales=4, rationales_shown=1, per_label=per_label)))
        first = played.step()
        assert [(r.target.name, r.slot, r.note) for r in first] == [(name, 0, True) for name in NAMES]
        assert all("4 different situations" in r.prompt and r.prompt.endswith("\n1.") for r in first)
        played.talk.reasons = {name: [[f"{name}:{n}", f"{name} because {n}"] for n in range(4)] for name in NAMES}  # type: ignore[attr-defined]
        played.all()
        return played

    few, many = answers(noted(6)), answers(noted(20))
    assert few.items() <= many.items()  # one text more changes no other prompt
    shown = {(name, n) for (name, _), prompt in many.items() for n in range(4) if f"\n- {name} because {n}\n" in prompt}
    assert shown == {(name, n) for name in NAMES for n in range(4)}


@pytest.mark.parametrize(
    ("said", "chat", "finish", "expected"),
    [
        (" a trip\n2. a quarrel\n3) a bill\n4. more", False, "stop", [("a trip", ""), ("a quarrel", ""), ("a bill", "")]),
        ("Here are three:\n1. **A trip**\n- a quarrel", True, "stop", [("Here are three:", "not_in_list"), ("A trip", ""), ("a quarrel", "")]),
        (" a trip\n2. a quar", False, "length", [("a trip", ""), ("2. a quar", "unfinished")]),
        ("<think>hm</think>1. a trip\n\n2. ...", True, "stop", [("a trip", ""), ("2. ...", "empty")]),
        ("<think>hm", True, "length", [("<think>hm", "thinking")]),
        ("", False, "stop", []),
    ],
)  # fmt: skip
def test_rationales_are_read_from_a_list(said: str, chat: bool, finish: str, expected: list[tuple[str, str]]) -> None:
    talk = begin(make_brief("s3", rationales=3, chat=chat))
    request = talk.next(Played(talk).ledger)[0]  # type: ignore[index]
    pieces = talk.read(request, Completion(request.key, said, (), finish, 1))
    assert [(piece.text, piece.reason) for piece in pieces] == expected


def test_a_label_without_rationales_is_asked_twice_and_then_goes_without() -> None:
    class Silent(Played):
        def _answer(self, request: Request) -> Any:
            item = super()._answer(request)
            return item if not request.note or request.target.name != "love" else type(item)(item.id, item.target, {}, "empty", {})

    played = Silent(begin(make_brief("s3", rationales=4, rationales_shown=1, per_label=2)))
    played.all()
    notes = [(r.target.name, r.slot) for asked in played.rounds for r in asked if r.note]
    assert notes == [("crime", 0), ("love", 0), ("sci_fi", 0), ("love", 1)]
    prompts = {r.target.name: r.prompt for asked in played.rounds for r in asked if not r.note}
    assert "What lies behind it" in prompts["crime"]
    assert "What lies behind it" not in prompts["love"]


# -- error extrapolation (METHODS 8) -----------------------------------------------------------------------------------


def test_errors_between_any_two_of_three_classes_are_collected() -> None:
    """The released code takes |prediction - label| == 1 for an error and so loses 0 -> 2 and 2 -> 0."""
    wrong = [row(n, a, b) for n, (a, b) in enumerate((a, b) for a in NAMES for b in NAMES if a != b)]
    played = play(found(*wrong, row(9, "love", "love")), found(row(0, "crime", "crime")))
    assert errors_asked(played) == [(each["id"], each["label"], 0) for each in wrong]
    assert ("validation:1", "crime", 0) in errors_asked(played)  # 0 -> 2
    assert [played.ledger.kept(name) for name in NAMES] == [6, 6, 6]
    assert played.talk.wanted == dict.fromkeys(NAMES, 6)


def test_a_text_for_an_error_shows_the_error_and_says_where_it_comes_from() -> None:
    played = play(found(row(3, "crime", "love")), found(row(3, "crime", "crime")))
    (request,) = [r for asked in played.rounds for r in asked if r.facts["stage"] == "error"]
    assert request.prompt == 'Opening: "Real text 3."\nWrite another one like it for the category "crime".\nOpening: "'
    assert request.parents == ("validation:3",)
    assert request.facts == {"stage": "error", "error_round": 0, "error": "validation:3", "said": "love"}
    chat = play(found(row(3, "crime", "love")), found(row(3, "crime", "crime")), chat=True)
    (request,) = [r for asked in chat.rounds for r in asked if r.facts["stage"] == "error"]
    assert [message.role for message in request.messages] == ["system", "user", "assistant", "user"]
    assert request.messages[2].content == "Real text 3."
    assert 'again for the category "crime"' in request.messages[3].content


def test_every_round_trains_on_all_so_far_and_rounds_end_when_they_are_done() -> None:
    played = play(found(row(0, "crime", "love")))
    assert [work.name for work in played.works] == ["student-0", "student-1", "student-2", "extrapolation"]
    assert [len(work.args["train"]) for work in played.works[:3]] == [12, 13, 14]
    last = played.works[-1].args
    assert (len(last["seeds"]), [each[2] for each in last["more"]]) == (12, ["validation:0", "validation:0"])
    assert errors_asked(played) == [("validation:0", "crime", 0), ("validation:0", "crime", 1)]  # another slot: another text
    assert played.said[-2:] == [played.said[2], ""]
    assert played.said[2].endswith("2 rounds are done")
    assert [work.name for work in play(found(row(0, "crime", "love")), error_rounds=0).works] == ["student-0"]


def test_no_error_ends_it_and_says_so() -> None:
    played = play(found(row(0, "crime", "crime")))
    assert errors_asked(played) == []
    assert played.said == [
        "error round 0: a student of 12 texts is right on 50.0% of 10 real examples, and wrong on 0 of the 1 for validation: no error is"
        " left, and there is nothing to extrapolate"
    ]


def test_the_rounds_end_where_selection_no_longer_gains() -> None:
    wrong = row(0, "crime", "love")
    for selects, gain, trained in (((0.5, 0.4, 0.4), 0.0, 2), ((0.5, 0.5, 0.6), 0.0, 3), ((0.5, 0.5), 0.05, 2), ((0.5, 0.1), None, 3)):
        played = play(*(found(wrong, select=select) for select in selects), gain=gain)
        assert len([work for work in played.works if work.task == "student"]) == trained
    assert "it gained less than 0.05" in play(found(wrong), gain=0.05).said[-2]


def test_likely_wrong_labels_are_left_alone_and_a_cap_takes_the_hardest() -> None:
    rows = [row(n, "crime", "love", hardness=n / 10) for n in range(5)]
    sure = row(7, "love", "crime", confidence=0.995)
    kept = found(row(0, "crime", "crime"))
    assert [id for id, _, _ in errors_asked(play(found(*rows, sure), kept, cap=2))] == ["validation:3", "validation:4"]
    assert [id for id, _, _ in errors_asked(play(found(*rows, sure), kept, cap=2, order="nearest"))] == ["validation:0", "validation:1"]
    drawn = play(found(*rows, sure), kept, cap=2, order="drawn", mislabelled=None)
    assert [id for id, _, _ in errors_asked(drawn)] == ["validation:0", "validation:1", "validation:7"]
    assert (
        "2 are taken up (1 look like wrong labels of the examples, 3 are more than cap allows)" in play(found(*rows, sure), cap=2).said[0]
    )
    assert "there is nothing to take up" in play(found(sure)).said[0]
    several = {**sure, "said": ["crime", "sci_fi"], "confidence": [1.0, 1.0]}  # two students that differ are no sign of a wrong label
    assert errors_asked(play(found(several), kept)) == [("validation:7", "love", 0)]


def test_what_is_dropped_is_asked_for_again_and_then_no_longer_wanted() -> None:
    wrong = [row(0, "crime", "love"), row(1, "love", "crime")]

    def outcome(name: str, slot: int) -> str:
        return "copy_of_example" if asking["more"] and name == "love" else KEPT

    asking = {"more": False}
    played = Played(begin(make_brief("s3", rationales=0, per_label=4, per_error=2, error_rounds=1)), outcome)

    def find(work: Work) -> list[dict[str, Any]]:
        asking["more"] = True
        return found(*wrong) if work.name == "student-0" else found(row(0, "crime", "crime"))

    played._find = find
    played.all()
    asked = Counter(id for id, _, _ in errors_asked(played))
    assert asked == {"validation:0": 2, "validation:1": 6}  # three tries
    assert len(set(errors_asked(played))) == 8  # no slot twice
    assert played.talk.wanted == {"crime": 6, "love": 4, "sci_fi": 4}  # the run is not short of what could not be had


def test_its_state_in_the_midst_of_rounds_is_json_and_another_goes_on_from_it() -> None:
    wrong = [row(n, NAMES[n % 3], NAMES[(n + 1) % 3]) for n in range(6)]

    def fresh() -> Played:
        talk = begin(make_brief("s3", rationales=2, per_label=4, per_error=2))
        return Played(talk, lambda name, slot: "empty" if (name, slot) == ("love", 2) else KEPT, rounds_of(found(*wrong)))

    def seen(asked: list[Request]) -> list[tuple[Any, ...]]:
        return [(r.target.name, r.slot, r.block, r.prompt, r.parents) for r in asked]

    whole = fresh()
    expected = [seen(asked) for asked in whole.all()]
    assert len(expected) > 5
    for stop in range(len(expected)):
        first, rest = fresh(), fresh()
        for _ in range(stop):
            first.step()
        rest.talk.restore(json.loads(json.dumps(first.talk.state)))
        rest.ledger = first.ledger
        assert [seen(asked) for asked in rest.all()] == expected[stop:]


def test_a_changed_number_of_seeds_leaves_what_is_asked_for_an_error_as_it_was() -> None:
    """Slots of errors count their own requests, so a run that goes on from a larger target finds its answers again."""
    wrong = found(row(0, "crime", "love"))
    small, large = play(wrong, per_label=4), play(wrong, per_label=9)
    assert errors_asked(small) == errors_asked(large)


def test_what_a_record_is_given_is_kept_for_its_error_and_no_rationale_is_asked_for() -> None:
    """As the paper has it for pairs."""
    from variegate.kinds import kind_of
    from variegate.kinds.pair import PairTask

    task = PairTask.model_validate(
        {
            "kind": "pair", "name": "p", "text_type": "hypothesis", "context": "c", "data": {"train": "x.jsonl"},
            "labels": {name: {"phrase": name, "description": f"{name}."} for name in ("yes", "no")},
        }
    )  # fmt: skip
    brief = make_brief("s3", givens=[{"premise": f"Premise {n}."} for n in range(3)], per_label=2)
    from dataclasses import replace

    talk = begin(replace(brief, task=task, kind=kind_of(task)))
    fields = {"premise": "The cat is out.", "hypothesis": "A cat left.", "label": "yes"}
    wrong = {**row(0, "yes", "no"), "fields": fields}
    played = Played(talk, find=rounds_of(found(wrong), found({**wrong, "right": 1.0})))
    played.all()
    assert not any(r.note for asked in played.rounds for r in asked)
    (request,) = [r for asked in played.rounds for r in asked if r.facts["stage"] == "error"]
    assert request.target.given == {"premise": "The cat is out."}
    assert request.prompt == (
        'Premise: "The cat is out."\nHypothesis: "A cat left."\nWrite another one like it for the category "yes".\nHypothesis: "'
    )

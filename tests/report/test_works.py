"""The report's section on works: figures by hand, and that no manifest breaks it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from variegate.report.page import render_template
from variegate.report.works import works_section

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["student", "extrapolation", 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["task", "select", "accuracy", "num_texts", "round", "coverage", "memory", "here"]), inner, max_size=5),
    max_leaves=10,
)  # fmt: skip


def student(number: int, texts: int, right: float, **parts: Any) -> dict[str, Any]:
    split = {"n": 10, "accuracy": right}
    said = f"error round {number}: <b>said</b>"
    return {
        "name": f"student-{number}", "task": "student", "round": number + 1, "num_texts": texts, "select": split, "validation": split,
        "said": said, "seconds": 2.0, "memory": {"here": 2**30, "engine": 2**31, "device": None}, **parts,
    }  # fmt: skip


WORKS = [
    student(0, 100, 0.5),
    student(1, 120, 0.625),
    {"name": "extrapolation", "task": "extrapolation", "pairs": 20, "cosine": 0.8, "random_cosine": 0.3, "edit": 7.0, "random_edit": 12.0,
     "words": 13.0, "coverage": {"seeds": 0.25, "all": 0.5}, "said": "", "seconds": 1.0, "memory": {"here": 3 * 2**30}},
]  # fmt: skip
FACTS = [{"num_tokens": 1000, "seconds": 4.0}, {"num_tokens": 300, "seconds": 1.5}, {"num_tokens": 9, "seconds": 9.0}]


def page(works: Any) -> str:
    section = works_section({"works": works}, FACTS)
    return "" if section is None else render_template("works.html.j2", {"works": section})


def test_figures_by_hand() -> None:
    section = works_section({"works": WORKS}, FACTS)
    assert section is not None
    assert [(each["texts"], each["select"], each["tokens"], each["seconds"]) for each in section["students"]] == [
        (100, 0.5, 1000, 4.0),
        (120, 0.625, 1300, 5.5),
    ]
    assert section["memory"] == {"this process, students in it": 3.0, "the engine's process": 2.0}
    assert len(section["plots"]) == 4
    said = page(WORKS)
    for words in ("&lt;b&gt;said", "0.8, and 0.3 of random pairs", "7 of 13, and 12 of random pairs", "by the seed data", "3 GiB"):
        assert words in said
    assert "<b>said" not in said


def test_a_run_without_works_has_no_section() -> None:
    assert works_section({}, FACTS) is None
    assert page([]) == ""


@pytest.mark.parametrize("works", [[{}], [{"task": "student"}], [student(0, 100, 0.5)], [{"task": "extrapolation"}], "x", [3], {"a": 1}])
def test_gaps_are_gaps(works: Any) -> None:
    page(works)


@settings(max_examples=150, deadline=None)
@given(st.lists(JUNK, max_size=4))
def test_no_json_breaks_it(works: Any) -> None:
    page(works)

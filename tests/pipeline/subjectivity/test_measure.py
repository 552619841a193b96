"""The whole measurement: votes, names and what is said of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from variegate.config import load_task
from variegate.errors import UsageError
from variegate.pipeline.subjectivity.annotations import Annotated
from variegate.pipeline.subjectivity.measure import RankSettings, measure_subjectivity
from variegate.pipeline.subjectivity.task_votes import TaskVotes

VOTES = (("news", "irony"),) * 5 + (("irony", "news"),) + (("news", "subj"),) * 4 + (("subj", "irony"),) * 3 + (("irony", "subj"),)


def votes(pairs: tuple[tuple[str, str], ...] = VOTES, judges: tuple[str, ...] | None = None, **source: Any) -> TaskVotes:
    tasks = tuple(sorted({name for pair in pairs for name in pair}))
    told = {"kind": "file", "name": "votes.csv", "judges": len(set(judges)) if judges else None, **source}
    return TaskVotes(pairs, judges, tasks, told)


def test_tasks_alone() -> None:
    found = measure_subjectivity(None, votes(), ranking=RankSettings(draws=200), seed=3)
    assert [each["task"] for each in found["tasks"]["ranking"]] == ["news", "subj", "irony"]
    assert (found["instances"], found["sweep"], found["students"], found["name"], found["answer"]) == (None, None, [], None, None)
    assert (found["tasks"]["num_votes"], found["tasks"]["draws"], found["seed"]) == (14, 200, 3)
    assert found["tasks"]["wins"][0] == [0, 4, 5]
    assert found["warnings"] == []
    json.dumps(found, allow_nan=False)


def test_the_task_in_question_is_that_of_the_task_or_named() -> None:
    items = Annotated("a", "list", ("", ""), ("x", "y"), (("objective", "objective"), ("objective", "subjective")), None, None, None)
    assert measure_subjectivity(items, votes(), task=load_task("subj"))["name"] == "subj"
    assert measure_subjectivity(items, votes(), task=load_task("subj"), name="news")["name"] == "news"
    assert measure_subjectivity(items, votes())["name"] is None
    assert [sign["name"] for sign in measure_subjectivity(None, votes(), name="irony")["answer"]["signs"]] == ["rank"]
    with pytest.raises(UsageError, match="no vote names a task 'newz'; did you mean 'news'"):
        measure_subjectivity(None, votes(), name="newz")


def test_warnings_say_what_the_votes_cannot() -> None:
    apart = measure_subjectivity(None, votes((*VOTES, ("a", "b"))))["warnings"]
    assert "fall into 2 groups of tasks that never met (irony, news, subj; a, b)" in apart[0]
    assert "a won every vote" in apart[1]
    assert "b lost every vote" in apart[2]
    judged = measure_subjectivity(None, votes(judges=("x", "y") * 7))["warnings"]
    assert judged == [
        "2 judges gave 14 votes: intervals take the votes as independent; `variegate subjectivity tasks --resample judges` does not"
    ]
    by_judges = measure_subjectivity(None, votes(judges=("x", "y") * 7), ranking=RankSettings(resample="judges", draws=100))
    assert (by_judges["warnings"], by_judges["tasks"]["resampled"]) == ([], "judges")
    unsure = measure_subjectivity(None, votes(position_bias={"p_a": 0.1, "a_preferred": 0.1, "contradictions": 0.9}))["warnings"]
    assert "names another task when the order is turned in 90 % of the comparisons" in unsure[0]


def test_judges_that_are_not_named_cannot_be_resampled() -> None:
    with pytest.raises(UsageError, match=r"votes\.csv: names no judges"):
        measure_subjectivity(None, votes(), ranking=RankSettings(resample="judges"))


def test_it_is_seeded() -> None:
    first, again, other = (measure_subjectivity(None, votes(), seed=seed)["tasks"] for seed in (1, 1, 2))
    assert first == again
    assert first != other

"""The page on subjectivity: what it says, what it never does, and that no JSON breaks it."""

from __future__ import annotations

import copy
import json
import math
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from variegate.errors import StoreError
from variegate.pipeline.subjectivity.annotations import Annotated
from variegate.pipeline.subjectivity.instances import StudentAnswers
from variegate.pipeline.subjectivity.measure import RankSettings, measure_subjectivity
from variegate.pipeline.subjectivity.predictions import Predicted
from variegate.pipeline.subjectivity.task_votes import TaskVotes
from variegate.report.page import render_template
from variegate.report.subjectivity import subjectivity_context, write_subjectivity_report

ReadPage = Callable[[str], Any]
EVIL = '</title><script>alert(1)</script><img src=x onerror="alert(1)"> {{ 7 * 7 }} \x1b[31m \u202e \ud800 & \'"'
TASKS = ("ag_news", "sms_spam", "subj", "tweet_irony")


def made() -> dict[str, Any]:
    """80 items with three labels each, two students, and votes on four tasks of which one never met the others."""
    rng = np.random.default_rng(0)
    true = ["joy", "awe"] * 40
    votes = tuple(tuple(label if rng.random() < 0.75 else "fear" for _ in range(3)) for label in true)
    said = {
        "synthetic": [label if rng.random() < 0.6 else "fear" for label in true],
        "real": [label if rng.random() < 0.9 else "fear" for label in true],
    }
    items = Annotated(
        "runs/labels.jsonl", "list", ("",) * 80, tuple(f"text {place}" for place in range(80)), votes, tuple(true), "label", 3
    )
    students = [StudentAnswers(name, f"{name}.jsonl", "file", Predicted(tuple(labels), 80, 2, "label")) for name, labels in said.items()]
    pairs = (("ag_news", "subj"),) * 5 + (("subj", "ag_news"),) * 2 + (("subj", "tweet_irony"),) * 4 + (("tweet_irony", "subj"),)
    source = {"kind": "model", "name": "nano-llama", "backend": "vllm", "comparisons": 12, "instances": 3, "without_vote": 0,
              "position_bias": {"p_a": 0.31, "a_preferred": 0.2, "contradictions": 0.25}}  # fmt: skip
    found = measure_subjectivity(
        items, TaskVotes(pairs, None, TASKS, source), students=students, name="subj", ranking=RankSettings(draws=200), seed=7
    )
    found["warnings"].append("take this with salt")
    return found


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return json.loads(json.dumps(made()))


@pytest.fixture
def measured(whole: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(whole)


def page_of(measurement: Any) -> str:
    return render_template("subjectivity_page.html.j2", {"page": subjectivity_context(measurement)})


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [place for key, each in inside for place in [(*path, key), *places(each, (*path, key))]]


def test_it_says_what_was_measured(measured: dict[str, Any], read_page: ReadPage) -> None:
    text = read_page(page_of(measured)).text
    points = measured["sweep"]["points"]
    for said in (
        "runs/labels.jsonl", measured["answer"]["headline"], "take this with salt", "80 items", "Krippendorff's alpha",
        f"{100 * points[0]['accuracy']['real']['value']:.1f} %", "synthetic less real", f"n = {points[-1]['n']}", "at least gamma (≥",
        "Each comparison was asked in both orders", "31 % of the probability", "Some tasks never met", "sms_spam", "true label: ", "What is not known",
        "No law and no number of the paper", "12, each in both orders, with 3 instances", "seed 7", "field label", "2 rows of no item",
        "rank 1 (", "by the model nano-llama", "This task, subj , is marked", "each task was given 0.5 won",
    ):  # fmt: skip
        assert said.replace(" , ", ", ") in text.replace(" , ", ", "), said
    for sign in measured["answer"]["signs"]:
        assert sign["says"] in text


def test_the_curve_starts_where_it_changes(measured: dict[str, Any]) -> None:
    """gamma = 0 and the smallest share hold the same items: one point, two rows of the table."""
    html = page_of(measured)
    first = measured["sweep"]["points"][1]["gamma"]
    assert f"synthetic, {first:.3g}: " in html
    assert "synthetic, 0: " not in html
    assert '<td class="n">0.000</td>' in html


def test_parts_alone(measured: dict[str, Any], read_page: ReadPage) -> None:
    tasks = read_page(page_of({**measured, "instances": None, "sweep": None, "students": [], "answer": None, "name": None})).text
    assert "Tasks ranked by objectivity" in tasks
    assert "How risky" not in tasks
    assert "is marked" not in tasks
    instances = read_page(page_of({**measured, "tasks": None, "sweep": None, "students": [], "name": None})).text
    assert "Least agreed on" in instances
    assert "Accuracy over agreement" not in instances
    assert "Tasks ranked" not in instances


def test_votes_of_a_model(measured: dict[str, Any], read_page: ReadPage) -> None:
    measured["instances"]["source"] |= {
        "kind": "model", "model": "nano-llama", "backend": "vllm", "votes": 5, "temperature": 0.7, "read": {"exact": 390, "prefix": 4},
        "unread": 6, "unread_examples": ["I would say"], "errors": 0,
    }  # fmt: skip
    text = read_page(page_of(measured)).text
    for said in ("answers of one model", "390 exact, 4 prefix", "“I would say”", "temperature 0.7"):
        assert said in text


def test_what_was_written_elsewhere_is_shown_and_never_obeyed(measured: dict[str, Any], read_page: ReadPage) -> None:
    def poison(data: Any) -> Any:
        if isinstance(data, dict):
            return {key: poison(value) for key, value in data.items()} | ({EVIL: 3} if "joy" in data else {})
        return [poison(each) for each in data] if isinstance(data, list) else EVIL if isinstance(data, str) else data

    for evil in (poison(measured), poison({**measured, "students": [{"name": EVIL}]})):
        html = page_of(evil)
        page = read_page(html)
        assert not {"script", "img", "iframe", "object"} & set(page.tags)
        assert not [name for name, _ in page.attributes if name.startswith("on")]
        assert "<script>alert(1)</script>" in page.text
        assert "{{ 7 * 7 }}" in page.text
        assert not {"\x1b", "\u202e", "\ud800"} & set(html)


def test_names_of_students_and_labels_are_escaped(measured: dict[str, Any], read_page: ReadPage) -> None:
    """They are keys of the JSON."""
    text = json.dumps(measured).replace('"synthetic"', json.dumps("<b>s</b>")).replace('"fear"', json.dumps("<i>fear</i>"))
    page = read_page(page_of(json.loads(text)))
    assert "<b>s</b>" in page.text
    assert "<i>fear</i>" in page.text
    assert "i" not in page.tags


def test_it_needs_nothing_from_elsewhere(measured: dict[str, Any], read_page: ReadPage) -> None:
    html = page_of(measured)
    page = read_page(html)
    links = [value for name, value in page.attributes if name in ("src", "href", "xlink:href", "action", "data", "srcset")]
    ids = {value for name, value in page.attributes if name == "id"}
    assert all(link == "data:," or link.removeprefix("#") in ids for link in links)
    assert not re.search(r"url\(|@import|javascript:", html)
    assert "default-src 'none'" in html


@pytest.mark.slow
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    seed=st.integers(0, 2**32), junk=st.sampled_from([None, 3, -1, 1.5, 1e300, math.nan, 10**400, True, "", "x", [], {}, [[]], {"a": {}}])
)
def test_no_part_of_another_type_breaks_it(whole: dict[str, Any], read_page: ReadPage, seed: int, junk: Any) -> None:
    damaged = copy.deepcopy(whole)
    for place in random.Random(seed).sample(places(damaged), 3):
        node = damaged
        try:
            for key in place[:-1]:
                node = node[key]
            node[place[-1]] = junk
        except (TypeError, KeyError, IndexError):
            continue  # an earlier one took this place away
    read_page(page_of(damaged))


def test_missing_parts_leave_gaps(measured: dict[str, Any], read_page: ReadPage) -> None:
    for name in measured:
        read_page(page_of({key: value for key, value in measured.items() if key != name}))
        read_page(page_of({**measured, name: None}))
    for part in ("instances", "sweep", "tasks", "answer"):
        for name in measured[part]:
            read_page(page_of({**measured, part: {key: value for key, value in measured[part].items() if key != name}}))
    assert "unnamed" in read_page(page_of({})).text


def test_long_texts_are_cut_and_it_says_so(measured: dict[str, Any]) -> None:
    measured["instances"]["contested"][0]["text"] = "word " * 2000
    html = page_of(measured)
    assert "cut here" in html
    assert html.count("word ") < 200


def test_it_is_written_whole(measured: dict[str, Any], tmp_path: Path) -> None:
    path = write_subjectivity_report(measured, tmp_path / "page.html")
    assert path.read_text().startswith("<!DOCTYPE html>") or "<!DOCTYPE html>" in path.read_text()[:200]
    with pytest.raises(StoreError):
        write_subjectivity_report(measured, tmp_path / "page.html" / "below.html")

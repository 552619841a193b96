"""The section on curations: what it says, that its flow adds up, and that no JSON breaks it."""

from __future__ import annotations

import copy
import json
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.rows import ASKED
from variegate.report.curation import curation_context, facts_in_words, flow_steps
from variegate.report.flow import gaps
from variegate.report.render import render
from variegate.store.run_folder import RunFolder

ReadPage = Callable[[str], Any]
Makers = dict[str, Callable[..., dict[str, Any]]]
EVIL = '</title><script>alert(1)</script><img src=x onerror="alert(1)"> {{ 7 * 7 }} \x1b[31m \u202e & \'"'
NONE: Counter[str] = Counter()
JUNK = [None, 3, -1, 1.5, 1e300, 10**400, True, "", "x", [], {}, [[]], {"a": {}}, math.nan]


def store(folder: RunFolder, summary: Any, name: str = "repaired") -> None:
    path = folder.path / "curations" / name
    path.mkdir(parents=True, exist_ok=True)
    (path / "curation.json").write_text(summary if isinstance(summary, str) else json.dumps(summary))


def test_it_says_what_was_done(run_folder: RunFolder, curation_summary: dict[str, Any], read_page: ReadPage) -> None:
    assert 'href="#curation"' not in render(run_folder)
    store(run_folder, curation_summary)
    page = read_page(render(run_folder))
    assert ("href", "#curation") in page.attributes
    kept, changed = curation_summary["kept"], curation_summary["changed"]
    for said in (
        f"1,200 records in, {kept:,} kept, {1200 - kept} dropped", f"{changed} of the kept", "0 duplicates", "1 relabelling", "final labels",
        "35 duplicate, 15 near duplicate", "judged to be outside the task", "confidence of 1,147", "calibration: temperature 1.31", "3 unjudged",
        "the proxy saw one text of `fear`", "1 Relabelling: 3 prompts did not fit", "81.0 % (78.6 to 83.2 %), n = ", "given, of the kept", "paths 3, 4",
        "The curation is of 1,200 records, but the run has kept 24: run `variegate curate` again.",
    ):  # fmt: skip
        assert said in page.text, said


def test_the_flow_adds_up(curation_summary: dict[str, Any]) -> None:
    """requested = kept in the end + everything dropped, when generated and by each stage."""
    steps = flow_steps(curation_summary, Counter({"kept": 1200, "empty": 20, "echo": 30, "duplicate": 50}))
    assert [step.name for step in steps] == ["requested", "parsed", "kept", "0 duplicates", "1 relabelling", "2 scope", "final labels"]
    assert gaps(steps) == []
    assert steps[0].kept == steps[-1].kept + sum(step.num_dropped for step in steps)
    assert steps[1].dropped == (("echo", 30), ("empty", 20))
    assert steps[2].dropped == (("duplicate", 50),)
    assert steps[-1].changed == curation_summary["changed"]
    assert sum(sum(row.values()) for row in curation_summary["flips"].values()) == steps[-1].changed


def test_a_ledger_of_another_state_names_no_reason(curation_summary: dict[str, Any]) -> None:
    steps = flow_steps(curation_summary, Counter({"kept": 24, "empty": 8}))
    assert steps[1].dropped == (("not parsed", 50),)
    assert steps[2].dropped == (("not kept when generated", 50),)
    assert gaps(steps) == []


def test_counts_that_do_not_fit_are_said(curation_summary: dict[str, Any]) -> None:
    curation_summary["stages"][1]["counts"]["kept"] -= 7
    assert any(
        "2 scope: 1,150 came in, but 1,143 were left before it" in note for note in curation_context(curation_summary, "x", NONE)["gaps"]
    )


def test_more_changed_than_kept_is_not_drawn_longer_than_its_bar(curation_summary: dict[str, Any]) -> None:
    curation_summary["stages"][1]["counts"]["changed"] = 99_999
    assert all(step.changed <= step.kept for step in flow_steps(curation_summary, NONE))


def test_flips_and_their_diagonal_by_hand(read_page: ReadPage) -> None:
    summary = {
        "kept": 10, "flips": {"a": {"b": 2}, "b": {"a": 1}}, "labels": {"a": {"given": 5, "final": 4}, "b": {"given": 5, "final": 6}},
    }  # fmt: skip
    flips = curation_context(summary, "x", NONE)["flips"]
    text = " ".join(read_page(flips["plot"]).text.split())
    for said in ("a → a: 3 of 5 (60 %)", "a → b: 2 of 5 (40 %)", "b → a: 1 of 5 (20 %)", "b → b: 4 of 5 (80 %)"):
        assert said in text
    assert [(each["old"], each["new"], each["count"]) for each in flips["in_sight"]] == [("a", "b", 2), ("b", "a", 1)]


def test_before_and_after_are_shown_where_both_were_measured(
    run_folder: RunFolder, curation_summary: dict[str, Any], measurement: dict[str, Any], read_page: ReadPage
) -> None:
    store(run_folder, curation_summary)
    (run_folder.path / "measures.json").write_text(json.dumps(measurement))
    assert "Before and after" not in read_page(render(run_folder)).text
    after = copy.deepcopy(measurement)
    after["pooled"]["set"][0]["value"] = 0.9
    (run_folder.path / "curations" / "repaired" / "measures.json").write_text(json.dumps(after))
    text = read_page(render(run_folder)).text
    assert "Before and after" in text
    assert "0.9393 n = 1,200 0.9000 n = 1,200 −0.0393" in text
    (run_folder.path / "curations" / "repaired" / "measures.json").write_text("{")
    assert "measures.json is damaged" in read_page(render(run_folder)).text


def test_several_curations_and_damaged_ones(run_folder: RunFolder, makers: Makers, read_page: ReadPage) -> None:
    for name in ("first", "second"):
        store(run_folder, makers["curation"](seed=3), name)
    store(run_folder, "[1", "torn")
    store(run_folder, "7", "number")
    page = read_page(render(run_folder))
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {"curation-1", "curation-2"} <= set(ids)
    assert "torn: curation.json is damaged" in page.text
    assert "number: curation.json holds no object" in page.text
    assert page.text.count("records in,") == 2


def test_what_stands_in_the_json_is_shown_and_never_obeyed(run_folder: RunFolder, makers: Makers, read_page: ReadPage) -> None:
    evil = makers["curation"]([EVIL, "b" + EVIL, "c"])
    evil["warnings"] = [EVIL]
    evil["stages"][0]["kind"] = EVIL
    evil["stages"][1]["facts"] = {EVIL: EVIL, "list": [EVIL, 1]}
    evil["stages"][1]["counts"]["named"] = {EVIL: 3}
    evil["stages"][2]["counts"]["dropped"] = {EVIL: 60, "x": 8}
    evil["dropped"] = {EVIL: 60}
    store(run_folder, evil)
    html = render(run_folder)
    page = read_page(html)
    assert not {"script", "img", "iframe", "object"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in page.text
    assert not {"\x1b", "\u202e"} & set(html)
    assert "{{ 7 * 7 }}" in page.text


@pytest.mark.slow
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(seed=st.integers(0, 2**32), junk=st.sampled_from(JUNK))
def test_no_part_of_another_type_breaks_it(
    curation_summary: dict[str, Any], damage: Any, read_page: ReadPage, seed: int, junk: Any
) -> None:
    from variegate.report.page import render_template

    context = curation_context(damage(curation_summary, seed, junk), "x", Counter({"kept": 5}))
    read_page(render_template("curation.html.j2", {"curations": {"all": [context], "notes": []}, "measures": None}))


def test_missing_parts_leave_gaps(curation_summary: dict[str, Any], read_page: ReadPage) -> None:
    from variegate.report.page import render_template

    for name in [*curation_summary, "nothing"]:
        part = {key: value for key, value in curation_summary.items() if key != name}
        for summary in (part, {name: curation_summary.get(name)}):
            context = curation_context(summary, "x", NONE)
            read_page(render_template("curation.html.j2", {"curations": {"all": [context], "notes": []}, "measures": None}))


@pytest.mark.parametrize("num", [2, 6, 77, 150])
def test_it_stays_small_whatever_the_labels(num: int, makers: Makers, run_folder: RunFolder, read_page: ReadPage) -> None:
    before = len(render(run_folder))
    store(
        run_folder,
        makers["curation"]([f"an_intent_with_a_long_name_{index:03d}" for index in range(num)], n=1200 if num < 77 else 20 * num),
    )
    html = render(run_folder)
    read_page(html)
    assert len(html) - before < 250_000


def test_an_emptied_label_is_named(curation_summary: dict[str, Any]) -> None:
    curation_summary["labels"]["joy"]["final"] = 0
    assert curation_context(curation_summary, "x", NONE)["labels"]["empty"] == ["joy"]


def test_facts_in_words_by_hand() -> None:
    facts = {"a_b": 1, "c": {"d": 0.5, "e": {"f": "x", "g": {"h": 1}}}, "l": [1, "two"], "mixed": [1, {}], "none": None, "yes": True}
    assert facts_in_words(facts) == [("a b", "1"), ("c: d", "0.5"), ("c: e: f", "x"), ("l", "1, two"), ("yes", "yes")]


def test_what_curate_writes_is_shown(run_folder: RunFolder, read_page: ReadPage) -> None:
    """A real curation of the run, so that the page and the pipeline cannot drift apart."""
    from variegate.config.curation import CurationConfig, DuplicatesStage
    from variegate.pipeline.curation.curate import curate

    config = CurationConfig(stages=[DuplicatesStage(kind="duplicates", near=0.3)])
    summary = curate(run_folder, config, "tidy")
    kept = summary["kept"]
    assert 0 < kept < summary["records"] == 24
    context = curation_context(summary, "tidy", Counter({"kept": 24}))
    assert (context["records"], context["kept"], context["gaps"]) == (24, kept, [])
    steps = flow_steps(summary, NONE)
    assert steps[0].kept == ASKED
    assert steps[0].kept == steps[-1].kept + sum(step.num_dropped for step in steps)
    text = read_page(render(run_folder)).text
    assert f"24 records in, {kept} kept, {24 - kept} dropped" in text
    assert "not parsed" not in text  # the ledger's own reasons stand in the flow
    assert "do not fit together" not in text

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.quiz import make_quiz, quiz_engine
from variegate.config.curation import CurationConfig
from variegate.pipeline.curation.curate import curate
from variegate.pipeline.generate import generate
from variegate.report import write_report
from variegate.report.facts import FactCounts, facts_section
from variegate.store.rows import StoredItem
from variegate.store.run_folder import RunFolder


def item(outcome: str, **facts: Any) -> StoredItem:
    return StoredItem("id", "label", outcome, {"text": "t"}, {"facts": facts})


def counted(*items: StoredItem) -> FactCounts:
    counts = FactCounts()
    for each in items:
        counts.add(each)
    return counts


def test_a_hand_worked_set(tmp_path: Path) -> None:
    counts = counted(
        item("kept", alpha=0.9, partner="a", group=["a", "b"], same=1),
        item("kept", alpha=0.85, partner="a", same=1),
        item("empty", alpha=0.9, partner="b", same=1),
        item("kept", alpha=0.9, partner="b", same=1),
        item("note", alpha=0.5, partner="c"),
    )
    alpha, partner = facts_section(RunFolder(tmp_path), counts)
    assert (alpha["name"], partner["name"]) == ("alpha", "partner")  # no lists, and nothing that is always the same
    assert [(row["value"], row["kept"], row["dropped"]) for row in alpha["rows"]] == [("0.85", 1, 0), ("0.9", 2, 1)]
    assert [(row["value"], row["kept"], row["dropped"]) for row in partner["rows"]] == [("a", 2, 0), ("b", 1, 1)]


def test_a_fact_of_many_values_is_not_shown_and_not_held(tmp_path: Path) -> None:
    counts = counted(*(item("kept", many=number, few=number % 13) for number in range(5000)))
    assert facts_section(RunFolder(tmp_path), counts) == []
    assert counts.kept["many"] is None
    assert len(counts.kept["few"] or ()) == 13


def test_the_report_shows_shares_and_what_a_curation_changed_at_each(tmp_path: Path, read_page: Callable[[str], Any]) -> None:
    generate(make_quiz(tmp_path / "run", tmp_path / "data"), start=lambda _: quiz_engine(lent=True))
    run = RunFolder(tmp_path / "run")
    records = list(run.records())
    right = {record.id: record.origin["facts"]["partner"] if record.origin["facts"]["alpha"] < 0.85 else record.label for record in records}
    labels = tmp_path / "right.jsonl"
    labels.write_text("".join(json.dumps({"id": id, "label": label}) + "\n" for id, label in right.items()))
    stage = {"kind": "label_replacement", "labels": str(labels), "inspected": "all"}
    curate(run, CurationConfig.model_validate({"stages": [stage]}), "right")
    page = read_page(write_report(run).read_text())
    assert "Texts by alpha" in {value for key, value in page.attributes if key == "aria-label"}
    assert "right : keeps" in page.text
    (alpha,) = (table for table in facts_section(run, counted(*run.items())) if table["name"] == "alpha")
    changed = {float(row["value"]): row["curations"][0]["changed"] for row in alpha["rows"]}
    expected = Counter(record.origin["facts"]["alpha"] for record in records if right[record.id] != record.label)
    assert {alpha: number for alpha, number in changed.items() if number} == expected

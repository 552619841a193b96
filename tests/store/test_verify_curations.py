"""`variegate verify` on curations: every planted fault is found."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.rows import make_row
from variegate.store.checks import Check
from variegate.store.run_folder import RunFolder
from variegate.store.verdicts import CurationFolder
from variegate.store.verify import verify
from variegate.store.verify_curations import verify_curations

finished: Callable[..., CurationFolder] = runpy.run_path(str(Path(__file__).with_name("test_verdicts.py")))["finished"]
LABELS = ["anger", "fear", "joy"]


def only(folder: RunFolder) -> Check:
    (check,) = verify_curations(folder, LABELS)
    return check


def edit(path: Path, change: Callable[[Any], object]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def rewrite(curation: CurationFolder, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Edit verdicts, and state their hash anew, as someone would who covers it up."""
    import hashlib

    stage = curation.path / "000-denoise"
    rows = [json.loads(line) for line in (stage / "verdicts.jsonl").read_text().splitlines()]
    change(rows)
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (stage / "verdicts.jsonl").write_bytes(data)
    for path in (stage / "stage.json", curation.path / "curation.json"):
        edit(path, lambda value: (value if "key" in value else value["stages"][0]).update(sha256=hashlib.sha256(data).hexdigest()))


def test_a_good_one_passes_and_says_its_sums(run_folder: RunFolder) -> None:
    finished(run_folder)
    assert only(run_folder) == Check("curation some", "ok", "1 stages, 24 records = 23 kept + 1 dropped, 1 labels changed")
    assert "curation some" in {check.name for check in verify(run_folder).checks}
    assert verify(run_folder).ok


def test_no_curation_no_check(run_folder: RunFolder) -> None:
    assert verify_curations(run_folder, LABELS) == []


def test_one_in_progress_and_one_of_an_earlier_run_are_skipped(run_folder: RunFolder) -> None:
    CurationFolder(run_folder, "started").write_config("stages: []\n")
    assert only(run_folder).status == "skipped"
    finished(run_folder)
    run_folder.commit_round(1, [make_row("joy", 5, round=1)], {"round": 1})
    assert [(check.status, "earlier state" in check.detail) for check in verify_curations(run_folder, LABELS)] == [
        ("skipped", True),
        ("skipped", False),
    ]


def without_first(rows: list[dict[str, Any]]) -> None:
    del rows[0]


def doubled(rows: list[dict[str, Any]]) -> None:
    rows[1] = rows[2]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_first, "23 verdicts are not one for each of the 24 records"),
        (doubled, "are not one for each"),
        (lambda rows: rows[3].update(label="joyy", reason="replaced"), "label 'joyy' is not in run.yaml; did you mean 'joy'?"),
        (lambda rows: rows[3].update(reason="noizy"), "reason 'noizy' is not known; did you mean 'noisy'?"),
        (lambda rows: rows[3].update(keep=False, reason="relabelled"), "dropped with reason 'relabelled'"),
        (lambda rows: rows[3].update(label="fear"), "became 'fear' with reason ''"),
        (lambda rows: rows[3].update(keep=False, reason="noisy"), "counts in stage.json are not those of its verdicts"),
        (lambda rows: rows[3].update(confidence=0.5), "confidence_histogram in stage.json"),
        (lambda rows: rows[1].update(label="fear" if rows[1]["label"] != "fear" else "joy"), "flips in stage.json"),
    ],
)
def test_planted_faults_in_verdicts(run_folder: RunFolder, change: Callable[[list[dict[str, Any]]], object], words: str) -> None:
    curation = finished(run_folder)
    rewrite(curation, change)
    found = only(run_folder)
    assert found.status == "FAILED"
    assert words in found.detail


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("curation.json", lambda value: value.update(kept=24), "curation.json states kept: 24, the verdicts give 23"),
        ("curation.json", lambda value: value.update(dropped={}), "curation.json states dropped: {}"),
        ("curation.json", lambda value: value.update(changed=0), "curation.json states changed: 0"),
        ("curation.json", lambda value: value["stages"][0].update(kind="audit"), "are not those of the stage.json files"),
        ("curation.json", lambda value: value.update(sha256="0"), "its hash is not the one in curation.json"),
        ("000-denoise/stage.json", lambda value: value["input"].update(n=3), "its input is not what stage.json states"),
    ],
)
def test_planted_faults_in_the_facts(run_folder: RunFolder, file: str, change: Callable[[Any], object], words: str) -> None:
    edit(finished(run_folder).path / file, change)
    found = only(run_folder)
    assert found.status == "FAILED"
    assert words in found.detail


def test_curated_records_that_are_not_the_verdicts(run_folder: RunFolder) -> None:
    import hashlib

    curation = finished(run_folder)
    path = curation.path / "curated.jsonl"
    data = path.read_bytes().replace(b'"label":"fear"', b'"label":"joy"', 1)
    path.write_bytes(data)
    edit(curation.path / "curation.json", lambda value: value.update(sha256=hashlib.sha256(data).hexdigest()))
    assert "curated.jsonl: is not what records and verdicts give" in only(run_folder).detail


def test_unreadable_parts_are_findings(run_folder: RunFolder) -> None:
    curation = finished(run_folder)
    (curation.path / "000-denoise" / "stage.json").write_text("{")
    assert only(run_folder).status == "FAILED"
    (run_folder.path / "curations" / "a b").mkdir()
    assert {check.status for check in verify_curations(run_folder, LABELS)} == {"FAILED"}

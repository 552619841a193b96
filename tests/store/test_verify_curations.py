"""`variegate verify` on curations: every planted fault is found."""

from __future__ import annotations

import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.rows import make_row
from variegate.store.answers import Answers
from variegate.store.checks import Check
from variegate.store.run_folder import RunFolder
from variegate.store.sealed import seal
from variegate.store.verdicts import SUMMARY_SEAL, CurationFolder
from variegate.store.verify import verify
from variegate.store.verify_curations import verify_curations

finished: Callable[..., CurationFolder] = runpy.run_path(str(Path(__file__).with_name("test_verdicts.py")))["finished"]
LABELS = ["anger", "fear", "joy"]


def only(folder: RunFolder) -> Check:
    (check,) = verify_curations(folder, LABELS)
    return check


def edit_summary(curation: CurationFolder, change: Callable[[Any], object]) -> None:
    """Edit curation.json and seal it anew, as someone would who covers it up."""
    value = curation.read_summary()
    change(value)
    assert value is not None
    (curation.path / "curation.json").write_bytes(seal(value, SUMMARY_SEAL))


def rewrite(
    curation: CurationFolder, change: Callable[[list[dict[str, Any]]], object] = bool, facts: Callable[[Any], object] = bool
) -> None:
    """Edit verdicts or facts of the stage, and state their hashes anew, as someone would who covers it up."""
    (stage,) = curation.stages()
    rows, value = stage.entry.rows(), dict(stage.entry.facts)
    change(rows)
    facts(value)
    shutil.rmtree(stage.path)
    curation.shelf.put(stage.entry.name, stage.key, rows, value)
    edit_summary(curation, lambda summary: summary.update(stages=[{**value, "key": stage.key}]))


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
        (lambda rows: rows[3].update(keep=False, reason="noisy"), "counts in entry.json are not those of its verdicts"),
        (lambda rows: rows[3].update(confidence=0.5), "confidence_histogram in entry.json"),
        (lambda rows: rows[1].update(label="fear" if rows[1]["label"] != "fear" else "joy"), "flips in entry.json"),
    ],
)
def test_planted_faults_in_verdicts(run_folder: RunFolder, change: Callable[[list[dict[str, Any]]], object], words: str) -> None:
    curation = finished(run_folder)
    rewrite(curation, change)
    found = only(run_folder)
    assert found.status == "FAILED"
    assert words in found.detail


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda value: value.update(kept=24), "curation.json states kept: 24, the verdicts give 23"),
        (lambda value: value.update(dropped={}), "curation.json states dropped: {}"),
        (lambda value: value.update(changed=0), "curation.json states changed: 0"),
        (lambda value: value["stages"][0].update(kind="audit"), "are not those on the shelf"),
        (lambda value: value.update(sha256="0"), "its hash is not the one in curation.json"),
    ],
)
def test_planted_faults_in_the_summary(run_folder: RunFolder, change: Callable[[Any], object], words: str) -> None:
    edit_summary(finished(run_folder), change)
    found = only(run_folder)
    assert found.status == "FAILED"
    assert words in found.detail


def test_planted_faults_in_the_facts(run_folder: RunFolder) -> None:
    rewrite(finished(run_folder), facts=lambda value: value.update(input={**value["input"], "n": 3}))
    assert "its input is not what entry.json states" in only(run_folder).detail


FILES = [
    "curation.yaml",
    "curation.json",
    "curated.jsonl",
    "000-denoise/rows.jsonl",
    "000-denoise/entry.json",
    "001-denoise/rows.jsonl",
    "observations/000000/rows.jsonl",
    "observations/000000/entry.json",
]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("harm", ["cut", "flip", "delete", "double", "swap"])
def test_every_damaged_file_is_noticed(run_folder: RunFolder, name: str, harm: str) -> None:
    """Each file cut, changed by a bit, deleted, written twice over, swapped with that of a neighbour."""
    for each in ("some", "other"):
        curation = finished(run_folder, each, stages=2)
        answers = Answers(curation.shelf, "observations", each)
        answers.add([{"key": "a", "odds": 0.5}])
        answers.add([{"key": "b", "odds": 0.5}])
    assert {check.status for check in verify_curations(run_folder, LABELS)} == {"ok"}
    path = run_folder.path / "curations" / "some" / name
    data = path.read_bytes()
    if harm == "delete":
        path.unlink()
    elif harm == "swap":
        neighbour = {"000-denoise": "001-denoise", "001-denoise": "000-denoise", "observations/000000": "observations/000001"}
        folder = neighbour.get(name.rpartition("/")[0])
        other = run_folder.path / "curations" / ("some" if folder else "other") / (f"{folder}/{path.name}" if folder else name)
        if other.read_bytes() == data:
            other.write_bytes(b"# another\n" + data)
            data = other.read_bytes()
        path.write_bytes(other.read_bytes())
        other.write_bytes(data)
    else:
        path.write_bytes({"cut": data[:-1], "flip": bytes([data[0] ^ 1]) + data[1:], "double": data + data}[harm])
    (found,) = [check for check in verify_curations(run_folder, LABELS) if check.name == "curation some"]
    if (name, harm) == ("curation.json", "delete"):
        assert "; it has not ended" in found.detail  # as where a process was killed just before it was written
    else:
        assert found.status == "FAILED"


def test_whole_entries_that_are_gone_or_elsewhere_are_noticed(run_folder: RunFolder) -> None:
    curation = finished(run_folder, stages=2)
    answers = Answers(curation.shelf, "observations", "k")
    answers.add([])
    answers.add([])
    for change, words in (
        (lambda: shutil.rmtree(curation.path / "observations" / "000000"), "000000 is missing, and 000001 is there"),
        (lambda: shutil.rmtree(curation.path / "001-denoise"), "are not those on the shelf"),
        (lambda: shutil.copytree(curation.path / "000-denoise", curation.path / "001-denoise"), "states the name '000-denoise'"),
    ):
        change()
        found = only(run_folder)
        assert found.status == "FAILED"
        assert words in found.detail
        shutil.rmtree(curation.path / "observations", ignore_errors=True)


def test_curated_records_that_are_not_the_verdicts(run_folder: RunFolder) -> None:
    import hashlib

    curation = finished(run_folder)
    path = curation.path / "curated.jsonl"
    data = path.read_bytes().replace(b'"label":"fear"', b'"label":"joy"', 1)
    path.write_bytes(data)
    edit_summary(curation, lambda value: value.update(sha256=hashlib.sha256(data).hexdigest()))
    assert "curated.jsonl: is not what records and verdicts give" in only(run_folder).detail


def test_unreadable_parts_are_findings(run_folder: RunFolder) -> None:
    curation = finished(run_folder)
    (curation.path / "000-denoise" / "entry.json").write_text("{")
    assert only(run_folder).status == "FAILED"
    (run_folder.path / "curations" / "a b").mkdir()
    assert {check.status for check in verify_curations(run_folder, LABELS)} == {"FAILED"}

"""Stages and curations on disk: what is written comes back, what is damaged is named, nothing made is deleted."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rows import make_row
from variegate.errors import StoreError, UsageError
from variegate.records import Verdict
from variegate.store.answers import Answers
from variegate.store.run_folder import RunFolder
from variegate.store.verdicts import (
    CHANGING,
    CURATION_REASONS,
    DROPPING,
    CurationFolder,
    check_name,
    count_verdicts,
    histogram,
    input_digest,
    open_curation,
)

LABELS = ["joy", "anger", "fear"]


def verdicts_of(folder: RunFolder, *, drop: int = 1) -> list[Verdict]:
    """The first `drop` records go, the next one gets another label, the others stay."""
    ids = [(record.id, record.label) for record in folder.records()]
    new = {"joy": "anger", "anger": "fear", "fear": "joy"}
    out = [Verdict(id, label, keep=False, reason="noisy", confidence=0.1) for id, label in ids[:drop]]
    out += [Verdict(id, new[label], reason="replaced", confidence=0.75, details={"margin": 0.5}) for id, label in ids[drop : drop + 1]]
    return out + [Verdict(id, label) for id, label in ids[drop + 1 :]]


def facts_of(folder: RunFolder, verdicts: list[Verdict]) -> dict[str, object]:
    records = list(folder.records())
    digest = input_digest((record.id, record.fields["text"], record.label) for record in records)
    counted = count_verdicts([record.label for record in records], verdicts)
    return {"kind": "denoise", "index": 0, "input": {"n": len(records), "sha256": digest}, **counted}


def finished(folder: RunFolder, name: str = "some", *, stages: int = 1) -> CurationFolder:
    """A curation whose first stage drops one record and gives another one a new label; a second one would keep them all."""
    curation = CurationFolder(folder, name)
    verdicts = verdicts_of(folder)
    stage = curation.made_stage(0, "denoise", "k", lambda: (verdicts, facts_of(folder, verdicts)))
    curation.write_config("stages: []\n")
    final = {verdict.id: verdict.label for verdict in verdicts if verdict.keep}
    made = [stage]
    if stages == 2:
        texts = {record.id: record.fields["text"] for record in folder.records()}
        facts = {
            "kind": "denoise",
            "index": 1,
            "input": {"n": len(final), "sha256": input_digest((id, texts[id], label) for id, label in final.items())},
            **count_verdicts(list(final.values()), [Verdict(id, label) for id, label in final.items()]),
        }
        made.append(curation.made_stage(1, "denoise", "k", lambda: ([Verdict(id, label) for id, label in final.items()], facts)))
    rows = [
        {"id": each.id, "text": each.fields["text"], "label": final[each.id], "given_label": each.label, "confidence": None, "reasons": [], "origin": dict(each.origin)}
        for each in folder.records()
        if each.id in final
    ]  # fmt: skip
    summary = {
        "records": 24, "kept": 23, "dropped": {"noisy": 1}, "changed": 1, "stages": [each.facts for each in made], "labels": {label: {"final": 1} for label in LABELS},
        "name": name,
    }  # fmt: skip
    curation.write_results(rows, summary)
    return curation


# -- stages ----------------------------------------------------------------------------------------------------


def test_a_stage_comes_back_as_it_was_given(run_folder: RunFolder) -> None:
    curation = CurationFolder(run_folder, "some")
    given = verdicts_of(run_folder)
    facts = facts_of(run_folder, given)
    made = curation.made_stage(0, "denoise", "k", lambda: (given, facts))
    (stage,) = curation.stages()
    assert stage == made == curation.find_stage(0, "denoise", "k")
    assert (stage.index, stage.kind, stage.key, stage.facts) == (0, "denoise", "k", {**facts, "key": "k"})
    assert stage.verdicts() == given
    assert sorted(path.name for path in stage.path.iterdir()) == ["entry.json", "rows.jsonl"]
    assert curation.find_stage(0, "denoise", "other") is None
    assert curation.find_stage(0, "audit", "k") is None


def test_answers_are_no_stages(run_folder: RunFolder) -> None:
    curation = CurationFolder(run_folder, "some")
    Answers(curation.shelf, "observations", "k").add([{"key": "a"}])
    assert curation.stages() == []
    assert curation.later_stages(0) == []


def test_counts_add_up_and_flips_are_of_the_kept() -> None:
    verdicts = [
        Verdict("a", "anger", reason="relabelled", confidence=1.0),
        Verdict("b", "anger", keep=False, reason="low_margin", confidence=0.0),  # would have changed, but goes
        Verdict("c", "joy", reason="unjudged"),
        Verdict("d", "fear", keep=False, reason="duplicate"),
    ]
    found = count_verdicts(["joy", "joy", "joy", "fear"], verdicts)
    assert found["counts"] == {
        "in": 4, "kept": 2, "dropped": {"duplicate": 1, "low_margin": 1}, "changed": 1, "unjudged": 1, "named": {"relabelled": 1, "unjudged": 1},
    }  # fmt: skip
    assert found["flips"] == {"joy": {"anger": 1}}
    assert found["confidence_histogram"] == [1, *[0] * 18, 1]
    assert count_verdicts(["joy"], [Verdict("a", "joy")])["confidence_histogram"] is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(LABELS), st.sampled_from(LABELS), st.booleans(), st.none() | st.floats(0, 1), st.sampled_from(sorted(DROPPING))
        ),
        max_size=60,
    )
)
def test_the_sums_hold_for_any_verdicts(rows: list[tuple[str, str, bool, float | None, str]]) -> None:
    """in = kept + dropped; the flips sum to the changed ones; the histogram holds every confidence: all counted anew here."""
    verdicts = [
        Verdict(str(place), new, keep, ("relabelled" if new != old else "") if keep else reason, confidence)
        for place, (old, new, keep, confidence, reason) in enumerate(rows)
    ]
    found = count_verdicts([old for old, *_ in rows], verdicts)
    counts = found["counts"]
    assert counts["in"] == len(rows) == counts["kept"] + sum(counts["dropped"].values())
    changed = Counter((old, new) for old, new, keep, *_ in rows if keep and old != new)
    assert {(old, new): number for old, news in found["flips"].items() for new, number in news.items()} == changed
    assert counts["changed"] == changed.total() == counts["named"].get("relabelled", 0)
    sure = [confidence for *_, confidence, _ in rows if confidence is not None]
    assert (sum(found["confidence_histogram"]) if sure else found["confidence_histogram"]) == (len(sure) or None)


@given(st.floats(0, 1))
def test_a_confidence_falls_into_its_twentieth(value: float) -> None:
    place = histogram([value]).index(1)
    assert place / 20 <= value <= (place + 1) / 20
    assert sum(histogram([value])) == 1


def test_every_reason_is_explained() -> None:
    assert set(CURATION_REASONS) >= CHANGING | DROPPING
    assert not CHANGING & DROPPING
    assert all(CURATION_REASONS.values())


# -- damage ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["entry.json", "rows.jsonl"])
def test_a_damaged_stage_is_named_and_never_read(run_folder: RunFolder, name: str) -> None:
    told: list[str] = []
    finished(run_folder)
    curation = CurationFolder(run_folder, "some", on_damage=told.append)
    path = curation.path / "000-denoise" / name
    path.write_bytes(path.read_bytes().replace(b"joy", b"foy", 1))
    with pytest.raises(StoreError, match="is not what") as error:
        curation.stages()
    assert str(path) in str(error.value)
    assert curation.find_stage(0, "denoise", "k") is None
    assert str(path) in told[0]
    assert (curation.path / "set-aside" / "000-damaged" / "000-denoise" / name).is_file()


@pytest.mark.parametrize(("name", "left"), [("curation.json", ["curated.jsonl"]), ("curated.jsonl", ["curation.json"])])
def test_damaged_results_are_set_aside(run_folder: RunFolder, name: str, left: list[str]) -> None:
    told: list[str] = []
    finished(run_folder)
    curation = CurationFolder(run_folder, "some", on_damage=told.append)
    assert curation.find_summary() == curation.read_summary() is not None
    path = curation.path / name
    path.write_bytes(path.read_bytes().replace(b"joy", b"foy", 1))
    assert curation.find_summary() is None
    assert str(path) in told[0]
    assert sorted(each.name for each in curation.path.glob("cura*.json*")) == left
    assert (curation.path / "set-aside" / "000-damaged" / name).is_file()


def test_the_configuration_says_whether_it_is_whole(run_folder: RunFolder) -> None:
    curation = finished(run_folder)
    assert curation.config_is_whole()
    path = curation.path / "curation.yaml"
    path.write_bytes(path.read_bytes().replace(b"stages: []", b"stages: {}"))
    assert not curation.config_is_whole()
    path.unlink()
    assert not curation.config_is_whole()


# -- setting aside ---------------------------------------------------------------------------------------------


def test_what_is_set_aside_is_all_there_and_comes_back(run_folder: RunFolder) -> None:
    curation = finished(run_folder)
    before = {path.name: path.read_bytes() for path in (curation.path / "000-denoise").iterdir()}
    curation.made_stage(1, "audit", "k", lambda: ([], {}))
    assert curation.later_stages(0) == ["000-denoise", "001-audit"]
    target = curation.set_aside(1)
    assert target == curation.path / "set-aside" / "000"
    assert sorted(path.name for path in target.iterdir()) == ["001-audit", "curated.jsonl", "curation.json"]
    assert curation.set_aside(0) == target
    assert curation.stages() == []
    assert curation.read_summary() is None
    assert curation.set_aside(0) is None
    made = curation.made_stage(0, "denoise", "another key", lambda: ([], {}))
    assert made.verdicts() == []
    restored = curation.made_stage(0, "denoise", "k", lambda: pytest.fail("it is set aside, and not to be made"))
    assert {path.name: path.read_bytes() for path in restored.path.iterdir()} == before
    assert restored.verdicts() == verdicts_of(run_folder)


# -- opening ---------------------------------------------------------------------------------------------------


def test_a_finished_curation_opens(run_folder: RunFolder) -> None:
    finished(run_folder)
    rows = list(open_curation(run_folder, "some").rows())
    assert len(rows) == 23
    assert [row["id"] for row in rows] == [record.id for record in run_folder.records()][1:]


def test_names_are_suggested(run_folder: RunFolder) -> None:
    finished(run_folder)
    finished(run_folder, "other")
    with pytest.raises(UsageError, match=r"no curation 'somme'; did you mean 'some'\? Curations here: other, some\."):
        open_curation(run_folder, "somme")
    with pytest.raises(UsageError, match=r"no curation '\.\./x'"):
        open_curation(run_folder, "../x")


def test_a_run_without_curations_says_how_to_make_one(run_folder: RunFolder) -> None:
    with pytest.raises(UsageError, match=r"no curation 'some'. It has none: `variegate curate .* makes one"):
        open_curation(run_folder, "some")


def test_one_in_progress_is_not_read(run_folder: RunFolder) -> None:
    CurationFolder(run_folder, "some").write_config("stages: []\n")
    with pytest.raises(UsageError, match=r"curation 'some' has not ended: run `variegate curate .* --name some` to go on"):
        open_curation(run_folder, "some")


def test_one_of_an_earlier_state_of_the_run_is_not_read(run_folder: RunFolder) -> None:
    finished(run_folder)
    run_folder.commit_round(1, [make_row("joy", 5, round=1)], {"round": 1})
    with pytest.raises(UsageError, match="is of an earlier state of the run, whose records changed since: run `variegate curate"):
        open_curation(run_folder, "some")


def test_changed_or_missing_curated_records_are_noticed(run_folder: RunFolder) -> None:
    path = finished(run_folder).path / "curated.jsonl"
    path.write_bytes(path.read_bytes().replace(b"number 3", b"number 4", 1))
    with pytest.raises(StoreError, match=r"curated\.jsonl: is not what curation\.json states"):
        open_curation(run_folder, "some")
    path.unlink()
    with pytest.raises(StoreError, match=r"curated\.jsonl: cannot be read: No such file"):
        open_curation(run_folder, "some")


@pytest.mark.parametrize("content", ["{", "[]", '{"stages": []}'])
def test_a_damaged_summary_is_named(run_folder: RunFolder, content: str) -> None:
    curation = finished(run_folder)
    (curation.path / "curation.json").write_text(content)
    with pytest.raises(StoreError, match=r"curation\.json: .*run `variegate curate` again"):
        open_curation(run_folder, "some")


def test_a_damaged_line_of_curated_records_is_named(run_folder: RunFolder) -> None:
    curation = finished(run_folder)
    path = curation.path / "curated.jsonl"
    row = json.loads(path.read_bytes().splitlines()[0])
    for content, words in (("{\n", "not valid JSON"), (json.dumps({**row, "label": None}) + "\n", "expected a curated record")):
        path.write_text(content)
        with pytest.raises(StoreError, match=rf"curated\.jsonl:1: {words}"):
            list(curation.rows())


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a b", "x" * 101])
def test_a_name_stays_in_its_folder(run_folder: RunFolder, name: str) -> None:
    with pytest.raises(UsageError, match="expected letters, digits"):
        check_name(name)
    with pytest.raises(UsageError):
        CurationFolder(run_folder, name)


def test_a_full_disk_leaves_no_half_stage(tiny_disk: Path, fill_disk: object, build_run: object, row: object) -> None:
    folder = build_run(tiny_disk / "run", [[row(slot=slot) for slot in range(20)]], finished=False)  # type: ignore[operator]
    curation = CurationFolder(folder, "some")
    verdicts = [Verdict(record.id, record.label, details={"x": "y" * 400}) for record in folder.records()]
    facts = facts_of(folder, verdicts)
    fill_disk()  # type: ignore[operator]
    with pytest.raises(StoreError, match="the disk"):
        curation.made_stage(0, "denoise", "k", lambda: (verdicts, facts))
    assert curation.stages() == []
    assert not list(tiny_disk.rglob("*.tmp"))

"""Curating a run: verdicts of the real stages, reuse, what changes redo, and every way in which it must fail cleanly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.processes import run_script
from tests.support.progress import Heard
from variegate.config.curation import CurationConfig, DuplicatesStage
from variegate.config.load import to_yaml
from variegate.errors import Interrupted, StoreError, UsageError, VariegateError
from variegate.pipeline.curation.curate import curate
from variegate.progress import Silent
from variegate.report.curation_labels import accuracy_section
from variegate.store.run_folder import RunFolder
from variegate.store.texts import read_texts
from variegate.store.verdicts import CurationFolder, open_curation
from variegate.store.verify import verify

DUPLICATES = {"kind": "duplicates", "near": None}
ORACLE = {"kind": "label_replacement", "labels": "oracle", "inspected": "all"}
PROXY = {"kind": "label_replacement", "labels": "oracle", "inspected": 40}
SCOPE = {"kind": "scope", "labels": "oracle", "inspected": 60}
DENOISE = {"kind": "denoise", "keep": 0.5}


def config_of(*stages: dict[str, Any], **more: Any) -> CurationConfig:
    return CurationConfig.model_validate({"stages": list(stages), **more})


def snapshot(folder: RunFolder) -> dict[str, str]:
    """Hash of every file of the run itself."""
    files = [path for path in folder.path.rglob("*") if path.is_file() and "curations" not in path.parts and path.name != "lock"]
    return {str(path.relative_to(folder.path)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows_of(folder: RunFolder, name: str = "c") -> list[dict[str, Any]]:
    return list(open_curation(folder, name).rows())


@pytest.fixture
def run(curable_run: Callable[..., Any], tmp_path: Path) -> Any:
    return curable_run(tmp_path / "run", out=12)


@pytest.fixture
def go(run: Any, encoder: Any) -> Callable[..., dict[str, Any]]:
    def call(*stages: dict[str, Any], name: str = "c", progress: Any = None, check: bool = False, **more: Any) -> dict[str, Any]:
        heard = Heard()
        found = curate(run.folder, config_of(*stages, **more), name, encoder=encoder, progress=progress or heard, check_labels=check)
        assert heard.notes == []
        return found

    return call


# -- what comes out --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_oracle_puts_every_label_right_and_touches_no_record(run: Any, go: Callable[..., Any]) -> None:
    before = snapshot(run.folder)
    summary = go(DUPLICATES, SCOPE, PROXY, check=True)
    assert snapshot(run.folder) == before
    rows = rows_of(run.folder)
    assert {row["id"] for row in rows} == {id for id, label in run.truth.items() if label != "oos"}
    assert all(row["label"] == run.truth[row["id"]] for row in rows)
    wrong = {row["id"] for row in rows if row["given_label"] != run.truth[row["id"]]}
    assert {row["id"] for row in rows if row["reasons"]} == wrong
    assert summary["changed"] == len(wrong) == 15
    assert (summary["records"], summary["kept"], summary["dropped"]) == (72, 60, {"out_of_scope": 12})
    assert (summary["requested"], summary["parsed"], summary["kept_generated"]) == (72, 72, 72)
    accuracy = summary["accuracy"]
    assert accuracy["given_kept"] == {"accuracy": 45 / 60, "n": 60, "ci95": accuracy["given_kept"]["ci95"]}
    assert accuracy["final"]["accuracy"] == 1
    assert accuracy["given"]["n"] == 72
    assert accuracy["oracle_test"]["accuracy"] == 1
    assert "oracle" in accuracy["note"]
    assert (accuracy["doubt"], summary["warnings"]) == (None, [])  # 51 real texts taught it
    assert verify(run.folder).ok
    assert "curation c" in {check.name for check in verify(run.folder).checks if check.status == "ok"}


def test_an_oracle_of_few_texts_is_not_called_one_without_a_warning(run: Any, go: Callable[..., Any]) -> None:
    """Asked by a stage, by --check, or both: once. Neither, and it is nobody's business."""
    few = "the oracle is no oracle: it learnt 3 labels from 36 real texts alone"
    assert [warning[: len(few)] for warning in go(ORACLE)["warnings"]] == [few]
    both = go(ORACLE, check=True)
    assert both["warnings"] == [both["accuracy"]["doubt"]]
    assert both["warnings"][0].startswith(f"{few}, and is right in 100.0% of the test texts. Label accuracy")
    assert go(DUPLICATES, name="other")["warnings"] == []
    accuracy_shown = accuracy_section(both["accuracy"])
    assert accuracy_shown is not None
    assert accuracy_shown["notes"][0].startswith("The oracle is no oracle: it learnt 3 labels from 36 real texts")


def test_what_is_stored_is_what_is_returned(run: Any, go: Callable[..., Any]) -> None:
    summary = go(DUPLICATES, ORACLE)
    stored = json.loads((run.folder.path / "curations/c/curation.json").read_text())
    del stored["summary_sha256"]  # its own
    assert stored == {name: value for name, value in summary.items() if name != "reused"}
    folders = [run.folder.path / "curations/c/000-duplicates", run.folder.path / "curations/c/001-label_replacement"]
    assert stored["stages"] == [stage.facts for stage in CurationFolder(run.folder, "c").stages()]
    for folder in folders:
        verdicts = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
        assert [verdict["id"] for verdict in verdicts] == [record.id for record in run.folder.records()]
    assert set(stored) >= {"variegate", "created", "name", "run", "labels", "flips", "accuracy", "seconds", "warnings"}
    assert (stored["name"], stored["run"], stored["accuracy"]) == ("c", "run", None)
    again = yaml.safe_load((run.folder.path / "curations/c/curation.yaml").read_text())
    assert CurationConfig.model_validate(again) == config_of(DUPLICATES, ORACLE)


def test_texts_are_read_with_final_labels(run: Any, go: Callable[..., Any]) -> None:
    go(SCOPE, ORACLE)
    found = read_texts(run.folder.path, curation="c")
    assert found.source == f"{run.folder.path}, curation c"
    assert dict(zip(found.ids, found.labels or (), strict=True)) == {id: label for id, label in run.truth.items() if label != "oos"}
    as_given = read_texts(run.folder.path, curation="c", label_field="given_label")
    assert as_given.labels == tuple(row["given_label"] for row in rows_of(run.folder))
    assert len(read_texts(run.folder.path)) == 72
    with pytest.raises(UsageError, match=r"no curation 'cc'; did you mean 'c'\? Curations here: c\."):
        read_texts(run.folder.path, curation="cc")
    with pytest.raises(UsageError, match="is no run folder, so it has no curation 'c'"):
        read_texts(run.train, curation="c")


def test_every_stage_that_needs_no_engine_runs(run: Any, go: Callable[..., Any]) -> None:
    pytest.importorskip("cleanlab")
    near = {"kind": "duplicates", "near": 0.95, "near_by": "embedding", "against": ["train", "test", str(run.test)]}
    summary = go(near, SCOPE, PROXY, {"kind": "audit", "folds": 3}, DENOISE)
    assert [stage["kind"] for stage in summary["stages"]] == ["duplicates", "scope", "label_replacement", "audit", "denoise"]
    assert sum(summary["stages"][-1]["facts"]["seeds_from"].values()) == summary["stages"][-1]["counts"]["in"]
    assert set(summary["stages"][0]["facts"]["held_out"]) == {"train", "test", "run-test.jsonl"}
    assert verify(run.folder).ok


# -- reuse -----------------------------------------------------------------------------------------------------


def test_the_same_again_changes_nothing(run: Any, go: Callable[..., Any]) -> None:
    first = go(DUPLICATES, PROXY)
    files = {path: path.stat().st_mtime_ns for path in (run.folder.path / "curations").rglob("*.json*")}
    second = go(DUPLICATES, PROXY)
    assert (first["reused"], second["reused"]) == ([], [0, 1])
    assert {path: path.stat().st_mtime_ns for path in (run.folder.path / "curations").rglob("*.json*")} == files
    assert {**second, "reused": []} == first


def test_a_change_redoes_that_stage_and_later_ones_only_and_a_change_back_none(run: Any, go: Callable[..., Any]) -> None:
    first = go(DUPLICATES, PROXY, DENOISE)
    made = (run.folder.path / "curations/c/001-label_replacement/rows.jsonl").read_bytes()
    changed = go(DUPLICATES, {**PROXY, "weight": 0.9}, DENOISE)
    assert changed["reused"] == [0]
    aside = run.folder.path / "curations/c/set-aside/000"
    assert sorted(path.name for path in aside.iterdir()) == ["001-label_replacement", "002-denoise", "curated.jsonl", "curation.json"]
    assert (aside / "001-label_replacement/rows.jsonl").read_bytes() == made
    back = go(DUPLICATES, PROXY, DENOISE)
    assert back["reused"] == [0, 1, 2]
    assert back["stages"] == first["stages"]
    assert (run.folder.path / "curations/c/001-label_replacement/rows.jsonl").read_bytes() == made
    assert verify(run.folder).ok


def test_stages_can_be_added_and_taken_away(run: Any, go: Callable[..., Any]) -> None:
    go(DUPLICATES, PROXY)
    longer = go(DUPLICATES, PROXY, DENOISE)
    assert longer["reused"] == [0, 1]
    shorter = go(DUPLICATES)
    assert shorter["reused"] == [0]
    assert [stage.path.name for stage in CurationFolder(run.folder, "c").stages()] == ["000-duplicates"]
    assert len(rows_of(run.folder)) == 72
    assert verify(run.folder).ok


@pytest.mark.parametrize("more", [{"seed": 1}, {"oracle": {"kind": "linear_svc"}}])
def test_the_seed_and_the_oracle_are_part_of_it(go: Callable[..., Any], more: dict[str, Any]) -> None:
    go(PROXY)
    assert go(PROXY, **more)["reused"] == []
    assert go(PROXY, **more)["reused"] == [0]


def test_a_changed_training_file_redoes_what_the_oracle_said(run: Any, go: Callable[..., Any]) -> None:
    go(DUPLICATES, PROXY)
    lines = run.train.read_text().splitlines(keepends=True)
    run.train.write_text("".join(lines[1:]))
    assert go(DUPLICATES, PROXY)["reused"] == [0]


def test_two_curations_of_one_run_stand_beside_each_other(run: Any, go: Callable[..., Any]) -> None:
    go(ORACLE, name="a")
    go(DENOISE, name="b")
    assert (len(rows_of(run.folder, "a")), len(rows_of(run.folder, "b"))) == (72, 36)
    assert verify(run.folder).ok


def test_a_run_that_went_on_is_noticed(run: Any, go: Callable[..., Any], row: Callable[..., Any]) -> None:
    go(DUPLICATES)
    new = [row("joy", 1000 + slot, text=f"Quite another joy, {slot}") for slot in range(3)]
    run.folder.commit_round(2, new, {"round": 2, "requested": 3, "kept": 3, "dropped": {}})
    with pytest.raises(UsageError, match="is of an earlier state of the run"):
        read_texts(run.folder.path, curation="c")
    again = go(DUPLICATES)
    assert (again["reused"], again["records"]) == ([], 75)
    assert again["warnings"] == ["the run had not ended when it was curated"]  # the new round retired its manifest
    assert len(read_texts(run.folder.path, curation="c")) == 75


# -- labels of files and persons -------------------------------------------------------------------------------


def test_labels_of_a_file(run: Any, go: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    known = list(run.truth.items())[:30]
    file.write_text("id,label\n" + "".join(f"{id},{label}\n" for id, label in known) + "ffff,joy\n")
    stage = {"kind": "label_replacement", "labels": str(file), "inspected": "all"}
    summary = go(stage)
    facts = summary["stages"][0]["facts"]
    assert facts["source"] == "labels.csv"
    assert (facts["rows"], facts["rows_of_no_record"], facts["records"], facts["inspected"]) == (31, 1, 30, 30)
    final = {row["id"]: row["label"] for row in rows_of(run.folder)}
    assert all(final[id] == label for id, label in known)
    assert sum(final[id] == label for id, label in run.truth.items()) > 45 + 10  # 45 were right as given: the proxy mends more
    assert go(stage, seed=1)["reused"] == []  # the proxy's folds are drawn anew
    file.write_text(file.read_text().replace(",anger", ",fear", 1))
    assert go(stage)["reused"] == []
    moved = tmp_path / "moved.csv"
    file.rename(moved)
    assert go({**stage, "labels": str(moved)})["reused"] == [0]  # what it says counts, not where it lies


def test_only_as_many_of_a_file_as_asked_for(run: Any, go: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    file.write_text("".join(json.dumps({"id": id, "label": label}) + "\n" for id, label in run.truth.items()))
    replacement = {"kind": "label_replacement", "labels": str(file), "inspected": 20}
    stage = go(replacement)["stages"][0]
    facts = stage["facts"]
    assert (facts["inspected"], facts["of_records_still_kept"], facts["out_of_scope_not_used"]) == (20, 60, 12)
    kept = "12 of the items judged here were judged out of scope, and stay, with a label: this stage drops none."
    assert [warning for warning in stage["warnings"] if warning.startswith(kept)]
    filtered = go({"kind": "scope", "labels": str(file), "inspected": 72}, replacement)
    assert not [warning for warning in filtered["stages"][1]["warnings"] if "judged out of scope" in warning]


def test_what_a_person_judged(run: Any, go: Callable[..., Any]) -> None:
    at = "2026-01-01T00:00:00+00:00"
    lines = [
        {"id": id, "label": None if label == "oos" else label, "scope": "out" if label == "oos" else "in", "at": at}
        for id, label in list(run.truth.items())[20:]
    ]
    (run.folder.path / "inspected.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    go({"kind": "scope", "labels": "inspected"}, {"kind": "label_replacement", "labels": "inspected", "inspected": "all"})
    final = {row["id"]: row["label"] for row in rows_of(run.folder)}
    judged = {line["id"]: line["label"] for line in lines}
    assert all(final.get(id) == label for id, label in judged.items())


# -- failing cleanly -------------------------------------------------------------------------------------------


def test_a_stage_that_drops_all_is_stored_and_ends_it(run: Any, go: Callable[..., Any], tmp_path: Path) -> None:
    before = snapshot(run.folder)
    every = tmp_path / "every.txt"
    every.write_text("".join(f"{record.fields['text']}\n" for record in run.folder.records()))
    drop_all = {**DUPLICATES, "against": [str(every)]}
    for _ in range(2):
        with pytest.raises(VariegateError, match=r"stage 0 \(duplicates\) dropped all 72 records that were left \(72 held_out\)") as error:
            go(drop_all, PROXY)
        assert error.value.exit_code == 1
        assert snapshot(run.folder) == before
        (stage,) = CurationFolder(run.folder, "c").stages()
        assert stage.facts["counts"]["dropped"] == {"held_out": 72}
    with pytest.raises(UsageError, match="has not ended"):
        open_curation(run.folder, "c")
    assert verify(run.folder).ok
    assert go(DUPLICATES, PROXY)["reused"] == []


def test_a_class_that_is_lost_is_named(run: Any, go: Callable[..., Any], tmp_path: Path) -> None:
    joyful = tmp_path / "joyful.txt"
    joyful.write_text("".join(f"{record.fields['text']}\n" for record in run.folder.records() if record.label == "joy"))
    summary = go({**DUPLICATES, "against": [str(joyful)]})
    assert "no record is left of 1 class: joy" in summary["stages"][0]["warnings"]
    assert summary["warnings"] == ["the curated set has no record of 1 class: joy"]
    assert summary["labels"]["joy"]["final"] == 0


def test_no_records_at_all(build_run: Callable[..., RunFolder], row: Callable[..., Any], tmp_path: Path) -> None:
    folder = build_run(tmp_path / "empty", [[row("joy", 0, outcome="empty")]])
    with pytest.raises(UsageError, match="has no kept record to curate"):
        curate(folder, config_of(DUPLICATES), "c")
    assert not (folder.path / "curations").exists()


def test_no_run_at_all(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a run folder"):
        curate(RunFolder(tmp_path / "none"), config_of(DUPLICATES), "c")
    assert not (tmp_path / "none").exists()


def test_one_label(build_run: Callable[..., RunFolder], row: Callable[..., Any], tmp_path: Path) -> None:
    folder = build_run(tmp_path / "one", [[row("joy", slot) for slot in range(4)]], labels=("joy",))
    for kind in ("label_replacement", "relabel", "audit"):
        with pytest.raises(UsageError, match=rf"{kind}: task 'feelings' has one label, 'joy', and there is nothing to choose from"):
            curate(folder, config_of(DUPLICATES, {"kind": kind}), "c")
    assert not (folder.path / "curations").exists()


def test_a_locked_run(run: Any, go: Callable[..., Any]) -> None:
    with run.folder.lock(), pytest.raises(StoreError, match="is working in this folder"):
        go(DUPLICATES)


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ({"kind": "scope"}, "nobody has judged records of this run yet"),
        ({"kind": "label_replacement", "labels": "labls.csv"}, "labels: 'labls.csv': no such file"),
        ({"kind": "duplicates", "against": ["dev"]}, "has no data.dev"),
        ({"kind": "duplicates", "against": ["devv"]}, "did you mean 'dev'?"),
    ],
)
def test_wrong_input_is_told_before_any_stage_runs(run: Any, go: Callable[..., Any], stage: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("?", r"\?")):
        go(DUPLICATES, stage)
    assert not (run.folder.path / "curations").exists()


def test_a_check_without_real_data_is_refused_before_any_stage_runs(run: Any, go: Callable[..., Any]) -> None:
    path = run.folder.path / "run.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["task"]["data"] = None
    path.write_text(yaml.safe_dump(settings))
    with pytest.raises(UsageError, match=r"has no data\.train: name a file there, in .*run\.yaml"):
        go(DUPLICATES, check=True)
    assert not (run.folder.path / "curations").exists()


def test_labels_of_records_that_are_all_gone(run: Any, go: Callable[..., Any], tmp_path: Path) -> None:
    ids = [record.id for record in run.folder.records()]
    (tmp_path / "gone.txt").write_text("".join(f"{record.fields['text']}\n" for record in run.folder.records() if record.id in ids[:3]))
    (tmp_path / "labels.csv").write_text("id,label\n" + "".join(f"{id},joy\n" for id in ids[:3]))
    for kind in ("label_replacement", "scope"):
        with pytest.raises(UsageError, match=rf"{kind}: none of the 3 .* is of a record that is still kept"):
            go({**DUPLICATES, "against": [str(tmp_path / "gone.txt")]}, {"kind": kind, "labels": str(tmp_path / "labels.csv")})


@pytest.mark.parametrize("name", ["000-duplicates/entry.json", "000-duplicates/rows.jsonl", "curation.json", "curated.jsonl"])
@pytest.mark.parametrize("harm", ["cut", "delete", "double"])
def test_what_is_damaged_is_named_set_aside_and_made_again(run: Any, go: Callable[..., Any], name: str, harm: str) -> None:
    go(DUPLICATES, DENOISE)
    before = rows_of(run.folder)
    path = run.folder.path / "curations/c" / name
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-2])
    elif harm == "double":
        path.write_bytes(path.read_bytes() * 2)
    else:
        path.unlink()
    heard = Heard()
    again = go(DUPLICATES, DENOISE, progress=heard)
    assert again["reused"] == ([1] if "000" in name else [0, 1])  # what the stage says comes out the same, so the next one stands
    assert rows_of(run.folder) == before
    assert verify(run.folder).ok
    if harm == "delete" and "cura" in name:
        assert heard.notes == []
    else:
        assert len(heard.notes) == 1
        assert str(path.parent if harm == "delete" else path) in heard.notes[0]
        assert "set-aside" in heard.notes[0]


def test_a_stage_swapped_with_its_neighbour_is_not_used(run: Any, go: Callable[..., Any]) -> None:
    first = go(DUPLICATES, {**DUPLICATES, "near": None})
    place = run.folder.path / "curations/c"
    (place / "000-duplicates").rename(place / "spare")
    (place / "001-duplicates").rename(place / "000-duplicates")
    (place / "spare").rename(place / "001-duplicates")
    heard = Heard()
    again = go(DUPLICATES, {**DUPLICATES, "near": None}, progress=heard)
    assert again["reused"] == []
    assert len(heard.notes) == 2
    assert [stage["key"] for stage in again["stages"]] == [stage["key"] for stage in first["stages"]]


def test_a_new_setting_with_a_neutral_default_makes_no_stage_new(run: Any, encoder: Any) -> None:
    class Later(DuplicatesStage):
        sharpness: float = 0.0

    config = config_of(DUPLICATES, PROXY)
    curate(run.folder, config, "c", encoder=encoder)
    later = config.model_copy(update={"stages": [Later(**config.stages[0].model_dump()), config.stages[1]]})
    assert curate(run.folder, later, "c", encoder=encoder)["reused"] == [0, 1]


def test_ctrl_c_keeps_finished_stages(run: Any, go: Callable[..., Any]) -> None:
    class Stops(Silent):
        def update(self, stage: str, done: int, whole: int, *, asked: int = 0, detail: str = "") -> None:
            if stage == "denoise":
                raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=r"stopped: 1 of 2 stages are done in .*Run the same command again to go on"):
        go(DUPLICATES, DENOISE, progress=Stops())
    assert go(DUPLICATES, DENOISE)["reused"] == [0]


def test_half_written_files_are_cleared(run: Any, go: Callable[..., Any]) -> None:
    folder = run.folder.path / "curations/c/000-duplicates"
    folder.mkdir(parents=True)
    (folder / ".rows.jsonl.1234.tmp").write_text("{")
    (folder.parent / ".001-denoise.1234.tmp").mkdir()
    go(DUPLICATES)
    assert not list(run.folder.path.rglob("*.tmp"))


def test_an_oracle_that_does_not_know_what_it_is_asked(run: Any, encoder: Any) -> None:
    class Narrow:
        labels = ("anger", "fear", "joy")

    with pytest.raises(UsageError, match="the oracle given does not know 'oos'"):
        curate(run.folder, config_of(SCOPE), "c", encoder=encoder, oracle=Narrow())  # type: ignore[arg-type]


def test_the_configuration_reads_back() -> None:
    config = config_of(DUPLICATES, ORACLE, {"kind": "relabel", "nearest_classes": None}, seed=3)
    assert CurationConfig.model_validate(yaml.safe_load(to_yaml(config))) == config


@pytest.mark.slow
def test_killed_at_any_file_operation_it_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    """Where it has set something aside before, too; and what is left half done is never taken for whole."""
    found = run_script(Path(__file__).with_name("crash_script.py"), tmp_path)
    assert found["killed"] > 7
    assert found["different"] == []

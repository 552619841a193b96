"""Whole runs on the fake engine: what is made, what is found again, what a change redoes, and what a kill leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.processes import run_script
from tests.support.progress import Heard
from tests.support.whole_run import make_run, never, statuses, wordy_scorer, write_run_file
from variegate.config import ModelConfig
from variegate.errors import Interrupted, UsageError
from variegate.pipeline.stages.stage import NAMES
from variegate.records import Completion, Request
from variegate.store.hashes import write_hashes
from variegate.store.run_folder import RunFolder
from variegate.store.verify import verify

Copy = Callable[[], Path]
RESULTS = ("records.jsonl", "dropped.jsonl", "curations/checked/curated.jsonl", "students/linear_svc-checked/predictions.jsonl")


def results(folder: Path) -> list[bytes]:
    weights = sorted((folder / "students").rglob("*.safetensors"))
    assert len(weights) == 2
    return [*((folder / name).read_bytes() for name in RESULTS), *(path.read_bytes() for path in weights)]


def whole_folder(folder: Path) -> None:
    wrong = [check for check in verify(RunFolder(folder)).checks if check.status != "ok"]
    assert not wrong
    assert not list(folder.rglob("*.tmp"))


def test_everything_from_one_call_each_stage_told_when_it_begins_and_when_it_is_done(tiny_encoder: Path, tmp_path: Path) -> None:
    heard, started = Heard(), []

    def start(model: ModelConfig) -> Any:
        started.append(model.name)
        return wordy_scorer()

    done = make_run(write_run_file(tmp_path, tiny_encoder), start=start, progress=heard)
    assert statuses(done) == dict.fromkeys(NAMES, "made")
    assert started == ["nano-llama"]  # one engine wrote the texts and judged their labels
    lines = [note for note in heard.notes if note.startswith("[")]
    assert [line.partition(": ")[0] for line in lines] == [f"[{n}/6] {name}" for n, name in enumerate(NAMES, 1) for _ in range(2)]
    assert lines[0] == "[1/6] generate: 24 records of 3 labels, by nano-llama, zero_shot"
    assert lines[1].startswith("[1/6] generate: made: 24 kept of 2")
    assert lines[2] == "[2/6] curate: checked (duplicates, relabel)"
    assert lines[9].startswith("[5/6] evaluate: made: accuracy ")
    folder = tmp_path / "run"
    whole_folder(folder)
    scores = json.loads((folder / "students/linear_svc-checked/scores.json").read_bytes())
    assert scores["verdict"] == done.facts("evaluate")["verdict"]
    assert scores["verdict"]["sentence"].startswith("The data ")
    assert [row["name"] for row in scores["beside"]] == ["set", "uncurated", "majority", "examples", "with_examples"]
    assert [each["seed"] for each in scores["seeds"]] == [0, 1]
    measured = json.loads((folder / "curations/checked/measures.json").read_bytes())
    assert (measured["set"]["n"], measured["reference"]["n"]) == (done.facts("curate")["kept"], 90)


def test_what_is_there_is_found_again_from_the_folder_alone(copy: Copy, whole: Path) -> None:
    run_file = copy()
    folder = run_file.parent / "run"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.name not in ("lock", "stages.yaml")}
    for source in (run_file, folder / "run.yaml"):
        done = make_run(source, start=never)
        assert statuses(done) == {**dict.fromkeys(NAMES, "reused"), "report": "made"}
    again = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.name not in ("lock", "stages.yaml")}
    changed = {path.relative_to(folder).as_posix() for path in before if before[path] != again.get(path)}
    assert changed <= {"run.yaml", "manifest.json", "records.jsonl", "dropped.jsonl", "curations/checked/curation.yaml", "about.json"}
    assert before.keys() == again.keys()
    assert results(folder) == results(whole / "run")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "made"),
    [
        ("train.student.C=0.1", ("train", "evaluate")),
        ("train.seeds=3", ("train", "evaluate")),
        ("train.with_examples=true", ("train", "evaluate")),
        ("evaluate.baselines=false", ("evaluate",)),
        ("measure.k=3", ("measure",)),
        ("measure.reference=null", ("measure", "evaluate")),  # the verdict reads what was measured
        ("curate.stages.duplicates.near=null", ("curate",)),  # which drops the same
        ("curate.stages.relabel.margin=0.9", ("curate", "measure", "train", "evaluate")),
        ("curate=null", ("measure", "train", "evaluate")),
        ("target.per_label=9", ("generate", "curate", "measure", "train", "evaluate")),
        ("task.labels.money.description=Is about coins.", ("generate", "curate", "measure", "train", "evaluate")),
    ],
)
def test_a_change_redoes_what_it_touches_and_nothing_else(copy: Copy, override: str, made: tuple[str, ...]) -> None:
    run_file = copy()
    folder = run_file.parent / "run"
    keys = [row["key"] for row in RunFolder(folder).rows()]
    start = None if "generate" in made or "curate" in made else never
    done = make_run(run_file, override, start=start)
    assert tuple(name for name, status in statuses(done).items() if status == "made") == (*made, "report")
    whole_folder(folder)
    if "generate" not in made:
        assert [row["key"] for row in RunFolder(folder).rows()] == keys
    else:
        assert len({*keys} & {row["key"] for row in RunFolder(folder).rows()}) >= 16  # the other labels' rows, or all
    back = make_run(run_file, start=None if "generate" in made else never)  # as it was: found again
    assert statuses(back)["curate"] in ("reused", "made")
    whole_folder(folder)


@pytest.mark.slow
@pytest.mark.parametrize("until", NAMES)
def test_it_stops_where_it_is_told_to_and_goes_on_from_there(tiny_encoder: Path, tmp_path: Path, whole: Path, until: str) -> None:
    run_file = write_run_file(tmp_path, tiny_encoder)
    part = NAMES[: NAMES.index(until) + 1]
    assert statuses(make_run(run_file, until=until)) == dict.fromkeys(part, "made")
    rest = {name: "reused" if name in part and name != "report" else "made" for name in NAMES}
    assert statuses(make_run(run_file, start=None if until == "generate" else never)) == rest
    assert results(tmp_path / "run")[:3] == results(whole / "run")[:3]


class Stop(Heard):
    """Raises when a note begins with `at`."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.at = at

    def note(self, text: str) -> None:
        super().note(text)
        if text.startswith(self.at):
            raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES[1:])
def test_a_ctrl_c_names_the_stage_and_the_same_call_goes_on(tiny_encoder: Path, tmp_path: Path, whole: Path, name: str) -> None:
    run_file = write_run_file(tmp_path, tiny_encoder)
    place = NAMES.index(name)
    with pytest.raises(Interrupted, match=f"stopped in stage {name}: .* Run the same command again"):
        make_run(run_file, progress=Stop(f"[{place + 1}/6] {name}"))
    done = make_run(run_file, start=None if name == "curate" else never)
    assert [*statuses(done).values()] == ["reused"] * place + ["made"] * (6 - place)
    assert results(tmp_path / "run")[:3] == results(whole / "run")[:3]


@pytest.mark.slow
def test_killed_in_every_stage_it_ends_as_an_uninterrupted_run(tmp_path: Path) -> None:
    """kill -9 just before something appears in each place in turn; see crash_script.py."""
    found = run_script(Path(__file__).with_name("crash_script.py"), tmp_path, timeout=1500)
    assert found["killed"] >= 12
    assert found["different"] == []


@pytest.mark.slow
def test_short_of_the_target_it_goes_on_with_what_there_is(tiny_encoder: Path, tmp_path: Path) -> None:
    def edit(request: Request, completion: Completion) -> Completion:
        return replace(completion, text="") if request.target.name == "money" and request.slot < 3 else completion

    run_file = write_run_file(tmp_path, tiny_encoder)
    done = make_run(run_file, "target.max_attempts=1", start=lambda _: wordy_scorer(edit=edit))
    assert done.facts("generate").shortfall == {"money": 3}
    assert "short of the target" in done.outcomes[0].words
    assert statuses(done) == dict.fromkeys(NAMES, "made")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("parts", "overrides", "skipped"),
    [
        ({"curate": None, "measure": None, "train": None}, (), {"curate": "curate: null", "measure": "measure: null", "train": "train: null", "evaluate": "there is no student (train: null)"}),
        ({"evaluate": None}, (), {"evaluate": "evaluate: null"}),
        ({}, ("task.data.test=null", "curate=null"), {"curate": "curate: null", "evaluate": "nothing tells what a student of task 'chatter' is worth: it names no data.test"}),
        ({}, ("task.data.test=/nowhere/test.jsonl", "curate=null"), {"curate": "curate: null", "evaluate": "nothing tells what a student of task 'chatter' is worth: its data.test, /nowhere/test.jsonl, is not on this machine"}),
        ({}, ("measure.k=30",), {"measure": "24 records are too few: 30 are needed"}),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_skipped_with_its_reason(
    tiny_encoder: Path, tmp_path: Path, parts: dict[str, Any], overrides: tuple[str, ...], skipped: dict[str, str]
) -> None:
    heard = Heard()
    done = make_run(write_run_file(tmp_path, tiny_encoder, **parts), *overrides, progress=heard)
    found = {each.stage: each.words for each in done.outcomes if each.status == "skipped"}
    assert found == skipped or (list(found) == list(skipped) and "too few" in found.get("measure", ""))
    for name, why in found.items():
        assert any(note.startswith(f"[{NAMES.index(name) + 1}/6] {name}: skipped: {why}") for note in heard.notes)
    if "train" not in skipped:
        assert len(list((tmp_path / "run/students").glob("*/seed-*/student.json"))) == 2  # also where nothing judges them
    whole_folder(tmp_path / "run")


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["measure.reference=dev"], "measure: reference: dev: task 'chatter' has no data.dev"),
        (["measure.reference=/no/file"], "measure: reference: /no/file: no such file"),
        (["curate=label_replacement"], r"label_replacement takes the labels that you give with `variegate inspect`.* --until generate"),
        (["curate.stages.duplicates.against=[dev]"], "task 'chatter' has no data.dev"),
        (["train.student=chung"], r"train: student chung stops early by dev data.*train\.dev_share"),
        (["model.path=/no/model"], "no folder /no/model"),
    ],
)
def test_what_cannot_be_done_though_it_is_asked_for_is_refused_before_anything_starts(
    tiny_encoder: Path, tmp_path: Path, overrides: list[str], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        make_run(write_run_file(tmp_path, tiny_encoder), *overrides, start=never)
    assert not (tmp_path / "run").exists()


def test_a_pairs_curation_by_a_model_is_refused_by_the_kinds_name_and_the_default_one_serves(tiny_encoder: Path, tmp_path: Path) -> None:
    rows = [{"premise": f"the {word} is old", "hypothesis": f"my {word}", "label": label} for label in ("money", "weather") for word in ("cat", "dog", "bank")]  # fmt: skip
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    labels = {label: {"phrase": f"about {label}", "description": f"Is about {label}."} for label in ("money", "weather")}
    task = {"kind": "pair", "name": "pairs", "first": "premise", "second": "hypothesis", "written": "hypothesis", "text_type": "remark",
            "context": "You chat.", "labels": labels, "data": {"train": str(tmp_path / "pairs.jsonl")}}  # fmt: skip
    run_file = write_run_file(tmp_path / "r", tiny_encoder, task=task)
    with pytest.raises(UsageError, match="relabel: the model is asked about one text, and records of task kind 'pair' have 2"):
        make_run(run_file, "curate.stages.duplicates.against=[]", start=never)
    plain = json.loads(run_file.read_text())
    del plain["curate"]
    run_file.write_text(json.dumps(plain))
    done = make_run(run_file)
    assert statuses(done) == {**dict.fromkeys(NAMES, "made"), "evaluate": "skipped"}


def test_a_folder_of_another_task_is_refused(copy: Copy) -> None:
    run_file = copy()
    with pytest.raises(
        UsageError, match=r"holds a run of task 'chatter', and this one is of 'talk': choose another folder .*--resume never"
    ):
        make_run(run_file, "task.name=talk", start=never)


def test_an_unknown_stage(copy: Copy) -> None:
    with pytest.raises(UsageError, match="--until 'trian': no such stage; did you mean 'train'"):
        make_run(copy(), until="trian", start=never)


@pytest.mark.slow
def test_a_students_folder_that_another_command_made_is_set_aside(copy: Copy) -> None:
    run_file = copy()
    folder = run_file.parent / "run"
    place = folder / "students/linear_svc-checked"
    for seed in (0, 1):  # as `variegate train` leaves it: no key
        path = place / f"seed-{seed}/student.json"
        about = orjson.loads(path.read_bytes())
        del about["facts"]["key"]
        path.write_bytes(orjson.dumps(about))
        write_hashes(place / f"seed-{seed}")
    write_hashes(place)
    done = make_run(run_file, start=never)
    assert statuses(done)["train"] == "made"
    assert len(list(folder.glob("set-aside/*/students/linear_svc-checked/scores.json"))) == 1
    whole_folder(folder)


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("students/linear_svc-checked/seed-1/student.json", {"train", "evaluate"}),
        ("students/linear_svc-checked/scores.json", {"evaluate"}),
        ("stages/measure/checked/entry.json", {"measure"}),
        ("curations/checked/000-duplicates/rows.jsonl", {"curate"}),
    ],
)
def test_damage_is_named_and_made_again(copy: Copy, whole: Path, name: str, made: set[str]) -> None:
    run_file = copy()
    path = run_file.parent / "run" / name
    path.write_bytes(path.read_bytes()[:-20])
    heard = Heard()
    done = make_run(run_file, progress=heard)
    assert {stage for stage, status in statuses(done).items() if status == "made"} == {*made, "report"}
    assert any(path.name in note or path.parent.name in note for note in heard.notes if "damaged" in note)
    whole_folder(run_file.parent / "run")
    assert results(run_file.parent / "run") == results(whole / "run")

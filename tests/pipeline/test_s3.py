"""Runs of S3 from end to end on the fake engine, with a real student: works on the shelf, resume, and what may stand in a prompt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import remarks
from tests.support.processes import run_script
from tests.support.progress import Heard
from variegate.errors import Interrupted
from variegate.folding import fold
from variegate.pipeline.generate import generate
from variegate.pipeline.gold import stored_gold
from variegate.pipeline.plan import make_plan
from variegate.store.run_folder import RunFolder
from variegate.store.verify import verify


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def results(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in ("records.jsonl", "dropped.jsonl")]


def run(folder: Path, per_label: int = 6, *, engine: Any = None, **parts: Any) -> tuple[Any, Any, list[str]]:
    """The summary, the engine, and what was told."""
    engine, heard = engine or remarks.engine(), Heard()
    summary = generate(remarks.make_config(folder, per_label, **parts), start=lambda _: engine, progress=heard)
    return summary, engine, [note for note in heard.notes if note.startswith("error round")]


def test_a_run_takes_up_its_students_errors_and_says_so(tmp_path: Path) -> None:
    """Of every pair of classes: the tiny student of few texts mistakes each for each."""
    summary, _, told = run(tmp_path / "run")
    records = lines(tmp_path / "run" / "records.jsonl")
    seeds = [each for each in records if each["origin"]["facts"]["stage"] == "seed"]
    more = [each for each in records if each["origin"]["facts"]["stage"] == "error"]
    assert len(seeds) == 18
    assert len(more) > 18
    assert summary.shortfall == {}
    assert [note.split(":")[0] for note in told] == ["error round 0", "error round 1", "error round 2"]
    gold = {each.id: each for each in stored_gold(RunFolder(tmp_path / "run")).validation}
    mistaken = set()
    for each in more:
        (parent,), facts = each["origin"]["parents"], each["origin"]["facts"]
        assert facts["error"] == parent
        assert each["label"] == gold[parent].label != facts["said"]
        assert set(each["text"].split()[1::2]) <= set(gold[parent].fields["text"].split()[1::2])  # as the engine writes on its like
        mistaken.add((each["label"], facts["said"]))
    assert ("animals", "weather") in mistaken or ("weather", "animals") in mistaken  # classes 0 and 2
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_bytes())
    assert [(each["name"], each["task"], each["said"]) for each in manifest["works"]] == [
        *((f"student-{n}", "student", note) for n, note in enumerate(told)),
        ("extrapolation", "extrapolation", ""),
    ]
    assert manifest["works"][0]["num_texts"] == 18
    assert manifest["works"][-1]["kept"] == len(records) == summary.kept
    assert manifest["works"][0]["memory"]["here"] > 0
    assert verify(RunFolder(tmp_path / "run")).ok


def test_no_test_or_select_text_stands_in_any_prompt_and_none_is_trained_on(tmp_path: Path) -> None:
    """Of the whole run folder: no parent is of these splits, no row shows such a text; in `faithful` as well."""
    data = remarks.write_data(tmp_path / "data")
    test = {fold(each["text"]) for each in lines(Path(data["test"]))}
    for name, strategy in (("small", {}), ("faithful", None)):
        parts = {"strategy": strategy} if strategy is not None else {"strategy": {"faithful": True, "validation": None, "select": None}}
        if name == "faithful":
            config = remarks.make_config(tmp_path / name, 6, data=data)
            value = config.model_dump(mode="json")
            value["strategy"] = {"kind": "s3", "rationales": 2, "faithful": True, "student": value["strategy"]["student"]}
            engine = remarks.engine()
            generate(type(config).model_validate(value), start=lambda _, engine=engine: engine)
        else:
            _, engine, _ = run(tmp_path / name, data=data, **parts)
        folder = RunFolder(tmp_path / name)
        gold = stored_gold(folder)
        forbidden = test | ({fold(each.fields["text"]) for each in gold.select} if name == "small" else set())
        assert len(forbidden) > 50
        prompts = [fold(request.prompt) for request in engine.asked]
        assert not [text for text in forbidden for prompt in prompts if text in prompt]
        shown = {parent for row in folder.rows() for parent in row["origin"]["parents"]}
        assert shown
        assert all(parent.startswith("validation:") for parent in shown)
        assert not forbidden & {fold(each.fields["text"]) for each in gold.validation}
        whole = (tmp_path / name / "works" / "student-0" / "rows.jsonl").read_text()
        assert not [text for text in forbidden if text in fold(whole)]


@pytest.mark.slow
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_stopped_in_any_call_of_the_engine_it_ends_as_an_uninterrupted_run(tmp_path: Path, error: type[BaseException]) -> None:
    data, parts = remarks.write_data(tmp_path / "data"), {"rounds": {"shard": 9}, "strategy": {"cap": 4, "error_rounds": 1}}
    _, whole, _ = run(tmp_path / "whole", data=data, engine=remarks.engine(batch_dependent=True), **parts)
    for stop in range(1, len(whole.calls) + 1):
        place = tmp_path / str(stop)
        with pytest.raises(Interrupted if error is KeyboardInterrupt else error):
            run(place, data=data, engine=remarks.engine(batch_dependent=True, fail_at=stop, error=error), **parts)
        _, rest, _ = run(place, data=data, engine=remarks.engine(batch_dependent=True), **parts)
        assert results(place) == results(tmp_path / "whole")
        assert len(rest.calls) == len(whole.calls) - stop + 1


def test_stopped_in_a_work_it_goes_on_from_there_and_the_engine_rested_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from variegate.pipeline.works import student

    data, rested = remarks.write_data(tmp_path / "data"), []
    _, whole, _ = run(tmp_path / "whole", data=data)
    train, engine = student.train_student, remarks.engine()

    def stopped(*arguments: Any, **options: Any) -> Any:
        rested.append(len(engine.calls))
        raise KeyboardInterrupt

    monkeypatch.setattr(student, "train_student", stopped)
    with pytest.raises(Interrupted, match="the shard or work in progress was left out"):
        run(tmp_path / "broken", data=data, engine=engine)
    assert rested == [2]  # rationales, seeds
    monkeypatch.setattr(student, "train_student", train)
    _, rest, _ = run(tmp_path / "broken", data=data)
    assert results(tmp_path / "broken") == results(tmp_path / "whole")
    assert len(rest.calls) == len(whole.calls) - 2


def test_a_finished_run_trains_and_asks_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from variegate.pipeline.works import student

    run(tmp_path / "run")
    before = results(tmp_path / "run")
    monkeypatch.delattr(student, "train_student")
    _, engine, told = run(tmp_path / "run")
    assert engine.calls == []
    assert len(told) == 3
    assert results(tmp_path / "run") == before


def test_a_damaged_work_is_named_set_aside_and_done_again(tmp_path: Path) -> None:
    run(tmp_path / "run")
    before = results(tmp_path / "run")
    path = tmp_path / "run" / "works" / "student-1" / "rows.jsonl"
    path.write_bytes(path.read_bytes().replace(b"animals", b"animalz", 1))
    assert any("student-1" in check.detail for check in verify(RunFolder(tmp_path / "run")).checks if check.status == "FAILED")
    heard = Heard()
    generate(remarks.make_config(tmp_path / "run", 6), start=lambda _: remarks.engine(), progress=heard)
    assert [note for note in heard.notes if "works/student-1" in note]
    assert results(tmp_path / "run") == before
    assert verify(RunFolder(tmp_path / "run")).ok


def test_a_changed_setting_does_what_it_touches_and_back_again_nothing(tmp_path: Path) -> None:
    data = remarks.write_data(tmp_path / "data")
    run(tmp_path / "run", data=data)
    before = results(tmp_path / "run")
    _, engine, _ = run(tmp_path / "run", data=data, strategy={"error_rounds": 1})
    assert engine.calls == []
    assert sorted(path.name for path in (tmp_path / "run" / "works").iterdir()) == ["extrapolation", "student-0", "student-1"]
    _, engine, _ = run(tmp_path / "run", data=data)
    assert engine.calls == []
    assert results(tmp_path / "run") == before
    _, engine, _ = run(tmp_path / "run", data=data, strategy={"mislabelled": None})
    assert all(request.facts["stage"] == "error" for request in engine.asked)


def test_a_plan_stops_at_a_work_that_is_not_done(tmp_path: Path) -> None:
    data = remarks.write_data(tmp_path / "data")
    config = remarks.make_config(tmp_path / "run", 6, data=data)
    plan = make_plan(config)
    assert (plan.next_round, plan.next_work, plan.reusable) == (3, "", 0)
    run(tmp_path / "run", data=data)
    done = make_plan(config)
    assert (done.next_round, done.next_work) == (0, "")
    assert done.kept == len(lines(tmp_path / "run" / "records.jsonl"))
    RunFolder(tmp_path / "run").shelf.set_aside(["works/student-1"])
    assert (make_plan(config).next_round, make_plan(config).next_work) == (0, "student-1")


@pytest.mark.slow
def test_killed_at_every_file_operation(tmp_path: Path) -> None:
    """kill -9 before each rename of a run, works among them; see s3_crash_script.py."""
    found = run_script(Path(__file__).with_name("s3_crash_script.py"), tmp_path, timeout=1500)
    assert found["killed"] >= 9
    assert found["works"] == 3
    assert found["different"] == []

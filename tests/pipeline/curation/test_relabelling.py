"""The relabel stage on a real engine: chunks that outlive a kill, answers found again by their question, the process apart."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.progress import Heard
from variegate.config.curation import CurationConfig
from variegate.config.resources import asset
from variegate.errors import BackendError, Interrupted
from variegate.pipeline.curation.curate import curate
from variegate.store.verdicts import CurationFolder
from variegate.store.verify import verify

STAGE = {"kind": "relabel", "calibration": "contextual", "chunk": 8}


class Watched:
    """An engine that counts what it is asked, and can fail at a call."""

    def __init__(self, engine: Any, *, fail_at: int = 0, error: type[BaseException] = KeyboardInterrupt) -> None:
        self._engine, self.fail_at, self.error = engine, fail_at, error
        self.asked: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def score_each(self, prompts: Sequence[Any], *arguments: Any, **options: Any) -> Any:
        self.asked.append(len(prompts))
        if len(self.asked) == self.fail_at:
            raise self.error("the engine stopped")
        return self._engine.score_each(prompts, *arguments, **options)


@pytest.fixture
def run(curable_run: Callable[..., Any], tmp_path: Path) -> Any:
    return curable_run(tmp_path / "run", per_label=7)


@pytest.fixture
def go(run: Any, encoder: Any, nano_transformers: Any) -> Callable[..., tuple[dict[str, Any], Watched]]:
    """Curate; the engine is the session's, watched. Without `engine` asking it is an error."""

    def call(
        *stages: dict[str, Any], engine: Watched | None = None, name: str = "c", run: Any = run, heard: Heard | None = None
    ) -> tuple[dict[str, Any], Watched]:
        watched = engine or Watched(nano_transformers)
        config = CurationConfig.model_validate({"stages": list(stages)})
        progress = heard or Heard()
        found = curate(run.folder, config, name, start=lambda _: watched, encoder=encoder, progress=progress)
        assert heard is not None or progress.damage == []
        return found, watched

    return call


def folder_of(run: Any, name: str = "c") -> CurationFolder:
    return CurationFolder(run.folder, name)


def verdict_bytes(run: Any, name: str) -> bytes:
    return (folder_of(run, name).path / "000-relabel" / "rows.jsonl").read_bytes()


def observations(run: Any, name: str = "c") -> list[dict[str, Any]]:
    shelf = folder_of(run, name).shelf
    entries = [shelf.read(each) for each in shelf.names("observations")]
    return [row for entry in entries if entry is not None for row in entry.rows()]


def test_it_runs_in_chunks_and_keeps_what_it_saw(run: Any, go: Callable[..., Any]) -> None:
    summary, engine = go(STAGE)
    asks = 21 + 3  # the texts, and those without content, for one set of candidates
    assert engine.asked == [8, 8, 8]
    seen = observations(run)
    assert len({row["key"] for row in seen}) == asks
    stage = summary["stages"][0]
    assert stage["counts"]["in"] == 21
    assert stage["facts"]["judged"] == 21
    assert sum(stage["confidence_histogram"]) == 21
    assert stage["counts"]["changed"] == sum(sum(news.values()) for news in stage["flips"].values())
    assert verify(run.folder).ok


@pytest.mark.parametrize("error", [KeyboardInterrupt, BackendError])
def test_what_is_finished_outlives_an_end_in_the_middle(
    run: Any, go: Callable[..., Any], nano_transformers: Any, error: type[BaseException]
) -> None:
    go(STAGE, name="whole")
    with pytest.raises(Interrupted if error is KeyboardInterrupt else BackendError):
        go(STAGE, engine=Watched(nano_transformers, fail_at=3, error=error))
    assert len(observations(run)) == 16
    assert folder_of(run).stages() == []
    _, engine = go(STAGE)
    assert engine.asked == [8]
    assert verdict_bytes(run, "c") == verdict_bytes(run, "whole")
    assert observations(run) == observations(run, "whole")
    assert not (folder_of(run).path / "set-aside").exists()


def test_what_only_weighs_the_answers_asks_nothing(run: Any, go: Callable[..., Any]) -> None:
    go(STAGE)
    summary, engine = go({**STAGE, "margin": 0.3, "below_margin": "drop"})
    assert engine.asked == []
    dropped = summary["dropped"].get("low_margin", 0)
    assert dropped == summary["stages"][0]["facts"]["low_margin"] > 0
    assert (folder_of(run).path / "set-aside/000/000-relabel/rows.jsonl").is_file()
    _, engine = go({**STAGE, "margin": 0.3, "below_margin": "drop", "chunk": 5})
    assert engine.asked == []


def test_what_changes_the_questions_asks_them(run: Any, go: Callable[..., Any]) -> None:
    go(STAGE)
    for changed in ({"class_block": False}, {"calibration": "none"}, {"nearest_classes": 2}):
        summary, engine = go({**STAGE, **changed})
        assert sum(engine.asked) >= 21, changed
        assert summary["stages"][0]["facts"]["judged"] == 21


def test_a_larger_set_asks_only_for_what_is_new(run: Any, go: Callable[..., Any], row: Callable[..., Any]) -> None:
    go(STAGE)
    new = [row("joy", 500 + slot, text=f"All the joy of day {slot}") for slot in range(3)]
    run.folder.commit_round(2, new, {"round": 2, "requested": 3, "kept": 3, "dropped": {}})
    summary, engine = go(STAGE)
    assert engine.asked == [3]
    assert summary["stages"][0]["facts"]["judged"] == 24


def test_another_stage_before_it_keeps_the_answers(run: Any, go: Callable[..., Any]) -> None:
    go(STAGE)
    summary, engine = go({"kind": "duplicates"}, STAGE)
    assert engine.asked == []
    assert [stage["kind"] for stage in summary["stages"]] == ["duplicates", "relabel"]


def test_a_stage_that_is_done_starts_no_engine(run: Any, go: Callable[..., Any], encoder: Any) -> None:
    first, _ = go(STAGE)

    def refuse(_: Any) -> Any:
        raise AssertionError("nothing is to be asked")

    again = curate(run.folder, CurationConfig.model_validate({"stages": [STAGE]}), "c", start=refuse, encoder=encoder)
    assert again["reused"] == [0]
    assert again["stages"] == first["stages"]


def test_damaged_answers_are_named_and_asked_for_again(run: Any, go: Callable[..., Any], nano_transformers: Any) -> None:
    go(STAGE, name="whole")
    with pytest.raises(Interrupted):
        go(STAGE, engine=Watched(nano_transformers, fail_at=3))
    path = folder_of(run).path / "observations/000000/rows.jsonl"
    path.write_bytes(path.read_bytes().replace(b"-0.", b"-1.", 1))
    heard = Heard()
    _, engine = go(STAGE, heard=heard)
    assert sum(engine.asked) == 24 - 8
    assert str(path) in heard.damage[0]
    assert verdict_bytes(run, "c") == verdict_bytes(run, "whole")
    assert verify(run.folder).ok


def test_a_temperature_is_fitted_on_real_examples(run: Any, go: Callable[..., Any]) -> None:
    summary, engine = go({**STAGE, "calibration": "temperature"})
    calibration = summary["stages"][0]["facts"]["calibration"]
    assert calibration["kind"] == "temperature"
    assert sum(engine.asked) == 21 + 3 * 6  # half of the 12 real examples a label stand for the class


def test_written_answers(run: Any, go: Callable[..., Any]) -> None:
    summary, _ = go({"kind": "relabel", "mode": "generate", "chunk": 8})
    facts = summary["stages"][0]["facts"]
    assert facts["mode"] == "generate"
    assert sum(facts["paths"].values()) == 21
    assert len(observations(run)) == 21


def test_prompts_too_long_leave_the_label(curable_run: Callable[..., Any], go: Callable[..., Any], tmp_path: Path) -> None:
    long = curable_run(tmp_path / "long", per_label=3, long=3000)
    summary, _ = go({**STAGE, "calibration": "none"}, run=long)
    stage = summary["stages"][0]
    assert stage["counts"]["unjudged"] == stage["counts"]["named"]["unjudged"] == 1
    assert "could not be judged and keep their label" in stage["warnings"][0]


def test_what_failed_is_asked_again_when_the_stage_is(curable_run: Callable[..., Any], go: Callable[..., Any], tmp_path: Path) -> None:
    """The others' answers are found; a longer context is a reason to try again."""
    long = curable_run(tmp_path / "long", per_label=3, long=3000)
    stage = {**STAGE, "calibration": "none"}
    go(stage, run=long)
    settings = long.folder.path / "run.yaml"
    settings.write_text(settings.read_text().replace("max_model_len: 1024", "max_model_len: 1000"))
    summary, engine = go(stage, run=long)
    assert sum(engine.asked) == 0  # the only one that is asked about does not fit this engine either
    assert len(observations(long)) == 9 + 1
    assert summary["reused"] == []
    assert summary["stages"][0]["counts"]["unjudged"] == 1


def test_in_vllm(run: Any, encoder: Any, nano_vllm: Any) -> None:
    config = CurationConfig.model_validate({"stages": [STAGE]})
    summary = curate(run.folder, config, "c", start=lambda _: nano_vllm, encoder=encoder)
    facts = summary["stages"][0]["facts"]
    assert facts["judged"] == 21
    assert facts["usage"]["cached_tokens"] > 0
    assert verify(run.folder).ok


@pytest.mark.slow
def test_without_a_start_the_engine_has_a_process_of_its_own(run: Any, go: Callable[..., Any], encoder: Any) -> None:
    """The same verdicts as in this process, chunk by chunk; an engine that cannot start is the same error here."""
    go(STAGE, name="here")
    heard = Heard()
    config = CurationConfig.model_validate({"stages": [STAGE]})
    curate(run.folder, config, "there", encoder=encoder, progress=heard)
    assert verdict_bytes(run, "there") == verdict_bytes(run, "here")
    assert observations(run, "there") == observations(run, "here")
    assert [(done, asked) for what, done, whole, asked, _ in heard.updates if what == "relabelling" and whole == 24][-1] == (24, 0)
    broken = {"name": "broken", "path": str(run.folder.path / "model")}
    shutil.copytree(asset("nano-llama"), run.folder.path / "model")
    (run.folder.path / "model" / "config.json").write_text("{}")  # of no kind
    with pytest.raises(BackendError):
        curate(run.folder, CurationConfig.model_validate({"stages": [{**STAGE, "model": broken}]}), "c", encoder=encoder)

"""A small run with all its stages on the fake engine, tiny enough to be made many times over: `chatter`'s remarks, and a tiny BERT that
knows their words in place of the sentence encoder."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.support import chatter
from tests.support.engine import FakeEngine
from tests.support.tiny_bert import write_bert
from variegate.config import RunConfig
from variegate.config.load_stages import load_run_file
from variegate.config.stages import StagesConfig
from variegate.inference.session import Start
from variegate.pipeline.stages.run import RunOfStages, run_stages
from variegate.progress import Progress
from variegate.store.run_folder import RunFolder

RELABEL = {"kind": "relabel", "nearest_classes": None, "calibration": "contextual", "chunk": 5}
WORDS = [*chatter.FILLERS, *(word for words in chatter.WORDS.values() for word in words)]


def write_encoder(folder: Path) -> Path:
    return write_bert(folder, words=WORDS)


def write_run_file(folder: Path, encoder: Path, *, stages: Sequence[str] = ("duplicates", "relabel"), **parts: Any) -> Path:
    """A run file in a new `folder`, where the run goes to `folder`/run. parts: of the file, in place of its own; None takes one out."""
    folder.mkdir(parents=True, exist_ok=True)
    run = chatter.make_study(folder).run.model_dump(mode="json", exclude_defaults=True)
    every = {"duplicates": {"kind": "duplicates", "against": ["test"]}, "relabel": RELABEL}
    value = {
        **run,
        "task": {"kind": "classification", **run["task"]},
        "output": str(folder / "run"),
        "curate": {"name": "checked", "stages": [every[stage] for stage in stages], "encoder": str(encoder)},
        "measure": {"encoder": str(encoder)},
        "train": {"student": {"kind": "linear_svc", "encoder": str(encoder)}, "seeds": 2},
        **parts,
    }
    path = folder / "chatter.run.yaml"
    path.write_text(json.dumps({name: each for name, each in value.items() if each is not None or name in parts}))
    return path


def wordy_scorer(**options: Any) -> FakeEngine:
    """`chatter`'s engine, which also knows a remark's label by its words, mostly."""

    def weigh(messages: Any, choices: Sequence[str]) -> list[float]:
        asked = re.findall(r"[a-z]+", messages[-1].content)
        return [0.3 * sum(word in asked for word in chatter.WORDS[choice.strip(' "\n')]) for choice in choices]

    return chatter.wordy_engine(weigh=weigh, **options)


def never(_: object) -> FakeEngine:
    raise AssertionError("no engine is needed")


def make_run(
    run_file: Path,
    *overrides: str,
    until: str = "report",
    start: Start | None = None,
    progress: Progress | None = None,
    resume: Any = "auto",
    report: Callable[[RunFolder], Path] | None = None,
) -> RunOfStages:
    """start: None for an engine that does its work."""
    run, stages = load(run_file, *overrides)
    return run_stages(
        run,
        stages,
        until=until,
        resume=resume,
        progress=progress,
        start=start or (lambda _: wordy_scorer()),
        report=report or (lambda folder: folder.path / "report.html"),
    )


def load(run_file: Path, *overrides: str) -> tuple[RunConfig, StagesConfig]:
    return load_run_file(run_file, overrides)


def statuses(done: RunOfStages) -> dict[str, str]:
    return {each.stage: each.status for each in done.outcomes}

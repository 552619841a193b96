"""All stages of a run, one after the other, each told in a line when it begins and one when it is done. What is there is not made again.

Knows the order of things; each stage knows how it is made and found.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import yaml

from variegate.config import RunConfig
from variegate.config.load import to_yaml
from variegate.config.stages import StagesConfig
from variegate.errors import Interrupted, UsageError, nearest
from variegate.inference.backend import check_model_path
from variegate.inference.session import Sessions, Start
from variegate.kinds import kind_of
from variegate.pipeline.resume import ResumeMode
from variegate.pipeline.stages.learning import Evaluate, Train
from variegate.pipeline.stages.making import Curate, Generate
from variegate.pipeline.stages.measuring import Measure
from variegate.pipeline.stages.pace import Paced
from variegate.pipeline.stages.questions import JudgeAnswers, TrainOnQuestions
from variegate.pipeline.stages.stage import NAMES, Context, Outcome, Stage, Status
from variegate.progress import Progress, Silent, spelt
from variegate.store.files import write_atomic
from variegate.store.formats import check_format, state_format
from variegate.store.run_folder import STAGES_FILE, RunFolder


@dataclass(slots=True)
class RunOfStages:
    """outcomes: of the stages that were asked for, in order."""

    folder: Path
    outcomes: list[Outcome] = field(default_factory=list)

    def facts(self, name: str) -> Any:
        """What the stage came to: a RunSummary, what curation.json, measures.json or scores.json holds, the report's path; None where it was
        skipped."""
        return next((each.facts for each in self.outcomes if each.stage == name), None)


class Report:
    name: ClassVar[str] = "report"

    def __init__(self, context: Context) -> None:
        self.context = context

    def why_not(self) -> str | None:
        return None

    def intent(self) -> str:
        return "of all that is there"

    def stands(self) -> bool:
        return False

    def make(self) -> tuple[Status, str, Any]:
        path = self.context.report(self.context.folder)
        return "made", str(path), path


def run_stages(
    run: RunConfig,
    stages: StagesConfig,
    *,
    report: Callable[[RunFolder], Path],
    until: str = NAMES[-1],
    resume: ResumeMode = "auto",
    progress: Progress | None = None,
    start: Start | None = None,
) -> RunOfStages:
    """Make what is not there, to the stage `until`.

    report: writes the report of the folder, and returns its path.
    start: makes engines, in this process; they are the caller's to close. Without it an engine runs in a process of its own, and its
        memory is free again before anything is trained.
    Raises UsageError, before anything is started, for what is asked for and cannot be done; what a stage raises; Interrupted on Ctrl-C.
    What was finished is on disk then, and the same call goes on from there.
    """
    progress = progress or Silent()
    with Sessions(progress=progress, start=start, process="worker") as sessions:
        paced = Paced(progress)
        context = Context(run, stages, report=report, resume=resume, progress=paced, sessions=sessions)
        chosen, skipped = choose(context, until)
        check_folder(context)
        _write_stages(context)
        done = RunOfStages(context.folder.path)
        try:
            for number, stage in enumerate(chosen, 1):
                head = f"[{number}/{len(chosen)}] {stage.name}"
                outcome = _skip(stage, skipped[stage.name], head, progress) if stage.name in skipped else _make(stage, head, paced)
                done.outcomes.append(outcome)
                if stage.name == "curate":
                    sessions.rest()  # the device is free for what follows
        except KeyboardInterrupt as error:
            raise Interrupted(
                f"stopped in stage {chosen[len(done.outcomes)].name}: what was finished is in {done.folder}. Run the same command again to go on."
            ) from error
        return done


def choose(context: Context, until: str) -> tuple[list[Stage], dict[str, str]]:
    """(the stages to `until`, why each of those that cannot be done is skipped). Raises UsageError."""
    if until not in NAMES:
        raise UsageError(f"--until {until!r}: no such stage{nearest(until, NAMES)} Stages: {', '.join(NAMES)}")
    if kind_of(context.run.task).labelled:
        train = Train(context)
        learning: list[Stage] = [train, Evaluate(context, train)]
    else:
        questions = TrainOnQuestions(context)
        learning = [questions, JudgeAnswers(context, questions)]
    every: list[Stage] = [Generate(context), Curate(context), Measure(context), *learning, Report(context)]
    chosen = every[: NAMES.index(until) + 1]
    return chosen, {stage.name: why for stage in chosen if (why := stage.why_not()) is not None}


def check_folder(context: Context) -> None:
    """Refuse a folder of other people's files, or of another task's run: all of it would be set aside. Raises UsageError, also for a
    missing model."""
    check_model_path(context.run.model)
    context.folder.check_place()
    folder, name = context.folder.path, context.run.task.name
    check_format(folder, ("run.yaml", "rounds"))
    path = folder / "run.yaml"
    try:
        stored: Any = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
        held = stored["task"]["name"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError):
        return  # nothing, or what `generate` names
    if held != name and context.resume != "never":
        raise UsageError(
            f"{folder}: holds a run of task {held!r}, and this one is of {name!r}: choose another folder with `output:` or -o, or set that run"
            " aside with --resume never"
        )


def _write_stages(context: Context) -> None:
    """Beside run.yaml, so that the folder alone is enough to go on."""
    with context.folder.lock():
        state_format(context.folder.path)
        write_atomic(context.folder.path / STAGES_FILE, to_yaml(context.stages).encode())


def _skip(stage: Stage, why: str, head: str, progress: Progress) -> Outcome:
    progress.note(f"{head}: skipped: {why}")
    return Outcome(stage.name, "skipped", why)


def _make(stage: Stage, head: str, paced: Paced) -> Outcome:
    paced.begin(head)
    paced.note(f"{head}: {stage.intent()}")
    began = time.monotonic()
    status, words, facts = stage.make()
    seconds = time.monotonic() - began
    paced.note(f"{head}: {status}{f': {words}' if words else ''} ({spelt(seconds)})")
    return Outcome(stage.name, status, words, round(seconds, 3), facts)

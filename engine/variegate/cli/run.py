"""`variegate run RUN.yaml`: generate, curate, measure, train, evaluate, report, in one command."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from variegate.cli.generate import check_shortfall, read_run_file, resume_option, run_options, summary_json

if TYPE_CHECKING:
    from variegate.config import RunConfig
    from variegate.config.stages import StagesConfig
    from variegate.pipeline.stages.run import RunOfStages

_STAGES = ("generate", "curate", "measure", "train", "evaluate", "report")


@click.command()
@run_options
@click.option("--until", type=click.Choice(_STAGES), default=_STAGES[-1], show_default=True, help="The last stage to do.")
@click.option("--dry-run", is_flag=True, help="Only say what would be made, what is there already, and what generating would take.")
@click.option("--measure", "rows", type=click.IntRange(min=0), default=0, metavar="ROWS", help="With --dry-run: start the engine and time this many rows (not stored), for an estimate of the time that generating takes.")  # fmt: skip
@resume_option
@click.option("--json", "as_json", is_flag=True, help="Print what came of each stage as JSON.")
def command(
    run_file: Path,
    overrides: tuple[str, ...],
    per_label: int | None,
    output: str | None,
    seed: int | None,
    until: str,
    dry_run: bool,
    rows: int,
    resume: str,
    as_json: bool,
) -> None:
    """Do all that RUN.yaml says, from the first text to the verdict: is the data worth training on?

    RUN.yaml is a file, a bundled run's name, or a run folder. Stages: generate, curate, measure, train, evaluate, report. Its sections
    `curate`, `measure`, `train` and `evaluate` say how; what is left out has a default, and null switches a stage off. What is in the
    folder already, and is as it would be made, is made no second time: the same command goes on where it was stopped, and after a change
    redoes what that touches. --dry-run exits with 1 when generating would be refused, or would drop prompts as too long.

    Exit codes: 0 done, 1 failure, 2 wrong input, 3 finished short of the target, 130 interrupted.
    """
    from variegate.errors import UsageError

    if rows and not dry_run:
        raise UsageError("--measure is about the estimate of --dry-run: give both, or leave it out")
    config, stages = read_run_file(run_file, overrides, per_label, output, seed)
    if dry_run:
        _print_outlook(config, stages, until, resume, rows, as_json=as_json)
    else:
        run_and_print(config, stages, until, resume, as_json=as_json)


def run_and_print(config: RunConfig, stages: StagesConfig, until: str, resume: str, *, as_json: bool) -> None:
    """Run, print what came of it, and exit with 3 when the target was missed."""
    from variegate.cli.progress import make_progress
    from variegate.pipeline.stages.run import run_stages
    from variegate.report import write_report

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a scheduler's stop is a Ctrl-C
    with make_progress() as progress:
        done = run_stages(config, stages, until=until, resume=resume, progress=progress, report=write_report)  # type: ignore[arg-type]
    if as_json:
        click.echo(json.dumps(_as_json(done), indent=2, ensure_ascii=False))
    else:
        from variegate.cli.run_summary import print_run

        print_run(done, stages)
    check_shortfall(done.facts("generate"))


def _as_json(done: RunOfStages) -> dict[str, Any]:
    def plain(name: str, facts: Any) -> Any:
        if name == "generate":
            return summary_json(facts)
        return str(facts) if isinstance(facts, Path) else facts

    return {
        "folder": str(done.folder),
        "stages": {
            each.stage: {"status": each.status, "words": each.words, "seconds": each.seconds, "facts": plain(each.stage, each.facts)}
            for each in done.outcomes
        },
    }


def _print_outlook(config: RunConfig, stages: StagesConfig, until: str, resume: str, rows: int, *, as_json: bool) -> None:
    from variegate.cli.progress import make_progress
    from variegate.pipeline.stages.outlook import look_ahead

    with make_progress() as progress:
        outcomes, plan = look_ahead(config, stages, until=until, resume=resume, measure=rows, progress=progress)  # type: ignore[arg-type]
    if as_json:
        found = {each.stage: {"status": each.status, "words": each.words} for each in outcomes}
        click.echo(json.dumps({"folder": config.output, "stages": found, "plan": plan.to_json()}, indent=2, ensure_ascii=False))
    else:
        from variegate.cli.run_summary import print_outlook

        print_outlook(config, outcomes, plan)
    if plan.refusals:
        click.get_current_context().exit(1)

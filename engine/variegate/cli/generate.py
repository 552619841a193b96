"""`variegate generate RUN.yaml`: generate a labelled data set."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from variegate.config import RunConfig
    from variegate.config.stages import StagesConfig
    from variegate.pipeline.generate import RunSummary

_RESUME_MODES = ("auto", "never", "always")


run_file_argument = click.argument("run_file", metavar="RUN.yaml", type=click.Path(path_type=Path))
set_option = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a field, e.g. --set decoding.temperature=1.3"
)
resume_option = click.option("--resume", type=click.Choice(_RESUME_MODES), default="auto", show_default=True,
                             help="auto: go on, and after a change reuse every row that it left unchanged. never: start over. always: refuse unless the folder holds this very run.")  # fmt: skip
seed_option = click.option("--seed", type=click.IntRange(min=0), help="The run's seed (seed).")


def run_options(function: Any) -> Any:
    """What the commands that make or plan a run take."""
    for option in (
        set_option,
        click.option("-n", "--per-label", type=click.IntRange(min=1), help="Records wanted of each label (target.per_label)."),
        click.option("-o", "--output", metavar="FOLDER", help="The run folder (output)."),
        seed_option,
    ):
        function = option(function)
    return run_file_argument(function)


def read_run(run_file: Path, overrides: tuple[str, ...], per_label: int | None, output: str | None, seed: int | None) -> RunConfig:
    """The configuration of a run file, a bundled run's name or a run folder, with the command line's overrides on top."""
    return read_run_file(run_file, overrides, per_label, output, seed)[0]


def read_run_file(
    run_file: Path, overrides: tuple[str, ...], per_label: int | None, output: str | None, seed: int | None
) -> tuple[RunConfig, StagesConfig]:
    """The same, with what becomes of the run's records."""
    from variegate.config.load import find_config
    from variegate.config.load_stages import load_run_file

    own = run_file / "run.yaml"
    named = {"target.per_label": per_label, "output": output, "seed": seed}
    path = own if own.is_file() else find_config("run", str(run_file), Path())
    return load_run_file(path, assignments(run_file if path == own else None, overrides, named))


def assignments(folder: Path | None, overrides: Iterable[str], named: Mapping[str, Any]) -> list[str]:
    """KEY=VALUE, as `--set` takes them; the last of a key counts. folder: one that was named in place of a file: if it is ours, it
    is the one that is worked on, wherever it was when it was made. named: of options of their own, None where not given."""
    from variegate.store.run_folder import is_ours

    moved = [f"output={json.dumps(str(folder))}"] if folder is not None and is_ours(folder) else []
    return [*moved, *overrides, *(f"{key}={json.dumps(value)}" for key, value in named.items() if value is not None)]


@click.command()
@run_options
@resume_option
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(
    run_file: Path, overrides: tuple[str, ...], per_label: int | None, output: str | None, seed: int | None, resume: str, as_json: bool
) -> None:
    """Generate a labelled data set as RUN.yaml says.

    RUN.yaml is a file, a bundled run's name, or a run folder. The run folder can be read while the run goes on; Ctrl-C
    keeps all finished rounds, and the same command goes on from there.

    Exit codes: 0 done, 1 failure, 2 wrong input, 3 finished short of the target, 130 interrupted.
    """
    generate_and_print(read_run(run_file, overrides, per_label, output, seed), resume, as_json=as_json)


def generate_and_print(config: RunConfig, resume: str, *, as_json: bool) -> None:
    """Run, print the summary, and exit with 3 when the target was missed."""
    from variegate.cli.progress import make_progress
    from variegate.pipeline.generate import generate
    from variegate.report import write_report

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a scheduler's stop is a Ctrl-C
    progress = make_progress()
    try:
        summary = generate(config, resume=resume, progress=progress, report=write_report)  # type: ignore[arg-type]
    finally:
        progress.stop()
    if as_json:
        click.echo(json.dumps(summary_json(summary), indent=2))
    else:
        print_summary(summary)
    check_shortfall(summary)


def check_shortfall(summary: RunSummary) -> None:
    """Raises ShortfallError where the target was missed."""
    from variegate.errors import ShortfallError

    if summary.shortfall:
        missing = sum(summary.shortfall.values())
        worst = sorted(summary.shortfall, key=lambda label: -summary.shortfall[label])[:5]
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(summary.dropped.items(), key=lambda each: -each[1]))
        raise ShortfallError(
            f"{missing} records short of the target, most of all for {', '.join(worst)}. Dropped: {reasons or 'none'}. "
            f"The records made are in {summary.folder}. Raise target.max_attempts, or change what causes the drops (`variegate show {summary.folder} --dropped`)"
        )


def summary_json(summary: RunSummary) -> dict[str, Any]:
    return {
        "folder": str(summary.folder),
        "records": str(summary.folder / "records.jsonl"),
        "report": str(summary.report),
        "requested": summary.requested,
        "kept": summary.kept,
        "dropped": summary.dropped,
        "shortfall": summary.shortfall,
        "reused": summary.reused,
        "tokens_per_second": summary.tokens_per_second,
        "feedback": summary.feedback,
        "changes": summary.changes,
    }


def print_summary(summary: RunSummary) -> None:
    if summary.changes:
        click.echo(f"Changed since the last run: {'; '.join(summary.changes[:5])}{' ...' if len(summary.changes) > 5 else ''}")
    if summary.reused:
        click.echo(f"Reused {summary.reused} rows of earlier rounds.")
    print_dropped(summary)
    if summary.feedback.get("kept"):
        click.echo(f"Made under feedback: {summary.feedback['share']:.0%} of the records, in {summary.feedback['rounds']} rounds.")
    if summary.tokens_per_second:
        click.echo(f"Speed: {summary.tokens_per_second:,.0f} tokens/s.")
    click.echo(f"Records: {summary.folder / 'records.jsonl'}")
    click.echo(f"Report:  {summary.report}")


def print_dropped(summary: RunSummary) -> None:
    dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(summary.dropped.items()))
    click.echo(f"Kept {summary.kept} of {summary.requested} requested texts{f' (dropped: {dropped})' if dropped else ''}.")

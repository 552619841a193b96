"""`variegate curate RUN CURATION`: judge a run's records, stage by stage."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from variegate.config.curation import CurationConfig
    from variegate.store.run_folder import RunFolder


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("curation", metavar="[CURATION]", required=False)
@click.option("--name", help="Of the curation's folder in the run; the name of CURATION when absent.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a field: --set seed=1, and of a stage by its kind or place: --set stages.relabel.margin=0.2.")  # fmt: skip
@click.option("--check", "check_labels", is_flag=True, help="Also measure how far given and final labels agree with the oracle: a student trained on the task's real data.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(folder: Path, curation: str | None, name: str | None, overrides: tuple[str, ...], check_labels: bool, as_json: bool) -> None:
    """Judge the records of the run in RUN, stage by stage, as CURATION says.

    CURATION is a file, a bundled curation's name, or one that this run has already; without it, the one that it has. The run's
    records are not touched: verdicts and the records that stay, with their final labels, are written to RUN/curations/NAME.
    `measure`, `export`, `show`, `train` and `evaluate` take them with --curation NAME.

    The same command goes on where it was stopped; stages that nothing changed for are reused. Exit code 1 where a stage drops
    every record.
    """
    from variegate.cli.curation_table import print_curation
    from variegate.cli.progress import make_progress
    from variegate.pipeline.curation.curate import curate
    from variegate.report import write_report
    from variegate.store.run_folder import RunFolder
    from variegate.store.verdicts import CurationFolder

    run = RunFolder.existing(folder)
    name, config = _choose(run, curation, name, overrides)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a scheduler's stop is a Ctrl-C
    progress = make_progress()
    try:
        summary = curate(run, config, name, progress=progress, check_labels=check_labels)
    finally:
        progress.stop()
    report = write_report(run)
    if as_json:
        click.echo(json.dumps(summary, indent=2, ensure_ascii=False))
    else:
        print_curation(summary, CurationFolder(run, name).path, report)


def _choose(run: RunFolder, curation: str | None, name: str | None, overrides: tuple[str, ...]) -> tuple[str, CurationConfig]:
    """The curation's name and what it does."""
    from variegate.config.load import load_curation
    from variegate.config.resources import bundled
    from variegate.errors import UsageError, nearest
    from variegate.store.verdicts import CONFIG, CURATIONS, check_name

    own = {path.parent.name: path for path in sorted((run.path / CURATIONS).glob(f"*/{CONFIG}"))}
    if curation is None:
        if name is None and len(own) != 1:
            there = f"its curations: {', '.join(own)}" if own else f"bundled: {', '.join(bundled('curations'))}"
            raise UsageError(f"{run.path}: which curation? Give a file or a name; {there}")
        chosen = name or next(iter(own))
        if chosen not in own:
            raise UsageError(f"{run.path}: no curation {chosen!r}{nearest(chosen, own)} To make it, also give CURATION: a file or a name")
        return chosen, load_curation(str(own[chosen]), overrides)
    known_elsewhere = Path(curation).is_file() or curation in bundled("curations")
    if curation in own and not known_elsewhere:
        return check_name(name or curation), load_curation(str(own[curation]), overrides)
    return check_name(name or Path(curation).stem), load_curation(curation, overrides)

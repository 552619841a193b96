"""`variegate compare STUDY.yaml`: a matrix of data sets, made, curated, measured and trained on."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("study_file", metavar="STUDY.yaml", type=click.Path(path_type=Path))
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a field of the study, e.g. --set axes.temperature=[0.7,1.3], or of its run: --set run.target.per_label=8.")  # fmt: skip
@click.option("-r", "--replicates", type=click.IntRange(min=1), help="Data sets for each combination (replicates).")
@click.option("-o", "--output", metavar="FOLDER", help="The study's folder (output).")
@click.option("--dry-run", is_flag=True, help="List the cells and what of them is there already; make nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print study.json, or with --dry-run the list, instead of tables.")
def command(study_file: Path, overrides: tuple[str, ...], replicates: int | None, output: str | None, dry_run: bool, as_json: bool) -> None:
    """Compare ways of making a data set: every combination of the study's options, several times over.

    STUDY.yaml is a file, a bundled study's name, or a study's folder. Each cell is generated, curated, measured against the real
    data at equal size, and trained on; a student of the real texts stands beside them. FOLDER/study.json and
    FOLDER/report.html hold what came out, FOLDER/best/ the best recipe for the budget, ready for `variegate generate`.

    The same command goes on where it was stopped. A changed study reuses all that its change leaves as it was.

    Exit codes: 0 done, 1 some cells failed (the others are compared), 2 wrong input, 130 interrupted.
    """
    from variegate.cli.generate import assignments
    from variegate.config.load_study import load_study

    own = study_file / "study.yaml"
    folder = study_file if own.is_file() else None
    every = assignments(folder, overrides, {"replicates": replicates, "output": output})
    study = load_study(str(study_file if folder is None else own), every)
    if dry_run:
        _list(study, as_json)
    else:
        _compare(study, as_json)


def _list(study: Any, as_json: bool) -> None:
    from variegate.cli.compare_table import print_cells
    from variegate.pipeline.comparison.compare import check_data
    from variegate.pipeline.comparison.places import describe
    from variegate.pipeline.comparison.sizes import expected_size

    rows = describe(study)
    check_data(study)
    size, notes = expected_size(study.train_size, rows)
    if as_json:
        listed = {"name": study.name, "output": study.output, "cells": rows, "train_size": size, "warnings": notes}
        click.echo(json.dumps(listed, indent=2))
    else:
        print_cells(study.name, study.output, rows, size, notes)


def _compare(study: Any, as_json: bool) -> None:
    from variegate.cli.compare_table import print_study
    from variegate.cli.progress import make_progress
    from variegate.errors import VariegateError
    from variegate.pipeline.comparison.compare import STUDY, compare
    from variegate.report import write_study_report
    from variegate.report.visible import visible

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a scheduler's stop is a Ctrl-C
    progress = make_progress()
    try:
        found = compare(study, progress=progress)
    finally:
        progress.stop()
    output = Path(study.output)
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print_study(found)
    report = write_study_report(found, output / "report.html")  # last: what cannot be written is at least shown
    if not as_json:
        click.echo(f"Study:  {visible(str(output / STUDY))}")
        click.echo(f"Report: {visible(str(report))}")
    failed = [cell for cell in found["cells"] if cell["status"] == "failed"]
    if failed:
        first = failed[0]
        raise VariegateError(
            f"{len(failed)} of {len(found['cells'])} cells failed: {', '.join(cell['id'] for cell in failed)}. The first: {first['error']}. "
            "The others were compared; run the same command again to try the failed ones once more"
        )

"""`variegate export`: a run's kept records for other tools."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--format", "-f", "format_", required=True, help="jsonl, parquet, csv, or hf (a Hugging Face data set folder); of questions squad too."
)
@click.option("--output", "-o", "target", required=True, type=click.Path(path_type=Path), help="The file, or for hf the folder, to write.")
@click.option("--curation", metavar="NAME", help="The records that this curation of the run keeps, with their final labels, and columns for the label they were generated for, confidence and reasons.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace the target where it exists.")
@click.option(
    "--no-formula-guard",
    is_flag=True,
    help="CSV: leave texts as they are. Otherwise one that begins with = + - @, tab or carriage return gets an apostrophe"
    " in front, because a spreadsheet would run it as a formula.",
)
def command(folder: Path, format_: str, target: Path, curation: str | None, overwrite: bool, no_formula_guard: bool) -> None:
    """Write the kept records of the run in FOLDER to another format.

    Prints the path that was written. Export reads the rounds, so a run that has not ended is exported as far as it went.
    """
    from variegate.store.export import export
    from variegate.store.run_folder import RunFolder

    run = RunFolder.existing(folder)
    path = export(run, format_, target, curation=curation, overwrite=overwrite, formula_guard=not no_formula_guard)
    if run.read_manifest() is None:
        click.echo("The run has not ended: what was exported is a part of it.", err=True)
    click.echo(path)

"""`variegate report`: one HTML file that shows a run."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def command(folder: Path) -> None:
    """Write FOLDER/report.html and print its path.

    The file needs no network and no script. A run that has not ended is shown as far as it went.
    """
    from variegate.report import write_report
    from variegate.store.run_folder import RunFolder

    click.echo(write_report(RunFolder.existing(folder)))

"""`variegate demo`: the whole of it on the embedded model, in one command."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option("-n", "--per-label", type=click.IntRange(min=1), help="Records wanted of each of the 8 labels (40).")
@click.option("-o", "--output", metavar="FOLDER", help="The run folder (runs/demo).")
def command(per_label: int | None, output: str | None) -> None:
    """Make a small data set with the embedded model, repair its labels, and say what it is worth: `variegate run demo`.

    Requests to a voice assistant for eight intents, written by nano-llama (4 M parameters) under vLLM. No network is needed.
    """
    from variegate.cli.generate import read_run_file
    from variegate.cli.run import run_and_print

    config, stages = read_run_file(Path("demo"), (), per_label, output, None)
    run_and_print(config, stages, "report", "auto", as_json=False)

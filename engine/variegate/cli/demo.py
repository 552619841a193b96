"""`variegate demo`: the main job on the embedded model, in one command."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option("-n", "--per-label", type=click.IntRange(min=1), help="Records wanted of each of the 150 labels (10).")
@click.option("-o", "--output", metavar="FOLDER", help="The run folder (runs/demo).")
def command(per_label: int | None, output: str | None) -> None:
    """Generate a small data set with the embedded model: the run that `configs/runs/demo.yaml` describes.

    Requests to a voice assistant for the 150 intents of CLINC150, written by nano-llama (4 M parameters) under vLLM.
    """
    from variegate.cli.generate import generate_and_print, read_run

    config = read_run(Path("demo"), (), per_label, output, None)
    generate_and_print(config, "auto", as_json=False)
    click.echo(f"Look at it: variegate show {config.output}")

"""`variegate schema`: the JSON Schema of a kind of file, for editors."""

from __future__ import annotations

import json

import click


@click.command()
@click.argument("kind", type=click.Choice(["task", "model", "run", "student", "curation", "study"]))
def command(kind: str) -> None:
    """Print the JSON Schema of task, model, run, student, curation or study files.

    A run file may name its task and model instead of holding them, a curation its oracle, a study its run; the schema allows both.
    Task kinds that installed packages add are in it.
    """
    from variegate.config.schema import json_schema

    click.echo(json.dumps(json_schema(kind, installed=True), indent=2))

"""`variegate models`: the bundled models, and those that are prepared from a GGUF file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List the bundled models and say which are on this machine."""
    if context.invoked_subcommand is not None:
        return
    rows = [_row(name) for name in _names()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        click.echo(f"{row['name']:{width}}  {row['state']:8}  {row['place']}")


@command.command()
@click.argument("model", metavar="NAME|FILE")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FOLDER", help="Where a file's model goes (the cache, under its name)."
)
@click.option("--again", is_flag=True, help="Make a bundled model anew, even if it is there.")
def prepare(model: str, output: Path | None, again: bool) -> None:
    """Make a model that comes as a GGUF file into a folder that every engine reads, in float32.

    NAME is one that `variegate models` lists as packaged; FILE a GGUF file of your own.
    """
    from variegate.prepared.cache import prepare as prepare_packaged
    from variegate.prepared.cache import prepare_file
    from variegate.prepared.catalogue import PACKAGED

    def say(text: str) -> None:
        click.echo(text, err=True)

    packaged = PACKAGED.get(model)
    if packaged is None:
        if again:
            raise click.UsageError("--again is for a bundled model: delete the folder of your own, or name another with -o")
        folder = prepare_file(Path(model), output, say)
    else:
        if output is not None:
            raise click.UsageError("-o is for a file of your own: a bundled model has its place in the cache (VARIEGATE_MODELS moves it)")
        folder = prepare_packaged(packaged, say, again=again)
    named = model if packaged else folder
    click.echo(f"{folder}\nUse it: `model: {named}` in a run file, or --set model={named}")


def _names() -> list[str]:
    from variegate.config.resources import bundled

    return list(bundled("models"))


def _row(name: str) -> dict[str, Any]:
    from variegate.config import load_model
    from variegate.prepared.catalogue import PACKAGED
    from variegate.prepared.convert import ABOUT, is_whole

    model = load_model(name)
    path = Path(model.path)
    packaged = PACKAGED.get(name)
    if packaged is not None:
        if (path / ABOUT).is_file():
            whole = is_whole(path, hashes=True)
            state, place = ("prepared", str(path)) if whole else ("damaged", f"{path}: variegate models prepare {name} --again")
        elif packaged.source() is not None:
            state, place = "packaged", f"at first use, or now: variegate models prepare {name}"
        else:
            state, place = "missing", packaged.install
    elif path.is_dir():
        state, place = "bundled", "comes with Variegate"
    else:
        state, place = _of_hub(model.path)
    return {"name": name, "state": state, "place": place}


def _of_hub(name: str) -> tuple[str, str]:
    from variegate.inference.hub import hub_snapshot

    found = hub_snapshot(name, None)
    return ("cached", str(found)) if found is not None else ("missing", f"hub id {name}: download it, or --set model.path=FOLDER")

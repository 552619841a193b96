"""`variegate init`: a commented task file and run file from a file of examples."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from variegate.config.starter import Form


@click.command()
@click.argument("examples", type=click.Path(path_type=Path))
@click.option("--name", help="The task's name; the file's name when absent.")
@click.option("--kind", "kind", default="classification", show_default=True, help="What one example is: `classification` (a text with a label) or `pair` (two texts with a label).")  # fmt: skip
@click.option("--text-field", help="The column or key that holds the text; `text` when absent. Of pairs both, as FIRST,SECOND; when absent `premise,hypothesis` and the like, else the two columns of text.")  # fmt: skip
@click.option("--label-field", default="label", show_default=True, help="The column or key that holds the label.")
@click.option(
    "--written", metavar="FIELD", help="Of pairs: the one that the model writes, while the other is given; the second when absent."
)
@click.option("--text-type", help="What one text is, as a noun: `movie review`; of pairs the one that is written. `text`, or its field's name, when absent.")  # fmt: skip
@click.option("--model", help="A bundled model, a model folder, a model file or a hub id; smollm2-135m when absent, or nano-llama where that is not installed.")  # fmt: skip
@click.option("--output", "-o", "folder", type=click.Path(path_type=Path), default=Path(), help="The folder to write to; here when absent.")
def command(
    examples: Path,
    name: str | None,
    kind: str,
    text_field: str | None,
    label_field: str,
    written: str | None,
    text_type: str | None,
    model: str | None,
    folder: Path,
) -> None:
    """Write NAME.task.yaml and NAME.run.yaml for the labelled EXAMPLES (.csv or .jsonl).

    Both can be used at once and are commented; the labels' descriptions want improving by hand. EXAMPLES itself becomes the
    task's training data; where a label in it is no plain text (a number, or white space around it), a copy with text
    labels does, NAME.train.jsonl. Prints the paths that were written.
    """
    from variegate.config.examples import data_lines, default_name, read_examples, warnings
    from variegate.config.load import load_model, load_run, load_task
    from variegate.config.starter import starter_run, starter_task
    from variegate.errors import UsageError
    from variegate.store.files import check_file, write_atomic

    form = _form(examples, kind, text_field, label_field, written, text_type)
    read = read_examples(examples, form.text_fields, label_field)
    name = _checked_name(name or default_name(examples))
    model = model or _default_model()
    load_model(model)  # refuse an unknown model before anything is written
    if Path(model).exists():
        model = str(Path(model).resolve())  # the run file may stand elsewhere

    task_path, run_path, data_path = (folder / f"{name}.{ending}" for ending in ("task.yaml", "run.yaml", "train.jsonl"))
    paths = [task_path, run_path, *([] if read.as_they_stand else [data_path])]
    for path in paths:
        check_file(path)
        if path.exists():
            raise UsageError(f"{path}: exists already: choose another --name or another folder with -o, or delete it")

    schemas = _write_schemas(folder)
    train = data_path.name if not read.as_they_stand else _relative(examples, folder)
    if not read.as_they_stand:
        write_atomic(data_path, data_lines(read, form.text_fields, label_field))
    write_atomic(task_path, starter_task(name, read, form, train=train, schema=schemas.get("task")).encode())
    write_atomic(run_path, starter_run(name, task_path.name, model, len(read.rows), schemas.get("run")).encode())
    load_task(str(task_path))
    load_run(run_path)

    for path in paths:
        click.echo(path)
    for warning in warnings(read):
        click.echo(f"Warning: {warning}", err=True)
    if not read.as_they_stand:
        click.echo(
            f"Labels that are numbers or begin or end with white space became plain text: {examples} was copied to {data_path}.", err=True
        )
    click.echo(f"{len(read.rows)} examples, {len(read.label_counts)} labels. Next:", err=True)
    click.echo(f"  1. improve the descriptions in {task_path}", err=True)
    click.echo(f"  2. variegate plan {run_path}", err=True)
    click.echo(f"  3. variegate preview {run_path}", err=True)
    click.echo(f"  4. variegate run {run_path}", err=True)


def _default_model() -> str:
    """The smallest real model that is there without a network; else the embedded toy."""
    from variegate.config.resources import models_folder
    from variegate.prepared.catalogue import PACKAGED
    from variegate.prepared.convert import is_whole

    chat = PACKAGED["smollm2-135m"]
    return chat.name if chat.source() is not None or is_whole(models_folder() / chat.name) else "nano-llama"


def _form(examples: Path, kind: str, text_field: str | None, label_field: str, written: str | None, text_type: str | None) -> Form:
    """Raises UsageError for a kind that has no starter files, and for fields that cannot be a pair's."""
    from variegate.config.examples import find_pair
    from variegate.config.starter import Form
    from variegate.errors import UsageError
    from variegate.kinds import find_kind
    from variegate.kinds.pair import wrong_side

    if text_type is not None and not text_type.strip():
        raise UsageError("--text-type is empty: say what one text is, as a noun, e.g. 'movie review'")
    find_kind(kind)  # one that is not known is named, with those that are
    if kind == "classification":
        if written is not None:
            raise UsageError("--written is about pairs, and this is --kind classification: leave it out")
        return Form("classification", (text_field or "text",), label_field, (text_type or "text").strip())
    if kind != "pair":
        raise UsageError(f"--kind {kind}: `variegate init` writes task files of the kinds classification and pair: write this one by hand")
    fields = find_pair(examples, label_field) if text_field is None else tuple(each.strip() for each in text_field.split(","))
    if len(fields) != 2:
        raise UsageError(f"--text-field {text_field!r}: expected the two fields of a pair, as FIRST,SECOND")
    for field in fields:
        if wrong := wrong_side(field):
            raise UsageError(f"{examples}: {wrong}")
    if written not in (None, *fields):
        raise UsageError(f"--written {written!r}: expected one of the pair's two, {' or '.join(fields)}")
    own = fields.index(written or fields[1])
    return Form("pair", fields, label_field, (text_type or fields[own].replace("_", " ")).strip(), own)


def _checked_name(name: str) -> str:
    from pydantic import TypeAdapter, ValidationError

    from variegate.closed import Name
    from variegate.errors import UsageError

    try:
        return str(TypeAdapter(Name).validate_python(name))
    except ValidationError:
        raise UsageError(f"--name {name!r}: expected letters, digits, dots, dashes and underscores, a letter or digit first") from None


def _relative(examples: Path, folder: Path) -> str:
    """The examples as seen from the task file: a relative path within its folder, else an absolute one."""
    place, home = examples.resolve(), folder.resolve()
    return os.path.relpath(place, home) if place.is_relative_to(home) else str(place)


def _write_schemas(folder: Path) -> dict[str, str]:
    """kind -> the JSON Schema's path as seen from the files, for editors. What else stands under that name is left alone."""
    from variegate.config.schema import json_schema
    from variegate.store.files import write_atomic

    schemas = {}
    for kind in ("task", "run"):
        path = folder / "schema" / f"{kind}.schema.json"
        if os.path.lexists(path) and not _is_ours(path):
            continue
        write_atomic(path, (json.dumps(json_schema(kind, installed=True), indent=2) + "\n").encode())
        schemas[kind] = f"schema/{path.name}"
    return schemas


def _is_ours(schema: Path) -> bool:
    return schema.is_file() and not schema.is_symlink() and b'"title": "Variegate' in schema.read_bytes()[:400]

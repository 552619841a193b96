"""`variegate evaluate STUDENT TEST`: scores of a saved student, and a comparison with another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("student", type=click.Path(path_type=Path))
@click.argument("test")
@click.option("--against", metavar="STUDENT", type=click.Path(path_type=Path), help="Compare with this one on the same texts, by a paired bootstrap.")  # fmt: skip
@click.option("--text-field", help="Field of TEST that holds the text; two joined by a comma for text pairs. Otherwise text, sentence and the like.")  # fmt: skip
@click.option("--label-field", help="Field of TEST that holds the label. Otherwise label, intent, category or class.")
@click.option("--split", help="Split of TEST, where it is a Hugging Face folder with several.")
@click.option("--curation", metavar="NAME", help="Where TEST is a run folder: what this curation kept, with its labels.")
@click.option("--drop-overlap", is_flag=True, help="Leave test texts that a student was trained on out, rather than refuse.")
@click.option("--leave-out", multiple=True, metavar="LABEL", help="Leave the texts with this label out; may be given more than once.")
@click.option("--skip-bad-rows", is_flag=True, help="Leave bad rows out and count them, rather than stop at the first.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Of the bootstraps.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Also write the scores as JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON instead of tables.")
def command(student: Path, test: str, against: Path | None, output: Path | None, as_json: bool, **options: Any) -> None:
    """Judge the saved STUDENT on TEST.

    STUDENT is a folder that `variegate train` wrote, with all its seeds or one of them, or any Hugging Face folder of a sequence
    classifier whose labels are named. TEST is whatever `variegate train` takes.
    """
    from variegate.cli.progress import make_progress
    from variegate.errors import UsageError
    from variegate.pipeline.training.evaluate import evaluate_saved, load_students
    from variegate.pipeline.training.splits import Source, read_one
    from variegate.store.files import check_file, write_atomic

    if output is not None:
        if test != "-" and output.resolve() == Path(test).resolve():
            raise UsageError(f"{output}: would be written over the test data: name another file")
        check_file(output)
    progress = make_progress()
    try:
        progress.update("reading the test data", 0, 1)
        source = Source(test, options["text_field"], options["label_field"], options["split"], options["curation"])
        texts, warnings = read_one(source, leave_out=options["leave_out"], strict=not options["skip_bad_rows"])
        progress.update("loading the student", 0, 1)
        saved = load_students(student, pairs=texts.pairs)
        other = None if against is None else load_students(against, pairs=texts.pairs)
        found = evaluate_saved(
            saved, texts, against=other, drop_overlap=options["drop_overlap"], seed=options["seed"], progress=progress.update
        )
    finally:
        progress.stop()
    found["warnings"] = warnings
    data = json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False)
    if output is not None:
        write_atomic(output, f"{data}\n".encode())
        click.echo(f"Wrote {output}", err=True)
    if as_json:
        click.echo(data)
    else:
        from variegate.cli.scores_table import print_evaluation

        print_evaluation(found)

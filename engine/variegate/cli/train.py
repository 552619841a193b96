"""`variegate train SET`: a student on a set, judged on real data."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from variegate.config.student import SpanStudentConfig, StudentConfig
    from variegate.pipeline.training.splits import Splits

_DEFAULT_SEEDS = 3


@click.command()
@click.argument("source", metavar="SET")
@click.option("--test", metavar="REAL", help="The real data the student is judged by. Of a run folder: otherwise its task's test data.")
@click.option("--dev", metavar="REAL", help="The real data that says when to stop, where the student stops early. Of a run folder: otherwise its task's dev data.")  # fmt: skip
@click.option("--dev-share", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="Split this share of SET off as dev data instead.")  # fmt: skip
@click.option("--student", default="logistic_regression", show_default=True, metavar="NAME|FILE", help="A bundled student or a YAML file: see docs/training.md.")  # fmt: skip
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a field of the student: --set learning_rate=2e-5.")
@click.option("--seeds", type=click.IntRange(min=1), help=f"How often to train, each time with another seed. Otherwise {_DEFAULT_SEEDS}; 1 for logistic_regression, which depends on no seed.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="The first seed.")
@click.option("--curation", metavar="NAME", help="Of a run folder: train on what this curation kept, with its labels.")
@click.option("--where", multiple=True, metavar="FIELD=VALUE", help="Of a run folder: train on the records of which this holds, such as 'alpha<0.8': = != < <= > >=, of a field of their origin or of what their strategy noted; may be given more than once.")  # fmt: skip
@click.option("--examples", metavar="REAL", help="The real examples that you have without SET: a student of them alone stands beside. Of a run folder: otherwise its task's train file, or what the run drew of a large one.")  # fmt: skip
@click.option("--with-examples", is_flag=True, help="Train on SET and those examples together.")
@click.option("--no-baselines", is_flag=True, help="Train no students to stand beside this one, and give no verdict.")
@click.option("--drop-overlap", is_flag=True, help="Leave training texts that also stand in the dev or test data out, rather than refuse.")
@click.option("--leave-out", multiple=True, metavar="LABEL", help="Leave the texts with this label out of all sets; may be given more than once.")  # fmt: skip
@click.option("--text-field", help="Field of SET that holds the text; two joined by a comma for text pairs. Otherwise text, sentence and the like.")  # fmt: skip
@click.option("--label-field", help="Field of SET that holds the label. Otherwise label, intent, category or class.")
@click.option("--split", help="Split of SET, where it is a Hugging Face folder with several.")
@click.option("--test-text-field", help="Field of REAL that holds the text.")
@click.option("--test-label-field", help="Field of REAL that holds the label.")
@click.option("--test-split", help="Split of the test data, where they are a Hugging Face folder with several.")
@click.option("--dev-split", help="Split of the dev data, likewise.")
@click.option("--skip-bad-rows", is_flag=True, help="Leave bad rows out and count them, rather than stop at the first.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The folder for the students and their scores. Of a run folder: otherwise students/NAME in it.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace an earlier training in that folder, when the new one is done.")
@click.option("--no-save", is_flag=True, help="Only print the scores.")
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON instead of a table.")
def command(source: str, as_json: bool, **options: Any) -> None:
    """Train a student on SET, judge it on real data, and say whether SET helps.

    SET, and the real data, are each a JSONL, CSV, TSV, Parquet or JSON file, a run folder, a Hugging Face data set folder, or -
    for standard input. The student is trained with several seeds; the mean score and its spread are shown, beside
    the majority class, students of the real examples without and with SET, and one of as many real texts. A text that stands in
    two of the sets is an error.
    """
    from variegate.cli.progress import make_progress
    from variegate.config.load import load_student
    from variegate.config.student import SpanStudentConfig
    from variegate.pipeline.training.train import STUDENTS, check_output, train_students
    from variegate.store.where import Condition
    from variegate.students import depends_on_seed

    config = load_student(options["student"], options["overrides"])
    run = Path(source) if source != "-" and (Path(source) / "run.yaml").is_file() else None
    options["where"] = tuple(map(Condition.parse, options["where"]))
    asked = [condition.name for condition in options["where"]]
    parts = (Path(options["student"]).stem, options["curation"], *asked, "with-examples" if options["with_examples"] else None)
    name = "-".join(part for part in parts if part)
    output = _output(run, name, source, options)
    if output is not None:
        check_output(output, overwrite=options["overwrite"], run=run)
    if isinstance(config, SpanStudentConfig):
        _train_on_questions(config, run, output, options, as_json)
        return
    count = options["seeds"] or (_DEFAULT_SEEDS if depends_on_seed(config) else 1)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a scheduler's stop is a Ctrl-C: nothing half-written stays
    progress = make_progress()
    try:
        progress.update("reading the sets", 0, 1)
        splits = _read(source, config, options)
        scores = train_students(
            config,
            splits,
            seeds=range(options["seed"], options["seed"] + count),
            output=output,
            overwrite=options["overwrite"],
            baselines=not options["no_baselines"],
            progress=progress.update,
        )
    finally:
        progress.stop()
    _print(scores, name, as_json)
    if output is not None:
        _say("Wrote", output)
        if run is not None and output.resolve().parent == (run / STUDENTS).resolve():
            from variegate.report import write_report
            from variegate.store.run_folder import RunFolder

            _say("Wrote", write_report(RunFolder.existing(run)))


def _train_on_questions(config: SpanStudentConfig, run: Path | None, output: Path | None, options: dict[str, Any], as_json: bool) -> None:
    from variegate.cli.progress import make_progress
    from variegate.errors import UsageError
    from variegate.pipeline.training.spans import in_words, train_on_questions

    if run is None:
        raise UsageError(f"student {config.kind}: learns from a run's records: give the folder of a run of kind extractive_qa")
    for option in ("test", "dev", "dev_share", "curation", "where", "examples", "with_examples", "text_field", "label_field", "leave_out"):
        if options[option]:
            raise UsageError(f"--{option.replace('_', '-')}: a student of questions is judged on the task's own test data: leave it out")
    count = options["seeds"] or _DEFAULT_SEEDS
    progress = make_progress()
    try:
        seeds = range(options["seed"], options["seed"] + count)
        summary = train_on_questions(config, run, seeds=seeds, output=output, progress=progress.update)
    finally:
        progress.stop()
    click.echo(json.dumps(summary, indent=2, ensure_ascii=False) if as_json else "\n".join(in_words(summary)))
    if output is not None:
        _say("Wrote", output)


def _output(run: Path | None, name: str, source: str, options: dict[str, Any]) -> Path | None:
    from variegate.errors import UsageError
    from variegate.pipeline.training.train import STUDENTS

    if options["no_save"]:
        for other in ("output", "overwrite"):
            if options[other]:
                raise UsageError(f"--no-save and --{other}: nothing is stored: leave one out")
        return None
    if options["output"] is not None:
        return Path(options["output"])
    if run is None:
        raise UsageError(
            f"{source}: is no run folder: say where the student goes with -o FOLDER, or only look at its scores with --no-save"
        )
    return run / STUDENTS / name


def _read(source: str, config: StudentConfig, options: dict[str, Any]) -> Splits:
    from variegate.errors import UsageError
    from variegate.pipeline.training.splits import Source, read_splits

    for option, of, given in (("dev_split", "--dev", options["dev"]), ("test_split", "--test", options["test"])):
        if options[option] is not None and given is None:
            raise UsageError(f"--{option.replace('_', '-')} is about the data of {of}, and there are none: name them with {of}")
    if all(options[name] is None for name in ("test", "dev", "examples")):
        for option in ("test_text_field", "test_label_field"):
            if options[option] is not None:
                raise UsageError(
                    f"--{option.replace('_', '-')} is about the data of --test, --dev and --examples, and there are none: name them"
                )
    real = {"text_field": options["test_text_field"], "label_field": options["test_label_field"]}
    return read_splits(
        Source(source, options["text_field"], options["label_field"], options["split"], options["curation"], options["where"]),
        None if options["test"] is None else Source(options["test"], **real, split=options["test_split"]),
        None if options["dev"] is None else Source(options["dev"], **real, split=options["dev_split"]),
        wants_dev=getattr(config, "patience", None) is not None,
        dev_share=options["dev_share"],
        drop_overlap=options["drop_overlap"],
        leave_out=options["leave_out"],
        strict=not options["skip_bad_rows"],
        seed=options["seed"],
        examples=None if options["examples"] is None else Source(options["examples"], **real),
        with_real=not options["no_baselines"],
        with_examples=options["with_examples"],
    )


def _print(scores: dict[str, Any], name: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(scores, indent=2, ensure_ascii=False, allow_nan=False))
        return
    from variegate.cli.scores_table import print_training

    print_training(scores, name)


def _say(what: str, path: Path) -> None:
    from variegate.report.visible import visible

    click.echo(f"{what} {visible(str(path))}", err=True)

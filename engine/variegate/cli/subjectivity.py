"""`variegate subjectivity`: how far labels of one text agree, what that costs students, and which tasks are more objective."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from variegate.config import ModelConfig
    from variegate.pipeline.subjectivity.annotations import Annotated
    from variegate.pipeline.subjectivity.instances import StudentAnswers
    from variegate.pipeline.subjectivity.task_votes import TaskVotes

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


def _model_options(function: Any) -> Any:
    for option in (
        click.option("--votes-folder", type=_FOLDER, help="Where the model's votes are kept; the same command goes on from there."),
        click.option("--backend", type=click.Choice(("vllm", "transformers")), help="The engine. Otherwise the model's own."),
    ):
        function = option(function)
    return function


def _output_options(function: Any) -> Any:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the measurement as JSON instead of tables."),
        click.option("--html", type=_FILE, help="Also write it as one HTML page."),
        click.option("-o", "--output", type=_FILE, help="Also write the measurement as JSON."),
        click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Of every draw: votes and intervals."),
    ):
        function = option(function)
    return function


@click.group()
def command() -> None:
    """Measure how subjective a task is, and how risky synthetic data is for it.

    `instances` measures agreement on each text, and students' accuracy over it; `tasks` ranks tasks by votes on pairs.
    """


@command.command()
@click.argument("source", metavar="FILE")
@click.option("--text-field", help="Field that holds the text; two joined by a comma for pairs. Otherwise text, sentence, utterance and the like.")  # fmt: skip
@click.option("--id-field", help="Field that says which text a row is about; '' for the text itself. Otherwise id.")
@click.option("--label-field", help="Field with one annotator's label, where every row is one label. Otherwise label.")
@click.option("--annotator-field", help="Field that says who gave that label. Otherwise annotator, worker, judge, rater or user.")
@click.option("--labels-field", help="Field with the list of a text's labels. Otherwise labels.")
@click.option("--columns", help="The annotators' columns, joined by commas, where every row is a text.")
@click.option("--true-field", help="Field with the true label; '' for none. Otherwise label, where rows are texts; without one, the majority's.")  # fmt: skip
@click.option("--task", metavar="TASK", help="The task, a bundled one's name or a file: no other labels may occur. --model needs it.")
@click.option("--model", metavar="MODEL", help="Ask this model K times for the label of each text of FILE, instead of reading labels.")
@click.option("--votes", type=click.IntRange(min=2), default=5, show_default=True, metavar="K", help="Answers a text.")
@click.option("--temperature", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True, help="Of the answers. The lower, the more they agree.")  # fmt: skip
@click.option("--class-block/--no-class-block", default=True, show_default=True, help="List the labels with their descriptions in the prompt.")  # fmt: skip
@_model_options
@click.option("--synthetic", type=click.Path(path_type=Path), help="The student trained on synthetic data: a saved student's folder, or a file of predictions (id or text, and label).")  # fmt: skip
@click.option("--real", type=click.Path(path_type=Path), help="The one trained on real data, likewise.")
@click.option("--student", "others", multiple=True, metavar="NAME=PATH", help="Further students.")
@click.option("--gamma", "gammas", multiple=True, metavar="SHARE", help="Accuracy on texts whose agreement is at least this, e.g. 0.8 or 2/3. Otherwise every share that occurs.")  # fmt: skip
@click.option("--task-votes", type=_FILE, metavar="VOTES", help="Votes on pairs of tasks, this one among them; see `variegate subjectivity tasks`.")  # fmt: skip
@click.option("--name", metavar="TASK", help="This task's name in the votes. Otherwise that of --task.")
@_output_options
def instances(
    source: str,
    task: str | None,
    task_votes: Path | None,
    name: str | None,
    output: Path | None,
    html: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure how far the labels of each text agree, and how accurate students are where they do.

    FILE is JSONL, CSV, TSV or JSON. Its rows are single labels (text or id, label, annotator); or texts with a list of labels,
    or with a column for each annotator (--columns). With --model it is any set of texts, as `variegate measure` reads them.
    """
    from variegate.cli.progress import make_progress
    from variegate.config import load_task
    from variegate.pipeline.subjectivity.measure import measure_subjectivity
    from variegate.pipeline.subjectivity.task_votes import read_task_votes

    _check_outputs([each for each in (output, html) if each is not None], [source, task_votes, options["synthetic"], options["real"]])
    _check_instances(options, task, task_votes, name)
    config = None if task is None else load_task(task)
    progress = make_progress()
    try:
        items, about = _voted(source, config, options, progress) if options["model"] else (_read(source, options), {})
        measurement = measure_subjectivity(
            items,
            None if task_votes is None else read_task_votes(task_votes),
            source=about,
            students=_students(items, options, progress),
            gammas=[_share(each) for each in options["gammas"]],
            task=config,
            name=name,
            seed=options["seed"],
        )
    finally:
        progress.stop()
    _show(measurement, output, html, as_json=as_json)


@command.command()
@click.argument("votes", metavar="[VOTES]", required=False, type=_FILE)
@click.option("--compare", multiple=True, metavar="TASK", help="Let --model compare these tasks, bundled ones' names or files; two or more.")  # fmt: skip
@click.option("--model", metavar="MODEL", help="The judge: a model's name, file or folder.")
@click.option("--comparisons", type=click.IntRange(min=1), default=3, show_default=True, help="Of each pair, each with other instances, in both orders.")  # fmt: skip
@click.option("--instances", type=click.IntRange(min=0), default=3, show_default=True, help="Real texts of each task that the judge sees.")
@_model_options
@click.option("--name", metavar="TASK", help="The task in question.")
@click.option("--prior", type=click.FloatRange(min=0.001), default=0.5, show_default=True, help="Won and lost votes that each task is given, spread over all others.")  # fmt: skip
@click.option("--draws", type=click.IntRange(min=100), default=2000, show_default=True, help="Resamples behind the intervals.")
@click.option("--resample", type=click.Choice(("votes", "judges")), default="votes", show_default=True, help="What a resample draws; judges, where each gave several votes.")  # fmt: skip
@_output_options
def tasks(
    votes: Path | None,
    compare: tuple[str, ...],
    name: str | None,
    prior: float,
    draws: int,
    resample: str,
    output: Path | None,
    html: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Rank tasks from the most objective to the most subjective, by votes on pairs.

    VOTES is JSONL, CSV, TSV or JSON with a row for each vote: `winner` (the more objective task), `loser`, and `judge` where it
    is known. Without it, --model votes on all pairs of the tasks named with --compare.
    """
    from variegate.cli.progress import make_progress
    from variegate.pipeline.subjectivity.measure import RankSettings, measure_subjectivity
    from variegate.pipeline.subjectivity.task_votes import read_task_votes

    _check_outputs([each for each in (output, html) if each is not None], [votes])
    _check_tasks(votes, compare, options)
    progress = make_progress()
    try:
        found = _judged(compare, options, progress) if votes is None else read_task_votes(votes)
        measurement = measure_subjectivity(None, found, name=name, ranking=RankSettings(prior, draws, resample), seed=options["seed"])
    finally:
        progress.stop()
    _show(measurement, output, html, as_json=as_json)


# -- checks ----------------------------------------------------------------------------------------------------


def _given(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def _refuse(names: tuple[str, ...], why: str) -> None:
    """An option that would be ignored is an error."""
    from variegate.errors import UsageError

    for name in names:
        if _given(name):
            raise UsageError(f"--{name.replace('_', '-')}: {why}: leave it out")


def _check_outputs(outputs: list[Path], sources: list[Path | str | None]) -> None:
    from variegate.errors import UsageError
    from variegate.store.files import check_file

    for path in outputs:
        if any(source is not None and path.resolve() == Path(source).resolve() for source in sources):
            raise UsageError(f"{path}: would be written over the data that is to be read: name another file")
        check_file(path)
    if len({path.resolve() for path in outputs}) < len(outputs):
        raise UsageError(f"{outputs[0]}: --output and --html name the same file: name two")


def _check_instances(options: dict[str, Any], task: str | None, task_votes: Path | None, name: str | None) -> None:
    from variegate.errors import UsageError

    if options["model"] is None:
        _refuse(("votes", "temperature", "class_block", "votes_folder", "backend"), "is about a model's votes, and there is no --model")
    else:
        _refuse(("id_field", "label_field", "annotator_field", "labels_field", "columns"), "the labels come from --model")
        if task is None:
            raise UsageError("--model: needs the labels to choose from: name the task with --task")
        if options["votes_folder"] is None:
            raise UsageError("--model: needs a folder where its votes are kept: name one with --votes-folder")
    if task_votes is None and name is not None:
        raise UsageError("--name: is about the votes on tasks, and there are none: name them with --task-votes")


def _check_tasks(votes: Path | None, compare: tuple[str, ...], options: dict[str, Any]) -> None:
    from variegate.errors import UsageError

    if votes is not None:
        _refuse(("compare", "model", "comparisons", "instances", "votes_folder", "backend"), "the votes come from a file")
        return
    for option, value in (("--compare", compare), ("--model", options["model"]), ("--votes-folder", options["votes_folder"])):
        if not value:
            raise UsageError(f"{option} is missing: give a file of votes, or let a model vote with --compare, --model and --votes-folder")


def _share(text: str) -> float:
    """`0.8`, `2/3`: exactly the share of that many annotators."""
    from fractions import Fraction

    from variegate.errors import UsageError

    try:
        value = float(Fraction(text))
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"--gamma {text}: expected a share such as 0.8 or 2/3") from error
    if not 0 <= value <= 1:
        raise UsageError(f"--gamma {text}: expected a share from 0 to 1")
    return value


# -- input -----------------------------------------------------------------------------------------------------


def _read(source: str, options: dict[str, Any]) -> Annotated:
    from variegate.pipeline.subjectivity.annotations import Asks, read_annotations

    columns = tuple(filter(None, (each.strip() for each in (options["columns"] or "").split(","))))
    asks = Asks(
        text=options["text_field"],
        label=options["label_field"],
        labels=options["labels_field"],
        columns=columns,
        annotator=options["annotator_field"],
        true=options["true_field"],
        id=options["id_field"],
    )
    return read_annotations(Path(source), asks)


def _model(options: dict[str, Any]) -> ModelConfig:
    from variegate.config import load_model

    return load_model(options["model"], () if options["backend"] is None else (f"engine.backend={options['backend']}",))


def _voted(source: str, task: Any, options: dict[str, Any], progress: Any) -> tuple[Annotated, dict[str, Any]]:
    from variegate.pipeline.subjectivity.model_votes import VoteSettings, ask_model
    from variegate.store.texts import read_texts

    texts = read_texts(source, text_field=options["text_field"], label_field=options["true_field"])
    settings = VoteSettings(
        model=_model(options),
        votes=options["votes"],
        temperature=options["temperature"],
        seed=options["seed"],
        class_block=options["class_block"],
    )
    return ask_model(texts, task, settings, options["votes_folder"], progress=progress)


def _students(items: Annotated, options: dict[str, Any], progress: Any) -> list[StudentAnswers]:
    from variegate.errors import UsageError
    from variegate.pipeline.subjectivity.instances import REAL, SYNTHETIC, StudentAnswers
    from variegate.pipeline.subjectivity.predictions import predict_with, read_predictions

    named = [(name, options[name]) for name in (SYNTHETIC, REAL) if options[name] is not None]
    for each in options["others"]:
        name, equals, path = each.partition("=")
        if not (name and equals and path):
            raise UsageError(f"--student {each}: expected NAME=PATH, such as --student few-shot=predictions.jsonl")
        if name in {SYNTHETIC, REAL, *(other for other, _ in named)}:
            raise UsageError(f"--student {each}: there is a student {name!r} already: choose another name")
        named.append((name, Path(path)))
    out = []
    for name, path in named:
        progress.update(f"reading {path}", 0, 1)
        if path.is_dir():
            out.append(StudentAnswers(name, str(path), "student", predict_with(path, items, progress.update)))
        else:
            out.append(StudentAnswers(name, str(path), "file", read_predictions(path, items, options["text_field"])))
    return out


def _judged(compare: tuple[str, ...], options: dict[str, Any], progress: Any) -> TaskVotes:
    from variegate.config import load_task
    from variegate.pipeline.subjectivity.judge import JudgeSettings, judge_tasks

    settings = JudgeSettings(
        model=_model(options),
        comparisons=options["comparisons"],
        instances=options["instances"],
        seed=options["seed"],
    )
    return judge_tasks([load_task(each) for each in compare], settings, options["votes_folder"], progress=progress)


# -- output ----------------------------------------------------------------------------------------------------


def _show(measurement: dict[str, Any], output: Path | None, html: Path | None, *, as_json: bool) -> None:
    import json

    from variegate.report.visible import visible
    from variegate.store.files import write_atomic

    text = json.dumps(measurement, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        if output is not None:
            write_atomic(output, f"{text}\n".encode())
            click.echo(f"Wrote {visible(str(output))}", err=True)
        if html is not None:
            from variegate.report.subjectivity import write_subjectivity_report

            click.echo(f"Wrote {visible(str(write_subjectivity_report(measurement, html)))}", err=True)
    finally:  # a measurement that cannot be written is at least shown
        if as_json:
            click.echo(text)
            for warning in measurement["warnings"]:
                click.echo(f"note: {visible(warning)}", err=True)
        else:
            from variegate.cli.subjectivity_table import print_subjectivity

            print_subjectivity(measurement, wide=not sys.stdout.isatty())

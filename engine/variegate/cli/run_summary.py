"""What a whole run came to, on the terminal: texts, labels that were repaired, the student beside its baselines, and last the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from variegate.cli.generate import print_dropped

if TYPE_CHECKING:
    from variegate.config import RunConfig
    from variegate.config.stages import StagesConfig
    from variegate.pipeline.plan import Plan
    from variegate.pipeline.stages.run import RunOfStages
    from variegate.pipeline.stages.stage import Outcome

_TEXTS = 8  # shown: of as many labels
_REPAIRED = 4  # shown, of those whose label changed


def print_run(done: RunOfStages, stages: StagesConfig) -> None:
    """Numbers and texts to standard output, notes to standard error."""
    from variegate.report.visible import visible
    from variegate.store.run_folder import RunFolder
    from variegate.store.verdicts import CURATED, CurationFolder

    generated, curated, scores = done.facts("generate"), done.facts("curate"), done.facts("evaluate")
    _print_texts(done, stages)
    print_dropped(generated)
    if curated is not None:
        click.echo(f"Curated: {_words(done, 'curate')}.")
        _print_repaired(done, stages)
    if done.facts("measure") is not None:
        click.echo(f"Measured: {_words(done, 'measure')}.")
    records = generated.folder / "records.jsonl"
    if curated is not None:
        records = CurationFolder(RunFolder(generated.folder), curated["name"]).path / CURATED
    click.echo(f"Records: {visible(str(records))}")
    if (report := done.facts("report")) is not None:
        click.echo(f"Report:  {visible(str(report))}")
    if scores is not None:
        click.echo()
        _print_worth(scores)
    elif (why := next((each.words for each in done.outcomes if each.stage == "evaluate"), None)) is not None:
        click.echo(f"No verdict: {why}.")


def _print_worth(scores: Mapping[str, Any]) -> None:
    if "verdict" in scores:
        from variegate.cli.scores_table import print_worth

        print_worth(scores)
        return
    from variegate.pipeline.training.spans import in_words
    from variegate.report.visible import visible

    for line in in_words(scores):
        click.echo(visible(line))


def print_outlook(config: RunConfig, outcomes: Sequence[Outcome], plan: Plan) -> None:
    """A line a stage, and what is known of the time."""
    from variegate.cli.plan import print_folder, print_time
    from variegate.report.visible import visible

    for each in outcomes:
        verb = {"made": "would be made", "reused": "is there", "skipped": "skipped"}[each.status]
        click.echo(f"{each.stage:9} {verb:13} {visible(each.words)}")
    click.echo()
    print_folder(config, plan)
    print_time(plan)
    if plan.estimate is None:
        click.echo("No time is estimated: --measure 64 starts the engine, and times as many rows of what is to be generated.")
    click.echo("Not included: the other stages. Each says how long it will take when it has begun.")
    for refusal in plan.refusals:
        click.echo(f"Would fail: {visible(refusal)}")


def _words(done: RunOfStages, name: str) -> str:
    return next(each.words for each in done.outcomes if each.stage == name)


def _rows(done: RunOfStages, stages: StagesConfig) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(given label, final label, fields) of the records that stay."""
    from variegate.store.run_folder import RunFolder
    from variegate.store.verdicts import CurationFolder

    run = RunFolder(done.folder)
    if done.facts("curate") is None or stages.curate is None:
        for record in run.records():
            label = str(record.fields.get("label", ""))  # some kinds have none
            yield label, label, record.fields
        return
    for row in CurationFolder(run, stages.curate.name).rows():
        yield row["given_label"], row["label"], row


def _print_texts(done: RunOfStages, stages: StagesConfig) -> None:
    """The first text of each of the first labels."""
    first: dict[str, Mapping[str, Any]] = {}
    for _, final, fields in _rows(done, stages):
        first.setdefault(final, fields)
    _print(done, [(label, first[label]) for label in sorted(first)[:_TEXTS]])
    if len(first) > _TEXTS:
        click.echo(f"... and {len(first) - _TEXTS} more labels: variegate show {done.folder}")
    click.echo()


def _print_repaired(done: RunOfStages, stages: StagesConfig) -> None:
    """Those first of which the curation is surest."""
    changed = [(f"{given} -> {final}", fields) for given, final, fields in _rows(done, stages) if given != final]
    _print(done, sorted(changed, key=lambda each: -(each[1]["confidence"] or 0.0))[:_REPAIRED])


def _print(done: RunOfStages, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    from variegate.cli.measures_table import one_line
    from variegate.store.kind import kind_of_run
    from variegate.store.run_folder import RunFolder

    kind = kind_of_run(RunFolder(done.folder))
    heads = [one_line(head) for head, _ in rows]
    for head, (_, fields) in zip(heads, rows, strict=True):
        click.echo(f"  {head:<{max(map(len, heads))}}  {one_line(kind.show(fields))}")

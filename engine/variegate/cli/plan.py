"""`variegate plan RUN.yaml`: what the run would do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from variegate.cli.generate import read_run, run_options

if TYPE_CHECKING:
    from variegate.config import RunConfig
    from variegate.pipeline.plan import Plan


@click.command()
@run_options
@click.option("--measure", type=click.IntRange(min=0), default=0, metavar="ROWS", help="Start the engine and time this many rows (not stored) for an estimate of the time.")  # fmt: skip
@click.option("--prompts", type=click.IntRange(min=0), default=2, show_default=True, help="How many labels' prompts to show.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def command(
    run_file: Path,
    overrides: tuple[str, ...],
    per_label: int | None,
    output: str | None,
    seed: int | None,
    measure: int,
    prompts: int,
    as_json: bool,
) -> None:
    """Say what a run would do, without generating: counts, prompts, tokens, time, reuse.

    Exits with 1 when the run would be refused or would drop prompts as too long.
    """
    from variegate.cli.progress import make_progress
    from variegate.pipeline.plan import make_plan

    config = read_run(run_file, overrides, per_label, output, seed)
    with make_progress() as progress:
        plan = make_plan(config, measure=measure, num_samples=prompts, progress=progress)
    if as_json:
        click.echo(json.dumps(plan.to_json(), indent=2))
    else:
        click.echo(
            f"Task {config.task.name}: {plan.labels} labels x {config.target.per_label} records = {plan.target}, at most {plan.max_requests} requests."
        )
        click.echo(f"Model {config.model.name} ({config.model.path}) on {config.model.engine.backend}; {config.strategy.words()}.")
        print_folder(config, plan)
        if plan.feeds_back and not plan.share_under_feedback:
            click.echo("Feedback: none acts, since all is asked for in one block: raise the target, or set rounds.first lower.")
        elif plan.feeds_back:
            click.echo(
                f"Feedback: {plan.blocks} blocks a label, each made under what came before; {plan.share_under_feedback:.0%} of the records are."
            )
        if plan.next_work:
            click.echo(f"Next: the work {plan.next_work}, and what is asked after it depends on what it finds.")
        limit = f" of {plan.max_model_len}" if plan.max_model_len else ""
        click.echo(
            f"Next round: {plan.next_round} requests; prompts of {plan.prompt_tokens_mean:.0f} tokens on average, {plan.prompt_tokens_max} at most{limit}; up to {plan.new_tokens_max} new tokens each."
        )
        for sample in plan.samples:
            click.echo(f"\n--- prompt for {sample['label']}")
            for message in sample["messages"]:
                click.echo(f"[{message['role']}]\n{message['content']}" if config.model.chat else message["content"])
        print_time(plan)
        for refusal in plan.refusals:
            click.echo(f"\nWould fail: {refusal}")
    if plan.refusals:
        click.get_current_context().exit(1)


def print_folder(config: RunConfig, plan: Plan) -> None:
    """What is there already, and what becomes of it."""
    click.echo(f"Folder {config.output}: {plan.kept} records are there and stay; {plan.reusable} rows need no generation.")
    if plan.changes:
        more = f" and {len(plan.changes) - 5} more" if len(plan.changes) > 5 else ""
        click.echo(f"Changed since the run that it holds: {'; '.join(plan.changes[:5])}{more}.")
    if plan.set_aside:
        click.echo(
            f"Set aside would be {plan.set_aside} round{'s' * (plan.set_aside > 1)} that no longer fit; nothing is deleted, and rows that the change"
            " leaves alone are used again."
        )


def print_time(plan: Plan) -> None:
    """What generating the rest would take. Nothing where no rows were timed."""
    from variegate.progress import spelt

    found = plan.estimate
    if found is None:
        return
    timed = f"{found.measured_rows} were timed, all at once, {found.seconds_per_row:.4f} s each"
    slower = f"; the run asks {found.at_once} at once, which goes faster" if found.at_once > found.measured_rows else ""
    if found.seconds is None:
        click.echo(f"\nNo time can be said: of {found.measured_rows} requests that were asked, none gave a record ({timed}).")
    else:
        click.echo(
            f"\nAbout {spelt(found.seconds)}: {spelt(found.start_seconds)} for the start, and some {found.requests:,} requests, as {found.kept_per_row:.2f}"
            f" records came of each ({timed}{slower})."
        )
    if found.not_included:
        click.echo(f"Not included: {'; '.join(found.not_included)}.")

"""`variegate verify`: is a run folder what it says it is?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

_TRAINED = ("hashes.json", "scores.json", "student.json")  # of a student, or of a training of several


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(ctx: click.Context, folder: Path, as_json: bool) -> None:
    """Check the run in FOLDER: hashes, ledger sums, keys, labels, the result files against the rounds, curations and students.

    Or the students that `variegate train` wrote to FOLDER, or the model's votes that `variegate subjectivity` keeps there. Exit code 1
    when a check fails. Of what has not ended, what is there is checked.
    """
    from variegate.store.asked import is_asked, verify_asked
    from variegate.store.run_folder import RunFolder
    from variegate.store.verify import Verification, verify, verify_training

    votes = is_asked(folder)
    if votes:
        result = verify_asked(folder)
    elif not (folder / "run.yaml").exists() and any((folder / name).exists() for name in _TRAINED):
        result = Verification(finished=True, shortfall={}, checks=(verify_training(folder),))
    else:
        result = verify(RunFolder.existing(folder))
    if as_json:
        value = {"folder": str(folder), "ok": result.ok, "finished": result.finished, "shortfall": result.shortfall}
        click.echo(json.dumps(value | {"checks": [asdict(check) for check in result.checks]}, indent=2, ensure_ascii=False))
    else:
        width = max(len(check.name) for check in result.checks)
        for check in result.checks:
            click.echo(f"{check.status:8}{check.name:{width + 2}}{check.detail}".rstrip())
        if not result.finished:
            what, again = ("asking", "the same command") if votes else ("run", "`variegate generate`")
            click.echo(f"This {what} is unfinished: only what is there was checked. Run {again} again to go on.", err=True)
        elif result.shortfall:
            missing = ", ".join(f"{label} ({number})" for label, number in sorted(result.shortfall.items()))
            click.echo(f"The run ended short of its target: {missing}.", err=True)
    if not result.ok:
        click.echo(f"Error: {folder}: {sum(check.status == 'FAILED' for check in result.checks)} checks failed", err=True)
        ctx.exit(1)

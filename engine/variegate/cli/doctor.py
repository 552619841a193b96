"""`variegate doctor`: checks of this machine and installation."""

from __future__ import annotations

import json
from dataclasses import asdict

import click


@click.command()
@click.option("--model", default="nano-llama", show_default=True, help="Model of the one-prompt test.")
@click.option("--backend", type=click.Choice(["vllm", "transformers"]), help="Its engine. Otherwise the model's own.")
@click.option("--no-smoke-test", is_flag=True, help="Leave out the one-prompt test (it starts an engine).")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(model: str, backend: str | None, no_smoke_test: bool, as_json: bool) -> None:
    """Check this machine: GPU, driver and memory, each library's build, what is missing, a one-prompt test.

    Exits with 1 when a check failed.
    """
    from variegate.pipeline.checkup import examine

    overrides = () if backend is None else (f"engine.backend={backend}",)
    findings = []
    for finding in examine(model=model, overrides=overrides, smoke_test=not no_smoke_test):
        findings.append(finding)
        if not as_json:
            click.echo(f"{finding.status:8} {finding.check:12} {finding.saw}")
            if finding.advice:
                click.echo(f"{'':21} -> {finding.advice}")
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    if any(finding.status == "failed" for finding in findings):
        click.get_current_context().exit(1)

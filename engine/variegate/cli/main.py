"""The `variegate` command. Commands are imported only when called, so that `--help` answers at once."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from variegate import __version__
from variegate.errors import VariegateError

# command -> the line that `--help` shows for it. The command's code is `variegate.cli.<name>:command`.
COMMANDS = {
    "init": "Write a commented task file and run file from a CSV or JSONL file of examples.",
    "plan": "Say what a run would do, without generating: counts, prompts, tokens, time, reuse.",
    "run": "Do the whole of it: generate, curate, measure, train, evaluate, report.",
    "preview": "Generate a few texts of a run and show them; nothing is stored.",
    "generate": "Generate a labelled data set as a run file says.",
    "inspect": "Judge a run's texts one by one in the terminal.",
    "curate": "Judge a run's records: relabel, replace labels, drop what is wrong, doubled or out of scope.",
    "train": "Train a small model on a set and judge it on real data.",
    "evaluate": "Judge a saved student on a test set, and compare two.",
    "measure": "Measure diversity, similarity to real data and leakage of a set.",
    "subjectivity": "Measure how subjective a task is, and how risky synthetic data is for it.",
    "compare": "Compare ways of making a data set: a matrix of runs and curations, measured and trained on.",
    "show": "Show records by label in the terminal.",
    "report": "Write the HTML report of a run folder.",
    "export": "Write a run's records as JSONL, Parquet, CSV or a Hugging Face data set.",
    "verify": "Check a run folder: hashes, ledger, keys.",
    "models": "List the bundled models; prepare one that comes as a GGUF file.",
    "doctor": "Check this machine: GPU, versions, conflicting packages, memory, a one-prompt test.",
    "schema": "Print the JSON Schema of task, model and run files.",
    "demo": "Do the whole of it on a small task with the embedded model: `run demo`.",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        return importlib.import_module(f"variegate.cli.{name}").command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from variegate.errors import nearest

            raise click.UsageError(f"no command {args[0]!r}{nearest(args[0], COMMANDS)}", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):  # click's own would import every command
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except VariegateError as error:
            from variegate.report.visible import visible

            click.echo(f"Error: {visible(str(error))}", err=True)  # it may quote a file name or a text
            ctx.exit(error.exit_code)
        except BrokenPipeError:  # `| head`: click ends the process as it should
            raise
        except OSError as error:
            if error.filename is not None:
                raise
            # no file's name: standard output, on a full disk say
            click.echo(f"Error: the output cannot be written: {error.strerror or error}", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:  # outside a run's rounds, which say more
            click.echo("Error: stopped", err=True)
            ctx.exit(130)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, "--version", prog_name="variegate")
def main() -> None:
    """Turn a local language model into a diverse, correctly labelled, measured text data set."""


if __name__ == "__main__":
    sys.exit(main())

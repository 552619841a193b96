"""A first task file and run file out of labelled examples: valid at once, commented where a person knows better.

Makes texts; writes nothing. The files it makes are read back by `load_task` and `load_run` unchanged.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import yaml

from variegate.config.examples import Examples
from variegate.kinds.text import parts_of


def scalar(value: str) -> str:
    """`value` as YAML on one line: quoted where it would otherwise be read as something else (yes, 1, null, a: b)."""
    for style in (None, '"') if value.isprintable() else ('"',):
        written = (
            yaml.safe_dump([value], default_style=style, allow_unicode=True, width=10**9, default_flow_style=False)
            .removeprefix("- ")
            .rstrip("\n")
        )
        if "\n" not in written:
            return written
    raise AssertionError("a double-quoted YAML scalar stands on one line")


@dataclass(frozen=True, slots=True)
class Form:
    """What a starter task says of its records, beside the labels. text_fields: columns of the data, two for a pair."""

    kind: Literal["classification", "pair"]
    text_fields: tuple[str, ...]
    label_field: str
    text_type: str
    written: int = 0  # place in text_fields of what the model writes

    def lines(self) -> list[str]:
        if self.kind == "classification":
            return []
        first, second = map(scalar, self.text_fields)
        return [
            "",
            "# The two texts of a record: columns of the data below, and of what is written. The model writes one, which text_type",
            "# describes; the other is given, drawn from the real examples.",
            f"first: {first}",
            f"second: {second}",
            f"written: {scalar(self.text_fields[self.written])}",
        ]

    def data_lines(self) -> list[str]:
        own = [f"  text_field: {scalar(self.text_fields[0])}"] if self.kind == "classification" else []
        return [*own, f"  label_field: {scalar(self.label_field)}"]


def starter_task(name: str, examples: Examples, form: Form, *, train: str, schema: str | None) -> str:
    """The task file. Descriptions are the label's name in words: a placeholder that a person should better."""
    counts = examples.label_counts
    plain = Counter(_in_words(label) for label in counts)
    what = "text" if form.kind == "classification" else "pair"
    lines = [
        *_schema_line(schema),
        f"# The task {name}: what is classified. Written by `variegate init`; please read it through.",
        f"kind: {form.kind}",
        f"name: {scalar(name)}",
        *form.lines(),
        "",
        "# What one text is: a singular noun without article, e.g. movie review, question to a help desk.",
        f"text_type: {scalar(form.text_type)}",
        "",
        "# One sentence that puts the model into the domain. Improve it: who writes such texts, to whom, where?",
        f"context: {scalar(f'You are a person who writes texts of the type: {form.text_type}.')}",
        "",
        "# How the texts should be written, and the longest text in words. Both may be left out.",
        "# style: short and informal",
        f"word_limit: {_word_limit(examples, form.written)}",
        "",
        f"# Every label with a phrase (what such a {what} is about) and a description (a sentence that tells it from its",
        "# neighbours). What stands here is only the label's name in words: IMPROVE IT. The model knows nothing else.",
        "labels:",
    ]
    for label in sorted(counts):
        words = _in_words(label)
        lines += [
            f"  {scalar(label)}:  # {counts[label]} example{'' if counts[label] == 1 else 's'}",
            f"    phrase: {scalar(words)}",
            f"    description: {scalar(f'The {what} belongs to the label {words}.')}",
        ]
        if plain[words] > 1:
            lines.append(f"    title: {scalar(label)}  # another label would be written alike")
    lines += [
        "",
        "# The real examples. Paths are relative to this file. Keep test rows out of `train`: name them under `test`.",
        "data:",
        f"  train: {scalar(train)}",
        *form.data_lines(),
    ]
    return "\n".join(lines) + "\n"


def starter_run(name: str, task_file: str, model: str, num_examples: int, schema: str | None) -> str:
    """The run file, with the settings that matter most spelled out."""
    small = model == "smollm2-135m"
    lines = [
        *_schema_line(schema),
        f"# A run: {name} generated with {model}. Try it with `variegate plan` before `variegate run`.",
        f"task: {scalar(task_file)}",
        "",
        "# A bundled model's name, a model folder, a model file (YAML) or a hub id.",
        *(_OF_NANO if model == "nano-llama" else ()),
        f"model: {scalar(model)}",
        "",
        "# How prompts are made. few_shot shows real examples to the model; zero_shot only the descriptions.",
        "strategy:",
        "  kind: few_shot",
        "  form: chung",
        *(_of_small(num_examples) if small else _of_others(num_examples)),
        "",
        "# A higher temperature gives more varied texts and more wrong labels.",
        "decoding:",
        *(("  temperature: 0.7  # so small a model writes nonsense at 1", "  top_p: 0.95") if small else ("  temperature: 1.0",)),
        "  max_tokens: 100",
        "  # Make tokens less likely that were written often already; take the # away to switch it on.",
        "  # suppression: {group: label}",
        "",
        "# Texts to keep of each label, and how many times that may be asked for.",
        "target:",
        "  per_label: 100",
        "  max_attempts: 3",
        "",
        "seed: 0",
        f"output: {scalar(f'runs/{name}')}  # the run folder, relative to where you call variegate",
        "",
        "# What becomes of the texts, in `variegate run`; what is left out has a default.",
        "# curate: relabel  # the model checks its own labels",
        "# train: {student: minilm}",
    ]
    return "\n".join(lines) + "\n"


def _of_small(num_examples: int) -> list[str]:
    """As the bundled run `demo-real` has it."""
    return [
        f"  seed_pool: {min(30, num_examples)}  # real examples, balanced over the labels",
        "  num_examples: 5  # in each prompt",
        "  own_label_only: true  # all of the label that is asked for: so small a model follows what it is shown",
        "  grow_pool: false  # and drifts away from what it is shown of its own",
    ]


def _of_others(num_examples: int) -> list[str]:
    return [
        f"  seed_pool: {min(18, num_examples)}  # real examples at the start, balanced over the labels",
        "  grow_pool: true  # generated texts join the pool",
    ]


_OF_NANO = (
    "# nano-llama is a toy: it knows only the kinds of text that it was trained on (requests to a voice assistant, messages to a",
    "# bank) and ends any other at once. `variegate models` lists real ones; smollm2-135m is the smallest.",
)


def _schema_line(schema: str | None) -> list[str]:
    return [f"# yaml-language-server: $schema={schema}"] if schema else []


def _in_words(label: str) -> str:
    return " ".join(label.replace("_", " ").split()) or label


def _word_limit(examples: Examples, written: int) -> int:
    """A round number of words that 95 % of the examples do not exceed. written: place of the text that is written."""
    lengths = sorted(len(parts_of(text)[written].split()) for text, _ in examples.rows)
    length = lengths[min(len(lengths) - 1, int(0.95 * len(lengths)))]
    step = 5 if length <= 50 else 50
    return max(10, -(-length // step) * step)

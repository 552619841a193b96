"""A run to curate: its texts plainly speak of a feeling, so that the true label of each is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.support.rows import LABELS, make_row, write_run
from variegate.config.resources import asset
from variegate.store.run_folder import RunFolder


@dataclass(frozen=True)
class Curable:
    """A run whose true labels are known: `truth` is record id -> the feeling that its text speaks of, "oos" for none."""

    folder: RunFolder
    truth: dict[str, str]
    train: Path
    test: Path


_OPENINGS = (
    "I felt {} when",
    "There was {} in me as",
    "She spoke of {} after",
    "Such {} at home:",
    "We saw {} in his face when",
    "It was all {} once",
)
_ENDINGS = (
    "the train came late", "my brother called", "rain fell on the garden", "the match was over", "we opened the letter",
    "the old dog ran in", "the bill arrived", "she left for the sea", "the neighbours sang", "snow closed the road",
)  # fmt: skip
_PLACES = (
    "opening hours of the town library",
    "price of two kilos of potatoes",
    "the boiling point of water",
    "bus number nine",
    "a table of even numbers",
)


def feelings(label: str, number: int, *, real: bool = False) -> str:
    """A short text that plainly speaks of one feeling. Real ones end otherwise than those of a run."""
    opening = _OPENINGS[number % len(_OPENINGS)].format(label)
    if real:
        return f"{opening} the holiday was over, on day {number}"
    return f"{opening} {_ENDINGS[number // len(_OPENINGS) % len(_ENDINGS)]}, {number}"


def write_curable_run(
    path: Path,
    *,
    per_label: int = 20,
    flip_every: int = 4,
    out: int = 0,
    labels: Sequence[str] = LABELS,
    real: bool = True,
    finished: bool = True,
    long: int = 0,
) -> Curable:
    """Every `flip_every`-th text carries the next label instead of its own (0: none does); `out` texts speak of no feeling.

    long: words put before the first text.
    """
    texts = [(feelings(label, number), label) for number in range(per_label) for label in labels]
    texts += [(f"Tell me the {_PLACES[number % len(_PLACES)]}, please, {number}", "oos") for number in range(out)]
    texts[0] = (f"{'joy ' * long}{texts[0][0]}", texts[0][1])
    rows, truth = [], {}
    for slot, (text, label) in enumerate(texts):
        place = labels.index(label) if label in labels else slot % len(labels)
        given = labels[(place + (1 if flip_every and slot % flip_every == 0 else 0)) % len(labels)]
        row = make_row(given, slot, text=text)
        rows.append(row)
        truth[row.request.key] = label
    folder = write_run(path, [rows[: len(rows) // 2], rows[len(rows) // 2 :]], labels=labels, per_label=per_label, finished=finished)
    settings = yaml.safe_load((path / "run.yaml").read_text())
    engine = {"backend": "transformers", "batch_size": 16, "max_model_len": 1024, "dtype": "float32"}  # as `nano_transformers`
    settings["model"] |= {"name": "nano-llama", "path": str(asset("nano-llama")), "engine": engine}
    train, test = path.with_name(f"{path.name}-train.jsonl"), path.with_name(f"{path.name}-test.jsonl")
    if real:
        for file, numbers in ((train, range(12)), (test, range(12, 18))):
            some = [(feelings(label, number, real=True), label) for label in labels for number in numbers]
            some += [(f"Please read me the {place}, {number}", "oos") for place in _PLACES for number in numbers if out and number % 4 == 0]
            file.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in some))
        settings["task"]["data"] = {"train": str(train), "test": str(test), "out_of_scope_label": "oos" if out else None}
    folder.write_config(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
    return Curable(folder, truth, train, test)

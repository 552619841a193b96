"""Sets whose labels can be learnt from one word, of words that the tiny BERT knows."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from variegate.students import LabelledTexts

LABELS = ("bird", "cat", "dog")
OTHERS = (
    "the",
    "a",
    "red",
    "blue",
    "old",
    "young",
    "house",
    "river",
    "sings",
    "runs",
    "sleeps",
    "quickly",
    "never",
    "again",
    "in",
    "under",
)


def planted(
    count: int,
    seed: int = 0,
    *,
    labels: Sequence[str] = LABELS,
    source: str = "planted",
    words: tuple[int, int] = (2, 8),
    noise: float = 0.0,
) -> LabelledTexts:
    """Distinct texts; each holds its label as a word. noise: the share of labels that are wrong. Sets of several seeds may overlap."""
    rng = random.Random(seed)
    texts: dict[str, str] = {}
    while len(texts) < count:
        label = labels[len(texts) % len(labels)]
        parts = rng.choices(OTHERS, k=rng.randint(*words))
        parts.insert(rng.randint(0, len(parts)), label)
        wrong = rng.choice([each for each in labels if each != label]) if len(labels) > 1 else label
        texts.setdefault(" ".join(parts), wrong if rng.random() < noise else label)
    return LabelledTexts(tuple(texts), tuple(texts.values()), tuple(f"line {number + 1}" for number in range(count)), source)


def split(texts: LabelledTexts, *sizes: int) -> list[LabelledTexts]:
    out, start = [], 0
    for size in sizes:
        out.append(texts.take(range(start, start + size)))
        start += size
    return out


def write_bert(folder: Path, *, initial: float = 0.1, hidden: int = 32, positions: int = 32) -> Path:
    """A Transformers folder with random weights that learns fast; it reads pairs, as (first, second)."""
    import torch
    import transformers

    folder.mkdir(parents=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LABELS, *OTHERS]
    tokenizer = transformers.BertTokenizer(vocab={word: index for index, word in enumerate(vocabulary)}, model_max_length=positions)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=hidden, num_hidden_layers=2, num_attention_heads=4, intermediate_size=2 * hidden,
        max_position_embeddings=positions, initializer_range=initial,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(folder, safe_serialization=True)
    return folder


def write_jsonl(path: Path, texts: LabelledTexts) -> Path:
    rows = zip(texts.ids, texts.texts, texts.labels, strict=True)
    path.write_text("".join(json.dumps({"id": id, "text": text, "label": label}) + "\n" for id, text, label in rows))
    return path


def write_planted_run(build_run: Any, row: Any, folder: Path, texts: LabelledTexts, *, labels: Sequence[str] = LABELS, **data: Any) -> Path:
    """A run folder of these texts, by the fixtures `build_run` and `row`; data: of its task."""
    build_run(folder, [[row(label, number, text=text) for number, (text, label) in enumerate(zip(texts.texts, texts.labels, strict=True))]], labels=labels)  # fmt: skip
    settings = yaml.safe_load((folder / "run.yaml").read_text())
    settings["task"]["data"] = data or None
    (folder / "run.yaml").write_text(yaml.safe_dump(settings))
    return folder

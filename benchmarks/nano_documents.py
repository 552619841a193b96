"""What the two small models are trained on: documents made of Variegate's own prompt templates and public texts.

Knows the data files' form and the templates; knows no model.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from variegate.config import TaskConfig, load_task
from variegate.strategies.prompts import Prompts

TASKS = ("clinc150", "banking77", "hwu64", "sms_spam")
Piece = tuple[str, bool]  # text, and whether the model learns to write it
Row = tuple[list[int], list[int]]  # what the model reads, and what it learns to write; the longer one first


def read_train(task: TaskConfig, data: Path) -> dict[str, list[str]]:
    """label -> texts of the train split, inner double quotes made single (a double quote ends a text), duplicates removed."""
    texts: dict[str, list[str]] = defaultdict(list)
    for line in (data / task.name / "train.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        text = " ".join(row["text"].replace('"', "'").split())
        if row["label"] in task.labels and text not in texts[row["label"]]:
            texts[row["label"]].append(text)
    return dict(texts)


def read_corpus(data: Path) -> list[tuple[TaskConfig, dict[str, list[str]], str, str]]:
    """Each text of all tasks, as `make_document` takes it: its task, all the task's texts, its label, itself."""
    corpus = [(task, read_train(task, data)) for task in map(load_task, TASKS)]
    return [(task, texts, label, text) for task, texts in corpus for label, each in texts.items() for text in each]


def make_document(task: TaskConfig, texts: dict[str, list[str]], label: str, text: str, rng: random.Random) -> list[Piece]:
    """One document in which `text` is written as an answer for `label`, in a template drawn at random."""
    render = Prompts().render
    words = {"text_type": task.text_type, "context": task.context}
    this = task.labels[label]
    names = sorted(texts)

    def draw(wanted: str | None = None) -> tuple[str, str]:
        name = wanted or rng.choice(names)
        return name, rng.choice(texts[name])

    kind = rng.choices(("li", "chung", "li_examples", "mix", "another", "classify"), weights=(30, 32, 10, 6, 8, 14))[0]
    if kind == "chung":
        pieces: list[Piece] = []
        for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 3, 5))):
            name, example = draw(label if rng.random() < 0.2 else None)
            pieces += [(render("chung_block", label=task.labels[name], **words), False), (example + '"', True), ("\n\n", False)]
        return [*pieces, (render("chung_block", label=this, **words), False), (text + '"', True)]
    if kind == "classify":
        options = None
        if rng.random() < 0.5 and len(names) > 2:
            options = [*rng.sample([name for name in names if name != label], min(4, len(names) - 1)), label]
            rng.shuffle(options)
            options = [task.labels[name] for name in options]
        return [(render("classify", labels=options, text=text, **words), False), (" " + this.title, True)]
    if kind == "another":
        _, example = draw(label)
        return [(render("another", text=example, label=this, **words), False), (text + '"', True)]
    if kind == "mix":
        partner = rng.choice([name for name in names if name != label])
        percent = rng.choice((75, 80, 85, 90, 95, 100))
        return [(render("mix", label=this, partner=task.labels[partner], percent=percent, **words), False), (text + '"', True)]
    limit = rng.choice((10, 20, 30)) if rng.random() < 0.3 else None
    limit = limit if limit and len(text.split()) <= limit else None
    parts = [render("li_context", **words)] if rng.random() < 0.8 else []
    if kind == "li_examples":
        examples = []
        for _ in range(rng.choice((1, 2, 3, 5))):
            name, example = draw(label if rng.random() < 0.5 else None)
            examples.append({"label": task.labels[name], "text": example})
        parts.append(render("li_examples", examples=examples, **words))
    parts.append(render("li_generate", label=this, style=None, word_limit=limit, **words))
    if kind == "li" and rng.random() < 0.4:
        history = [draw(label)[1] for _ in range(rng.choice((1, 2, 4)))]
        parts += [render("li_history", history=history, **words), render("li_diversity", **words)]
    parts.append(render("cue", **words))
    return [("\n".join(parts), False), (text + '"', True)]


def train_tokenizer(documents: list[list[Piece]], vocab_size: int, *, special: dict[str, str], template: str) -> PreTrainedTokenizerFast:
    """Byte-level BPE in which a double quote and a newline are always tokens of their own: they end a text.

    special: role -> token, in the order of their ids from 0. template: how a text is framed, such as `<s> $A`.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r'"|\n'), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    names = list(special.values())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=names,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(("".join(text for text, _ in document) for document in documents), trainer)
    framed = [(name, place) for place, name in enumerate(names) if name in template.split()]
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=framed)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, padding_side="left", model_max_length=1024, **special)


def batches(rows: list[Row], tokens: int, rng: random.Random) -> list[list[Row]]:
    """Batches of rows of similar length with at most `tokens` padded tokens each, in random order."""
    rows = sorted(rows, key=lambda row: (len(row[0]), rng.random()))
    out: list[list[Row]] = [[]]
    for row in rows:
        if (len(out[-1]) + 1) * len(row[0]) > tokens:
            out.append([])
        out[-1].append(row)
    rng.shuffle(out)
    return out

"""A fine-tuned student: an ordinary Hugging Face sequence classifier that predicts, is saved and is loaded.

Its folder holds config.json (with the labels' names), model.safetensors, the tokenizer's files and student.json; plain
Transformers loads it: `pipeline("text-classification", folder)`. Knows nothing of training.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors import SafetensorError

from variegate.config.student import FinetunedStudentConfig
from variegate.errors import StoreError, UsageError, VariegateError
from variegate.kinds.text import Text
from variegate.model_folders import check_folder, describe_missing, positions_of
from variegate.progress import Report
from variegate.store.files import explained, new_folder
from variegate.students.data import columns_of, short
from variegate.students.student import Predictions, write_about

_BATCH_TOKENS = {"cpu": 4096, "cuda": 65_536}  # in one forward pass, padding included
# Transformers imports bitsandbytes, which warns of a 4-bit kernel that is not used here.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


@dataclass(slots=True)
class FinetunedStudent:
    config: FinetunedStudentConfig
    labels: tuple[str, ...]
    pairs: bool
    model: Any = field(repr=False)  # transformers' ...ForSequenceClassification, in float32
    tokenizer: Any = field(repr=False)
    facts: dict[str, Any]
    trained_on: frozenset[str] = field(default=frozenset(), repr=False)

    def predict(self, texts: Sequence[Text], *, progress: Report | None = None) -> Predictions:
        """In float32, with padding: a score may move by rounding with the texts beside it. Raises VariegateError where one is no number."""
        encoded, _ = tokenize(self.tokenizer, texts, self.config.max_tokens, pairs=self.pairs, source="the texts")
        place = {label: column for column, label in self.model.config.id2label.items()}
        columns = [place[label] for label in self.labels]  # sorted, which a foreign model's need not be
        scores = np.empty((len(texts), len(self.labels)))
        device = next(self.model.parameters()).device
        self.model.eval()
        done = 0
        with torch.inference_mode():
            for places in _batches([len(each["input_ids"]) for each in encoded], _BATCH_TOKENS[device.type]):
                batch = self.tokenizer.pad([encoded[place] for place in places], return_tensors="pt").to(device)
                scores[places] = self.model(**batch).logits.double().cpu().numpy()[:, columns]
                done += len(places)
                if progress is not None:
                    progress("predicting", done, len(texts))
        bad = np.flatnonzero(~np.isfinite(scores).all(axis=1))
        if len(bad):
            raise VariegateError(
                f"the student's scores for the text {short(texts[bad[0]])} are no numbers: train it again, with a lower learning_rate"
            )
        odds = np.exp(scores - scores.max(axis=1, keepdims=True)) if len(texts) else scores
        return Predictions(
            tuple(self.labels[place] for place in scores.argmax(axis=1)), self.labels, odds / odds.sum(axis=1, keepdims=True), scores
        )

    def save(self, folder: Path) -> None:
        with new_folder(folder) as place, explained(folder), quiet():
            try:
                self.model.save_pretrained(place)
            except SafetensorError as error:  # its own word for an operating system's error
                raise StoreError(f"{folder}: cannot be written ({error}): free some space, or choose another folder with -o") from error
            self.tokenizer.save_pretrained(place)
            write_about(self, self.config, place)


def _batches(lengths: Sequence[int], most_tokens: int) -> Iterator[list[int]]:
    """Places of texts of about one length, so that little is padded; the longest first, so that memory runs out at once or not at all."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda each: -lengths[each]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > most_tokens:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def tokenize(tokenizer: Any, texts: Sequence[Text], max_tokens: int, *, pairs: bool, source: str) -> tuple[list[dict[str, list[int]]], int]:
    """The model's inputs of each text, unpadded, and how many texts were cut to `max_tokens` (of a pair the longer part first).

    Raises UsageError for a text that is no pair, where pairs are expected, and for one that is, where not.
    """
    if not len(texts):
        return [], 0
    parts = columns_of(texts, pairs=pairs, source=source)
    found = tokenizer(*parts, truncation="longest_first", max_length=max_tokens)
    encoded = [{name: found[name][place] for name in found} for place in range(len(texts))]
    full = [place for place, each in enumerate(encoded) if len(each["input_ids"]) >= max_tokens]
    if not full:
        return encoded, 0
    whole = tokenizer(*([part[place] for place in full] for part in parts), truncation=False, verbose=False)
    return encoded, sum(len(ids) > max_tokens for ids in whole["input_ids"])


def load_finetuned(folder: Path, about: dict[str, Any] | None, *, pairs: bool = False) -> FinetunedStudent:
    """about: the content of student.json; None: another's model, whose config.json must name its labels.

    pairs: whether another's model reads text pairs. Raises UsageError or StoreError.
    """
    check_folder(folder, "student")
    try:
        with quiet():
            model, loaded = transformers.AutoModelForSequenceClassification.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, dtype=torch.float32, output_loading_info=True
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        raise StoreError(f"{folder}: cannot be loaded as a sequence classifier: {error}") from error
    if missing := sorted(loaded["missing_keys"]):
        raise UsageError(
            f"{folder}: {describe_missing(missing, sorted(loaded['unexpected_keys']))} Was it ever trained as a classifier? Train it:"
            f" variegate train ... --set model={folder}"
        )
    labels = tuple(sorted(_named_columns(folder, model.config)))
    if about is None:
        config = FinetunedStudentConfig(kind="finetune", model=folder.resolve().name, max_tokens=longest(model, tokenizer) or 512)
        about = {"facts": {"warnings": []}, "trained_on": frozenset(), "pairs": pairs}
    else:
        config = FinetunedStudentConfig.model_validate(about["config"])
    model = model.to("cuda" if torch.cuda.is_available() else "cpu")
    return FinetunedStudent(config, labels, about["pairs"], model, tokenizer, about["facts"], about["trained_on"])


def _named_columns(folder: Path, config: Any) -> list[str]:
    """The labels of the network's columns, in order. id2label says them, as it does in Transformers. Raises UsageError."""
    names = [str(config.id2label.get(column)) for column in range(config.num_labels)]
    if len(set(names)) < len(names) or "None" in names:
        raise UsageError(
            f"{folder}/config.json: id2label names {len(set(names) - {'None'})} labels for {len(names)} columns: name each once"
        )
    other = {label: names.index(label) for label, column in (config.label2id or {}).items() if label in names and names[column] != label}
    if other:
        label = min(other)
        raise UsageError(
            f"{folder}/config.json: id2label has {label!r} as column {other[label]}, label2id as {config.label2id[label]}: make them agree"
        )
    return names


def longest(model: Any, tokenizer: Any) -> int | None:
    """The most tokens the model reads; None: it sets no limit."""
    limits = [tokenizer.model_max_length] if tokenizer.model_max_length < 1_000_000 else []
    positions = positions_of(model)
    return min([*limits, *([] if positions is None else [positions])], default=None)


@contextmanager
def quiet() -> Iterator[None]:
    """Without Transformers' bars and its notes on weights that are new (the head's always are)."""
    said = transformers.utils.logging
    shown, level = said.is_progress_bar_enabled(), said.get_verbosity()
    said.disable_progress_bar()
    said.set_verbosity_error()
    try:
        yield
    finally:
        said.set_verbosity(level)
        if shown:
            said.enable_progress_bar()

"""Batches of texts that have the same number of tokens, so that nothing is padded. Knows nothing of models' insides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from variegate.errors import UsageError

Features = Mapping[str, Any]  # a model's inputs: tensors "b t", and settings that all texts share
_TOGETHER = 256  # texts tokenised at once: they are padded to their longest for a moment


@dataclass(frozen=True, slots=True)
class Sizes:
    """How work is cut up. A window is tokenised, encoded and handed on at once; a batch is one forward pass."""

    window_texts: int
    window_chars: int
    batch_tokens: int


# On the CPU a batch's activations should stay in the caches: 512 tokens were the fastest of 128 to 2,048 with MiniLM.
SIZES = {"cpu": Sizes(4096, 1 << 19, 512), "cuda": Sizes(32768, 1 << 23, 65536)}


@dataclass(frozen=True, slots=True)
class Batch:
    rows: Int[np.ndarray, " b"]  # places in the window
    num_tokens: int  # of each text
    features: Features


def cut_windows(texts: Sequence[str], sizes: Sizes) -> Iterator[slice]:
    start = chars = 0
    for place, text in enumerate(texts):
        if place > start and (place - start == sizes.window_texts or chars + len(text) > sizes.window_chars):
            yield slice(start, place)
            start, chars = place, 0
        chars += len(text)
    yield slice(start, len(texts))


def batch_by_length(texts: Sequence[str], tokenize: Callable[[list[str]], Features], batch_tokens: int) -> list[Batch]:
    """Batches of about `batch_tokens` tokens, longest texts first. Raises UsageError when `tokenize` gives no plain token table."""
    order = np.argsort([len(text) for text in texts], kind="stable")
    parts: dict[int, list[Batch]] = {}
    for start in range(0, len(order), _TOGETHER):
        some = order[start : start + _TOGETHER]
        features = tokenize([texts[i] for i in some])
        mask = features.get("attention_mask")
        if mask is None or mask.ndim != 2 or any(value.shape != mask.shape for value in features.values() if isinstance(value, Tensor)):
            raise UsageError("expected a table of tokens for the texts, as transformers read them")
        mask = mask.bool()
        lengths = mask.sum(1)
        for length in lengths.unique().tolist():
            rows = torch.nonzero(lengths == length).flatten()
            parts.setdefault(length, []).append(Batch(some[rows.numpy()], length, _unpadded(features, mask, rows)))
    return [batch for length in sorted(parts, reverse=True) for batch in _cut(_join(parts[length]), max(1, batch_tokens // max(1, length)))]


def _unpadded(features: Features, mask: Tensor, rows: Tensor) -> Features:
    """These rows without their padding, which may stand on either side."""
    kept = mask[rows]
    return {name: value[rows][kept].view(len(rows), -1) if isinstance(value, Tensor) else value for name, value in features.items()}


def _join(parts: list[Batch]) -> Batch:
    whole = {
        name: torch.cat([part.features[name] for part in parts]) if isinstance(value, Tensor) else value
        for name, value in parts[0].features.items()
    }
    return Batch(np.concatenate([part.rows for part in parts]), parts[0].num_tokens, whole)


def _cut(batch: Batch, size: int) -> Iterator[Batch]:
    for start in range(0, len(batch.rows), size):
        piece = slice(start, start + size)
        features = {name: value[piece] if isinstance(value, Tensor) else value for name, value in batch.features.items()}
        yield Batch(batch.rows[piece], batch.num_tokens, features)

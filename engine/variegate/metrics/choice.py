"""Which implementation measures, by size and device: the one rule, in one place.

    closed form exists (cosine and squared Euclidean means)  closed_form
    n <= 2,048                                               dense      float64, all pairs at once
    CPU, n <= 200,000                                        tiles      fused float32 tiles, half of the pairs
    GPU, n <= 4,000,000                                      triton     fused fp16 tiles, winners measured again
    more                                                     estimate   with a 95 % interval; of neighbours where FAISS is installed
    k largest of two sets on the CPU, above dense            faiss where installed, else torch

n is the square root of the number of pairs, so for two sets it is their geometric mean. A GPU is used when the vectors lie on it,
or from n = 20,000 on when there is one. The result says which it was; an explicit `implementation` is never overruled.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from variegate.errors import UsageError, nearest
from variegate.neighbors import GPU_FROM, has_faiss

Choice = Literal["auto", "closed_form", "dense", "tiles", "triton", "triton_fp16x3", "faiss", "estimate"]
CHOICES = get_args(Choice)

DENSE_UP_TO = 2_048
EXACT_UP_TO = {"cpu": 200_000, "cuda": 4_000_000}


def choose(implementation: str, measure: str, *rows: Tensor, closed: bool = False, neighbours: bool = False) -> str:
    """The implementation to use for `measure` over all pairs of `rows` (one set with itself, or two).

    closed: whether a closed form exists. neighbours: whether it is over nearest neighbours, whose estimate needs FAISS.
    Raises UsageError for an unknown name, or one this measure does not have.
    """
    if implementation not in CHOICES:
        raise UsageError(f"implementation {implementation!r} is not known{nearest(implementation, CHOICES)} Known: {', '.join(CHOICES)}")
    if implementation == "closed_form" and not closed:
        raise UsageError(f"{measure} has no closed form: use implementation='auto', 'dense', 'tiles' or 'estimate'")
    if implementation != "auto":
        return implementation
    if closed:
        return "closed_form"
    size = math.sqrt(len(rows[0]) * len(rows[-1]))
    gpu = rows[0].is_cuda or (size >= GPU_FROM and torch.cuda.is_available())
    if size > EXACT_UP_TO["cuda" if gpu else "cpu"] and (has_faiss() or not neighbours):
        return "estimate"
    if size <= DENSE_UP_TO:
        return "dense"
    return "triton" if gpu else "tiles"


def choose_exact(implementation: str, measure: str, *rows: Tensor) -> str:
    """As `choose`, where every row's own neighbour is wanted, so that there is nothing to estimate."""
    if implementation == "estimate":
        raise UsageError(f"{measure} cannot be estimated, it is about each record: use implementation='auto'")
    choice = choose(implementation, measure, *rows)
    if choice == "estimate":
        return "triton" if torch.cuda.is_available() else "tiles"
    return choice

"""Duplicates by embedding where a twentieth of the vectors are near copies, and the search for nearest others alone."""

from __future__ import annotations

import argparse
from typing import Any

import torch

import harness
from gpu_parts.notebook import Notebook, run
from variegate.curation.copies import find_duplicates
from variegate.curation.judging import Items
from variegate.neighbors.exact import nearest_other


def make_vectors(n: int, d: int = 384) -> torch.Tensor:
    """Unit rows; every twentieth is the copy of the one before, but for 0.01."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, d, generator=generator)
    copies = torch.arange(19, n, 20)
    x[copies] = x[copies - 1] + 1e-2 * torch.randn(len(copies), d, generator=generator)
    return torch.nn.functional.normalize(x, dim=1)


def measure(notebook: Notebook, arguments: argparse.Namespace) -> None:
    n = 2000 if notebook.cpu else 100_000
    x = make_vectors(n)
    items = Items(tuple(map(str, range(n))), tuple(f"text {i}" for i in range(n)), ("a",) * n, ((),) * n)

    def duplicates() -> dict[str, Any]:
        found, seconds = harness.timed(lambda: find_duplicates(items, exact=True, near=0.95, near_by="embedding", vectors=x.numpy()))
        dropped = sum(not each.keep for each in found.verdicts)
        if dropped != n // 20:
            raise ValueError(f"{dropped} of {n // 20} near copies found")
        return {"seconds": seconds, "dropped": dropped}

    notebook.attempt("find_duplicates", duplicates)
    for implementation in ("tiles",) if notebook.cpu else ("triton", "triton_fp16x3", "tiles"):
        notebook.attempt(
            f"nearest_other, {implementation}", lambda name=implementation: harness.timed(lambda: nearest_other(x, implementation=name))[1]
        )


if __name__ == "__main__":
    run(measure)

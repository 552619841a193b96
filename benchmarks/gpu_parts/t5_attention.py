"""The T5 attention kernel against FlexAttention and the reference, all shapes of gpu_t5_attention.py."""

from __future__ import annotations

import argparse

import gpu_t5_attention as whole
from gpu_parts.notebook import Notebook, run
from gpu_parts.smoke import t5_attention


def measure(notebook: Notebook, arguments: argparse.Namespace) -> None:
    if notebook.cpu:
        notebook.attempt("reference", lambda: t5_attention(cpu=True))
        return
    copying, failures = whole.copy_rate(20), list[str]()
    notebook.note("copy_gb_per_s", copying / 1e9)
    for shape in whole.SHAPES:
        name = f"{shape.model}, batch {shape.batch}, {shape.length} keys"
        notebook.attempt(name, lambda shape=shape: whole.measure(shape, copying, 20, failures))
    notebook.note("wrong", failures)
    notebook.failed = notebook.failed or bool(failures)


if __name__ == "__main__":
    run(measure)

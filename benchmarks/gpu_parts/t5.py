"""A FLAN-T5's shape on vLLM against Transformers, and how many of the engine's steps replay a CUDA graph."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import bench_t5
from gpu_parts.notebook import Notebook, run


def measure(notebook: Notebook, arguments: argparse.Namespace) -> None:
    name = "tiny" if notebook.cpu else arguments.model
    with tempfile.TemporaryDirectory() as folder:
        notebook.attempt(name, lambda: bench_t5.measure(name, Path(folder), gpu=not notebook.cpu, repeats=1))


if __name__ == "__main__":
    run(measure, ("--model", {"choices": list(bench_t5.SHAPES), "default": "flan-t5-xl"}))

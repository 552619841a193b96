"""Llama-2-7B's shape: records/s of the engine, and of Transformers' own sampling at its best batch size."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import bench_generate
from gpu_parts.notebook import Notebook, run
from variegate.config import load_model
from variegate.inference.start import start_backend
from variegate.inference.vllm_backend import VllmBackend


def measure(notebook: Notebook, arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        model = load_model("nano-llama") if notebook.cpu else bench_generate.llama_7b(Path(name) / "llama-2-7b")
        engine = model.engine if notebook.cpu else model.engine.model_copy(update={"gpu_memory_utilization": 0.5})  # both are held
        backend = start_backend(model.model_copy(update={"engine": engine}))
        assert isinstance(backend, VllmBackend)
        repeats, sizes, count = (1, (8,), 16) if notebook.cpu else (2, (64, 128, 256), 512)
        notebook.attempt("transformers", lambda: bench_generate.against_transformers(backend, model, repeats, sizes, count=count))
        backend.close()


if __name__ == "__main__":
    run(measure)

"""Llama-2-7B's shape with random weights: a whole run against the bare engine, and the suppression processor on and off."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import bench_generate
import harness
from gpu_parts.notebook import Notebook, run
from variegate.config import load_model
from variegate.inference.start import start_backend
from variegate.inference.vllm_backend import VllmBackend


def measure(notebook: Notebook, arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = load_model("nano-llama") if notebook.cpu else bench_generate.llama_7b(folder / "llama-2-7b")
        engine = model.engine.model_copy(update={"max_num_seqs": arguments.seats})
        backend, seconds = harness.timed(lambda: start_backend(model.model_copy(update={"engine": engine})))
        assert isinstance(backend, VllmBackend)
        seats = backend.info.max_num_seqs or 0
        notebook.note("engine", {"start_seconds": seconds, "seats": seats, "runner": backend.info.runner, "version": backend.info.version})
        per_label, batch, tokens = (1, 32, 8) if notebook.cpu else (20, seats, 64)
        # Random weights never end a text: all have the same length, and what is not finished is kept.
        notebook.attempt("end_to_end", lambda: bench_generate.end_to_end(backend, model, folder, 2, per_label=per_label, ignore_eos=True))
        sides = ("none", "table_top_100", "table_unlimited")
        notebook.attempt("suppression", lambda: bench_generate.suppression(backend, 2, sides=sides, batch=batch, tokens=tokens))
        backend.close()


if __name__ == "__main__":
    run(measure, ("--seats", {"type": int, "default": None, "help": "vLLM's own number where it is not given"}))

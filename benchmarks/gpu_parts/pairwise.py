"""Remote-Clique and Chamfer as `measure` computes them, then the sweeps alone: right, and against FAISS-GPU and blocked torch."""

from __future__ import annotations

import argparse
from typing import Any

import torch

import gpu_pairwise
import harness
from gpu_parts.notebook import Notebook, run
from variegate.metrics import diversity


def measures(x: Any, implementation: str) -> dict[str, Any]:
    diversity(x[:1000], implementation=implementation)  # compiles
    found, seconds = harness.timed(lambda: diversity(x, implementation=implementation))
    return {"seconds": seconds, "remote_clique": found.remote_clique.value, "chamfer": found.chamfer.value}


def on_cpu(notebook: Notebook) -> None:
    x = torch.nn.functional.normalize(torch.randn(2000, 64, generator=torch.Generator().manual_seed(0)), dim=1).numpy()
    for implementation in ("tiles", "faiss"):
        notebook.attempt(f"measures, {implementation}", lambda name=implementation: measures(x, name))


def on_gpu(notebook: Notebook, sizes: list[int]) -> None:
    failures: list[str] = []
    notebook.attempt("top 5", lambda: gpu_pairwise.check_top_k(failures))
    for n in sizes:
        x = gpu_pairwise.make_rows(n, 384)
        repeats = 3 if n <= 1_000_000 else 1
        host = x.cpu().numpy()
        notebook.attempt(f"{n}: measures", lambda host=host: measures(host, "auto"))
        if n <= 1_000_000:
            for precision in gpu_pairwise.ALLOWED:
                notebook.attempt(f"{n}: check, {precision}", lambda x=x, p=precision: gpu_pairwise.check(x, p, failures))
        notebook.attempt(f"{n}: seconds", lambda x=x, r=repeats: gpu_pairwise.time_sweeps(x, r))
        del x, host
        torch.cuda.empty_cache()
        if n <= 1_000_000:
            notebook.attempt(f"{n}: FAISS", lambda n=n, r=repeats: gpu_pairwise.time_faiss(n, 384, r))
    notebook.note("wrong", failures)
    notebook.failed = notebook.failed or bool(failures)
    notebook.attempt("tilings", lambda: gpu_pairwise.tune(100_000, 384, 3))


def measure(notebook: Notebook, arguments: argparse.Namespace) -> None:
    if notebook.cpu:
        on_cpu(notebook)
    else:
        on_gpu(notebook, arguments.n)


if __name__ == "__main__":
    run(measure, ("--n", {"type": int, "nargs": "+", "default": [100_000, 1_000_000]}))

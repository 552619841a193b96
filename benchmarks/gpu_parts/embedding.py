"""Texts to vectors at BERT-base's shape, against sentence-transformers."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench_embeddings import against_library
from gpu_parts.notebook import Notebook, run
from gpu_parts.texts import make_texts, write_encoder


def measure(notebook: Notebook, arguments: argparse.Namespace) -> None:
    texts, _ = make_texts(64 if notebook.cpu else 20_000)
    with tempfile.TemporaryDirectory() as name:
        model = write_encoder(Path(name) / "encoder", small=notebook.cpu)
        notebook.attempt("speed", lambda: against_library(model, texts, 1 if notebook.cpu else 2, "cpu" if notebook.cpu else "cuda"))


if __name__ == "__main__":
    run(measure)

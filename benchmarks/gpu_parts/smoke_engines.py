"""Both kinds of model on vLLM: nano-llama under a bias and seeds, nano-t5 token by token as Transformers."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import numpy as np

from gpu_parts.notebook import Notebook, run
from variegate.config import ModelConfig, load_model
from variegate.inference.backend import Backend
from variegate.inference.start import start_backend
from variegate.inference.suppression.sparse import SparseRow
from variegate.records import Message, Request, Sampling

PROMPTS = 20


def model(name: str, backend: str) -> ModelConfig:
    settings = [f'engine.backend="{backend}"', 'engine.dtype="float32"', "engine.batch_size=1", "engine.max_num_seqs=32"]
    # Small enough for another program on the same GPU; without graphs it starts in a third of the time.
    return load_model(name, [*settings, *(["engine.gpu_memory_utilization=0.3", "engine.enforce_eager=true"] if backend == "vllm" else [])])


def requests(temperature: float) -> list[Request]:
    words = ("a card payment", "the weather", "a film", "a flight", "an alarm")
    texts = [f"Write a question about {words[i % 5]}, number {i}.\n" for i in range(PROMPTS)]
    sampling = Sampling(temperature=temperature, max_tokens=24)
    return [Request(key=str(i), messages=(Message("user", text),), sampling=sampling, seed=i) for i, text in enumerate(texts)]


def tokens(backend: Backend, asked: list[Request]) -> list[tuple[int, ...]]:
    completions = backend.generate(asked)
    faults = [each.error.message for each in completions if each.error is not None]
    if faults:
        raise ValueError(f"{len(faults)} of {len(asked)} failed: {faults[0]}")
    return [each.token_ids for each in completions]


def decoder(cpu: bool) -> dict[str, Any]:
    backend = start_backend(model("nano-llama", "vllm"))
    try:
        asked = requests(1.0)
        first = tokens(backend, asked)
        if tokens(backend, asked) != first:
            raise ValueError("the same seeds gave other tokens")
        if tokens(backend, asked[::-1])[::-1] != first:
            raise ValueError("in another order the same seeds gave other tokens")
        common = max({token for row in first for token in row}, key=lambda token: sum(row.count(token) for row in first))
        row = SparseRow(np.array([common], dtype=np.int32), np.array([-100.0], dtype=np.float32))
        backend.set_rows({row.digest: row})
        under = tokens(backend, [replace(each, bias=row.digest) for each in asked])
        if any(common in each for each in under):
            raise ValueError(f"token {common} was written under a bias of -100")
        if tokens(backend, asked) != first:
            raise ValueError("a row of the table acts on requests without a bias")
        info = backend.info
    finally:
        backend.close()
    return {"version": info.version, "device": info.device, "runner": info.runner, "tokens": sum(map(len, first))}


def encoder_decoder(cpu: bool) -> dict[str, Any]:
    found = {}
    for kind in ("vllm", "transformers"):
        backend = start_backend(model("nano-t5", kind))
        try:
            found[kind] = tokens(backend, requests(0.0))
        finally:
            backend.close()
    equal = sum(a == b for a, b in zip(found["vllm"], found["transformers"], strict=True))
    if equal < PROMPTS:
        raise ValueError(f"{equal} of {PROMPTS} greedy answers are those of Transformers")
    return {"equal": equal, "tokens": sum(map(len, found["vllm"]))}


def measure(notebook: Notebook, arguments: argparse.Namespace) -> None:
    for check in (decoder, encoder_decoder):
        notebook.attempt(check.__name__, lambda check=check: check(notebook.cpu))


if __name__ == "__main__":
    run(measure)

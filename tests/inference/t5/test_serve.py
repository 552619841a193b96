"""The OpenAI server of vLLM on a T5 folder, as a user of vLLM alone would run it: the plugin is found by its entry point.

By its module: the `vllm` command of the CPU build asks for the version of a package called "vllm" and ends.
"""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.gpu import HAS_GPU, engine_arguments, engine_environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]
TEXTS = ["ar be co di en", "so what is the matter with this one?", "lo mu ne or pa " * 20]
NEW = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, make_tiny_t5: Callable[..., Path]) -> Path:
    return make_tiny_t5(tmp_path_factory.mktemp("serve") / "tiny")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    """The address of a running server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = engine_environment(v2=HAS_GPU)
    environment.pop("PYTHONPATH", None)
    environment.pop("VLLM_ENABLE_V1_MULTIPROCESSING", None)
    log = folder.with_suffix(".log")
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder), "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32",
        "--max-model-len", "512", "--enforce-eager", "--block-size", "32", "--served-model-name", "tiny",
        *(part for name, value in engine_arguments().items() for part in (f"--{name.replace('_', '-')}", str(value))),
    ]  # fmt: skip
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            if process.poll() is not None:
                pytest.fail(f"vllm serve ended with {process.returncode}:\n{log.read_text()[-6000:]}")
            try:
                urllib.request.urlopen(f"{address}/health", timeout=2)
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        else:
            pytest.fail(f"vllm serve did not answer:\n{log.read_text()[-6000:]}")
        yield address
    finally:
        process.terminate()
        process.wait(timeout=60)


def complete(server: str, **request: Any) -> dict[str, Any]:
    body = json.dumps({"model": "tiny", "temperature": 0, "max_tokens": NEW, **request}).encode()
    asked = urllib.request.Request(f"{server}/v1/completions", data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=120) as answer:
        return dict(json.load(answer))


def whole(text: str) -> str:
    """Without the half of a character that an answer cut off by its length may end in: vLLM holds it back."""
    return text.rstrip("\ufffd")


@pytest.fixture(scope="module")
def expected(folder: Path) -> list[str]:
    """Greedy text of Transformers, prompt by prompt."""
    from transformers import AutoTokenizer, DynamicCache, EncoderDecoderCache, T5ForConditionalGeneration

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    out = []
    for text in TEXTS:
        ids = tokenizer(text, return_tensors="pt")
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        generated = model.generate(**ids, max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False, past_key_values=cache)
        out.append(whole(tokenizer.decode(generated[0], skip_special_tokens=True)))
    return out


def test_text_prompts(server: str, expected: list[str]) -> None:
    answer = complete(server, prompt=TEXTS, ignore_eos=True)
    assert [whole(choice["text"]) for choice in answer["choices"]] == expected
    assert len(set(expected)) == 3


def test_token_prompts(server: str, expected: list[str], folder: Path) -> None:
    from transformers import AutoTokenizer

    ids = AutoTokenizer.from_pretrained(folder)(TEXTS[1])["input_ids"]
    assert whole(complete(server, prompt=ids, ignore_eos=True)["choices"][0]["text"]) == expected[1]


def test_seeded_sampling_and_streaming(server: str) -> None:
    texts = [complete(server, prompt=TEXTS[0], temperature=1.0, seed=seed)["choices"][0]["text"] for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    body = json.dumps({"model": "tiny", "prompt": TEXTS[0], "temperature": 1.0, "seed": 1, "max_tokens": NEW, "stream": True}).encode()
    asked = urllib.request.Request(f"{server}/v1/completions", data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=120) as answer:
        lines = [line.removeprefix(b"data: ") for line in answer.read().splitlines() if line.startswith(b"data: {")]
    assert "".join(json.loads(line)["choices"][0]["text"] for line in lines) == texts[0]


def test_a_prompt_too_long_is_refused_and_the_server_goes_on(server: str, expected: list[str]) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        complete(server, prompt="ar be co di en " * 400)
    assert refused.value.code == 400
    assert "512" in refused.value.read().decode()
    assert whole(complete(server, prompt=TEXTS[0], ignore_eos=True)["choices"][0]["text"]) == expected[0]


def test_prompt_and_answer_share_the_length_that_the_server_allows(server: str) -> None:
    """The server cuts the answer short. `LLM.generate` does not: there each has that length for itself."""
    usage = complete(server, prompt=TEXTS[2], max_tokens=500, ignore_eos=True)["usage"]
    assert usage["completion_tokens"] == 512 - 102

"""Prompts for the parity tests, what Hugging Face generates from them, and engines' runs of them in processes of their own."""

from __future__ import annotations

import json
import os
import random
import runpy
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from tests.support.gpu import HAS_GPU, engine_arguments, engine_environment

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
soft_prompt = runpy.run_path(str(HERE / "engine_script.py"))["soft_prompt"]
FAKE_TRITON = HERE.parent / "suppression" / "fake_triton"


@dataclass(frozen=True)
class Prompt:
    tokens: tuple[int, ...]
    num_soft: int = 0  # vectors before the tokens


# Encoder positions, soft vectors among them: the ends of buckets (127 to 129), of blocks (31 to 33) and of the allowed range.
LENGTHS = (
    1, 2, 3, 5, 7, 8, 11, 13, 16, 17, 22, 31, 32, 33, 41, 52, 63, 64, 65, 80, 97, 100, 111, 127, 128, 129, 130, 160, 192, 255, 256, 257,
    300, 333, 384, 400, 444, 480, 499, 500,
)  # fmt: skip
SOFT = {5: 1, 13: 5, 22: 20, 41: 8, 64: 64, 97: 50, 130: 100, 192: 30, 300: 100, 480: 77}  # of every prompt of that length


def make_prompts(per_length: int, *, vocab_size: int = 1000, lengths: Sequence[int] = LENGTHS) -> list[Prompt]:
    """In random order, so that short and long ones are in a batch together."""
    rng = random.Random(0)
    out = []
    for length in lengths:
        num_soft = SOFT.get(length, 0)
        for _ in range(per_length):
            num_tokens = length - num_soft
            tokens = [rng.randrange(3, vocab_size) for _ in range(num_tokens - 1)] + [1] * (num_tokens > 0)
            out.append(Prompt(tuple(tokens), num_soft))
    rng.shuffle(out)
    return out


@torch.inference_mode()
def reference(folder: Path, prompts: Sequence[Prompt], new: int) -> list[list[int]]:
    """What Transformers generates greedily in float32: prompts of equal length together, so that nothing is padded."""
    from transformers import AutoModelForSeq2SeqLM, DynamicCache, EncoderDecoderCache

    model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    alike: dict[tuple[int, int], list[int]] = {}
    for place, prompt in enumerate(prompts):
        alike.setdefault((len(prompt.tokens), prompt.num_soft), []).append(place)
    out: list[list[int]] = [[] for _ in prompts]
    for (_, num_soft), places in alike.items():
        embedded = model.shared(torch.tensor([prompts[place].tokens for place in places], dtype=torch.long))
        if num_soft:
            soft = soft_prompt(num_soft, model.config.d_model).expand(len(places), -1, -1)
            embedded = torch.cat([soft, embedded], dim=1)
        generated = model.generate(
            inputs_embeds=embedded, attention_mask=torch.ones(embedded.shape[:2], dtype=torch.long), max_new_tokens=new, min_new_tokens=new,
            do_sample=False, num_beams=1, past_key_values=EncoderDecoderCache(DynamicCache(), DynamicCache()),
        )  # fmt: skip
        for place, row in zip(places, generated, strict=True):
            out[place] = row[1:].tolist()
    return out


class Engines:
    """Runs of vLLM, each in a process of its own that has vLLM imported already; see engine_script.py."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder  # for logs and results
        self._servers: dict[Path, subprocess.Popen[str]] = {}  # by their logs
        self._count = 0

    def run(
        self, model: Path, prompts: Sequence[Prompt], new: int | list[int], *, changes: Sequence[str] = (), v2: bool = False, seconds: int = 900,
        **engine: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """Tokens, preemptions, requests that steps took newly, and the runner's module."""
        self._count += 1
        result = self._folder / f"{self._count}.json"
        arguments = {
            "dtype": "float32",
            "max_model_len": 512,
            "max_num_batched_tokens": 4096,
            "max_num_seqs": 64,
            "enforce_eager": True,
            "block_size": 32,
            **engine_arguments(),
            **engine,
        }
        job = {
            "folder": str(model), "prompts": [asdict(each) for each in prompts], "new": new, "changes": list(changes), "engine": arguments,
            "seconds": seconds, "result": str(result),
        }  # fmt: skip
        interpret = "triton" in changes
        log = self._folder / f"{v2=}, {interpret=}.log"
        if log not in self._servers:
            self._servers[log] = start(v2, interpret, log)
        server = self._servers[log]
        assert server.stdin is not None
        assert server.stdout is not None
        print(json.dumps(job), file=server.stdin, flush=True)
        status = server.stdout.readline().strip()
        assert status == "0", f"exit {status}\n{log.read_text()[-6000:]}"
        return dict(json.loads(result.read_text(encoding="utf-8")))

    def close(self) -> None:
        for server in self._servers.values():
            server.kill()
            server.wait()


def start(v2: bool, interpret: bool, log: Path) -> subprocess.Popen[str]:
    path = [str(FAKE_TRITON)] * (v2 and not HAS_GPU) + [str(ROOT), str(ROOT / "engine"), str(ROOT / "kernels")]
    environment = engine_environment(
        v2=v2, PYTHONPATH=os.pathsep.join(path), VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_LOGGING_LEVEL="WARNING",
        **({"TRITON_INTERPRET": "1"} if interpret else {}),
    )  # fmt: skip
    with log.open("w") as errors:
        return subprocess.Popen(
            [sys.executable, str(HERE / "engine_script.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment,
        )  # fmt: skip


def is_v2(runner: str) -> bool:
    """By its module, on a CPU or a GPU: `...gpu.model_runner` is V2's, `...gpu_model_runner` V1's."""
    return runner.rpartition(".")[2] == "model_runner"


def differing(found: Sequence[Sequence[int]], wanted: Sequence[Sequence[int]]) -> list[int]:
    """Places of the prompts whose tokens differ."""
    return [place for place, (left, right) in enumerate(zip(found, wanted, strict=True)) if list(left) != list(right)]

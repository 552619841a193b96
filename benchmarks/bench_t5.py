"""T5 on vLLM against Transformers' `generate`, same weights' shape, prompts and lengths of answers, in one run and turn by turn.

    python benchmarks/bench_t5.py [--gpu] [--repeats N] [--models NAME ...]

Answers differ in length, as real ones do: an engine that fills freed seats gains, a static batch waits for its longest row.
Transformers gets its best batch size of several (SDPA, prompts sorted by length). On the CPU both run in this process with as many
threads: in a process of its own vLLM's engine leaves a core to the scheduler, half of a machine of two.
Writes benchmarks/results/t5-{cpu,gpu}.json:
  ragged    useful tokens/s over all requests, and their ratio
  uniform   all answers of one length and as many seats as requests, where a static batch has nothing to wait for
  decode    (GPU) a decoding step's bytes, weights and caches, over its time, against a measured copy
On the CPU a model of 45 million parameters with random weights in float32, whose greedy answers are compared too; with --gpu
FLAN-T5 XL and XXL in bfloat16 with dummy weights.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "4")
os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"

import torch
import transformers

import harness
from gpu_t5_attention import copy_rate
from variegate.config.resources import asset

COMMON = {
    "architectures": ["T5ForConditionalGeneration"], "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False,
    "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128, "n_positions": 512,
    "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1,
}  # fmt: skip
SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {"vocab_size": 1000, "d_model": 64, "d_kv": 32, "num_heads": 2, "d_ff": 128, "num_layers": 2, "num_decoder_layers": 2},
    "45M": {"vocab_size": 1000, "d_model": 512, "d_kv": 64, "num_heads": 6, "d_ff": 1024, "num_layers": 8, "num_decoder_layers": 8},
    "flan-t5-xl": {"vocab_size": 32128, "d_model": 2048, "d_kv": 64, "num_heads": 32, "d_ff": 5120, "num_layers": 24, "num_decoder_layers": 24},
    "flan-t5-xxl": {"vocab_size": 32128, "d_model": 4096, "d_kv": 64, "num_heads": 64, "d_ff": 10240, "num_layers": 24, "num_decoder_layers": 24},
}  # fmt: skip


@dataclass(frozen=True)
class Work:
    prompts: list[list[int]]
    lengths: list[int]  # of the answers


def make_work(count: int, *, prompt: tuple[int, int], answer: tuple[int, int], vocab_size: int) -> Work:
    rng = random.Random(0)
    prompts = [[rng.randrange(3, vocab_size) for _ in range(rng.randint(*prompt) - 1)] + [1] for _ in range(count)]
    return Work(prompts, [rng.randint(*answer) for _ in range(count)])


def write_model(folder: Path, name: str, *, weights: bool) -> None:
    folder.mkdir()
    config = json.dumps({"model_type": "t5", **COMMON, **SHAPES[name]})
    (folder / "config.json").write_text(config)
    for file in asset("nano-t5").glob("tokenizer*"):  # vLLM starts no encoder-decoder without one; nothing is tokenized
        shutil.copy(file, folder)
    if not weights:
        return
    torch.manual_seed(0)
    model = transformers.T5ForConditionalGeneration(transformers.T5Config.from_pretrained(folder))
    # A head of its own, as v1.1 has: this version of Transformers ties that of every new T5, and loads what a file holds.
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.shared.weight))
    model.save_pretrained(folder)
    (folder / "config.json").write_text(config)  # not the one with Transformers' own idea of tying


class Vllm:
    def __init__(self, folder: Path, *, seats: int, gpu: bool, max_model_len: int) -> None:
        from vllm import LLM

        options: dict[str, Any] = {"dtype": "float32", "block_size": 32}
        if gpu:  # half of the memory is for Transformers
            options = {"dtype": "bfloat16", "load_format": "dummy", "gpu_memory_utilization": 0.5}
        self.llm = LLM(
            model=str(folder), max_num_seqs=seats, max_model_len=max_model_len,
            max_num_batched_tokens=8192, disable_log_stats=True, seed=0, **options,
        )  # fmt: skip

    def run(self, work: Work) -> list[list[int]]:
        from vllm import SamplingParams

        prompts = [
            {
                "encoder_prompt": {"prompt_token_ids": [], "multi_modal_data": {"text": {"token_ids": each}}},
                "decoder_prompt": {"prompt_token_ids": [0]},
            }
            for each in work.prompts
        ]
        parameters = [SamplingParams(temperature=0, max_tokens=n, min_tokens=n, ignore_eos=True, detokenize=False) for n in work.lengths]
        return [list(each.outputs[0].token_ids) for each in self.llm.generate(prompts, parameters, use_tqdm=False)]

    def close(self) -> None:
        self.llm.llm_engine.engine_core.shutdown()
        del self.llm
        gc.collect()


class Transformers:
    def __init__(self, folder: Path, *, gpu: bool) -> None:
        self.device = "cuda" if gpu else "cpu"
        if gpu:
            config = transformers.T5Config.from_pretrained(folder)
            with torch.device("cuda"):
                model = transformers.T5ForConditionalGeneration._from_config(config, dtype=torch.bfloat16, attn_implementation="sdpa")
        else:
            model = transformers.T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
        self.model = model.eval()

    @torch.inference_mode()
    def run(self, work: Work, batch: int) -> list[list[int]]:
        if self.device == "cpu":
            torch.set_num_threads(os.cpu_count() or 1)
        order = sorted(range(len(work.prompts)), key=lambda place: len(work.prompts[place]))
        out: list[list[int]] = [[] for _ in order]
        for start in range(0, len(order), batch):
            places = order[start : start + batch]
            width, longest = max(len(work.prompts[place]) for place in places), max(work.lengths[place] for place in places)
            ids = torch.zeros(len(places), width, dtype=torch.long)
            mask = torch.zeros_like(ids)
            for row, place in enumerate(places):
                ids[row, : len(work.prompts[place])] = torch.tensor(work.prompts[place])
                mask[row, : len(work.prompts[place])] = 1
            sequences = self.model.generate(
                input_ids=ids.to(self.device), attention_mask=mask.to(self.device), max_new_tokens=longest, min_new_tokens=longest,
                do_sample=False, num_beams=1,
            )  # fmt: skip
            for row, place in enumerate(places):
                out[place] = sequences[row, 1 : 1 + work.lengths[place]].tolist()
        return out


def ragged(ours: Vllm, theirs: Transformers, work: Work, batches: list[int], repeats: int) -> dict[str, Any]:
    useful = sum(work.lengths)
    trials: dict[int, float] = {}
    for batch in batches:
        try:
            trials[batch] = useful / harness.timed(lambda batch=batch: theirs.run(work, batch))[1]
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
    best = max(trials, key=trials.__getitem__)
    figures = harness.interleave(
        {
            "vllm": lambda: useful / harness.timed(lambda: ours.run(work))[1],
            "transformers": lambda: useful / harness.timed(lambda: theirs.run(work, best))[1],
        },
        repeats,
    )
    return {
        "requests": len(work.prompts),
        "answer_tokens": {"least": min(work.lengths), "most": max(work.lengths), "all": useful},
        "transformers_trials": {str(batch): value for batch, value in trials.items()},
        "transformers_batch": best,
        "useful_tokens_per_second": {name: harness.summarize(values) for name, values in figures.items()},
        "vllm_over_transformers": harness.ratio(figures, "vllm", "transformers"),
    }


def uniform(ours: Vllm, theirs: Transformers, work: Work, seats: int, length: int, repeats: int) -> dict[str, Any]:
    same = Work(work.prompts[:seats], [length] * seats)
    equal = sum(a == b for a, b in zip(ours.run(same), theirs.run(same, seats), strict=True))
    figures = harness.interleave(
        {
            "vllm": lambda: seats * length / harness.timed(lambda: ours.run(same))[1],
            "transformers": lambda: seats * length / harness.timed(lambda: theirs.run(same, seats))[1],
        },
        repeats,
    )
    return {
        "requests": seats,
        "answer_tokens_each": length,
        "tokens_per_second": {name: harness.summarize(values) for name, values in figures.items()},
        "vllm_over_transformers": harness.ratio(figures, "vllm", "transformers"),
        "equal_answers": equal,  # of dummy weights, which differ between the two: none
    }


def decode(ours: Vllm, name: str, work: Work, seats: int, repeats: int) -> dict[str, Any]:
    """The time of one decoding step from two runs of different length, and the bytes such a step must read."""
    shape = SHAPES[name]
    inner, width, bytes_each = shape["num_heads"] * shape["d_kv"], shape["d_model"], 2
    short, long = 32, 160
    prompts = work.prompts[:seats]
    steps = []
    for _ in range(repeats + 1):
        times = [harness.timed(lambda new=new: ours.run(Work(prompts, [new] * seats)))[1] for new in (short, long)]
        steps.append((times[1] - times[0]) / (long - short))
    per_layer = 6 * width * inner + 3 * width * shape["d_ff"]  # of cross-attention the query and output: keys and values are cached
    weights = shape["num_decoder_layers"] * per_layer + shape["vocab_size"] * width
    keys = sum(map(len, prompts)) + seats * (short + long) / 2
    caches = 2 * shape["num_decoder_layers"] * inner * keys
    bandwidth = copy_rate(10)
    step = harness.summarize(steps[1:])
    needed = bytes_each * (weights + caches)
    return {
        "seats": seats, "seconds_per_step": step, "bytes_per_step": needed, "copy_bytes_per_second": bandwidth,
        "share_of_bandwidth": needed / step["median"] / bandwidth,
    }  # fmt: skip


class Steps:
    """Counts the engine's steps and the CUDA graphs that were replayed, of one run in this process."""

    def __init__(self, llm: Any) -> None:
        self._engine, self.steps, self.replays = llm.llm_engine, 0, 0

    def __enter__(self) -> Steps:
        self._step, self._replay = self._engine.step, torch.cuda.CUDAGraph.replay

        def step() -> Any:
            self.steps += 1
            return self._step()

        def replay(graph: Any) -> Any:
            self.replays += 1
            return self._replay(graph)

        self._engine.step, torch.cuda.CUDAGraph.replay = step, replay
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.step, torch.cuda.CUDAGraph.replay = self._step, self._replay


def measure(name: str, folder: Path, *, gpu: bool, repeats: int) -> dict[str, Any]:
    vocab_size = SHAPES[name]["vocab_size"]
    seats, small = 256 if gpu else 64, name == "tiny"  # few and short requests, to see that it runs
    if gpu:
        work = make_work(512, prompt=(64, 320), answer=(16, 256), vocab_size=vocab_size)
    elif small:
        work, seats = make_work(12, prompt=(20, 40), answer=(4, 12), vocab_size=vocab_size), 8
    else:
        work = make_work(128, prompt=(20, 120), answer=(8, 128), vocab_size=vocab_size)
    write_model(folder / name, name, weights=not gpu)
    ours = Vllm(folder / name, seats=seats, gpu=gpu, max_model_len=512)
    out: dict[str, Any] = {"shape": SHAPES[name], "seats": seats}
    try:
        with Steps(ours.llm) as counted:
            ours.run(work)
        out["steps"] = {"all": counted.steps, "graph_replays": counted.replays}
        if gpu:
            out["decode"] = decode(ours, name, work, seats, repeats)
        theirs = Transformers(folder / name, gpu=gpu)
        batches = [128, 256, 512] if gpu else [12] if small else [32, 64, 128]
        out["ragged"] = ragged(ours, theirs, work, batches, repeats)
        out["uniform"] = uniform(ours, theirs, work, seats, 8 if small else 128, repeats)
    finally:
        ours.close()
    del theirs
    gc.collect()
    if gpu:
        torch.cuda.empty_cache()  # the next model's vLLM asks for what is free
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--models", nargs="*", choices=SHAPES, help="default: 45M, or with --gpu flan-t5-xl and flan-t5-xxl")
    args = parser.parse_args()
    names = args.models or (["flan-t5-xl", "flan-t5-xxl"] if args.gpu else ["45M"])
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            results[name] = measure(name, Path(folder), gpu=args.gpu, repeats=args.repeats)
            print(json.dumps({name: results[name]}, indent=1), flush=True)
            harness.save(f"t5-{'gpu' if args.gpu else 'cpu'}", results)  # after each: a later one may run out of time


if __name__ == "__main__":
    main()

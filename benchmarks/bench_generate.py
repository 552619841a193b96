"""How fast Variegate generates, against the engine alone and against its alternatives, in one process and one run.

    python benchmarks/bench_generate.py [--only NAME ...] [--records N] [--gpu]

Writes benchmarks/results/generate-{cpu,gpu}.json. Sections:
  end_to_end   `variegate generate` against a bare LLM.generate on the same prompts and sampling parameters, and without seeds
  suppression  the logits processor with 8 groups and batch 256, against none and against per-request logit_bias dicts
  transformers records/s of 64 new tokens against Transformers' own sampling (`do_sample`) at its best batch size
  blocks       a run whose suppression acts in growing blocks, and in one block of all, against one without: 1,500 and N records
  memory       resident memory from 1,000 to N records, in growing blocks and in one
With --gpu the model has the shape of Llama-2-7B and random weights.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

import harness
from variegate.config import ModelConfig, RunConfig, load_model, load_task
from variegate.inference.start import start_backend
from variegate.inference.suppression import ARGUMENT
from variegate.inference.suppression.sparse import SparseRow
from variegate.inference.transformers_backend import TransformersBackend
from variegate.inference.transformers_networks import Prompt
from variegate.inference.vllm_backend import VllmBackend
from variegate.pipeline.generate import generate
from variegate.progress import Silent
from variegate.records import Completion, Message, Request, Sampling

LABELS = 150  # of clinc150
SECTIONS = ("end_to_end", "blocks", "suppression", "transformers", "memory")


def llama_7b(folder: Path) -> ModelConfig:
    """The shape of Llama-2-7B with random weights and nano-llama's tokenizer."""
    import transformers

    nano = load_model("nano-llama")
    shutil.copytree(nano.path, folder, ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    transformers.LlamaConfig(vocab_size=32000, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32,
                             num_key_value_heads=32, max_position_embeddings=4096, architectures=["LlamaForCausalLM"], dtype="bfloat16").save_pretrained(folder)  # fmt: skip
    return ModelConfig.model_validate(
        {
            "name": "llama-2-7b-dummy",
            "path": str(folder),
            # The rest of the memory is for the same weights in Transformers, and its batches.
            "engine": {"dtype": "bfloat16", "load_format": "dummy", "max_model_len": 2048, "gpu_memory_utilization": 0.7},
        }
    )


class Recording:
    """A started backend that remembers the requests it was asked for; `generate` must not close it.

    ignore_eos: every text has all its tokens, as of random weights, which never end one.
    """

    def __init__(self, backend: VllmBackend, *, ignore_eos: bool = False) -> None:
        self._backend, self._ignore_eos = backend, ignore_eos
        self.info, self.prompts = backend.info, backend.prompts
        self.set_rows, self.score = backend.set_rows, backend.score
        self.requests: list[Request] = []
        self.num_tokens = 0

    def generate(self, requests: Sequence[Request], **options: Any) -> list[Completion]:
        if self._ignore_eos:
            requests = [replace(each, sampling=replace(each.sampling, ignore_eos=True)) for each in requests]
        completions = self._backend.generate(requests, **options)
        self.requests += requests
        self.num_tokens += sum(len(each.token_ids) for each in completions)
        return completions

    def close(self) -> None:
        pass


def run_config(model: ModelConfig, output: Path, per_label: int, *, rounds: Mapping[str, Any] | None = None, **decoding: Any) -> RunConfig:
    return RunConfig.model_validate(
        {
            "task": load_task("clinc150").model_dump(),
            "model": model.model_dump(),
            "strategy": {"kind": "zero_shot", "form": "chung"},
            "decoding": {"temperature": 1.0, "max_tokens": 40, **decoding},
            "target": {"per_label": per_label},
            "rounds": dict(rounds or {}),
            "output": str(output),
        }
    )


def end_to_end(
    backend: VllmBackend, model: ModelConfig, folder: Path, repeats: int, *, per_label: int = 20, ignore_eos: bool = False
) -> dict[str, Any]:
    """tokens/s of a whole run on a started engine (prompts, parsing, duplicates, commits, manifest and all) and of the bare engine.

    ignore_eos: of weights that never end a text; unfinished ones are then kept.
    """
    recorded: list[Request] = []
    turn = 0

    def ours() -> float:
        nonlocal turn, recorded
        turn += 1
        config = run_config(model, folder / f"run{turn}", per_label=per_label)
        config = config.model_copy(update={"keep_unfinished": ignore_eos})
        recording = Recording(backend, ignore_eos=ignore_eos)
        summary, seconds = harness.timed(lambda: generate(config, progress=Silent(), start=lambda _: recording))
        assert summary.kept >= LABELS * per_label // 2, f"only {summary.kept} texts of {len(recording.requests)} were kept"
        recorded = recording.requests
        return recording.num_tokens / seconds

    def bare(*, seeds: bool) -> float:
        prompts = [{"prompt_token_ids": list(backend.prompts.encode(each.messages))} for each in recorded]
        parameters = [backend._parameters(each, False) for each in recorded]
        if not seeds:
            for each in parameters:
                each.seed = None
        backend._llm.reset_prefix_cache()
        outputs, seconds = harness.timed(lambda: backend._llm.generate(prompts, parameters, use_tqdm=False))
        return sum(len(each.outputs[0].token_ids) for each in outputs) / seconds

    figures = harness.interleave(
        {"variegate": ours, "bare": lambda: bare(seeds=True), "bare_without_seeds": lambda: bare(seeds=False)}, repeats
    )
    return {
        "requests": len(recorded),
        "tokens_per_second": {name: harness.summarize(values) for name, values in figures.items()},
        "variegate_over_bare": harness.ratio(figures, "variegate", "bare"),
        "seeds_over_no_seeds": harness.ratio(figures, "bare", "bare_without_seeds"),
    }


def blocks(backend: VllmBackend, model: ModelConfig, folder: Path, sizes: Mapping[int, int]) -> dict[str, Any]:
    """What it costs that later texts know of earlier ones. sizes: records -> repeats.

    The sides write different texts, so tokens/s are compared beside seconds; `one_block` counts tokens and makes rows as `growing`
    does, and suppresses nothing.
    """
    turn = 0

    def side(records: int, found: dict[str, list[dict[str, float]]], name: str) -> float:
        nonlocal turn
        turn += 1
        per_label = -(-records // LABELS)
        suppression = None if name == "no_feedback" else {"group": "label"}
        rounds = {"first": per_label * 3} if name == "one_block" else None  # as many as the run may ask for at all
        config = run_config(model, folder / f"blocks{turn}", per_label, suppression=suppression, rounds=rounds)
        recording = Recording(backend)
        summary, seconds = harness.timed(lambda: generate(config, progress=Silent(), start=lambda _: recording))
        found[name].append({"seconds": seconds, "kept": summary.kept, "tokens": recording.num_tokens, **summary.feedback})
        return recording.num_tokens / seconds

    out: dict[str, Any] = {}
    for records, repeats in sizes.items():
        found: dict[str, list[dict[str, float]]] = {name: [] for name in ("no_feedback", "one_block", "growing")}
        sides = {name: partial(side, records, found, name) for name in found}
        figures = harness.interleave(sides, repeats)
        seconds = {name: [each["seconds"] for each in turns[1:]] for name, turns in found.items()}  # without the warm-up
        out[str(records)] = {
            "tokens_per_second": {name: harness.summarize(values) for name, values in figures.items()},
            "seconds": {name: harness.summarize(values) for name, values in seconds.items()},
            "last": {name: turns[-1] for name, turns in found.items()},
            "growing_over_no_feedback": harness.ratio(figures, "growing", "no_feedback"),
            "growing_over_one_block": harness.ratio(figures, "growing", "one_block"),
            "seconds_growing_over_one_block": harness.ratio(seconds, "growing", "one_block"),
        }
    return out


def fixed_requests(count: int, *, max_tokens: int) -> list[Request]:
    """Requests whose completions all have `max_tokens` tokens."""
    task = load_task("clinc150")
    sampling = Sampling(temperature=1.0, max_tokens=max_tokens, ignore_eos=True)
    labels = list(task.labels.values())
    out = []
    for i in range(count):
        text = f"Write a {task.text_type} that covers the element below.\nElement: {labels[i % len(labels)].phrase}\n"
        out.append(Request(key=str(i), messages=(Message("user", text),), sampling=sampling, seed=i))
    return out


SIDES = ("none", "table_top_100", "table_unlimited", "logit_bias_top_100", "logit_bias_unlimited")
_RATIOS = {
    "table_top_100_over_none": ("table_top_100", "none"),
    "table_unlimited_over_none": ("table_unlimited", "none"),
    "table_over_logit_bias_top_100": ("table_top_100", "logit_bias_top_100"),
    "table_over_logit_bias_unlimited": ("table_unlimited", "logit_bias_unlimited"),
}


def suppression(backend: VllmBackend, repeats: int, *, sides: Sequence[str] = SIDES, batch: int = 256, tokens: int = 64) -> dict[str, Any]:
    """tokens/s with the same biases given several ways, `batch` requests of `tokens` tokens at once.

    Model Runner V2 takes no `logit_bias` of more than 1,024 tokens: that side is left out there.
    """
    if backend.info.runner == "v2":
        sides = [side for side in sides if side != "logit_bias_unlimited"]
    vocab, rng = backend.info.vocab_size, np.random.default_rng(0)
    requests = fixed_requests(batch, max_tokens=tokens)
    unlimited, top100 = [], []
    for _ in range(8):
        bias = -7.5 * (1 - rng.random(vocab, dtype=np.float32))
        unlimited.append(SparseRow(np.arange(vocab, dtype=np.int32), bias))
        ids = np.sort(rng.choice(vocab, size=100, replace=False)).astype(np.int32)
        top100.append(SparseRow(ids, bias[ids]))
    prompts = [{"prompt_token_ids": list(backend.prompts.encode(each.messages))} for each in requests]

    def run(parameters: list[Any]) -> float:
        backend._llm.reset_prefix_cache()
        outputs, seconds = harness.timed(lambda: backend._llm.generate(prompts, parameters, use_tqdm=False))
        return sum(len(each.outputs[0].token_ids) for each in outputs) / seconds

    def with_table(rows: list[SparseRow]) -> float:
        """Request i is made under row i mod 8."""
        backend.set_rows({row.digest: row for row in rows})
        under = [replace(each, bias=rows[i % 8].digest) if rows else each for i, each in enumerate(requests)]
        return run([backend._parameters(each, False) for each in under])

    def with_dicts(rows: list[SparseRow]) -> float:
        parameters = [backend._parameters(each, False) for each in requests]
        for i, each in enumerate(parameters):
            each.logit_bias = dict(zip(rows[i % 8].token_ids.tolist(), rows[i % 8].biases.tolist(), strict=True))
            assert not each.extra_args or ARGUMENT not in each.extra_args
        return run(parameters)

    ways = {
        "none": lambda: with_table([]),
        "table_top_100": lambda: with_table(top100),
        "table_unlimited": lambda: with_table(unlimited),
        "logit_bias_top_100": lambda: with_dicts(top100),
        "logit_bias_unlimited": lambda: with_dicts(unlimited),
    }
    figures = harness.interleave({side: ways[side] for side in sides}, repeats)
    return {
        "batch": batch,
        "groups": 8,
        "vocab": vocab,
        "tokens_per_second": {name: harness.summarize(values) for name, values in figures.items()},
        **{name: harness.ratio(figures, *pair) for name, pair in _RATIOS.items() if set(pair) <= set(sides)},
    }


def against_transformers(
    backend: VllmBackend, model: ModelConfig, repeats: int, sizes: Sequence[int], *, count: int = 512
) -> dict[str, Any]:
    """records/s of 64 new tokens; Transformers samples by itself, with nothing of ours in it, at its best batch size of a trial each."""
    requests = fixed_requests(count, max_tokens=64)
    other = start_backend(model.model_copy(update={"engine": model.engine.model_copy(update={"backend": "transformers"})}))
    assert isinstance(other, TransformersBackend)
    network, tokenizer = other._network, other.prompts.tokenizer
    prompts = [Prompt(other.prompts.encode(each.messages)) for each in requests]

    @torch.inference_mode()
    def sample(size: int) -> None:
        for first in range(0, len(prompts), size):
            start = network.start(prompts[first : first + size])
            found = network.model.generate(**start.arguments, max_new_tokens=64, do_sample=True, temperature=1.0, top_k=0)
            assert found.shape[1] - start.ids.shape[1] == 64
            tokenizer.batch_decode(found[:, start.ids.shape[1] :], skip_special_tokens=True)

    def rate(work: Callable[[], Any]) -> float:
        return len(requests) / harness.timed(work)[1]

    trials = {size: rate(partial(sample, size)) for size in sizes}
    best = max(trials, key=trials.__getitem__)
    sides = {"vllm": lambda: rate(lambda: backend.generate(requests)), f"transformers_{best}": lambda: rate(partial(sample, best))}
    figures = harness.interleave(sides, repeats)
    other.close()
    return {
        "trials": {f"transformers_{size}": value for size, value in trials.items()},
        "records_per_second": {name: harness.summarize(values) for name, values in figures.items()},
        "best_transformers_batch": best,
        "vllm_over_best_transformers": harness.ratio(figures, "vllm", f"transformers_{best}"),
    }


def memory(backend: VllmBackend, model: ModelConfig, folder: Path, target: int, *, growing: bool) -> dict[str, Any]:
    """Resident memory of the process after each round of one long run, and the most that was seen inside one; all duplicate checks on.

    growing: in blocks under suppression by label; else the whole run is one round.
    """
    process = psutil.Process()
    samples: list[dict[str, float]] = [{"records": 0, "rss_mib": process.memory_info().rss / 2**20}]
    peak = 0.0

    class Watch(Silent):
        def update(self, stage: str, done: int, whole: int, *, asked: int = 0, detail: str = "") -> None:
            nonlocal peak
            if stage != "generating":
                return
            if asked:
                peak = max(peak, process.memory_info().rss / 2**20)
            else:
                samples.append({"records": done, "rss_mib": process.memory_info().rss / 2**20})

    suppression = {"group": "label"} if growing else None
    output = folder / f"memory-{'growing' if growing else 'one'}"
    config = run_config(model, output, -(-target // LABELS), temperature=1.3, max_tokens=16, suppression=suppression)
    config = config.model_copy(update={"keep_unfinished": True})
    recording = Recording(backend)
    summary, seconds = harness.timed(lambda: generate(config, progress=Watch(), start=lambda _: recording))
    first = next(each for each in samples if each["records"] >= 1000)
    last = samples[-1]
    grown = last["records"] > first["records"]
    return {
        "kept": summary.kept,
        "requested": summary.requested,
        "seconds": seconds,
        "rounds": len(samples) - 1,
        "rss_mib_before": samples[0]["rss_mib"],
        "rss_mib_after_1000": first["rss_mib"],
        "rss_mib_at_10000": next(each["rss_mib"] for each in samples if each["records"] >= min(10_000, last["records"])),
        "rss_mib_at_end": last["rss_mib"],
        "rss_mib_peak": max(peak, *(each["rss_mib"] for each in samples)),
        "growth_bytes_per_record": (last["rss_mib"] - first["rss_mib"]) * 2**20 / (last["records"] - first["records"]) if grown else None,
        "samples": samples,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--records", type=int, default=50_000, help="of the longest runs of the blocks and memory sections")
    parser.add_argument("--gpu", action="store_true")
    args = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = llama_7b(folder / "llama-2-7b") if args.gpu else load_model("nano-llama")
        backend = start_backend(model)
        assert isinstance(backend, VllmBackend)
        sizes = (64, 128, 256) if args.gpu else (32, 64, 128, 256)
        sections = {
            "end_to_end": lambda: end_to_end(backend, model, folder, args.repeats),
            "suppression": lambda: suppression(backend, args.repeats),
            "transformers": lambda: against_transformers(backend, model, args.repeats, sizes),
            "blocks": lambda: blocks(backend, model, folder, {1500: args.repeats, args.records: 1}),
            "memory": lambda: {
                **memory(backend, model, folder, args.records, growing=True),
                "one_round": memory(backend, model, folder, args.records, growing=False),
            },
        }
        for section in args.only:
            results[section] = sections[section]()
            print(section, results[section], flush=True)
            print(harness.save("generate-gpu" if args.gpu else "generate-cpu", results), flush=True)


if __name__ == "__main__":
    main()

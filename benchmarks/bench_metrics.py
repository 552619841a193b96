"""The speed of the measures on the CPU: share of the machine's matrix-product speed, ratios to FAISS and others, memory.

    python benchmarks/bench_metrics.py [--peers FOLDER] [--only SECTION ...] [--quick]

Vectors: unit rows, d = 384, float32, drawn around 300 centres. All times are CPU-seconds (user and system, all threads) of the
process, because other work on a shared machine stretches wall time; the busy section alone gives wall time. Sides take turns
in one process. The peak is a 4096 x 384 x 4096 float32 product on one thread, timed before and after each turn.
FOLDER holds the `diversity` package (pip install --no-deps --target FOLDER diversity==0.3.1: its pins keep it out of our
environment); its own functions run, with their sentence encoder replaced by one that hands over the vectors.
Writes benchmarks/results/metrics-cpu.json.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
from scipy.spatial.distance import pdist, squareform

import harness
from variegate.metrics import diversity, remote_clique, top_k_similarity

WIDTH = 384
CENTRES = 300


def vectors(n: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(CENTRES, WIDTH, generator=generator)
    out = torch.empty(n, WIDTH)
    for start in range(0, n, 50_000):
        part = out[start : start + 50_000]
        part.copy_(0.6 * torch.randn(part.shape, generator=generator))
        part += 0.7 * centres[torch.randint(CENTRES, (len(part),), generator=generator)]
        part /= part.norm(dim=1, keepdim=True)
    return out


def cpu(function: Callable[[], Any]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def peak() -> float:
    """FLOP per CPU-second of a large product on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    a, out = torch.randn(4096, WIDTH), torch.empty(4096, 4096)
    best = min(cpu(lambda: torch.mm(a, a.T, out=out)) for _ in range(5))
    torch.set_num_threads(threads)
    return 2 * 4096 * 4096 * WIDTH / best


# -- both scores, Euclidean ------------------------------------------------------------------------------------


def ours(x: torch.Tensor) -> float:
    return cpu(lambda: diversity(x, distance="euclidean", implementation="tiles"))


def with_faiss(x: np.ndarray) -> float:
    """Chamfer by knn, Remote-Clique by blocks of all distances; one thread, so that none waits for another."""

    def both() -> None:
        faiss.omp_set_num_threads(1)
        squared, _ = faiss.knn(x, x, 2, metric=faiss.METRIC_L2)
        np.sqrt(np.maximum(squared[:, 1], 0)).mean()
        for start in range(0, len(x), 1024):
            block = faiss.pairwise_distances(x[start : start + 1024], x)
            np.sqrt(np.maximum(block, 0, out=block), out=block).sum(dtype=np.float64)

    return cpu(both)


def with_scipy(x: np.ndarray) -> float:
    def both() -> None:
        distances = squareform(pdist(x))
        distances.sum()
        np.fill_diagonal(distances, np.inf)
        distances.min(1).mean()

    return cpu(both)


def diversity_package(folder: Path) -> Any:
    spec = importlib.util.spec_from_file_location("diversity_embedding", folder / "diversity" / "embedding.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def with_package(module: Any, x: np.ndarray) -> float:
    class Given:
        def __init__(self, _: Any) -> None:
            pass

        def encode(self, *_: Any, **__: Any) -> np.ndarray:
            return x

    module.SentenceTransformer = Given

    def both() -> None:
        module.remote_clique([])
        module.chamfer_dist([])

    return cpu(both)


def both_scores(n: int, repeats: int, peers: Path | None) -> dict[str, Any]:
    x = vectors(n)
    array = x.numpy()
    shares: list[float] = []

    def ours_and_share() -> float:
        before = peak()
        seconds = ours(x)
        shares.append(n * n * WIDTH / seconds / max(before, peak()))  # half of n^2 pairs, 2 d operations each
        return seconds

    sides: dict[str, Callable[[], float]] = {"ours": ours_and_share, "faiss": lambda: with_faiss(array)}
    if n <= 10_000:
        sides["scipy"] = lambda: with_scipy(array)
        if peers is not None:
            module = diversity_package(peers)
            sides["diversity_package"] = lambda: with_package(module, array)
    figures = harness.interleave(sides, repeats)
    return {
        "n": n,
        "cpu_seconds": {name: harness.summarize(values) for name, values in figures.items()},
        "share_of_peak_on_half_the_operations": harness.summarize(shares[-repeats:]),
        "times_ours": {name: harness.ratio(figures, name, "ours") for name in figures if name != "ours"},
    }


# -- large sets ------------------------------------------------------------------------------------------------


def million(repeats: int) -> dict[str, Any]:
    x = vectors(1_000_000)
    remote_clique(x[:4096])  # compiles
    cosine = [cpu(lambda: remote_clique(x, per_record=False)) for _ in range(repeats)]
    values = []
    euclidean = [cpu(lambda: values.append(remote_clique(x, distance="euclidean", implementation="estimate"))) for _ in range(repeats)]
    low, high = values[-1].interval
    return {
        "n": len(x),
        "cosine_remote_clique_cpu_seconds": harness.summarize(cosine),
        "euclidean_estimate_cpu_seconds": harness.summarize(euclidean),
        "euclidean_estimate": values[-1].value,
        "euclidean_interval_half_width": (high - low) / 2,
        "euclidean_interval_relative": (high - low) / 2 / values[-1].value,
    }


def memory(n: int) -> dict[str, Any]:
    """Peak resident memory over the input of both Euclidean scores, in a process of its own."""
    code = f"import bench_metrics; bench_metrics.report_memory({n})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    before, after, seconds = map(float, done.stdout.split())
    return {"n": n, "input_mib": n * WIDTH * 4 / 2**20, "over_input_mib": after - before, "cpu_seconds": seconds}


def report_memory(n: int) -> None:
    x = vectors(n)
    diversity(x[:4096], distance="euclidean", implementation="tiles")  # compiles; libraries settle
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew at what is resident now
    before = peak_resident()
    seconds = ours(x)
    print(before, peak_resident(), seconds)


def peak_resident() -> float:
    """MiB (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def busy(n: int, repeats: int) -> dict[str, Any]:
    """Wall time with as many spinning processes beside us as half the cores, rounded up."""
    x = vectors(n)
    array = x.numpy()
    cores = len(os.sched_getaffinity(0))

    def wall(function: Callable[[], Any]) -> float:
        return harness.timed(function)[1]

    def faiss_all_threads() -> None:
        faiss.omp_set_num_threads(cores)
        faiss.knn(array, array, 2, metric=faiss.METRIC_L2)

    sides = {
        "ours": lambda: wall(lambda: diversity(x, distance="euclidean", implementation="tiles")),
        "faiss_chamfer_alone": lambda: wall(faiss_all_threads),
    }
    quiet = harness.interleave(sides, repeats)
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range((cores + 1) // 2)]
    try:
        loaded = harness.interleave(sides, repeats)
    finally:
        for each in others:
            each.kill()
    return {
        "n": n,
        "spinning_processes": len(others),
        "quiet_wall_seconds": {name: harness.summarize(values) for name, values in quiet.items()},
        "busy_wall_seconds": {name: harness.summarize(values) for name, values in loaded.items()},
        "faiss_chamfer_over_ours_when_busy": harness.ratio(loaded, "faiss_chamfer_alone", "ours"),
    }


def top_k(repeats: int) -> dict[str, Any]:
    from sentence_transformers.util import semantic_search

    real, made = vectors(5_000, seed=1), vectors(20_000, seed=2)
    sides = {
        "ours": lambda: cpu(lambda: top_k_similarity(real, made)),
        "sentence_transformers": lambda: cpu(lambda: semantic_search(real, made, top_k=5)),
    }
    figures = harness.interleave(sides, repeats)
    return {
        "m": len(real),
        "n": len(made),
        "cpu_seconds": {name: harness.summarize(values) for name, values in figures.items()},
        "sentence_transformers_over_ours": harness.ratio(figures, "sentence_transformers", "ours"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, help="folder that holds the `diversity` package")
    parser.add_argument("--quick", action="store_true", help="small sizes, one turn each: tries the script, writes nothing")
    parser.add_argument("--only", nargs="+", choices=("10000", "50000", "million", "memory", "busy", "top_k"))
    args = parser.parse_args()
    repeats = 1 if args.quick else 5
    scale = 10 if args.quick else 1
    sections: dict[str, Callable[[], dict[str, Any]]] = {
        "10000": lambda: both_scores(10_000 // scale, repeats, args.peers),
        "50000": lambda: both_scores(50_000 // scale, min(repeats, 3), None),
        "million": lambda: million(min(repeats, 3)),
        "memory": lambda: memory(100_000 // scale),
        "busy": lambda: busy(30_000 // scale, min(repeats, 3)),
        "top_k": lambda: top_k(repeats),
    }
    results = {}
    for name, section in sections.items():
        if args.only is None or name in args.only:
            results[name] = section()
            print(name, results[name], flush=True)
    if not args.quick and args.only is None:
        print(harness.save("metrics-cpu", results))


if __name__ == "__main__":
    main()

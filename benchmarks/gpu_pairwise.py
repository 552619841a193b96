"""All pairs on a CUDA GPU: the fused sweeps, checked against float64 and timed against FAISS and blocked torch. Prints JSON.

Needs torch, Triton and numpy alone; FAISS is timed where a GPU build of it is importable. Without a CUDA device nothing is
measured and nothing is printed to stdout: exit code 2. Exit code 1: a result was wrong, and no time is worth reading.

    python benchmarks/gpu_pairwise.py              n = 100,000 and 1,000,000
    python benchmarks/gpu_pairwise.py --huge       10,000,000 too
    python benchmarks/gpu_pairwise.py --tune       every tiling instead
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "kernels"))

# Largest error allowed of a nearest distance after the recompute, and of a row's sum, relative (rows have length 1).
ALLOWED = {"fp16": (1e-3, 1e-4), "fp16x3": (2e-6, 1e-6)}
NUM_CHECKED = 512  # rows


def make_rows(n: int, d: int) -> Any:
    """Rows of length 1 in 1,000 clusters about a common mean, as sentence embeddings lie; every hundredth is a near copy."""
    import torch

    generator = torch.Generator("cuda").manual_seed(n + d)

    def noise(rows: int) -> Any:
        return torch.randn(rows, d, generator=generator, device="cuda") / math.sqrt(d)

    mean, centres = noise(1), noise(1000)
    x = torch.empty(n, d, device="cuda")
    for start in range(0, n, 1 << 20):
        part = x[start : start + (1 << 20)]
        cluster = torch.randint(0, 1000, (len(part),), generator=generator, device="cuda")
        part.copy_(0.4 * mean + 0.5 * centres[cluster] + 0.8 * noise(len(part)))
    copies = torch.arange(min(99, n), n, 100, device="cuda")
    x[copies] = x[copies // 2] + 1e-3 * noise(len(copies))
    return torch.nn.functional.normalize(x, dim=1)


def check(x: Any, precision: str, failures: list[str]) -> dict[str, Any]:
    """One sweep against float64 on a sample of rows, and against itself."""
    import torch

    from variegate_kernels._pairwise_triton import count_units, launch_sweep, merge_sweeps
    from variegate_kernels.rows import pair_distances

    n = len(x)
    ones = torch.ones(n, device="cuda")

    def once(**options: Any) -> Any:
        return launch_sweep(x, ones, nearest=True, sum="euclidean", row_sums=True, precision=precision, **options)  # type: ignore[arg-type]

    nearest, distance_sq, sums, total = once()
    again = once()
    half = count_units(x, precision=precision) // 2  # type: ignore[arg-type]
    merged = merge_sweeps([once(tile_range=(0, half)), once(tile_range=(half, 2 * half + 1))])
    exact = pair_distances(x, x, nearest)
    some = torch.arange(0, n, max(1, n // NUM_CHECKED), device="cuda")
    least = torch.full((len(some),), math.inf, dtype=torch.float64, device="cuda")
    expected = torch.zeros(len(some), dtype=torch.float64, device="cuda")
    for start in range(0, n, 1 << 14):
        part = x[start : start + (1 << 14)].double()
        squares = (part.square().sum(1) + x[some].double().square().sum(1)[:, None] - 2 * x[some].double() @ part.T).clamp_(min=0)
        inside = (some >= start) & (some < start + len(part))
        squares[inside, some[inside] - start] = 0
        expected += squares.sqrt().sum(1)
        squares[inside, some[inside] - start] = math.inf
        least = torch.minimum(least, squares.min(1).values.sqrt())
    excess = float((exact[some] - least).max())
    sums_error = float(((sums[some] - expected) / expected).abs().max())
    found = {
        "rows_checked": len(some),
        "nearest_excess_max": excess,
        "nearest_excess_mean": float((exact[some] - least).mean()),
        "nearest_beyond_1e-6": int((exact[some] - least > 1e-6).sum()),
        "mean_nearest_relative_error": float(exact[some].mean() / least.mean() - 1),
        "kernel_distance_error_max": float((distance_sq.double().sqrt() - exact).abs().max()),
        "row_sum_relative_error_max": sums_error,
        "row_sum_relative_error_mean": float(((sums[some] - expected) / expected).mean()),
        "total_against_row_sums": abs(total / float(sums.sum()) - 1),
        "same_bits_twice": all(torch.equal(a, b) for a, b in zip((nearest, distance_sq, sums), again[:3], strict=True))
        and total == again[3],
        "two_parts_equal_the_whole": torch.equal(merged[0], nearest) and torch.equal(merged[1], distance_sq),
    }
    where = f"n = {n}, {precision}"
    if bool((nearest == torch.arange(n, device="cuda")).any()) or bool((nearest < 0).any()):
        failures.append(f"{where}: a row is its own neighbour, or has none")
    if not excess <= ALLOWED[precision][0]:
        failures.append(f"{where}: nearest distance too large by {excess}, {ALLOWED[precision][0]} allowed")
    if not sums_error <= ALLOWED[precision][1]:
        failures.append(f"{where}: a row's sum is off by {sums_error}, {ALLOWED[precision][1]} allowed")
    if not found["total_against_row_sums"] <= 1e-6:
        failures.append(f"{where}: total and row sums differ by {found['total_against_row_sums']}")
    if not (found["same_bits_twice"] and found["two_parts_equal_the_whole"]):
        failures.append(f"{where}: two runs, or two parts, do not give the same bits")
    return found


def check_top_k(failures: list[str]) -> dict[str, Any]:
    import torch

    from variegate_kernels._pairwise_triton import launch_top_k

    a, b = make_rows(1000, 384), make_rows(100_000, 384)
    expected = (a.double() @ b.double().T).topk(5, dim=1).values
    found = {}
    for precision in ("fp16", "fp16x3"):
        values = launch_top_k(a, b, 5, precision=precision)[0].double()  # type: ignore[arg-type]
        found[precision] = float((values - expected).abs().max())
        if not found[precision] <= 1e-5:
            failures.append(f"top 5, {precision}: off by {found[precision]}")
    torch.cuda.empty_cache()
    return found


def timed(run: Callable[[], Any], repeats: int) -> dict[str, Any]:
    """Seconds of the whole call, the host's part included, after one uncounted run (which compiles)."""
    import torch

    seconds = []
    for turn in range(repeats + 1):
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        if turn:
            seconds.append(time.perf_counter() - start)
    return {"median_s": statistics.median(seconds), "min_s": min(seconds), "max_s": max(seconds), "runs": repeats}


def blocked_torch(x: Any, block: int = 2048) -> tuple[Any, Any]:
    """Nearest distance and sum of distances of each row, block after block, in float32."""
    import torch

    n = len(x)
    squares = x.square().sum(1)
    least, sums = torch.empty(n, device="cuda"), torch.empty(n, dtype=torch.float64, device="cuda")
    for start in range(0, n, block):
        rows = torch.arange(start, min(n, start + block), device="cuda")
        distances = (
            torch.addmm(squares[None, :].expand(len(rows), n), x[rows], x.T, alpha=-2).add_(squares[rows, None]).clamp_(min=0).sqrt_()
        )
        sums[rows] = distances.sum(1, dtype=torch.float64)
        distances[torch.arange(len(rows), device="cuda"), rows] = math.inf
        least[rows] = distances.min(1).values
    return least, sums


def time_sweeps(x: Any, repeats: int) -> dict[str, Any]:
    import torch

    from variegate_kernels._pairwise_triton import launch_sweep, launch_top_k
    from variegate_kernels.rows import pair_distances

    n, d = x.shape
    ones = torch.ones(n, device="cuda")
    times: dict[str, Any] = {}

    def sweep(precision: str, function: str, row_sums: bool) -> None:
        nearest = launch_sweep(x, ones, nearest=True, sum=function, row_sums=row_sums, precision=precision)[0]  # type: ignore[arg-type]
        pair_distances(x, x, nearest)

    for precision, products in (("fp16", 1), ("fp16x3", 3)):
        for name, function, row_sums in (
            ("nearest", "none", False),
            ("nearest + total", "euclidean", False),
            ("nearest + row sums", "euclidean", True),
        ):
            figures = timed(lambda p=precision, f=function, r=row_sums: sweep(p, f, r), repeats)
            figures["tflops"] = products * n * n * d / figures["median_s"] / 1e12  # of half of the pairs
            times[f"{precision}, {name}, winners recomputed"] = figures
        times[f"{precision}, total alone"] = timed(
            lambda p=precision: launch_sweep(x, ones, nearest=False, sum="euclidean", row_sums=False, precision=p), repeats
        )  # fmt: skip
    if n <= 1_000_000:
        times["fp16, top 5 of all rows"] = timed(lambda: launch_top_k(x, x, 5, precision="fp16"), max(1, repeats // 2))
        torch.backends.cuda.matmul.allow_tf32 = False
        times["torch in blocks, float32, nearest + row sums"] = timed(lambda: blocked_torch(x), 1)
    else:
        times["torch in blocks, float32, nearest + row sums"] = "unmeasured: too slow at this n"
    return times


def time_faiss(n: int, d: int, repeats: int) -> dict[str, Any]:
    """In a process of its own: a FAISS built for another CUDA than torch's can end the process."""
    command = [sys.executable, __file__, "--only-faiss", str(n), "--d", str(d), "--repeats", str(repeats)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode == 0:
        return json.loads(run.stdout.splitlines()[-1])
    reason = (run.stderr.strip().splitlines() or ["no message"])[-1][:200]
    return {"faiss": f"unmeasured: exit code {run.returncode}: {reason}"}


def run_faiss(n: int, d: int, repeats: int) -> dict[str, Any]:
    import torch  # before faiss: in the other order two CUDA versions have crashed

    try:
        import faiss
    except ImportError as error:
        return {"faiss": f"unmeasured: {error}"}
    if not hasattr(faiss, "StandardGpuResources"):
        return {"faiss": f"unmeasured: faiss {faiss.__version__} is a CPU build"}
    import faiss.contrib.torch_utils  # takes torch tensors, on torch's stream

    resources = faiss.StandardGpuResources()
    x = make_rows(n, d)
    times: dict[str, Any] = {"faiss": faiss.__version__}
    for name, rows in (("float32", x), ("float16", x.half())):
        least = faiss.knn_gpu(resources, x[:100], x, 2)[0][:, 1].sqrt()
        expected = torch.cdist(x[:100].double(), x[: min(n, 100_000)].double()).topk(2, largest=False).values[:, 1]
        if not float((least.double() - expected).max()) < 1e-2:
            times[f"faiss.knn_gpu, {name}, k = 2"] = "unmeasured: its distances are wrong"
            continue
        times[f"faiss.knn_gpu, {name}, k = 2"] = timed(lambda r=rows: faiss.knn_gpu(resources, r, r, 2), max(1, repeats // 2))
    return times


def tune(n: int, d: int, repeats: int) -> dict[str, Any]:
    import torch

    from variegate_kernels._pairwise_triton import CANDIDATES, TILINGS, launch_sweep

    x = make_rows(n, d)
    ones = torch.ones(n, device="cuda")
    times: dict[str, Any] = {}
    for precision in ("fp16", "fp16x3"):
        for tiling in TILINGS[precision] + CANDIDATES[precision]:
            name = f"{precision}, {tiling.rows} x {tiling.columns} x {tiling.depth}, {tiling.warps} warps, {tiling.stages} stages"
            try:
                times[name] = timed(
                    lambda p=precision, t=tiling: launch_sweep(x, ones, nearest=True, sum="euclidean", row_sums=False, precision=p, tiling=t), repeats
                )  # fmt: skip
            except Exception as error:  # noqa: BLE001  # does not fit this device: Triton's errors share no class
                times[name] = f"unmeasured: {type(error).__name__}: {str(error)[:100]}"
    return times


def describe() -> dict[str, Any]:
    import numpy
    import torch
    import triton

    properties = torch.cuda.get_device_properties(0)
    return {
        "gpu": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "triton": triton.__version__,
            "numpy": numpy.__version__,
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--n", type=int, nargs="+", default=[100_000, 1_000_000], help="numbers of rows")
    parser.add_argument("--d", type=int, default=384, help="width of a row")
    parser.add_argument("--repeats", type=int, default=5, help="counted runs of each; the median is what counts")
    parser.add_argument("--huge", action="store_true", help="10,000,000 rows too")
    parser.add_argument("--tune", action="store_true", help="time every tiling at the last n, and nothing else")
    parser.add_argument("--output", type=Path, help="write the JSON here as well")
    parser.add_argument("--only-faiss", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    try:
        import torch
        import triton  # noqa: F401
    except ImportError as error:
        print(f"gpu_pairwise: unmeasured: {error}: install torch and triton", file=sys.stderr)
        return 2
    if not torch.cuda.is_available():
        print("gpu_pairwise: unmeasured: torch sees no CUDA device: run this on a machine with an NVIDIA GPU", file=sys.stderr)
        return 2
    try:
        import jaxtyping  # noqa: F401
    except ImportError:  # the kernels name its types in annotations only, which nobody evaluates here
        sys.modules["jaxtyping"] = types.SimpleNamespace(Float=None, Int=None)  # type: ignore[assignment]
    if arguments.only_faiss:
        print(json.dumps(run_faiss(arguments.only_faiss, arguments.d, arguments.repeats)))
        return 0
    report: dict[str, Any] = {**describe(), "d": arguments.d, "checks": {}, "seconds": {}}
    failures: list[str] = []
    if arguments.tune:
        report["seconds"][str(arguments.n[-1])] = tune(arguments.n[-1], arguments.d, arguments.repeats)
    else:
        report["checks"]["top 5"] = check_top_k(failures)
        for n in [*arguments.n, *([10_000_000] if arguments.huge else [])]:
            print(f"gpu_pairwise: n = {n}", file=sys.stderr)
            x = make_rows(n, arguments.d)
            repeats = arguments.repeats if n <= 1_000_000 else 1
            report["checks"][str(n)] = (
                {precision: check(x, precision, failures) for precision in ALLOWED} if n <= 1_000_000 else "unmeasured"
            )
            if failures:
                break
            report["seconds"][str(n)] = time_sweeps(x, repeats)
            del x
            torch.cuda.empty_cache()
            report["seconds"][str(n)] |= (
                time_faiss(n, arguments.d, repeats) if n <= 1_000_000 else {"faiss": "unmeasured: too slow at this n"}
            )
    report["failures"] = failures
    text = json.dumps(report, indent=1)
    print(text)
    if arguments.output is not None:
        arguments.output.write_text(text + "\n", encoding="utf-8")
    for failure in failures:
        print(f"gpu_pairwise: wrong: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

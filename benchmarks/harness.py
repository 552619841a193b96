"""What benchmarks share: paired runs, medians, and a description of the machine. Knows nothing of what is measured."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from variegate.pipeline.manifest import versions

RESULTS = Path(__file__).parent / "results"


def data_folder(path: str) -> Path:
    """`--data`. The empty path, an unset variable on a command line, is not the current folder."""
    if not path or not Path(path).is_dir():
        raise argparse.ArgumentTypeError(f"{path!r} is no folder: expected that of the real data sets, as VARIEGATE_DATA names it")
    return Path(path)


def describe_machine() -> dict[str, Any]:
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0] if names else cpu
    gpu = None
    if program := shutil.which("nvidia-smi"):
        query = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
        gpu = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()
    environment = {name: os.environ[name] for name in ("KMP_BLOCKTIME", "OMP_WAIT_POLICY", "OMP_NUM_THREADS") if name in os.environ}
    return {"cpu": cpu, "cores": os.cpu_count(), "gpu": gpu, "versions": versions(), "environment": environment}


def interleave(sides: dict[str, Callable[[], float]], repeats: int, *, warmup: int = 1) -> dict[str, list[float]]:
    """Run every side in turn, `repeats` times after `warmup` uncounted turns: A B A B ..., so that drift hits all alike.

    A side returns its own figure (say tokens/s).
    """
    out: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(warmup + repeats):
        for name, run in sides.items():
            value = run()
            if turn >= warmup:
                out[name].append(value)
    return out


def summarize(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "runs": len(values)}


def ratio(figures: dict[str, list[float]], over: str, under: str) -> dict[str, float]:
    """The median of the turn-by-turn ratios, with their range."""
    return summarize([a / b for a, b in zip(figures[over], figures[under], strict=True)])


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    value = function()
    return value, time.perf_counter() - start


def save(name: str, results: dict[str, Any]) -> Path:
    """Write benchmarks/results/NAME.json with the machine, the date and the command."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    # Folders of this machine are named by their last part alone.
    words = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]
    command = " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])
    whole = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": command,
        "machine": describe_machine(),
        "results": results,
    }
    path.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    return path

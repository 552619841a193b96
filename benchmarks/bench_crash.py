"""kill -9 at random instants of a real run, resume, and compare the finished files with an uninterrupted run's.

    python benchmarks/bench_crash.py [--kills 20] [--records 2000]

Writes benchmarks/results/crash-cpu.json. Every kill is a SIGKILL of a whole `variegate generate` process under vLLM.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import harness
from variegate.store.run_folder import RunFolder

LABELS = 150


def command(folder: Path, per_label: int) -> list[str]:
    """A run with everything that carries state from round to round: suppression by label, a growing pool, duplicates."""
    settings = {
        "strategy": "{kind: few_shot, form: chung, seed_pool: 0, num_examples: 3}",
        "decoding.temperature": "1.0",
        "decoding.max_tokens": "24",
        "decoding.suppression.group": "label",
        "rounds": "{first: 1, growth: 0.25, shard: 64}",  # some ten rounds, each in several shards
        "strategy.completions_per_call": "2",
    }
    options = [option for key, value in settings.items() for option in ("--set", f"{key}={value}")]
    return [sys.executable, "-m", "variegate.cli.main", "generate", "clinc150", *options, "-n", str(per_label), "-o", str(folder)]


def run_to_end(folder: Path, per_label: int) -> float:
    start = time.monotonic()
    subprocess.run(command(folder, per_label), check=True, capture_output=True)
    return time.monotonic() - start


def committed(folder: Path) -> int:
    return len(list((folder / "rounds").glob("[0-9]*"))) if (folder / "rounds").is_dir() else 0


def spooled(folder: Path) -> int:
    """Shards of the round in progress."""
    return len(list((folder / "parts").glob("[0-9]*"))) if (folder / "parts").is_dir() else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--records", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    per_label = -(-args.records // LABELS)
    rng = random.Random(args.seed)
    results: dict[str, Any] = {"kills": []}
    with tempfile.TemporaryDirectory() as name:
        whole = Path(name) / "whole"
        results["uninterrupted_seconds"] = run_to_end(whole, per_label)
        expected = (whole / "records.jsonl").read_bytes()
        results["records"] = expected.count(b"\n")
        results["rounds"] = committed(whole)
        broken = Path(name) / "broken"
        number = 0
        while number < args.kills:
            process = subprocess.Popen(command(broken, per_label), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            before = committed(broken)
            # Most instants should fall into generation: wait for a random number of new rounds, then a random moment.
            wanted = before + rng.choice((0, 0, 1, 1, 2))
            while process.poll() is None and committed(broken) < wanted:
                time.sleep(0.01)
            delay = rng.uniform(0, 25 if wanted == before else 2)
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                number += 1
            results["kills"].append(
                {
                    "delay_seconds": round(delay, 2),
                    "returncode": process.returncode,
                    "rounds_before": before,
                    "rounds_after": committed(broken),
                    "shards_after": spooled(broken),
                }
            )
            print(results["kills"][-1], flush=True)
            if process.returncode == 0:  # it finished before the kill: start another run
                check(broken, whole, expected, results)
                broken = Path(name) / f"broken{len(results['kills'])}"
        run_to_end(broken, per_label)
        check(broken, whole, expected, results)
    print(harness.save("crash-cpu", results), results)


def check(broken: Path, whole: Path, expected: bytes, results: dict[str, Any]) -> None:
    """The resumed run's files against the uninterrupted run's."""
    got = (broken / "records.jsonl").read_bytes()
    ledgers = [(RunFolder(folder).read_manifest() or {})["ledger"] for folder in (broken, whole)]
    keys = [row["key"] for row in RunFolder(broken).rows()]
    verified = subprocess.run([sys.executable, "-m", "variegate.cli.main", "verify", str(broken)], capture_output=True, text=True)
    results.setdefault("finished", []).append(
        {
            "byte_identical": got == expected,
            "same_ids": [line[7:27] for line in got.splitlines()] == [line[7:27] for line in expected.splitlines()],
            "keys_unique": len(keys) == len(set(keys)),
            "ledgers_equal": ledgers[0] == ledgers[1],
            "verify_exit_code": verified.returncode,
        }
    )
    print(results["finished"][-1], flush=True)


if __name__ == "__main__":
    main()

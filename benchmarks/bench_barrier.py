"""What feedback costs at a barrier, without an engine: digests, rows, bytes to the workers and their table, on the CPU.

    python benchmarks/bench_barrier.py

Writes benchmarks/results/barrier-cpu.json. 150 and 1,000 groups with 100 suppressed tokens each, at a vocabulary of 128,256.
Every group has 2,000 tokens drawn by Zipf's law to begin with and 20 more at each of five barriers. The first barrier makes the table on the
device; those after it are what a run pays again and again.
"""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
import torch

import harness
from variegate.inference.suppression.held import HeldRows
from variegate.inference.suppression.rows import BiasRows
from variegate.inference.suppression.sparse import Pairs, SparseRow
from variegate.inference.suppression.table import SuppressionTable

NUM_TOKENS = 128_256
BARRIERS = 6


def barriers(num_groups: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    weights = 1 / np.arange(1, NUM_TOKENS + 1)
    groups = [f"group{i}" for i in range(num_groups)]
    table = SuppressionTable(NUM_TOKENS, top_k=100, floor=-7.5, scale=-7.5, exempt=frozenset(range(50)))
    held = HeldRows()
    device = BiasRows(256, NUM_TOKENS, torch.device("cpu"))
    sent: list[int] = []

    def send(rows: dict[int, SparseRow]) -> None:
        data = Pairs.of(rows).to_bytes()
        sent.append(sum(map(len, data)))
        device.add(Pairs.from_bytes(*data))

    counted, made, placed = [], [], []
    for barrier in range(BARRIERS):
        drawn = [rng.choice(NUM_TOKENS, size=20 if barrier else 2000, p=weights / weights.sum()).tolist() for _ in groups]
        counted.append(harness.timed(lambda drawn=drawn: [table.add(group, ids) for group, ids in zip(groups, drawn, strict=True)])[1])
        rows, seconds = harness.timed(table.rows)
        made.append(seconds)
        placed.append(harness.timed(lambda rows=rows: held.set(rows, NUM_TOKENS, send))[1])
        if len(rows) != num_groups or any(len(row) != 100 for row in rows.values()):
            raise ValueError(f"barrier {barrier}: {len(rows)} rows, expected {num_groups} of 100 tokens")
    later = [a + b for a, b in zip(made[1:], placed[1:], strict=True)]
    return {
        "groups": num_groups,
        "vocab": NUM_TOKENS,
        "mib_sent": round(max(sent) / 2**20, 3),
        "rows_on_device": device.num_rows,
        "first_barrier_seconds": {"rows_and_digests": made[0], "set_rows": placed[0]},
        "later_barrier_seconds": {
            "counting_20_tokens_a_group": statistics.median(counted[1:]),
            "rows_and_digests": statistics.median(made[1:]),
            "set_rows": statistics.median(placed[1:]),
            "whole": harness.summarize(later),
        },
    }


def main() -> None:
    results = {f"groups_{count}": barriers(count) for count in (150, 1000)}
    for name, result in results.items():
        print(name, result)
    print(f"written to {harness.save('barrier-cpu', results)}")


if __name__ == "__main__":
    main()

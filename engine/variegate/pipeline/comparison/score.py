"""One cell of a study measured: diversity, similarity to real data, label accuracy, and a student trained on it.

All cells are measured on equally many texts. What was measured stands on the study's shelf, and is not measured again while its key
holds. Knows nothing of how a cell was made, or of other cells.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from variegate.config.study import StudyConfig
from variegate.errors import UsageError, VariegateError
from variegate.kinds.text import Text, as_one
from variegate.metrics import coverage, cross_distance, diversity, lexical, remote_clique, top_k_similarity
from variegate.pipeline.comparison.places import Place
from variegate.pipeline.comparison.real import Encoders, RealData, needs_dev
from variegate.pipeline.real_baseline import split_real
from variegate.pipeline.seeds import stored_seeds
from variegate.pipeline.training.beside import EXAMPLES, MAJORITY, majority_of, repeated
from variegate.progress import Report
from variegate.seeding import digest
from variegate.store.run_folder import RunFolder
from variegate.store.shelf import Made, Shelf
from variegate.store.texts import read_texts
from variegate.students.data import LabelledTexts, draw, without_overlap
from variegate.students.evaluate import evaluate, summarise

_RECIPE = 2  # of the scores: another one where measures, or the defaults of the settings in the keys, are no longer the same
_K = 5  # Li et al.'s top-5 similarity
_SHOWN = ("per_class", "confusion")  # parts of an evaluation that stay on the shelf


@dataclass(frozen=True, slots=True)
class Sample:
    """A cell's texts with their final labels. leaked: those left out because they stand in real test (or dev) data.

    examples: real texts that the student also learns from; None where it learns from the generated ones alone.
    """

    place: Place
    texts: LabelledTexts
    leaked: int
    examples: LabelledTexts | None = None


def read_sample(place: Place, real: RealData, num_examples: int = 0) -> Sample:
    """num_examples: of a run that drew none; 0: as many as `examples` draws. Raises VariegateError where no student could be
    trained on what is left, and where there are no real examples to add to it."""
    texts = LabelledTexts.of(read_texts(place.folder, curation=place.cell.curation))
    leaked = 0
    student = real.study.student
    dev = real.dev if student is not None and real.study.dev == "real" and needs_dev(student) else None
    for held_out in (real.test, dev):
        if held_out is not None:
            texts, number = without_overlap(texts, held_out)
            leaked += number
    what = f"{place.folder}{f', curation {place.cell.curation}' if place.cell.curation else ''}"
    if len(texts) < 2:
        raise VariegateError(f"{what}: {len(texts)} texts are left ({leaked} stood in the real test data): nothing can be measured")
    if len(set(texts.labels)) < 2:
        raise VariegateError(f"{what}: all {len(texts)} texts have the label {texts.labels[0]!r}: no student can be trained on one class")
    if not place.cell.with_examples:
        return Sample(place, texts, leaked)
    examples = real.examples(num_examples, stored_seeds(RunFolder(place.folder)), place.run.seed)
    if examples is None:
        raise VariegateError(
            f"{what}: no real examples are known that do not stand in the held-out data: the student cannot learn from them"
        )
    return Sample(place, texts, leaked, examples)


class Scorer:
    """Measures samples of one size against the real data of one study. shelf: of its scores."""

    def __init__(self, study: StudyConfig, shelf: Shelf, real: RealData, encoders: Encoders, report: Report) -> None:
        self.study, self.shelf, self.real, self.encoders, self.report = study, shelf, real, encoders, report

    # -- one cell ----------------------------------------------------------------------------------------------

    def score(self, sample: Sample, size: int) -> tuple[dict[str, Any], bool]:
        """(the scores, whether they were there). Raises VariegateError."""
        place = sample.place
        drawn = draw(sample.texts, size, self.study.run.seed, place.run_id)
        examples = sample.examples
        more = [] if examples is None else [examples.texts, examples.labels]
        key = digest([self._common_key, drawn.texts, drawn.labels, place.run.seed, *more], length=32)
        measured = False

        def measure() -> Made:
            nonlocal measured
            measured = True
            return (), {"n": len(drawn), **self._measure(drawn, place, drawn if examples is None else drawn.joined(examples))}

        return dict(self.shelf.made(f"cells/{place.id}", key, measure).facts), not measured

    @cached_property
    def _common_key(self) -> str:
        study = self.study
        configs = [config for config in (study.student, study.oracle) if config is not None]
        settings = {
            "students": [config.model_dump(mode="json", exclude_defaults=True) for config in configs],  # a new setting changes no key
            "student_seeds": study.student_seeds,
            "dev": study.dev,
            "encoder": study.encoder,
        }
        readers = [self.encoders.fingerprint(config) for config in configs]
        return digest([_RECIPE, settings, self.real.key, self.real.labels, self._encoder.fingerprint, readers], length=32)

    def _measure(self, texts: LabelledTexts, place: Place, taught: LabelledTexts) -> dict[str, Any]:
        """taught: what the student learns from; the rest is measured on `texts`."""
        self.report(f"measuring {place.id}", 0, 1)
        vectors = self._encode(texts.texts)
        found: dict[str, Any] = {"diversity": _diversity(texts, vectors), "similarity": self._similarity(vectors), "label_accuracy": None}
        oracle = self.real.oracle
        if oracle is not None:
            predicted = oracle.predict(texts.texts).labels
            found["label_accuracy"] = sum(a == b for a, b in zip(predicted, texts.labels, strict=True)) / len(texts)
        found["student"], found["train_seconds"] = self._student(taught, place)
        return found

    def _student(self, texts: LabelledTexts, place: Place) -> tuple[dict[str, Any] | None, float]:
        """The evaluation of the first student, the mean scores of all, and the seconds they took to train."""
        study, test = self.study, self.real.test
        if study.student is None or test is None:
            return None, 0.0
        evaluations, seconds = [], 0.0
        for number in range(study.student_seeds):
            began = time.monotonic()
            student = self.real.train_on(study.student, texts, seed=place.run.seed + 1000 * number, what=f"student of {place.id}")
            seconds += time.monotonic() - began
            evaluations.append({**evaluate(student.predict(test.texts), test, seed=study.run.seed), "warnings": student.facts["warnings"]})
        return mean_evaluation(evaluations), round(seconds, 3)

    # -- measures ----------------------------------------------------------------------------------------------

    @cached_property
    def _encoder(self) -> Any:
        return self.encoders.get(self.study.encoder)

    def _encode(self, texts: tuple[Text, ...]) -> Float[np.ndarray, "n d"]:
        return np.asarray(
            self._encoder.encode(list(map(as_one, texts)), progress=lambda done, whole: self.report("embedding", done, whole)).vectors
        )

    @cached_property
    def _real_vectors(self) -> Float[np.ndarray, "m d"]:
        assert self.real.train is not None  # noqa: S101  # `_similarity` looks
        return self._encode(self.real.train.texts)

    def _similarity(self, vectors: Float[np.ndarray, "n d"]) -> dict[str, float | None]:
        """To the real train split, which is the same for all cells and is not drawn down."""
        if self.real.train is None:
            return {"top_5": None, "cross_distance": None, "coverage": None}
        return self._to_real(vectors, self._real_vectors)

    def _to_real(self, vectors: Float[np.ndarray, "n d"], real: Float[np.ndarray, "m d"]) -> dict[str, float | None]:
        return {
            "top_5": float(top_k_similarity(real, vectors, k=_K)) if len(vectors) >= _K else None,
            "cross_distance": float(cross_distance(vectors, real)),
            "coverage": None if self._radius is None else float(coverage(real, vectors, radius=self._radius)),
        }

    def similarity_of_real(self, size: int) -> dict[str, Any] | None:
        """What a cell's similarity stands beside: `size` real texts against the others (half of all, where those are fewer). None for too few."""
        train = self.real.train
        parts = None if train is None else split_real(len(train), size, self.study.run.seed)
        if parts is None:
            return None
        n = len(parts[0])

        def measured() -> Mapping[str, Any]:
            vectors = self._real_vectors
            return {"n": n, "m": len(parts[1]), **self._to_real(vectors[parts[0]], vectors[parts[1]])}

        return self._stored(f"similarity-{n}", measured)

    @cached_property
    def _radius(self) -> float | None:
        """Of coverage: the median distance of a real text to its nearest other, found once for the study."""
        real = self._real_vectors
        if len(real) < 2:
            return None
        key = digest([_RECIPE, self.real.key, self._encoder.fingerprint], length=32)

        def find() -> Made:
            self.report("distances among the real texts", 0, 1)
            return (), {"radius": coverage(real, real[:1]).details["radius"]}

        return float(self.shelf.made("real/radius", key, find).facts["radius"])

    # -- the real side -----------------------------------------------------------------------------------------

    def oracle_test(self) -> dict[str, Any] | None:
        """The oracle on the real test split; None without either."""
        if self.real.oracle is None or self.real.test is None:
            return None
        assert self.real.train is not None  # noqa: S101  # or there was no oracle
        return {**self._stored("oracle", self._oracle_scores), "n_train": len(self.real.train)}

    def _oracle_scores(self) -> dict[str, Any]:
        assert self.real.oracle is not None  # noqa: S101
        assert self.real.test is not None  # noqa: S101
        return evaluate(self.real.oracle.predict(self.real.test.texts), self.real.test, seed=self.study.run.seed)

    def real_student(self, size: int) -> dict[str, Any] | None:
        """The student trained on all real texts, and on as many of them as a cell has; None without student, train or test."""
        train = self.real.train
        if self.study.student is None or train is None or self.real.test is None:
            return None
        whole = self._stored("real", lambda: self._real_scores(train))
        found = {**shown(whole), "n": len(train), "n_test": whole["n"]}
        if size < len(train):
            part = self._stored(f"real-{size}", lambda: self._real_scores(draw(train, size, self.study.run.seed, "real")))
            found["at_equal_n"] = {**shown(part), "n": size, "n_test": part["n"]}
        return found

    def bars(self, count: int, size: int, notes: list[str]) -> dict[str, dict[str, Any]]:
        """What a recipe must not be below: the test data's majority class, and the student of the examples alone, where there are any.

        count: of the runs' seeds. size: texts of a cell. notes: takes why there is no such student. Empty without student or test data.
        """
        config, test = self.study.student, self.real.test
        if config is None or test is None:
            return {}
        majority = majority_of(test, self.real.labels)
        found = {MAJORITY: {**shown(dict(majority.evaluations[0])), "label": majority.source}}
        examples = self.real.examples(count)
        if examples is not None:
            texts = repeated(examples, size, config)
            try:
                scores = self._stored(f"examples-{digest([texts.texts, texts.labels])}", lambda: self._real_scores(texts))
            except VariegateError as error:
                notes.append(f"no student of the real examples stands beside the cells: {error}")
            else:
                found[EXAMPLES] = {**shown(scores), "n": len(examples), "n_test": scores["n"]}
                del found[EXAMPLES]["diversity"]  # of the repeated texts
        return found

    def _real_scores(self, texts: LabelledTexts) -> dict[str, Any]:
        assert self.study.student is not None  # noqa: S101
        assert self.real.test is not None  # noqa: S101
        test, evaluations = self.real.test, []
        for number in range(self.study.student_seeds):
            student = self.real.on_real(self.study.student, texts, seed=self.study.run.seed + 1000 * number)
            evaluations.append(
                {**evaluate(student.predict(test.texts), test, seed=self.study.run.seed), "warnings": student.facts["warnings"]}
            )
        return {**mean_evaluation(evaluations), "diversity": _diversity(texts, self._encode(texts.texts))}

    def _stored(self, name: str, make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        key = digest([self._common_key, self.study.run.seed], length=32)
        return dict(self.shelf.made(f"real/{name}", key, lambda: ((), make())).facts)


def mean_evaluation(evaluations: list[dict[str, Any]]) -> dict[str, Any]:
    """The first student's evaluation with the mean accuracy and macro-F1 of all, and their spread as `seeds`."""
    if len(evaluations) == 1:
        return evaluations[0]
    spread = summarise(evaluations)
    warnings = list(dict.fromkeys(warning for each in evaluations for warning in each["warnings"]))
    means = {name: spread[name]["mean"] for name in ("accuracy", "macro_f1")}
    return {**evaluations[0], **means, "seeds": spread, "warnings": warnings}


def shown(evaluation: dict[str, Any]) -> dict[str, Any]:
    """An evaluation as the study holds it: without what grows with the number of classes."""
    return {name: value for name, value in evaluation.items() if name not in _SHOWN}


def _diversity(texts: LabelledTexts, vectors: Float[np.ndarray, "n d"]) -> dict[str, float | None]:
    found = diversity(vectors, per_record=False)
    words = list(map(as_one, texts.texts))
    return {
        "remote_clique": float(found.remote_clique),
        "chamfer": float(found.chamfer),
        "distinct_2": _or_none(lambda: lexical.distinct_n(words, 2)),
        "self_repetition": _or_none(lambda: lexical.self_repetition(words)),
        "remote_clique_within_labels": _within_labels(texts, vectors),
    }


def _within_labels(texts: LabelledTexts, vectors: Float[np.ndarray, "n d"]) -> float | None:
    """Mean over the labels with two texts or more of the Remote-Clique of each: pooled diversity rewards labels for lying apart."""
    labels = np.array(texts.labels)
    values = [
        float(remote_clique(vectors[labels == label], per_record=False))
        for label in sorted(set(texts.labels))
        if (labels == label).sum() > 1
    ]
    return float(np.mean(values)) if values else None


def _or_none(measure: Any) -> float | None:
    """None where the texts are too short for a lexical measure to exist."""
    try:
        return float(measure())
    except UsageError:
        return None

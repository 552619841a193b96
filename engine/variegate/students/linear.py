"""Linear students: logistic regression or a linear SVC on frozen sentence embeddings. Trained in seconds, on a CPU.

Probabilities: of logistic regression the softmax of its scores; of the SVC each class's margin through a sigmoid fitted on
held-out margins (Platt), the classes then normalised to a sum of 1. Saved without pickle: JSON and safetensors.

Knows vectors only through an encoder.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from variegate.config.student import LinearStudentConfig
from variegate.embeddings.models import find_model
from variegate.errors import UsageError, VariegateError
from variegate.kinds.text import Text
from variegate.progress import Report
from variegate.store.files import explained, new_folder
from variegate.students.data import LabelledTexts, columns_of
from variegate.students.student import Predictions, write_about

if TYPE_CHECKING:
    from variegate.embeddings import Encoder

WEIGHTS = "linear.safetensors"
_FOLDS = 5  # of the calibration


@dataclass(frozen=True, slots=True)
class Weights:
    """c classes in the order of the student's labels; a class that was not in the training data has a bias of -inf."""

    coefficients: Float[np.ndarray, "c d"]
    biases: Float[np.ndarray, " c"]
    sigmoid: Float[np.ndarray, "2 c"] | None  # slope and offset of each class's sigmoid; None: not calibrated, or not an SVC

    def to_tensors(self) -> dict[str, np.ndarray]:
        tensors = {"coefficients": self.coefficients, "biases": self.biases}
        return tensors if self.sigmoid is None else {**tensors, "sigmoid": self.sigmoid}


@dataclass(slots=True)
class LinearStudent:
    config: LinearStudentConfig
    labels: tuple[str, ...]
    pairs: bool
    weights: Weights = field(repr=False)
    facts: dict[str, Any]
    trained_on: frozenset[str] = field(default=frozenset(), repr=False)
    encoder: Encoder | None = field(default=None, repr=False)  # None: made when it is needed

    def predict(self, texts: Sequence[Text], *, progress: Report | None = None) -> Predictions:
        """Raises VariegateError when the encoder is not the one that the student was trained on."""
        if self.encoder is None:
            self.encoder = make_encoder(self.config)
        trained_on = self.facts["encoder"]
        if self.encoder.fingerprint != trained_on["fingerprint"]:
            raise VariegateError(
                f"this student was trained on vectors of {trained_on['name']!r}, and {self.encoder.name!r} here is not the same model"
                " (other files): give it that model, or train it again"
            )
        vectors, _ = embed(texts, self.encoder, pairs=self.pairs, source="the texts", progress=progress)
        return self.classify(vectors)

    def classify(self, vectors: Float[np.ndarray, "n d"]) -> Predictions:
        """Predictions from vectors of the student's encoder (of pairs: from `pair_features`)."""
        scores = vectors.astype(np.float64) @ self.weights.coefficients.T + self.weights.biases
        probabilities = self._probabilities(scores)
        best = (scores if probabilities is None else probabilities).argmax(axis=1)
        return Predictions(tuple(self.labels[place] for place in best), self.labels, probabilities, scores)

    def _probabilities(self, scores: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"] | None:
        if self.config.kind == "logistic_regression":
            odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        elif self.weights.sigmoid is not None:
            slope, offset = self.weights.sigmoid
            seen = np.isfinite(self.weights.biases)
            odds = np.zeros_like(scores)
            odds[:, seen] = np.exp(-np.logaddexp(0, slope[seen] * scores[:, seen] + offset[seen]))
            odds[odds.sum(axis=1) == 0] = seen  # every class ruled out: none is likelier than another
        else:
            return None
        return odds / odds.sum(axis=1, keepdims=True)

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save

        with new_folder(folder) as place, explained(folder):
            (place / WEIGHTS).write_bytes(save({name: np.ascontiguousarray(each) for name, each in self.weights.to_tensors().items()}))
            write_about(self, self.config, place)


def load_linear(folder: Path, about: dict[str, Any], encoder: Encoder | None) -> LinearStudent:
    """about: the content of student.json, as `read_about` gives it when it has checked every file."""
    from safetensors.numpy import load

    tensors = load((folder / WEIGHTS).read_bytes())
    weights = Weights(tensors["coefficients"], tensors["biases"], tensors.get("sigmoid"))
    config = LinearStudentConfig.model_validate(about["config"])
    return LinearStudent(config, tuple(about["labels"]), about["pairs"], weights, about["facts"], about["trained_on"], encoder)


def make_encoder(config: LinearStudentConfig) -> Encoder:
    from variegate.embeddings import Encoder

    return Encoder(config.encoder, pooling=config.pooling)


def embed(
    texts: Sequence[Text], encoder: Encoder, *, pairs: bool, source: str, progress: Report | None = None
) -> tuple[Float[np.ndarray, "n d"], dict[str, Any]]:
    """What a linear student sees of the texts, and facts of the encoding. Raises UsageError for a text that is no pair where pairs are read."""

    def report(done: int, whole: int) -> None:
        if progress is not None:
            progress("embedding", done, whole)

    parts = columns_of(texts, pairs=pairs, source=source)
    found = encoder.encode([text for part in parts for text in part], progress=report)
    facts = {name: getattr(found, name) for name in ("name", "fingerprint", "width", "pooling", "precision", "num_truncated")}
    return (pair_features(*np.split(found.vectors, 2)) if pairs else found.vectors), facts


def pair_features(first: Float[np.ndarray, "n d"], second: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n e"]:
    """[a, b, |a - b|, a * b], so e = 4 d: a linear model can then see how near the two parts of a pair are.

    Reference: Conneau et al., "Supervised Learning of Universal Sentence Representations", EMNLP 2017.
    """
    return np.concatenate([first, second, np.abs(first - second), first * second], axis=1)


def train_linear(
    config: LinearStudentConfig,
    train: LabelledTexts,
    labels: Sequence[str],
    *,
    seed: int,
    encoder: Encoder | None,
    progress: Report | None,
) -> LinearStudent:
    """labels: all that the student shall know, sorted; those without a text are never predicted. At least two have texts.

    seed: of the folds in which the SVC is calibrated; logistic regression does not depend on it.
    """
    started = time.perf_counter()
    if encoder is None:
        encoder = make_encoder(config)
    elif (asked := find_model(config.encoder)).fingerprint != encoder.fingerprint:
        raise UsageError(f"the student wants vectors of {asked.name!r}, and was given an encoder {encoder.name!r}: give it the former")
    vectors, encoding = embed(train.texts, encoder, pairs=train.pairs, source=train.source, progress=progress)
    if config.pooling is not None and encoding["pooling"] != config.pooling:
        raise UsageError(
            f"the student wants the pooling {config.pooling!r}, and was given an encoder that pools by {encoding['pooling']!r}: make the encoder with the former"
        )
    if progress is not None:
        progress("training", 0, 1)
    said: list[str] = []
    weights, calibrated = _fit(config, vectors, train, labels, seed, said)
    if progress is not None:
        progress("training", 1, 1)
    facts = {"encoder": encoding, "calibrated": calibrated, "seconds": round(time.perf_counter() - started, 3), "warnings": said}
    return LinearStudent(config, tuple(labels), train.pairs, weights, facts, encoder=encoder)


def _fit(
    config: LinearStudentConfig, vectors: Float[np.ndarray, "n d"], train: LabelledTexts, labels: Sequence[str], seed: int, said: list[str]
) -> tuple[Weights, bool]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]

    vectors, y = vectors.astype(np.float64), np.array(train.labels)
    logistic = config.kind == "logistic_regression"
    fewest = min(train.label_counts.items(), key=lambda each: each[1])
    # The products are small: on one thread logistic regression takes a quarter of the time, less still where others work too.
    with warnings.catch_warnings(record=True) as caught, threadpool_limits(1, user_api="blas"):
        warnings.simplefilter("always", ConvergenceWarning)
        if logistic:
            model = LogisticRegression(C=config.C, max_iter=config.max_iter).fit(vectors, y)
            sigmoid = None
        else:
            model, sigmoid = _fit_svc(LinearSVC(C=config.C, max_iter=config.max_iter, random_state=seed), vectors, y, fewest[1], seed)
            if sigmoid is None:
                said.append(f"label {fewest[0]!r} has one text, and a calibration needs two: the student gives margins, no probabilities")
    if any(issubclass(each.category, ConvergenceWarning) for each in caught):
        said.append(f"the fit had not converged after {config.max_iter} iterations: raise max_iter, or lower C")
    return _spread(model, sigmoid, labels, logistic), sigmoid is not None or logistic


def _fit_svc(
    model: Any, vectors: Float[np.ndarray, "n d"], y: np.ndarray, fewest: int, seed: int
) -> tuple[Any, Float[np.ndarray, "2 k"] | None]:
    """The SVC on all texts, and the sigmoids fitted on margins out of fold. fewest: texts of the rarest label."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.model_selection import StratifiedKFold

    if fewest < 2:
        return model.fit(vectors, y), None
    folds = StratifiedKFold(min(_FOLDS, fewest), shuffle=True, random_state=seed)
    whole = CalibratedClassifierCV(model, method="sigmoid", cv=folds, ensemble=False).fit(vectors, y)
    (fitted,) = whole.calibrated_classifiers_
    return fitted.estimator, np.array([[each.a_, each.b_] for each in fitted.calibrators]).T


def _spread(model: Any, sigmoid: Float[np.ndarray, "2 k"] | None, labels: Sequence[str], logistic: bool) -> Weights:
    """A row for every label. Of two classes sklearn keeps the second's row alone: the first's is its opposite (of a softmax: 0)."""
    coefficients, biases = model.coef_.astype(np.float64), model.intercept_.astype(np.float64)
    if len(model.classes_) == 2:
        first = 0.0 if logistic else -1.0
        coefficients, biases = np.concatenate([first * coefficients, coefficients]), np.concatenate([first * biases, biases])
        if sigmoid is not None:  # 1 - sigmoid(f) as a sigmoid of -f: the same slope, the offset's opposite
            sigmoid = np.concatenate([sigmoid * [[1], [-1]], sigmoid], axis=1)
    places = [labels.index(label) for label in model.classes_.tolist()]
    out = Weights(
        np.zeros((len(labels), coefficients.shape[1])),
        np.full(len(labels), -np.inf),
        None if sigmoid is None else np.zeros((2, len(labels))),
    )
    out.coefficients[places], out.biases[places] = coefficients, biases
    if out.sigmoid is not None:
        out.sigmoid[:, places] = sigmoid
    return out

"""From sets of texts to the measurement: embeds, measures whole sets, pairs at equal size and each label, names what stands out.

The measurement is plain JSON data: `variegate measure --json` prints it, a run folder keeps it as measures.json, the report
shows it. What cannot be measured (a label with one record) becomes a warning; bad input is an error.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from variegate import __version__
from variegate.errors import UsageError
from variegate.folding import fold
from variegate.metrics import (
    MetricValue,
    NearestReference,
    coverage,
    cross_distance,
    diversity,
    leakage_near,
    lexical,
    nearest_reference,
    top_k_similarity,
)
from variegate.metrics.projection import project, tsne_coverage
from variegate.metrics.vectors import Vectors, prepare
from variegate.metrics.vendi import vendi_scores
from variegate.metrics.words import Words, words_of
from variegate.seeding import derive_seed
from variegate.store.texts import TextSet

if TYPE_CHECKING:
    from variegate.embeddings import Embeddings, Encoder

MOST_PAIRS = 30  # in the table of nearest pairs
MOST_DUPLICATES = 20  # texts named
MOST_DOTS = 2_000  # of each set on the map
Progress = Callable[[str, int, int], None]  # stage, done, whole


@dataclass(frozen=True, slots=True)
class MeasureSettings:
    distance: str = "cosine"
    k: int = 5
    implementation: str = "auto"
    seed: int = 0
    radius: float | None = None  # of coverage, in `distance`; None: see metrics.similarity.coverage
    leakage_threshold: float = 0.95  # cosine
    by_label: bool = True
    map: Literal["pca", "tsne", "none"] = "pca"
    tsne_radius: float | None = None  # also measure coverage in a t-SNE plane, with this radius


@dataclass(frozen=True, slots=True)
class _Side:
    """One set with its vectors; `part` takes some of its records."""

    source: TextSet
    vectors: Vectors
    words: Words | None  # None without texts
    places: np.ndarray  # of these records in the source
    drawn_from: int | None = None  # records it was drawn from, for a comparison at equal size

    def __len__(self) -> int:
        return len(self.places)

    @property
    def has_directions(self) -> bool:
        """Whether no vector is zero: measures of direction need that."""
        return bool(self.vectors.norms.min() > 0)

    @property
    def texts(self) -> list[str] | None:
        return None if self.source.texts is None else [self.source.texts[place] for place in self.places]

    def part(self, chosen: np.ndarray, *, drawn: bool = False) -> _Side:
        rows = prepare(self.vectors.rows[chosen], self.vectors.name)
        words = None if self.words is None else self.words.take(chosen)
        return _Side(self.source, rows, words, self.places[chosen], len(self) if drawn else self.drawn_from)

    def describe(self, text: int) -> str:
        place = self.places[text]
        return self.source.ids[place] if self.source.texts is None else self.source.texts[place]


def measure(
    texts: TextSet,
    reference: TextSet | None,
    settings: MeasureSettings,
    *,
    encoder: Encoder | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The measurement of `texts`, alone and against `reference`.

    encoder: makes the vectors of both sets, where they do not bring their own.
    Raises UsageError when there are too few records, k is too large, or a vector is bad.
    """
    seconds: dict[str, float] = {}
    report = progress or (lambda stage, done, whole: None)
    with _timed(seconds, "embed"):
        made, real, encoding = _embed(texts, reference, encoder, report)
    warnings = list(_warnings(made, real, encoding))
    with _timed(seconds, "measure"):
        pooled, near = _pooled(made, real, settings, report, warnings)
        labels = _by_label(made, real, settings, report, warnings) if settings.by_label else {}
        shown = None if settings.map == "none" else _map(made, real, settings, warnings)
    return {
        "variegate": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "set": _source(made),
        "reference": None if real is None else _source(real),
        "encoder": encoding,
        "distance": settings.distance,
        "k": settings.k,
        "seed": settings.seed,
        "pooled": _json(pooled, encoding),
        "labels": {label: _json(values, encoding) for label, values in labels.items()},
        "map": shown,
        "nearest_pairs": [] if near is None or real is None else _nearest_pairs(made, real, near),
        "duplicates": _duplicates(made),
        "warnings": warnings,
        "seconds": seconds,
    }


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[name] = round(time.perf_counter() - start, 3)


# -- vectors ---------------------------------------------------------------------------------------------------


def _embed(
    texts: TextSet, reference: TextSet | None, encoder: Encoder | None, report: Progress
) -> tuple[_Side, _Side | None, dict[str, Any]]:
    sets = [("set", texts), *([("reference", reference)] if reference is not None else [])]
    given = [each.vectors is not None for _, each in sets]
    if any(given) and not all(given):
        lacking = sets[given.index(False)][1].source
        raise UsageError(
            f"{lacking}: has no vectors, while the other set brings its own: give both sets' vectors (--vector-field, or an .npy), or neither's"
        )
    sides, facts = [], []
    for name, each in sets:
        vectors: Any = each.vectors
        if vectors is None:
            vectors, embeddings = _encode(name, each, encoder, report)
            facts.append(embeddings)
        rows = prepare(vectors, f"{each.source}")
        words = None if each.texts is None else words_of(each.texts)
        sides.append(_Side(each, rows, words, np.arange(len(each))))
    if facts:
        encoding = {**facts[0].facts(), "num_truncated": sum(each.num_truncated for each in facts)}
    else:
        encoding = {"name": "given vectors", "width": sides[0].vectors.rows.shape[1]}
    return sides[0], sides[1] if reference is not None else None, encoding


def _encode(name: str, texts: TextSet, encoder: Encoder | None, report: Progress) -> tuple[np.ndarray, Embeddings]:
    if encoder is None or texts.texts is None:
        raise UsageError(f"{texts.source}: brings no vectors, and no encoder was given: name an encoder, or give vectors")
    embeddings = encoder.encode(texts.texts, progress=lambda done, whole: report(f"embedding the {name}", done, whole))
    return embeddings.vectors, embeddings


# -- measures --------------------------------------------------------------------------------------------------


def _pooled(
    made: _Side, real: _Side | None, settings: MeasureSettings, report: Progress, warnings: list[str]
) -> tuple[dict[str, list[MetricValue]], NearestReference | None]:
    """Whole sets; where their sizes differ, also the larger one drawn down to the smaller, seeded."""
    values: dict[str, list[MetricValue]] = {"set": _set_values(made, settings, report, "set", warnings), "reference": [], "pair": []}
    if real is None:
        return values, None
    values["reference"] = _set_values(real, settings, report, "reference", warnings)
    values["pair"], near = _pair_values(made, real, settings, report, warnings)
    if len(made) != len(real):
        size = min(len(made), len(real))
        if len(made) > size:
            made = _draw(made, size, settings.seed)
            values["set"] += _at_equal_size(_vector_values(made, settings, report, "set"), made, settings.seed)
        else:
            real = _draw(real, size, settings.seed)
            values["reference"] += _at_equal_size(_vector_values(real, settings, report, "reference"), real, settings.seed)
        drawn = made if made.drawn_from is not None else real
        if settings.k <= size and made.has_directions and real.has_directions:
            values["pair"] += _at_equal_size([_top_k(made, real, settings)], drawn, settings.seed)
    return values, near


def _vector_values(side: _Side, settings: MeasureSettings, report: Progress, name: str) -> list[MetricValue]:
    found = diversity(
        side.vectors,
        distance=settings.distance,
        implementation=settings.implementation,
        seed=settings.seed,
        per_record=False,
        progress=lambda done, whole: report(f"measuring the {name}", done, whole),
    )
    return [found.remote_clique, found.chamfer]


def _set_values(side: _Side, settings: MeasureSettings, report: Progress, name: str, warnings: list[str]) -> list[MetricValue]:
    values = _vector_values(side, settings, report, name)
    if side.has_directions:
        values += vendi_scores(side.vectors)
    words, texts = side.words, side.texts
    if words is None or texts is None:
        return values
    report(f"counting words of the {name}", 0, 1)
    for lexical_measure in (
        *(partial(lexical.distinct_n, words, n) for n in (1, 2, 3)),
        partial(lexical.self_repetition, words),
        partial(lexical.compression_ratio, texts),
        partial(lexical.vocabulary_size, words),
        partial(lexical.length_distribution, words),
    ):
        values += _if_possible(lexical_measure, f"the {name}", warnings)
    return values


def _if_possible(lexical_measure: Callable[[], MetricValue], name: str, warnings: list[str]) -> list[MetricValue]:
    """A lexical measure, or a warning where the texts are too short to have one."""
    try:
        return [lexical_measure()]
    except UsageError as error:
        warnings.append(f"{name}: {error}")
        return []


def _pair_values(
    made: _Side, real: _Side, settings: MeasureSettings, report: Progress, warnings: list[str]
) -> tuple[list[MetricValue], NearestReference | None]:
    report("comparing the sets", 0, 1)
    exact = _exact(settings.implementation)
    near = None
    values = [cross_distance(made.vectors, real.vectors, distance=settings.distance, implementation=_cross(settings))]
    if made.has_directions and real.has_directions:
        near = nearest_reference(made.vectors, real.vectors, implementation=exact)
        values += [_top_k(made, real, settings), leakage_near(near, threshold=settings.leakage_threshold)]
        if settings.tsne_radius is not None:
            values.append(tsne_coverage(real.vectors, made.vectors, radius=settings.tsne_radius, seed=settings.seed))
    if settings.radius is not None or len(real) > 1:
        values.append(coverage(real.vectors, made.vectors, radius=settings.radius, distance=settings.distance, implementation=exact))
    else:
        warnings.append("the reference has one record: coverage needs --radius")
    if made.texts is not None and real.texts is not None and made.words is not None and real.words is not None:
        values += [lexical.leakage_exact(made.texts, real.texts), lexical.leakage_folded(made.texts, real.texts)]
        values += _if_possible(partial(lexical.bigram_overlap, made.words, real.words), "bigram overlap", warnings)
    return values, near


def _top_k(made: _Side, real: _Side, settings: MeasureSettings) -> MetricValue:
    return top_k_similarity(real.vectors, made.vectors, k=settings.k, implementation=settings.implementation, seed=settings.seed)


def _exact(implementation: str) -> str:
    """What serves measures of each record, which are never estimated."""
    return "auto" if implementation == "estimate" else implementation


def _cross(settings: MeasureSettings) -> str:
    return "auto" if settings.distance in ("cosine", "sqeuclidean") else settings.implementation


def _draw(side: _Side, size: int, seed: int) -> _Side:
    rng = np.random.default_rng(derive_seed(seed, "measure", "equal size"))
    return side.part(np.sort(rng.choice(len(side), size, replace=False)), drawn=True)


def _at_equal_size(values: list[MetricValue], side: _Side, seed: int) -> list[MetricValue]:
    """The values, which then say that they are of a drawn part."""
    return [replace(value, details={**value.details, "drawn_from": side.drawn_from, "seed": seed}) for value in values]


# -- labels ----------------------------------------------------------------------------------------------------


def _by_label(
    made: _Side, real: _Side | None, settings: MeasureSettings, report: Progress, warnings: list[str]
) -> dict[str, dict[str, list[MetricValue]]]:
    """Diversity and similarity of each label, the larger side drawn down to the smaller."""
    own, theirs = _places(made), {} if real is None else _places(real)
    labels = sorted({*own, *theirs})
    out: dict[str, dict[str, list[MetricValue]]] = {}
    small: list[str] = []
    quiet: Progress = lambda stage, done, whole: None  # noqa: E731
    for done, label in enumerate(labels):
        report("measuring labels", done, len(labels))
        ours = made.part(own[label]) if label in own else None
        other = real.part(theirs[label]) if real is not None and label in theirs else None
        values: dict[str, list[MetricValue]] = {"set": [], "reference": [], "pair": []}
        if ours is not None and other is not None:
            size = min(len(ours), len(other))
            ours, other = (side if len(side) == size else _draw(side, size, settings.seed) for side in (ours, other))
            values["pair"].append(cross_distance(ours.vectors, other.vectors, distance=settings.distance, implementation=_cross(settings)))
            if settings.k <= size and ours.has_directions and other.has_directions:
                values["pair"].append(_top_k(ours, other, settings))
        for name, side in (("set", ours), ("reference", other)):
            if side is None:
                continue
            if len(side) < 2:
                small.append(label)
                continue
            found = _vector_values(side, settings, quiet, name)
            if side.words is not None:
                found += _if_possible(partial(lexical.distinct_n, side.words, 2), f"label {label!r}", warnings)
            values[name] = found if side.drawn_from is None else _at_equal_size(found, side, settings.seed)
        out[label] = values
    if small:
        warnings.append(f"{len(set(small))} labels have one record and no diversity: {_some(sorted(set(small)))}")
    return out


def _places(side: _Side) -> dict[str, np.ndarray]:
    """label -> places of its records; nothing for a set without labels, or with one alone."""
    if side.source.labels is None:
        return {}
    found: dict[str, list[int]] = {}
    for place, label in enumerate(side.source.labels):
        found.setdefault(label, []).append(place)
    return {label: np.array(places) for label, places in found.items()}


# -- what stands out -------------------------------------------------------------------------------------------


def _warnings(made: _Side, real: _Side | None, encoding: dict[str, Any]) -> Iterator[str]:
    truncated = encoding.get("num_truncated")
    if truncated:
        yield f"{truncated} texts are longer than the encoder's {encoding['max_tokens']} tokens: what stands beyond counts for nothing"
    for name, side in (("set", made), ("reference", real)):
        if side is not None and not side.has_directions:
            num_zero = int((side.vectors.norms == 0).sum())
            yield f"{name}: {num_zero} zero vectors have no direction: Vendi score, top-k similarity and leakage by vectors are left out"
        if side is not None and side.source.skipped:
            yield f"{name}: left out {', '.join(f'{count} rows ({reason})' for reason, count in side.source.skipped.items())}"
    if real is None:
        return
    if len(made) != len(real):
        yield (
            f"the set has {len(made)} records, the reference {len(real)}: Chamfer falls and top-k similarity rises with the number of"
            " records; compare the values at equal size"
        )
    if made.source.labels is not None and real.source.labels is not None:
        for name, missing in (
            ("the set", set(real.source.labels) - set(made.source.labels)),
            ("the reference", set(made.source.labels) - set(real.source.labels)),
        ):
            if missing:
                yield f"{name} has no record of {len(missing)} labels: {_some(sorted(missing))}"


def _some(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _source(side: _Side) -> dict[str, Any]:
    source = side.source
    distinct = len(set(source.texts)) if source.texts is not None else len(side) - side.vectors.distinct().num_duplicates
    return {
        "source": source.source,
        "n": len(side),
        "num_unique": distinct,
        "skipped": dict(source.skipped),
        "labels": dict(Counter(source.labels).most_common()) if source.labels is not None else {},
    }


def _duplicates(side: _Side) -> list[dict[str, Any]]:
    if side.source.texts is None:
        return []
    common = Counter(side.source.texts).most_common(MOST_DUPLICATES)
    return [{"text": text, "count": count} for text, count in common if count > 1]


def _nearest_pairs(made: _Side, real: _Side, near: NearestReference) -> list[dict[str, Any]]:
    """The closest records of the set and their references; of equal texts one."""
    pairs, seen = [], set()
    for row in np.argsort(near.distances, kind="stable"):
        other = int(near.index[row])
        text, reference_text = made.describe(row), real.describe(other)
        if text in seen:
            continue
        seen.add(text)
        pairs.append(
            {
                "text": text,
                "label": None if made.source.labels is None else made.source.labels[row],
                "id": made.source.ids[row],
                "reference_text": reference_text,
                "reference_label": None if real.source.labels is None else real.source.labels[other],
                "reference_id": real.source.ids[other],
                "similarity": 1 - float(near.distances[row]),
                "kind": "equal" if text == reference_text else "folded" if fold(text) == fold(reference_text) else "near",
            }
        )
        if len(pairs) == MOST_PAIRS:
            break
    return pairs


def _map(made: _Side, real: _Side | None, settings: MeasureSettings, warnings: list[str]) -> dict[str, Any] | None:
    sides = {"set": made, **({"reference": real} if real is not None else {})}
    shown = {name: side if len(side) <= MOST_DOTS else _draw(side, MOST_DOTS, settings.seed) for name, side in sides.items()}
    if settings.map == "tsne" and sum(map(len, shown.values())) < 4:
        warnings.append("no map: t-SNE needs four records")
        return None
    drawn = project(
        shown["set"].vectors,
        shown["reference"].vectors if real is not None else None,
        method="tsne" if settings.map == "tsne" else "pca",
        distance="euclidean" if settings.distance in ("euclidean", "sqeuclidean") else "cosine",
        seed=settings.seed,
    )
    labels = sorted({label for side in sides.values() for label in side.source.labels or ()})
    index = {label: place for place, label in enumerate(labels)}

    def dots(side: _Side, points: np.ndarray) -> dict[str, Any]:
        own = None if side.source.labels is None else [index[side.source.labels[place]] for place in side.places]
        return {"x": np.round(points[:, 0], 5).tolist(), "y": np.round(points[:, 1], 5).tolist(), "label": own}

    return {
        "method": drawn.method,
        "explained": None if drawn.explained is None else list(drawn.explained),
        "labels": labels,
        "set": dots(shown["set"], drawn.x),
        "reference": None if drawn.y is None else dots(shown["reference"], drawn.y),
        "shown": {name: len(side) for name, side in shown.items()},
    }


def _json(values: dict[str, list[MetricValue]], encoding: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The values, those of vectors with the encoder's name."""
    return {
        name: [{**value.to_json(), "encoder": encoding["name"]} if value.distance is not None else value.to_json() for value in each]
        for name, each in values.items()
    }

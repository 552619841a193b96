"""From sets of texts to the measurement: embeds, measures whole sets, pairs at equal size and each label, names what stands out.

The measurement is plain JSON data: `variegate measure --json` prints it, a run folder keeps it as measures.json, the report
shows it. What cannot be measured (a label with one record) becomes a warning; bad input is an error.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from variegate import __version__
from variegate.errors import UsageError, some_of
from variegate.kinds.text import as_one, comparable
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
from variegate.metrics.projection import tsne_coverage
from variegate.metrics.vendi import vendi_scores
from variegate.pipeline.real_baseline import beside_real
from variegate.pipeline.sides import Side, embed
from variegate.pipeline.standouts import describe_source, draw_map, duplicates_of, nearest_pairs, warnings_of
from variegate.progress import Report
from variegate.store.texts import TextSet

if TYPE_CHECKING:
    from variegate.embeddings import Encoder


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


def measure(
    texts: TextSet,
    reference: TextSet | None,
    settings: MeasureSettings,
    *,
    encoder: Encoder | None = None,
    progress: Report | None = None,
) -> dict[str, Any]:
    """The measurement of `texts`, alone and against `reference`.

    encoder: makes the vectors of both sets, where they do not bring their own.
    Raises UsageError when there are too few records, k is too large, or a vector is bad.
    """
    _check(texts, reference, settings)
    seconds: dict[str, float] = {}
    report = progress or (lambda stage, done, whole: None)
    with _timed(seconds, "embed"):
        made, real, encoding = embed(texts, reference, encoder, report)
    if settings.distance in ("cosine", "angular"):
        for side in (made, real):
            if side is not None:
                side.check_directions()
    warnings = list(warnings_of(made, real, encoding))
    with _timed(seconds, "measure"):
        pooled, near = _pooled(made, real, settings, report, warnings)
        baseline = _beside_real(made, real, settings, report)
        labels = _by_label(made, real, settings, report, warnings) if settings.by_label else {}
        shown = None
        if settings.map != "none":
            shown = draw_map(made, real, method=settings.map, distance=settings.distance, seed=settings.seed)
            if shown is None:
                warnings.append("too few records for a map by t-SNE: it needs 4")
    return {
        "variegate": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "set": describe_source(made),
        "reference": None if real is None else describe_source(real),
        "encoder": encoding,
        "distance": settings.distance,
        "k": settings.k,
        "seed": settings.seed,
        "pooled": _json(pooled, encoding),
        "real_against_real": baseline,
        "labels": {label: _json(values, encoding) for label, values in labels.items()},
        "map": shown,
        "nearest_pairs": [] if near is None or real is None else nearest_pairs(made, real, near),
        "duplicates": duplicates_of(made),
        "warnings": warnings,
        "seconds": seconds,
    }


def _check(texts: TextSet, reference: TextSet | None, settings: MeasureSettings) -> None:
    """What can be told before anything is embedded."""
    for each in (texts, reference):
        if each is not None and len(each) < 2:
            raise UsageError(f"{each.source}: holds one record, and a distance to others needs two: give more")
    if reference is not None and settings.k > len(texts):
        raise UsageError(
            f"{texts.source}: has {len(texts)} records, and the top-k similarity asked for is to k = {settings.k} of them: lower --k"
        )
    for name in ("radius", "tsne_radius", "leakage_threshold"):
        if not math.isfinite(getattr(settings, name) or 0):
            raise UsageError(f"--{name.replace('_', '-')} {getattr(settings, name)}: expected a finite number")


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[name] = round(time.perf_counter() - start, 3)


# -- measures --------------------------------------------------------------------------------------------------


def _pooled(
    made: Side, real: Side | None, settings: MeasureSettings, report: Report, warnings: list[str]
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
            made = made.draw(size, settings.seed)
            values["set"] += _at_equal_size(_set_values(made, settings, report, "set", []), made, settings.seed)
        else:
            real = real.draw(size, settings.seed)
            values["reference"] += _at_equal_size(_set_values(real, settings, report, "reference", []), real, settings.seed)
        drawn = made if made.drawn_from is not None else real
        if settings.k <= size and made.has_directions and real.has_directions:
            values["pair"] += _at_equal_size([_top_k(made, real, settings)], drawn, settings.seed)
    return values, near


def _vector_values(side: Side, settings: MeasureSettings, report: Report, name: str) -> list[MetricValue]:
    found = diversity(
        side.vectors,
        distance=settings.distance,
        implementation=settings.implementation,
        seed=settings.seed,
        per_record=False,
        progress=lambda done, whole: report(f"measuring the {name}", done, whole),
    )
    return [found.remote_clique, found.chamfer]


def _set_values(side: Side, settings: MeasureSettings, report: Report, name: str, warnings: list[str]) -> list[MetricValue]:
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
        partial(lexical.compression_ratio, list(map(as_one, texts))),
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
    made: Side, real: Side, settings: MeasureSettings, report: Report, warnings: list[str]
) -> tuple[list[MetricValue], NearestReference | None]:
    report("comparing the sets", 0, 1)
    exact = _exact(settings.implementation)
    near = None
    values = [cross_distance(made.vectors, real.vectors, distance=settings.distance, implementation=_cross(settings), seed=settings.seed)]
    if made.has_directions and real.has_directions:
        near = nearest_reference(made.vectors, real.vectors, implementation=exact)
        values += [_top_k(made, real, settings), leakage_near(near, threshold=settings.leakage_threshold)]
        if settings.tsne_radius is not None:
            values.append(tsne_coverage(real.vectors, made.vectors, radius=settings.tsne_radius, seed=settings.seed))
    values.append(coverage(real.vectors, made.vectors, radius=settings.radius, distance=settings.distance, implementation=exact))
    if made.texts is not None and real.texts is not None and made.words is not None and real.words is not None:
        texts, others = list(map(comparable, made.texts)), list(map(comparable, real.texts))
        values += [lexical.leakage_exact(texts, others), lexical.leakage_folded(texts, others)]
        if isinstance(made.texts[0], str):  # a pair's given text is a real one by right
            values.append(lexical.leakage_contained(texts, others))
        values += _if_possible(partial(lexical.bigram_overlap, made.words, real.words), "bigram overlap", warnings)
    return values, near


def _beside_real(made: Side, real: Side | None, settings: MeasureSettings, report: Report) -> dict[str, Any] | None:
    if real is None or made.has_directions != real.has_directions:  # a measure that one of the two lacks compares nothing
        return None
    report("comparing the reference with itself", 0, 1)
    return beside_real(
        made,
        real,
        distance=settings.distance,
        k=settings.k,
        radius=settings.radius,
        threshold=settings.leakage_threshold,
        seed=settings.seed,
    )


def _top_k(made: Side, real: Side, settings: MeasureSettings) -> MetricValue:
    return top_k_similarity(real.vectors, made.vectors, k=settings.k, implementation=settings.implementation, seed=settings.seed)


def _exact(implementation: str) -> str:
    """What serves measures of each record, which are never estimated."""
    return "auto" if implementation == "estimate" else implementation


def _cross(settings: MeasureSettings) -> str:
    return "auto" if settings.distance in ("cosine", "sqeuclidean") else settings.implementation


def _at_equal_size(values: list[MetricValue], side: Side, seed: int) -> list[MetricValue]:
    """The values, which then say that they are of a drawn part."""
    return [replace(value, details={**value.details, "drawn_from": side.drawn_from, "seed": seed}) for value in values]


# -- labels ----------------------------------------------------------------------------------------------------


def _by_label(
    made: Side, real: Side | None, settings: MeasureSettings, report: Report, warnings: list[str]
) -> dict[str, dict[str, list[MetricValue]]]:
    """Diversity and similarity of each label, the larger side drawn down to the smaller."""
    own, theirs = made.by_label(), {} if real is None else real.by_label()
    labels = sorted({*own, *theirs})
    out: dict[str, dict[str, list[MetricValue]]] = {}
    small: list[str] = []
    short: list[str] = []
    quiet: Report = lambda stage, done, whole: None  # noqa: E731
    for done, label in enumerate(labels):
        report("measuring labels", done, len(labels))
        ours = made.part(own[label]) if label in own else None
        other = real.part(theirs[label]) if real is not None and label in theirs else None
        values: dict[str, list[MetricValue]] = {"set": [], "reference": [], "pair": []}
        if ours is not None and other is not None:
            size = min(len(ours), len(other))
            ours, other = ours.draw(size, settings.seed), other.draw(size, settings.seed)
            between = [
                cross_distance(ours.vectors, other.vectors, distance=settings.distance, implementation=_cross(settings), seed=settings.seed)
            ]
            if settings.k <= size and ours.has_directions and other.has_directions:
                between.append(_top_k(ours, other, settings))
            drawn = next((side for side in (ours, other) if side.drawn_from is not None), None)
            values["pair"] = between if drawn is None else _at_equal_size(between, drawn, settings.seed)
        for name, side in (("set", ours), ("reference", other)):
            if side is None:
                continue
            if len(side) < 2:
                small.append(label)
                continue
            found = _vector_values(side, settings, quiet, name)
            if side.words is not None and side.words.lengths.max() > 1:
                found.append(lexical.distinct_n(side.words, 2))
            elif side.words is not None:
                short.append(label)
            values[name] = found if side.drawn_from is None else _at_equal_size(found, side, settings.seed)
        out[label] = values
    for names, words in (
        (small, "with one record, and so without diversity"),
        (short, "without a text of two words, and so without distinct_2"),
    ):
        if names:
            warnings.append(f"labels {words}: {some_of(sorted(set(names)))}")
    return out


def _json(values: dict[str, list[MetricValue]], encoding: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The values, those of vectors with the encoder's name."""
    return {
        name: [{**value.to_json(), "encoder": encoding["name"]} if value.distance is not None else value.to_json() for value in each]
        for name, each in values.items()
    }

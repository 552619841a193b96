"""Diversity of one set: Remote-Clique and Chamfer score.

Reference: Cox et al., "Directed Diversity" (CHI 2021); used by Chung, Kamar and Amershi (ACL 2023) and Li et al. (EMNLP 2023).
Differs from the papers: none of them names the distance or says whether a record is compared with itself; here both are
arguments, and stand in the result. Knows vectors, not texts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from variegate.errors import UsageError
from variegate.metrics import closed_forms, estimates
from variegate.metrics.choice import choose
from variegate.metrics.pairs import Pairs, check_distance, measure_pairs
from variegate.metrics.values import MetricValue
from variegate.metrics.vectors import Distinct, Vectors, prepare

_CLOSED = ("cosine", "sqeuclidean")
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Diversity:
    remote_clique: MetricValue
    chamfer: MetricValue


def remote_clique(
    x: Any,
    *,
    distance: str = "cosine",
    include_self: bool = False,
    implementation: str = "auto",
    seed: int = 0,
    per_record: bool = True,
    progress: Progress | None = None,
) -> MetricValue:
    """Mean over the records of the mean distance to all others: (1 / n) sum_i (1 / (n - 1)) sum_{j != i} d(x_i, x_j).

    x: array or tensor "n d", n >= 2, finite. Rows need not have length 1.
    distance: cosine [0, 2], euclidean, sqeuclidean [0, inf), angular = arccos(cosine) / pi [0, 1].
    include_self: divide by n^2 instead, counting each record's zero distance to itself: what a mean over the full matrix gives (the
        `diversity` package does). Smaller by (n - 1) / n.
    implementation: see `choice`. Cosine and squared Euclidean have closed forms, O(n d).
    seed: of the pairs that an estimate draws.
    per_record: also the mean distance of each record to all others, as `.per_record` (an estimate gives none).
    progress: called with (done, whole) by the implementation "tiles".
    Raises UsageError when there are fewer than two records, or a vector is bad (names the row).
    """
    v, distinct = _checked(x, distance)
    choice = choose(implementation, f"remote_clique with distance={distance!r}", v.rows, closed=distance in _CLOSED)
    if choice == "closed_form":
        return _closed_remote_clique(v, distinct, distance, include_self, per_record)
    if choice == "estimate":
        estimate = estimates.mean_pair_distance(v, distinct, distance, seed=seed)
        value = _value("remote_clique", v, distinct, distance, estimate.value, "control_variates", "float32")
        return _self_rule(replace(value, interval=estimate.interval, details=estimate.details), include_self)
    if distance in _CLOSED:
        raise UsageError(f"remote_clique with distance={distance!r} is a closed form: use implementation='auto', not {implementation!r}")
    pairs = measure_pairs(v, distance, choice, distinct=distinct, sums=True, row_sums=per_record, progress=progress)
    return _summed_remote_clique(v, distinct, distance, include_self, pairs, choice)


def chamfer(
    x: Any,
    *,
    distance: str = "cosine",
    implementation: str = "auto",
    seed: int = 0,
    progress: Progress | None = None,
) -> MetricValue:
    """Mean over the records of the distance to the nearest other: (1 / n) sum_i min_{j != i} d(x_i, x_j).

    Self is left out by index, so a copy is at distance exactly 0. `.per_record` holds the n distances. It falls as n grows:
    compare sets of equal size. Winning pairs are measured again in float64 by differences. Arguments and errors: see
    `remote_clique`; an estimate (implementation="estimate") needs FAISS.
    """
    v, distinct = _checked(x, distance)
    choice = choose(implementation, "chamfer", v.rows, neighbours=True)
    if choice == "estimate":
        return _estimated_chamfer(v, distinct, distance, seed)
    pairs = measure_pairs(v, distance, choice, distinct=distinct, sums=False, progress=progress)
    return _chamfer(v, distinct, distance, pairs, choice)


def diversity(
    x: Any,
    *,
    distance: str = "cosine",
    include_self: bool = False,
    implementation: str = "auto",
    seed: int = 0,
    per_record: bool = True,
    progress: Progress | None = None,
) -> Diversity:
    """Both scores from one pass over the pairs. See `remote_clique` and `chamfer`."""
    v, distinct = _checked(x, distance)
    choice = choose(implementation, "chamfer", v.rows, neighbours=True)
    if choice == "estimate":
        way = "auto" if distance in _CLOSED else "estimate"
        clique = remote_clique(v, distance=distance, include_self=include_self, implementation=way, seed=seed, per_record=per_record)
        return Diversity(clique, _estimated_chamfer(v, distinct, distance, seed))
    pairs = measure_pairs(v, distance, choice, distinct=distinct, sums=distance not in _CLOSED, row_sums=per_record, progress=progress)
    if distance in _CLOSED:
        clique = _closed_remote_clique(v, distinct, distance, include_self, per_record)
    else:
        clique = _summed_remote_clique(v, distinct, distance, include_self, pairs, choice)
    return Diversity(clique, _chamfer(v, distinct, distance, pairs, choice))


def _checked(x: Any, distance: str) -> tuple[Vectors, Distinct]:
    check_distance(distance)
    v = prepare(x)
    if len(v.rows) < 2:
        raise UsageError(f"{v.name}: one record: a distance to others needs at least two")
    return v, v.distinct()


def _closed_remote_clique(v: Vectors, distinct: Distinct, distance: str, include_self: bool, per_record: bool) -> MetricValue:
    form = closed_forms.mean_cosine_distance if distance == "cosine" else closed_forms.mean_squared_distance
    value, each = form(v, each=per_record)
    return _self_rule(_value("remote_clique", v, distinct, distance, value, "closed_form", "float64", each), include_self)


def _summed_remote_clique(v: Vectors, distinct: Distinct, distance: str, include_self: bool, pairs: Pairs, choice: str) -> MetricValue:
    assert pairs.total is not None  # noqa: S101  # measure_pairs was asked for it
    n = len(v.rows)
    each = None if pairs.sums is None else pairs.sums / (n - 1)
    value = _value("remote_clique", v, distinct, distance, pairs.total / (n * (n - 1)), choice, pairs.precision, each)
    return _self_rule(value, include_self)


def _self_rule(value: MetricValue, include_self: bool) -> MetricValue:
    """The value over n (n - 1) pairs, or over n^2 with the n zeros on the diagonal."""
    factor = (value.n - 1) / value.n if include_self else 1.0
    return replace(
        value,
        value=value.value * factor,
        include_self=include_self,
        interval=None if value.interval is None else (value.interval[0] * factor, value.interval[1] * factor),
        per_record=None if value.per_record is None else value.per_record * factor,
    )


def _chamfer(v: Vectors, distinct: Distinct, distance: str, pairs: Pairs, choice: str) -> MetricValue:
    mean, precision = float(pairs.distances.mean()), f"{pairs.precision}, nearest pairs in float64"
    value = _value("chamfer", v, distinct, distance, mean, choice, precision, pairs.distances)
    return replace(value, details={"num_looked_up_again": pairs.num_looked_up_again})


def _estimated_chamfer(v: Vectors, distinct: Distinct, distance: str, seed: int) -> MetricValue:
    estimate = estimates.mean_nearest_distance(v, distinct, distance, seed=seed)
    value = _value("chamfer", v, distinct, distance, estimate.value, "inverted_index", "fp32, nearest pairs in float64")
    return replace(value, interval=estimate.interval, details=estimate.details)


def _value(
    metric: str,
    v: Vectors,
    distinct: Distinct,
    distance: str,
    value: float,
    implementation: str,
    precision: str,
    each: Tensor | None = None,
) -> MetricValue:
    return MetricValue(
        metric=metric,
        value=value,
        n=len(v.rows),
        implementation=implementation,
        precision=precision,
        distance=distance,
        include_self=False,
        num_duplicates=distinct.num_duplicates,
        per_record=None if each is None else each.to("cpu", torch.float64).numpy(),
    )

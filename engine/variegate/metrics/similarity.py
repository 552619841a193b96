"""How near a synthetic set lies to a reference set: top-k similarity, mean distance across, coverage, leakage.

Reference: Li, Zhu, Lu and Yin (EMNLP 2023) for top-k similarity; Chung, Kamar and Amershi (ACL 2023) for the mean distance
across; S3 (Wang, Zhou and Sachan, Findings of EMNLP 2023) for coverage. Knows vectors, not texts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from variegate.errors import UsageError
from variegate.metrics import closed_forms, estimates
from variegate.metrics.choice import choose, choose_exact
from variegate.metrics.pairs import check_distance, from_euclidean, measure_pairs, rows_for
from variegate.metrics.values import MetricValue
from variegate.metrics.vectors import Vectors, check_same_width, prepare
from variegate.neighbors import has_faiss, nearest_in, top_k
from variegate_kernels.pairwise import Function

_CLOSED = ("cosine", "sqeuclidean")
_ROUNDING = 1e-12  # 1 - 0.95 is not 0.05 in float64
Progress = Callable[[int, int], None]


def top_k_similarity(reference: Any, synthetic: Any, *, k: int = 5, implementation: str = "auto", seed: int = 0) -> MetricValue:
    """(1 / m) sum over references r of the mean of the k largest cos(r, s) over synthetic s. In [-1, 1]; not symmetric.

    reference: "m d", synthetic: "n d", arrays or tensors of finite, non-zero rows. `.per_record` holds the m means.
    It grows with n: compare sets of equal size. implementation: dense, faiss, tiles (torch blocks), triton, triton_fp16x3,
    estimate (inverted index with a 95 % interval; needs FAISS), auto (see `choice`).
    Raises UsageError when k > n or k < 1, widths differ, or a vector is bad (names set and row).
    Differs from the paper: it does not say whether labels are compared apart; this is the pooled form, and the caller may give
    the vectors of one label.
    """
    real, made = _two_sets(reference, synthetic)
    if not isinstance(k, int) or not 1 <= k <= len(made.rows):
        raise UsageError(f"k: got {k}, expected 1 to {len(made.rows)}, the number of synthetic records: lower k, or give more records")
    choice = choose(implementation, "top_k_similarity", real.rows, made.rows, neighbours=True)
    if choice == "tiles" and implementation == "auto" and has_faiss():
        choice = "faiss"
    facts: dict[str, Any] = {"metric": "top_k_similarity", "n": len(made.rows), "m": len(real.rows), "k": k, "distance": "cosine"}
    facts["num_duplicates"] = made.distinct().num_duplicates
    if choice == "estimate":
        estimate = estimates.mean_top_k(real.units(), made.units(), k, seed=seed)
        return MetricValue(
            **facts,
            value=estimate.value,
            implementation="inverted_index",
            precision="fp32",
            interval=estimate.interval,
            details=estimate.details,
        )
    values = top_k(real.units(), made.units(), k, implementation=choice)[0].to("cpu", torch.float64)
    each = values.clamp_(-1, 1).mean(1)
    precision = "float64" if choice == "dense" else "fp32"
    return MetricValue(**facts, value=float(each.mean()), implementation=choice, precision=precision, per_record=each.numpy())


def cross_distance(
    a: Any, b: Any, *, distance: str = "cosine", implementation: str = "auto", seed: int = 0, progress: Progress | None = None
) -> MetricValue:
    """Mean distance over all pairs of a row of `a` ("n d") and a row of `b` ("m d"). Symmetric.

    distance: cosine and sqeuclidean have closed forms, O((n + m) d); euclidean and angular visit n m pairs.
    seed: of the pairs that an estimate draws.
    Differs from the paper: Chung et al. call this number a similarity and find that accuracy grows with it; it is a distance.
    """
    check_distance(distance)
    left, right = _two_sets(a, b, names=("a", "b"))
    choice = choose(implementation, f"cross_distance with distance={distance!r}", left.rows, right.rows, closed=distance in _CLOSED)
    facts: dict[str, Any] = {"metric": "cross_distance", "n": len(left.rows), "m": len(right.rows), "distance": distance}
    if choice == "closed_form":
        form = closed_forms.cross_cosine_distance if distance == "cosine" else closed_forms.cross_squared_distance
        return MetricValue(**facts, value=form(left, right), implementation=choice, precision="float64")
    if distance in _CLOSED:
        raise UsageError(f"cross_distance with distance={distance!r} is a closed form: use implementation='auto', not {implementation!r}")
    if choice == "estimate":
        estimate = estimates.mean_cross_distance(left, right, distance, seed=seed)
        return MetricValue(
            **facts,
            value=estimate.value,
            implementation="control_variates",
            precision="float32",
            interval=estimate.interval,
            details=estimate.details,
        )
    function: Function = "angular" if distance == "angular" else "euclidean"
    found = nearest_in(
        rows_for(left, distance),
        rows_for(right, distance),
        implementation=choice,
        function=function,
        row_sums=False,
        progress=progress,
    )
    assert found.total is not None  # noqa: S101  # a function was asked for
    return MetricValue(**facts, value=found.total / (len(left.rows) * len(right.rows)), implementation=choice, precision=found.precision)


@dataclass(frozen=True, slots=True)
class NearestReference:
    """Of each record, its nearest reference in one distance."""

    index: Int[np.ndarray, " n"]
    distances: Float[np.ndarray, " n"]  # float64
    distance: str
    m: int
    implementation: str
    precision: str


def nearest_reference(
    synthetic: Any, reference: Any, *, distance: str = "cosine", implementation: str = "auto", progress: Progress | None = None
) -> NearestReference:
    """The nearest row of `reference` ("m d") of each row of `synthetic` ("n d"): behind coverage and leakage."""
    check_distance(distance)
    made, real = _two_sets(synthetic, reference, names=("synthetic", "reference"))
    choice = choose_exact(implementation, "nearest_reference", made.rows, real.rows)
    found = nearest_in(rows_for(made, distance), rows_for(real, distance), implementation=choice, progress=progress)
    distances = from_euclidean(found.distances, distance).cpu().numpy()
    return NearestReference(found.index.cpu().numpy(), distances, distance, len(real.rows), choice, found.precision)


def coverage(
    reference: Any, synthetic: Any, *, radius: float | None = None, distance: str = "cosine", implementation: str = "auto"
) -> MetricValue:
    """Share of the references that have a synthetic record within `radius`. In [0, 1].

    radius: a distance. None takes the median distance of a reference to its nearest other one, so that the reference set would
    cover about half of itself; the value taken is in `details["radius"]`.
    Differs from the paper: S3 measures in a joint t-SNE plane and gives no radius; a t-SNE plane keeps no distances, so
    this form stays in the space of the vectors. See `projection.tsne_coverage` for theirs.
    """
    if radius is not None and not radius >= 0:
        raise UsageError(f"radius: got {radius}, expected a distance of 0 or more")
    real, made = _two_sets(reference, synthetic)
    rule = "given"
    if radius is None:
        radius, rule = _median_nearest(real, distance, implementation), "median distance of a reference to its nearest other"
    found = nearest_reference(real, made, distance=distance, implementation=implementation)
    inside = found.distances <= radius
    return MetricValue(
        metric="coverage",
        value=float(inside.mean()),
        n=len(made.rows),
        m=len(real.rows),
        implementation=found.implementation,
        precision=f"{found.precision}, nearest pairs in float64",
        distance=distance,
        details={"radius": radius, "rule": rule},
        per_record=inside.astype(np.float64),
    )


def leakage_near(found: NearestReference, *, threshold: float = 0.95) -> MetricValue:
    """Share of the records whose nearest reference is at a cosine of `threshold` or more: equal or nearly equal texts.

    `found`: from `nearest_reference(synthetic, reference, distance="cosine")`. `.per_record` holds the cosines.
    """
    if not -1 <= threshold <= 1:
        raise UsageError(f"threshold: got {threshold}, expected a cosine in [-1, 1]")
    if found.distance != "cosine":
        raise UsageError(f"leakage_near needs cosine distances, got {found.distance}: call nearest_reference with distance='cosine'")
    cosines = 1 - found.distances
    return MetricValue(
        metric="leakage_near",
        value=float((found.distances <= 1 - threshold + _ROUNDING).mean()),
        n=len(cosines),
        m=found.m,
        implementation=found.implementation,
        precision=f"{found.precision}, nearest pairs in float64",
        distance="cosine",
        details={"threshold": threshold},
        per_record=cosines,
    )


def _median_nearest(real: Vectors, distance: str, implementation: str) -> float:
    if len(real.rows) < 2:
        raise UsageError("radius: needs a number where there is one reference alone: its median distance to others does not exist")
    choice = choose_exact(implementation, "coverage", real.rows)
    return float(measure_pairs(real, distance, choice, distinct=real.distinct(), sums=False).distances.median())


def _two_sets(a: Any, b: Any, names: tuple[str, str] = ("reference", "synthetic")) -> tuple[Vectors, Vectors]:
    left, right = prepare(a, names[0]), prepare(b, names[1])
    check_same_width(left, right)
    if left.rows.dtype != right.rows.dtype:
        left, right = prepare(left.rows.double(), names[0]), prepare(right.rows.double(), names[1])
    return left, right

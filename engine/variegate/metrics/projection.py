"""Two dimensions for one set or two sets together: PCA and t-SNE maps, and the coverage that S3 reads off a t-SNE map.

A map is for looking at; t-SNE keeps neighbours and not distances, so the numbers to compare sets with are those of the other
modules. Needs scikit-learn for t-SNE only, imported when it is used. Knows nothing of texts, labels or drawing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from variegate.errors import UsageError, VariegateError
from variegate.metrics.values import MetricValue
from variegate.metrics.vectors import Vectors, blocks, check_same_width, prepare
from variegate.seeding import derive_seed

MAX_TSNE_POINTS = 20_000  # minutes of CPU time (5,000 take 20 s); n^2 d in the neighbour search, n log n after it
_JITTER = 0.01  # of the start's spread: parts equal rows, and gives the seed something to change
_EQUAL = 1e-28  # variance over mean square length: below it all rows are the same but for rounding


@dataclass(frozen=True, slots=True)
class Projection:
    """Coordinates of one set, or of two on one map."""

    method: Literal["pca", "tsne"]
    explained: tuple[float, float] | None  # share of the variance on each axis; None for t-SNE, whose axes mean nothing
    x: Float[np.ndarray, "n 2"]
    y: Float[np.ndarray, "m 2"] | None
    perplexity: float | None = None  # as used; None for PCA


def project(
    x: Float[np.ndarray | Tensor, "n d"] | Vectors,
    y: Float[np.ndarray | Tensor, "m d"] | Vectors | None = None,
    *,
    method: Literal["pca", "tsne"] = "pca",
    distance: Literal["cosine", "euclidean"] = "cosine",
    seed: int = 0,
    perplexity: float = 30.0,
) -> Projection:
    """A map of `x`, or of `x` and `y` fitted jointly. distance: "cosine" maps the unit rows, "euclidean" the rows as they are.

    pca: the two directions of greatest variance about the common mean, in float64. The component of each direction with the
    largest absolute value is positive, so the same vectors give the same map (where the variances differ). Rows that are all
    equal lie at the origin with `explained` (0, 0); the second coordinate of vectors of width 1 is 0.
    Cost: (n + m) d min(n + m, d) + min(n + m, d)^3.

    tsne: scikit-learn's Barnes-Hut t-SNE with Euclidean neighbours, started from the PCA map scaled to 1e-4 with 1 % of
    seeded noise. `seed` and `perplexity` are of t-SNE alone; a perplexity above (n + m - 1) / 3 is lowered to that. The map is
    the same on the same machine and may differ elsewhere. Rows that are all equal lie at the origin.
    At most MAX_TSNE_POINTS points: choose which to show first.

    Raises UsageError for bad rows, different widths, an unknown method, or too few (under 4) or too many points for t-SNE;
    VariegateError where scikit-learn is missing.
    """
    if method not in ("pca", "tsne"):
        raise UsageError(f"method: got {method!r}, expected 'pca' or 'tsne'")
    if distance not in ("cosine", "euclidean"):
        raise UsageError(f"distance: got {distance!r}, expected 'cosine' (unit rows) or 'euclidean' (rows as they are)")
    sets = [prepare(x, "x")] if y is None else [prepare(x, "x"), prepare(y, "y")]
    check_same_width(sets[0], sets[-1])
    parts = [each.units() if distance == "cosine" else each.rows for each in sets]
    if method == "pca":
        coordinates, explained = _pca(parts)
        return Projection("pca", explained, *_split(coordinates, parts))
    coordinates, used = _tsne(parts, seed=seed, perplexity=perplexity)
    return Projection("tsne", None, *_split(coordinates, parts), used)


def tsne_coverage(
    reference: Float[np.ndarray | Tensor, "m d"] | Vectors,
    synthetic: Float[np.ndarray | Tensor, "n d"] | Vectors,
    *,
    radius: float,
    seed: int = 0,
    perplexity: float = 30.0,
) -> MetricValue:
    """The share of reference points within a radius of any synthetic point, on one t-SNE map of both (unit rows).

    radius: in units of the map's spread, the root mean square distance of all its points from their mean, so that 0.05 means
    the same on a wide and on a narrow map. details: the radius on the map, and what else made it. per_record: 1 where a
    reference point of the map is covered, else 0.
    Sets that together have more than MAX_TSNE_POINTS points are drawn from (seeded, without replacement): up to half of the
    places each, and what one set leaves free to the other. details["drawn"] says so, n and m are the points on the map.
    The value depends on both sizes (more synthetic points cover more) and on how t-SNE fell out: look at several seeds, and
    compare sets of equal n. `coverage` in the space of the vectors has neither trouble.

    Reference: Wang, Zhou and Sachan, "Let's Synthesize Step by Step", Findings of EMNLP 2023 (S3).
    Differs from the paper: it states neither the radius nor the perplexity nor a scale for the map, so its percentages cannot
    be had again; the unit here is ours.
    Raises UsageError and VariegateError as `project` does, and for a radius that is not positive.
    """
    if not (radius > 0 and math.isfinite(radius)):
        raise UsageError(f"radius: got {radius}, expected a positive number of map spreads: 0.05, say")
    real, made = prepare(reference, "reference"), prepare(synthetic, "synthetic")
    check_same_width(real, made)
    real_rows, made_rows = _draw(len(real.rows), len(made.rows), seed=seed)
    parts = [real.units()[real_rows], made.units()[made_rows]]
    coordinates, used = _tsne(parts, seed=seed, perplexity=perplexity)
    centred = coordinates - coordinates.mean(axis=0)
    spread = float(np.sqrt((centred**2).sum(axis=1).mean()))
    real_points, made_points = np.split(coordinates, [len(real_rows)])
    covered = _distance_to_nearest(real_points, made_points) <= radius * spread
    return MetricValue(
        "coverage_tsne",
        float(covered.mean()),
        n=len(made_points),
        m=len(real_points),
        implementation="sklearn_tsne",
        precision="float32",
        distance="cosine",
        details={
            "radius": radius,
            "radius_on_map": radius * spread,
            "perplexity": used,
            "seed": seed,
            "drawn": len(coordinates) < len(real.rows) + len(made.rows),
        },
        per_record=covered.astype(np.float64),
    )


def _split(
    coordinates: Float[np.ndarray, "points 2"], parts: list[Float[Tensor, "_ d"]]
) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, "m 2"] | None]:
    n = len(parts[0])
    return coordinates[:n], coordinates[n:] if len(parts) == 2 else None


def _pca(parts: list[Float[Tensor, "_ d"]]) -> tuple[Float[np.ndarray, "points 2"], tuple[float, float]]:
    d, count = parts[0].shape[1], sum(len(part) for part in parts)
    mean = torch.stack([rows.sum(dim=0) for rows in _float64_blocks(parts)]).sum(dim=0) / count
    if d < count:
        scatter = torch.zeros(d, d, dtype=torch.float64, device=mean.device)
        for rows in _float64_blocks(parts):
            scatter.addmm_((rows - mean).T, rows - mean)
        variances, axes = (each.flip(-1) for each in torch.linalg.eigh(scatter))  # descending
    else:
        _, lengths, directions = torch.linalg.svd(torch.cat(list(_float64_blocks(parts))) - mean, full_matrices=False)
        variances, axes = lengths.square(), directions.T
    total = float(variances.sum())
    if total <= _EQUAL * (total + count * float(mean.square().sum())):
        return np.zeros((count, 2)), (0.0, 0.0)
    axes = axes[:, :2]
    axes = axes * axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)).sign()
    coordinates = torch.cat([(rows - mean) @ axes for rows in _float64_blocks(parts)]).cpu().numpy()
    shares = [*(variances[:2].clamp(min=0) / total).tolist(), 0.0]  # of two axes, or of the only one and none
    return np.pad(coordinates, ((0, 0), (0, 2 - coordinates.shape[1]))), (shares[0], shares[1])


def _float64_blocks(parts: list[Float[Tensor, "_ d"]]) -> Iterator[Float[Tensor, "b d"]]:
    """All rows, in blocks on the device of the first part. Not to be written to: they may be the caller's."""
    return (block.to(parts[0].device, torch.float64) for part in parts for _, block in blocks(part))


def _tsne(parts: list[Float[Tensor, "_ d"]], *, seed: int, perplexity: float) -> tuple[Float[np.ndarray, "points 2"], float]:
    """(coordinates, perplexity used)"""
    count = sum(len(part) for part in parts)
    if not 4 <= count <= MAX_TSNE_POINTS:
        raise UsageError(f"t-SNE: got {count} points, expected 4 to {MAX_TSNE_POINTS}: choose which to show, or use method='pca'")
    if not (perplexity > 0 and math.isfinite(perplexity)):
        raise UsageError(f"perplexity: got {perplexity}, expected a positive number: 5 to 50 is usual")
    tsne, _ = _scikit_learn()
    used = min(float(perplexity), (count - 1) / 3)  # t-SNE looks at 3 perplexity neighbours
    start, _ = _pca(parts)
    if not start.any():
        return start, used
    noise = np.random.default_rng(derive_seed(seed, "t-SNE start")).standard_normal(start.shape)
    start = 1e-4 * (start / start[:, 0].std() + _JITTER * noise)
    rows = torch.cat([part.to("cpu", torch.float32) for part in parts]).numpy()
    return tsne(init=start.astype(np.float32), perplexity=used).fit_transform(rows).astype(np.float64), used


def _draw(m: int, n: int, *, seed: int) -> tuple[Int[Tensor, " _"], Int[Tensor, " _"]]:
    """Which rows of two sets go on the map: all, or MAX_TSNE_POINTS in all, in their order."""
    half = MAX_TSNE_POINTS // 2
    places = {"reference": (m, max(half, MAX_TSNE_POINTS - n)), "synthetic": (n, max(half, MAX_TSNE_POINTS - m))}
    real, made = (
        torch.arange(size)
        if size <= free
        else torch.from_numpy(np.sort(np.random.default_rng(derive_seed(seed, "t-SNE points", name)).choice(size, free, replace=False)))
        for name, (size, free) in places.items()
    )
    return real, made


def _distance_to_nearest(points: Float[np.ndarray, "m 2"], others: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " m"]:
    _, tree = _scikit_learn()
    return np.asarray(tree(others).query(points, k=1)[0][:, 0])


def _scikit_learn() -> tuple[Any, Any]:
    """(TSNE, KDTree)"""
    try:
        from sklearn.manifold import TSNE
        from sklearn.neighbors import KDTree
    except ImportError as error:
        raise VariegateError(
            f"t-SNE needs scikit-learn, which cannot be imported ({error}): run 'pip install scikit-learn', or use method='pca'"
        ) from error
    return TSNE, KDTree

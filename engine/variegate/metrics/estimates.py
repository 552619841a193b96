"""Means over too many pairs or rows to visit: estimates with a 95 % interval.

`mean_pair_distance`: control variates. The mean of t = |x_i - x_j|^2 and of t^2 over all pairs are known exactly in O(n d^2); the
distance is a smooth function of t where text pairs lie, so that a + b t + c t^2, fitted on sampled pairs, leaves little to
sample. `mean_nearest`: a difference estimator. The inverted index errs to one side; a sample of rows, searched
exactly, measures by how much. Knows vectors, not texts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from variegate.metrics.pairs import from_euclidean, rows_for
from variegate.metrics.vectors import Distinct, Vectors, blocks
from variegate.neighbors import InvertedIndex, centred, nearest_in_others, top_k
from variegate_kernels.pairwise import Function
from variegate_kernels.rows import pair_distances

NUM_PAIRS = 400_000
NUM_EXACT_ROWS = 2_000
_GATHERED = 1 << 20  # elements of a block: it stays in the cache
_STRIPE = 128
_NORMAL_QUANTILE = 1.959964  # of 0.975
_ROUNDING = 1e-6  # float32 squared distance against float32 inner product: no larger difference is a missed neighbour


@dataclass(frozen=True, slots=True)
class Estimate:
    value: float
    interval: tuple[float, float]
    details: Mapping[str, Any]


# -- mean over all pairs ---------------------------------------------------------------------------------------


def mean_pair_distance(v: Vectors, distinct: Distinct, distance: str, *, seed: int, num_pairs: int = NUM_PAIRS) -> Estimate:
    """Mean Euclidean or angular distance over i != j. Pairs of equal rows are 0 exactly and are not sampled.

    Cost: n d^2 for the moments, num_pairs * d for the sample.
    """
    n = len(v.rows)
    different = n * n - int(distinct.counts.double().square().sum())  # ordered pairs of rows that differ
    if different == 0:
        return Estimate(0.0, (0.0, 0.0), {"num_pairs": 0, "seed": seed})
    rows, scale = centred(rows_for(v, distance), _function(distance), exponent=0)
    means = [total / different for total in _cross_moments(rows, rows)]
    squared = _sampled_squares(rows, distinct, num_pairs, seed)
    value, half_width = _control_variates(squared, from_euclidean(squared.sqrt(), distance), means)
    share = different / (n * (n - 1)) / scale
    details = {"num_pairs": len(squared), "seed": seed}
    return Estimate(value * share, ((value - half_width) * share, (value + half_width) * share), details)


def _function(distance: str) -> Function:
    return "angular" if distance == "angular" else "euclidean"


def _sampled_squares(rows: Tensor, distinct: Distinct, num_pairs: int, seed: int) -> Float[Tensor, " pairs"]:
    """|x_i - x_j|^2 of pairs drawn with replacement from the ordered pairs of rows that differ.

    With records in the order of their kinds, those of one kind are a stretch, which the second draw steps over.
    """
    rng = np.random.default_rng([seed, 0])
    n, counts, kind = len(rows), distinct.counts.cpu().numpy(), distinct.kind.cpu().numpy()
    order, starts = np.argsort(kind, kind="stable"), np.cumsum(counts) - counts
    chances = np.cumsum(counts * (n - counts), dtype=np.float64)
    out: list[Tensor] = []
    for size in _pieces(num_pairs, rows.shape[1]):
        a = np.searchsorted(chances, rng.random(size) * chances[-1], side="right").clip(max=len(counts) - 1)
        place = (rng.random(size) * (n - counts[a])).astype(np.int64)
        j = order[place + np.where(place >= starts[a], counts[a], 0)]
        left, right = (torch.from_numpy(each).to(rows.device) for each in (a, j))
        out.append((rows[distinct.first[left]] - rows[right]).square_().sum(1).double())
    return torch.cat(out)


def _pieces(number: int, width: int) -> Iterator[int]:
    """`number` in pieces whose vectors stay in the cache."""
    size = max(1, _GATHERED // width)
    yield from (min(size, number - start) for start in range(0, number, size))


def _control_variates(t: Tensor, f: Tensor, means: list[float]) -> tuple[float, float]:
    """(mean of f, half width of its 95 % interval), with f ~ a + b t + c t^2 and the means of t and t^2 over all pairs."""
    scale = float(t.mean())
    if scale == 0:  # rows that differ, but not in this distance: parallel ones in angle
        return 0.0, 0.0
    t = t / scale
    design = torch.stack([torch.ones_like(t), t, t * t], dim=1)
    fitted = torch.linalg.lstsq(design, f[:, None], driver="gelsd" if t.device.type == "cpu" else "gels").solution[:, 0]
    known = torch.tensor([1.0, means[0] / scale, means[1] / scale**2], dtype=torch.float64, device=t.device)
    residual = f - design @ fitted
    spread = float(residual.square().sum()) / max(1, len(t) - 3)
    return float(fitted @ known), _NORMAL_QUANTILE * math.sqrt(spread / len(t))


def mean_cross_distance(a: Vectors, b: Vectors, distance: str, *, seed: int, num_pairs: int = NUM_PAIRS) -> Estimate:
    """Mean Euclidean or angular distance over all pairs of a row of `a` and a row of `b`."""
    both, scale = centred(torch.cat([rows_for(a, distance), rows_for(b, distance)]), _function(distance), exponent=0)
    left, right = both[: len(a.rows)], both[len(a.rows) :]
    generator = torch.Generator().manual_seed(seed)
    out = []
    for number in _pieces(num_pairs, left.shape[1]):
        i, j = (torch.randint(len(each), (number,), generator=generator).to(each.device) for each in (left, right))
        out.append((left[i] - right[j]).square_().sum(1).double())
    squared = torch.cat(out)
    means = [total / (len(left) * len(right)) for total in _cross_moments(left, right)]
    value, half_width = _control_variates(squared, from_euclidean(squared.sqrt(), distance), means)
    value, half_width = value / scale, half_width / scale
    return Estimate(value, (value - half_width, value + half_width), {"num_pairs": num_pairs, "seed": seed})


def _cross_moments(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> tuple[float, float]:
    """(sum of |a_i - b_j|^2, sum of |a_i - b_j|^4) over all n m pairs.

    About any one point, with p_i = |a_i|^2, q_j = |b_j|^2, sums P, Q, A = sum a_i, B = sum b_j, u = sum p_i a_i,
    v = sum q_j b_j: m P + n Q - 2 A.B, and
    m sum p^2 + n sum q^2 + 2 P Q + 4 <M_a, M_b> - 4 (u.B + A.v).
    """
    mean = (a[: 1 << 16].mean(0) + b[: 1 << 16].mean(0)).double() / 2  # any point near both will do
    n, p, p_sq, a_sum, u, m_a = _sums(a, mean)
    m, q, q_sq, b_sum, v, m_b = (n, p, p_sq, a_sum, u, m_a) if b is a else _sums(b, mean)
    first = m * p + n * q - 2 * float(a_sum @ b_sum)
    second = m * p_sq + n * q_sq + 2 * p * q + 4 * float((m_a * m_b).sum()) - 4 * float(u @ b_sum + a_sum @ v)
    return first, second


def _sums(x: Float[Tensor, "n d"], mean: Float[Tensor, " d"]) -> tuple[int, float, float, Tensor, Tensor, Tensor]:
    """(n, sum q_i, sum q_i^2, sum y_i, sum q_i y_i, sum y_i y_i^T) of the rows y_i = x_i - mean, q_i = |y_i|^2."""
    d = x.shape[1]
    total, weighted = (torch.zeros(d, dtype=torch.float64, device=x.device) for _ in range(2))
    products = torch.zeros(d, d, dtype=torch.float64, device=x.device)
    squares_sum, squares_sq = 0.0, 0.0
    for _, block in blocks(x, _GATHERED):
        y = block - mean.to(block.dtype)
        squares = y.square().sum(1)
        for left in range(0, d, _STRIPE):  # the upper triangle, in stripes
            right = left + _STRIPE
            products[left:right, left:] += (y[:, left:right].T @ y[:, left:]).double()
        total += (torch.ones_like(squares) @ y).double()
        weighted += (squares @ y).double()
        squares = squares.double()
        squares_sum += float(squares.sum())
        squares_sq += float(squares.square().sum())
    return len(x), squares_sum, squares_sq, total, weighted, products.triu() + products.triu(1).T


# -- mean over nearest neighbours ------------------------------------------------------------------------------


def mean_nearest_distance(
    v: Vectors, distinct: Distinct, distance: str, *, seed: int, num_exact: int = NUM_EXACT_ROWS, num_probes: int = 2
) -> Estimate:
    """Chamfer score. Rows that have a copy are 0 exactly; the others are estimated."""
    rows, scale = centred(rows_for(v, distance)[distinct.first], _function(distance))
    single = (distinct.counts == 1).nonzero().squeeze(1)
    details: dict[str, Any] = {"num_probes": num_probes, "seed": seed}
    if len(single) == 0 or len(rows) == 1:
        return Estimate(0.0, (0.0, 0.0), details)
    index = InvertedIndex(rows, seed=seed, num_probes=num_probes)
    found = index.search(rows[single], 2)[1].to(rows.device)
    found = torch.where(found[:, 0] == single, found[:, 1], found[:, 0])  # the nearer of the two that is not the row itself
    lost = (found < 0).nonzero().squeeze(1)
    euclidean = pair_distances(rows[single], rows, found)
    euclidean[lost] = nearest_in_others(rows, single[lost])
    approximate = from_euclidean(euclidean / scale, distance)
    sample = _sample(len(single), num_exact, seed).to(rows.device)
    exact = from_euclidean(nearest_in_others(rows, single[sample]) / scale, distance)
    estimate = _difference(approximate, exact, sample, sign=-1, rounding=0.0)
    share = len(single) / len(v.rows)
    details |= {
        "num_lists": index.num_lists,
        "num_exact": len(sample),
        "num_missed": int((approximate[sample] != exact).sum()),
    }
    return Estimate(estimate[0] * share, (estimate[1] * share, estimate[2] * share), details)


def mean_top_k(
    reference: Float[Tensor, "m d"],
    synthetic: Float[Tensor, "n d"],
    k: int,
    *,
    seed: int,
    num_exact: int = NUM_EXACT_ROWS,
    num_probes: int = 2,
) -> Estimate:
    """Mean over the references of the mean of their k largest cosines. Rows of length 1."""
    index = InvertedIndex(synthetic, seed=seed, num_probes=num_probes)
    squared, _ = index.search(reference, k)
    approximate = (1 - squared.double() / 2).mean(1)
    lost = approximate.isinf().nonzero().squeeze(1)
    if len(lost):
        approximate[lost] = _exact_top_k(reference[lost.to(reference.device)], synthetic, k)
    sample = _sample(len(reference), num_exact, seed)
    exact = _exact_top_k(reference[sample.to(reference.device)], synthetic, k)
    value, low, high = _difference(approximate, exact, sample, sign=1, rounding=_ROUNDING)
    details = {"num_lists": index.num_lists, "num_probes": num_probes, "num_exact": len(sample), "seed": seed}
    return Estimate(value, (low, high), details)


def _exact_top_k(queries: Tensor, base: Tensor, k: int) -> Float[Tensor, " q"]:
    return top_k(queries, base, k, implementation="faiss")[0].double().mean(1).cpu()


def _sample(n: int, size: int, seed: int) -> Int[Tensor, " size"]:
    return torch.from_numpy(np.sort(np.random.default_rng([seed, 1]).choice(n, min(n, size), replace=False)))


def _difference(approximate: Tensor, exact: Tensor, sample: Tensor, *, sign: int, rounding: float) -> tuple[float, float, float]:
    """(value, low, high): mean(approximate) + mean over the sample of (exact - approximate), with its 95 % interval.

    sign: +1 where a missed neighbour makes the approximate value too small, -1 where too large. When the sample shows no
    miss at all, its spread of 0 proves nothing: then up to 3 in m rows may be missed (95 %), each by no more than the
    widest range seen, to the one side. rounding: differences up to this are no misses.
    """
    errors = exact - approximate[sample]
    n, m = len(approximate), len(sample)
    value = float(approximate.mean() + errors.mean())
    if m == n:
        return value, value, value
    if not bool((errors.abs() > rounding).any()):
        reach = 3 / m * float(approximate.max() - approximate.min())
        return value, value - reach if sign < 0 else value, value + reach if sign > 0 else value
    half_width = _NORMAL_QUANTILE * float(errors.std()) / math.sqrt(m) * math.sqrt(1 - m / n)
    return value, value - half_width, value + half_width

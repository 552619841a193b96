"""Mean distances over all pairs that need no pair: O(n d), sums in float64.

Knows checked vectors only. With S = sum_i x_i, mean m = S / n and unit rows u_i:
    mean cosine distance over i != j     1 - (|sum u|^2 - n) / (n (n - 1))
    mean squared Euclidean, i != j       2 sum_i |x_i - m|^2 / (n - 1)
    across two sets, cosine              1 - mean(u_A) . mean(u_B)
    across two sets, squared Euclidean   |m_A - m_B|^2 + sum |a - m_A|^2 / n_A + sum |b - m_B|^2 / n_B
The squared forms are sums of squares about the mean, so nothing cancels for vectors far from the origin.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from variegate.metrics.vectors import Vectors, blocks, mean_row


def direction_sum(v: Vectors) -> Float[Tensor, " d"]:
    """sum_i x_i / |x_i| in float64. Raises UsageError naming the row when one is zero."""
    v.check_directions()
    total = torch.zeros(v.rows.shape[1], dtype=torch.float64, device=v.rows.device)
    for start, block in blocks(v.rows):
        total += v.norms[start : start + len(block)].reciprocal() @ block.double()
    return total


def mean_cosine_distance(v: Vectors, *, each: bool) -> tuple[float, Float[Tensor, " n"] | None]:
    """(mean over i != j, with `each` also the mean distance of each row to all others)."""
    n, total = len(v.rows), direction_sum(v)
    value = max(0.0, 1 - (float(total @ total) - n) / (n * (n - 1)))
    if not each:
        return value, None
    out = torch.empty(n, dtype=torch.float64, device=v.rows.device)
    for start, block in blocks(v.rows):
        out[start : start + len(block)] = 1 - ((block.double() @ total) / v.norms[start : start + len(block)] - 1) / (n - 1)
    return value, out.clamp_(min=0)


def mean_and_squares(x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, " n"]]:
    """(mean row, |x_i - mean|^2 of each)."""
    mean = mean_row(x)
    return mean, torch.cat([(block.double() - mean).square_().sum(1) for _, block in blocks(x)])


def mean_squared_distance(v: Vectors, *, each: bool) -> tuple[float, Float[Tensor, " n"] | None]:
    """(mean over i != j, with `each` also the mean squared distance of each row to all others)."""
    n = len(v.rows)
    squares = mean_and_squares(v.rows)[1]
    return 2 * float(squares.sum()) / (n - 1), (n * squares + squares.sum()) / (n - 1) if each else None


def cross_cosine_distance(a: Vectors, b: Vectors) -> float:
    similarity = float((direction_sum(a) / len(a.rows)) @ (direction_sum(b) / len(b.rows)))
    return max(0.0, 1 - similarity)


def cross_squared_distance(a: Vectors, b: Vectors) -> float:
    (mean_a, squares_a), (mean_b, squares_b) = mean_and_squares(a.rows), mean_and_squares(b.rows)
    return float((mean_a - mean_b).square().sum()) + float(squares_a.mean() + squares_b.mean())

"""Vendi score: the effective number of different vectors in a set. Knows nothing of texts, encoders or references.

Reference: Friedman and Dieng, "The Vendi Score: A Diversity Evaluation Metric for Machine Learning", TMLR 2023; orders q:
Pasarkar and Dieng, "Cousins of the Vendi Score", AISTATS 2024.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from variegate.errors import UsageError
from variegate.metrics.values import MetricValue
from variegate.metrics.vectors import Vectors, blocks, prepare

ORDERS = (0.5, 1.0, 2.0, math.inf)


def vendi_score(x: Float[np.ndarray | Tensor, "n d"] | Vectors, *, q: float = 1.0) -> MetricValue:
    """The Vendi score of order `q`; see `vendi_scores`."""
    return vendi_scores(x, orders=(q,))[0]


def vendi_scores(x: Float[np.ndarray | Tensor, "n d"] | Vectors, *, orders: Sequence[float] = ORDERS) -> tuple[MetricValue, ...]:
    """VS_q = exp(H_q(p)), p the eigenvalues of K / n, K_ij the cosine of rows i and j; one value per order, from one decomposition.

    H_q is the Renyi entropy log(sum_i p_i^q) / (1 - q): Shannon's at q = 1, -log(max_i p_i) at q = inf. Any q > 0.
    Low orders hear rare directions, high orders the commonest ones. Between 1 (all rows point one way, up to sign) and
    min(n, d) (details["max"]); falls as q grows. Repeating the whole set changes nothing. details["q"] is "inf" at infinity,
    which JSON has no number for. The kernel has its diagonal, so include_self is True by definition.

    With d < n the eigenvalues are those of the d x d matrix U^T U / n, U the unit rows: the same but for zeros.
    All in float64. Eigenvalues below min(n, d) * 2^-52 of the largest are rounding and count as zero.
    Cost: n d min(n, d) + min(n, d)^3. Memory: min(n, d)^2 and a block of rows in float64 (all rows where d >= n).
    Raises UsageError for an order that is not positive, for NaN or infinity in a row and for a zero row.
    """
    for q in orders:
        if not q > 0:
            raise UsageError(f"q: got {q}, expected an order above 0: 0.5, 1, 2 or math.inf, say")
    vectors = prepare(x)
    n, d = vectors.rows.shape
    shares, num_duplicates = _eigenvalue_shares(vectors), vectors.distinct().num_duplicates
    return tuple(
        MetricValue(
            "vendi_score",
            _effective_number(shares, q),
            n=n,
            implementation="covariance" if d < n else "kernel_matrix",
            precision="float64",
            distance="cosine",
            include_self=True,
            num_duplicates=num_duplicates,
            details={"q": "inf" if math.isinf(q) else q, "max": min(n, d)},
        )
        for q in orders
    )


def _eigenvalue_shares(vectors: Vectors) -> Float[Tensor, " r"]:
    """The eigenvalues of K / n that are not zero; their sum is 1. On the CPU."""
    if not bool(vectors.norms.min() > 0):
        vectors.units()  # raises, naming the row
    n, d = vectors.rows.shape
    if d < n:
        matrix = torch.zeros(d, d, dtype=torch.float64, device=vectors.rows.device)
        for start, block in blocks(vectors.rows):
            units = block.double() / vectors.norms[start : start + len(block), None]
            matrix.addmm_(units.T, units)
    else:
        units = vectors.rows.double() / vectors.norms[:, None]
        matrix = units @ units.T
    values = torch.linalg.eigvalsh(matrix).cpu()
    values = values[values > len(matrix) * torch.finfo(torch.float64).eps * values.max()]
    return values / values.sum()


def _effective_number(shares: Float[Tensor, " r"], q: float) -> float:
    """exp of the Renyi entropy of order `q`, each form where it is exact: a sum of powers loses its digits around q = 1."""
    logs = shares.log()
    if math.isinf(q):
        entropy = -logs.max()
    elif q == 1:
        entropy = -(shares * logs).sum()
    elif q < 2:
        entropy = torch.log1p((shares * torch.expm1((q - 1) * logs)).sum()) / (1 - q)
    else:
        entropy = torch.logsumexp(q * logs, dim=0) / (1 - q)
    return math.exp(float(entropy))

"""How far several labels of one item agree: shares of the majority, agreement by chance, Krippendorff's alpha, Fleiss' kappa.

Reference: Li, Zhu, Lu and Yin (EMNLP 2023) for the share; Krippendorff (2004), Fleiss (1971). Knows labels as names; knows
nothing of texts, of students, or of who labelled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from variegate.errors import UsageError

_Z = 1.959963984540054  # of a 95 % interval


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its 95 % interval; None where it cannot be told."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of n items, each labelled K_i times with some of c labels. A label counts whoever gave it."""

    labels: tuple[str, ...]  # c, sorted
    counts: Int[np.ndarray, "n c"] = field(repr=False)
    shares: Float[np.ndarray, " n"] = field(repr=False)  # a_i, in (0, 1]; 1 wherever K_i = 1
    sizes: Int[np.ndarray, " n"] = field(repr=False)  # K_i
    majority: tuple[str | None, ...] = field(repr=False)  # None where several labels are most frequent

    def __len__(self) -> int:
        return len(self.shares)


def instance_agreement(votes: Sequence[Sequence[str]]) -> Agreement:
    """a_i = max_y (1 / K_i) sum_k 1[r_i^k = y]: the share of the most frequent label among the K_i of item i.

    Where labels tie the share is still defined (2 of 4), and no label is the majority's.
    Raises UsageError where there is no item, or an item has no label.
    Reference: Li et al. (2023), section 5.
    """
    labels = tuple(sorted({label for each in votes for label in each}))
    place = {label: index for index, label in enumerate(labels)}
    counts = np.zeros((len(votes), len(labels)), dtype=np.int32)
    for item, each in enumerate(votes):
        if not each:
            raise UsageError(f"item {item + 1}: has no label: leave it out, or label it")
        for label in each:
            counts[item, place[label]] += 1
    if not len(votes):
        raise UsageError("no item: give at least one, with several labels each")
    sizes, most = counts.sum(1), counts.max(1)
    first, tied = counts.argmax(1), (counts == most[:, None]).sum(1) > 1
    majority = tuple(None if tie else labels[index] for index, tie in zip(first, tied, strict=True))
    return Agreement(labels, counts, most / sizes, sizes, majority)


def mean_agreement(agreement: Agreement) -> Interval:
    """Mean of the shares over the items, with a normal interval; no interval of one item, or where all shares are equal."""
    shares = agreement.shares
    value, n = float(shares.mean()), len(shares)
    spread = float(shares.std(ddof=1)) if n > 1 else 0.0
    if spread == 0:
        return Interval(value, None, None)
    half = _Z * spread / n**0.5
    return Interval(value, max(value - half, 0.0), min(value + half, 1.0))


def chance_agreement(agreement: Agreement) -> float:
    """The mean share to expect if every label were drawn from the pooled label frequencies, whatever the item.

    Exact: m is the most frequent label's count, and E[m] the sum of P(m > j) over j. P(m <= j) is the chance that c independent
    Poisson counts of means K p_c, none above j, sum to K, over the chance that they sum to K at all. Cost K^3 c for each K.
    With three labels of two even classes it is 0.75: a share is high by chance where K or c is small.
    """
    p = agreement.counts.sum(0) / agreement.counts.sum()
    expected = {int(k): _expected_share(p, int(k)) for k in np.unique(agreement.sizes)}
    return float(np.mean([expected[int(k)] for k in agreement.sizes]))


def _expected_share(p: Float[np.ndarray, " c"], k: int) -> float:
    """E[largest count] / k of a multinomial draw of k from p."""
    counts = np.arange(k + 1)
    log_factorials = np.array([math.lgamma(count + 1) for count in counts])
    poisson = np.exp(counts * np.log(k * p)[:, None] - k * p[:, None] - log_factorials)  # "c k+1"
    whole = math.exp(k * math.log(k) - k - log_factorials[k])  # of the sum being k
    expected = 0.0
    for most in range(k):
        product = np.ones(1)
        for row in poisson:
            product = np.convolve(product, row[: most + 1])[: k + 1]
        expected += 1.0 - (product[k] / whole if len(product) > k else 0.0)
    return expected / k


def krippendorff_alpha(agreement: Agreement, *, draws: int = 2000, seed: int = 0) -> Interval | None:
    """Nominal alpha = 1 - D_o / D_e over all items with two labels or more; items may have different K_i. At most 1.

    The interval is a percentile bootstrap over items (seeded). None where alpha is undefined: one label in all, or no item with
    two. 0: no better than chance; below 0: worse. It is low where nearly all items have one label, however often they agree.
    Reference: Krippendorff, "Content Analysis" (2004), chapter 11.
    Differs from the book: its own bootstrap draws deviations of pairs; this one draws items.
    """
    paired = agreement.counts[agreement.sizes > 1].astype(np.float64)
    if not len(paired) or (paired.sum(0) > 0).sum() < 2:
        return None
    rows, times = np.unique(paired, axis=0, return_counts=True)
    sizes = rows.sum(1)
    disagreement = (sizes**2 - (rows**2).sum(1)) / (sizes - 1)

    def alpha(weights: Float[np.ndarray, "b u"]) -> Float[np.ndarray, " b"]:
        totals = weights @ rows
        whole = totals.sum(1)
        observed, expected = weights @ disagreement / whole, (whole**2 - (totals**2).sum(1)) / (whole * (whole - 1))
        with np.errstate(divide="ignore", invalid="ignore"):
            return 1 - observed / expected

    value = float(alpha(times[None].astype(np.float64))[0])
    drawn = alpha(np.random.default_rng(seed).multinomial(len(paired), times / times.sum(), size=draws).astype(np.float64))
    drawn = drawn[np.isfinite(drawn)]  # a resample of one label has none
    if len(rows) == 1 or not len(drawn):
        return Interval(value, None, None)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(value, float(low), float(high))


def fleiss_kappa(agreement: Agreement) -> float | None:
    """Fleiss' kappa, by statsmodels. None where it is undefined: unequal K_i, K_i = 1, or one label in all."""
    if len(np.unique(agreement.sizes)) > 1 or agreement.sizes[0] < 2 or len(agreement.labels) < 2:
        return None
    from statsmodels.stats.inter_rater import fleiss_kappa as of_counts

    return float(of_counts(agreement.counts, method="fleiss"))

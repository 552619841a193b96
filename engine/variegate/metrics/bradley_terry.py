"""Ranks tasks from votes on pairs, "which is more objective", by the Bradley-Terry model with bootstrap intervals.

Reference: Bradley and Terry (Biometrika 1952); Hunter, "MM algorithms for generalized Bradley-Terry models" (Annals of Statistics
2004). Li et al. (EMNLP 2023) rank their tasks from such votes and do not say how. Knows names and votes, not what they are about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from variegate.errors import UsageError, VariegateError

PRIOR, LEAST_PRIOR = 0.5, 0.001  # votes; below, strengths of tasks that never met are lost in rounding
_MM_STEPS = 50
_NEWTON_STEPS = 100
_CLOSE = 1e-8  # last change of a log-strength; Newton's steps square it
_LONGEST_STEP = 2.0
_BATCH = 1 << 22  # numbers of a batch of resamples


@dataclass(frozen=True, slots=True)
class Ranked:
    """One task's place. Strengths are natural logarithms, of mean 0 over the tasks."""

    task: str
    strength: float
    low: float
    high: float
    rank: int  # from 1, the most objective
    rank_low: int  # 95 % of the resamples rank it from here
    rank_high: int  # to here
    wins: int
    losses: int


@dataclass(frozen=True, slots=True)
class Ranking:
    tasks: tuple[Ranked, ...]  # by rank
    above: Float[np.ndarray, "t t"] = field(repr=False)  # share of the resamples in which the row's task stands above the column's
    preferred: Float[np.ndarray, "t t"] = field(repr=False)  # the model's probability that a vote goes to the row's; the diagonal is 0.5
    wins: Int[np.ndarray, "t t"] = field(repr=False)  # votes for the row's over the column's
    groups: tuple[tuple[str, ...], ...]  # tasks linked by votes; several groups: only the prior orders one against another
    unbeaten: tuple[str, ...]  # won all their votes: only the prior keeps their strength finite
    winless: tuple[str, ...]
    num_votes: int
    prior: float
    draws: int
    seed: int
    resampled: str  # what a resample draws: "votes" or "judges"


def rank_tasks(
    votes: Sequence[tuple[str, str]],
    *,
    tasks: Sequence[str] = (),
    judges: Sequence[str] | None = None,
    prior: float = PRIOR,
    draws: int = 2000,
    seed: int = 0,
) -> Ranking:
    """P(i over j) = s_i / (s_i + s_j), fitted to `votes` of (winner, loser).

    tasks: further ones that may have no vote.
    judges: who gave each vote; whole judges are then resampled, since one judge's votes are not independent. None: votes are.
    prior: each task is also given this many won and lost votes, spread evenly over all others. It keeps strengths finite where a task
        won or lost all, and ties tasks that never met; it shrinks differences a little.
    Intervals are percentiles of `draws` resamples. Cost O(draws t^3).
    Raises UsageError when there are fewer than two tasks, no vote, a vote of a task against itself, or fewer than two judges.
    """
    names = sorted({*tasks, *(name for vote in votes for name in vote)})
    _check(votes, names, judges, prior)
    place = {name: index for index, name in enumerate(names)}
    cells = np.array([place[winner] * len(names) + place[loser] for winner, loser in votes])
    wins = _counts(cells, len(names))
    theta = fit(wins, prior)
    drawn = np.concatenate([fit(each, prior) for each in _resamples(cells, judges, len(names), draws, seed)])
    ranks = 1 + (drawn[:, None, :] > drawn[:, :, None]).sum(2)
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    rank_low, rank_high = np.quantile(ranks, (0.025, 0.975), axis=0, method="closest_observation")
    order = sorted(range(len(names)), key=lambda index: (-theta[index], names[index]))
    ranked = tuple(
        Ranked(
            names[index],
            float(theta[index]),
            float(low[index]),
            float(high[index]),
            rank,
            int(rank_low[index]),
            int(rank_high[index]),
            int(wins[index].sum()),
            int(wins[:, index].sum()),
        )
        for rank, index in enumerate(order, 1)
    )
    above = ((drawn[:, :, None] > drawn[:, None, :]) + 0.5 * (drawn[:, :, None] == drawn[:, None, :])).mean(0)
    preferred = 1 / (1 + np.exp(theta[None, :] - theta[:, None]))
    won, lost = wins.sum(1), wins.sum(0)
    return Ranking(
        tasks=ranked,
        above=above[np.ix_(order, order)],
        preferred=preferred[np.ix_(order, order)],
        wins=wins[np.ix_(order, order)],
        groups=_groups(names, wins),
        unbeaten=tuple(names[index] for index in order if won[index] and not lost[index]),
        winless=tuple(names[index] for index in order if lost[index] and not won[index]),
        num_votes=len(votes),
        prior=prior,
        draws=draws,
        seed=seed,
        resampled="votes" if judges is None else "judges",
    )


def _check(votes: Sequence[tuple[str, str]], names: Sequence[str], judges: Sequence[str] | None, prior: float) -> None:
    itself = next((winner for winner, loser in votes if winner == loser), None)
    if itself is not None:
        raise UsageError(f"a vote compares {itself!r} with itself: delete it")
    if not votes:
        raise UsageError("no vote: give at least one pair of a winner and a loser")
    if len(names) < 2:
        raise UsageError(f"one task alone, {names[0]!r}: a ranking needs two")
    if judges is not None and len(set(judges)) < 2:
        raise UsageError("one judge alone: resampling judges needs two or more; resample votes instead")
    if not prior >= LEAST_PRIOR:
        raise UsageError(
            f"prior {prior}: expected {LEAST_PRIOR} or more: without one, a task that won all its votes has no finite strength"
        )


def fit(wins: Float[np.ndarray, "... t t"], prior: float) -> Float[np.ndarray, "... t"]:
    """Log-strengths of mean 0 at the maximum of sum_ij w_ij log(s_i / (s_i + s_j)), w = wins + prior / (t - 1) off the diagonal.

    MM updates s_i <- w_i / sum_j (w_ij + w_ji) / (s_i + s_j) climb from anywhere, but crawl where the prior alone ties tasks; from where
    they have come, Newton's method ends in a few steps. The maximum is unique.
    """
    t = wins.shape[-1]
    off = 1 - np.eye(t)
    w = wins * off + prior / (t - 1) * off
    total, won = w + w.swapaxes(-1, -2), w.sum(-1)
    theta = np.zeros(w.shape[:-1])
    for _ in range(_MM_STEPS):
        strength = np.exp(theta)
        theta = np.log(won / (total / (strength[..., :, None] + strength[..., None, :])).sum(-1))
        theta -= theta.mean(-1, keepdims=True)
    for _ in range(_NEWTON_STEPS):
        p = 1 / (1 + np.exp(theta[..., None, :] - theta[..., :, None]))
        gradient = won - (total * p).sum(-1)
        weights = total * p * (1 - p)
        hessian = np.eye(t) * weights.sum(-1)[..., None] - weights + 1 / t  # + 1 / t: fixes the mean, which votes do not
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        step *= np.minimum(1, _LONGEST_STEP / np.maximum(np.abs(step).max(-1, keepdims=True), 1e-300))
        theta = theta + step
        rounding = 8 * np.finfo(np.float64).eps * won.sum(-1)  # of the gradient: with many votes and a small prior it stays above any step
        if ((np.abs(step).max(-1) < _CLOSE) | (np.abs(gradient).max(-1) < rounding)).all():
            return theta - theta.mean(-1, keepdims=True)
    raise VariegateError(f"Bradley-Terry with prior {prior}: no maximum was reached in {_NEWTON_STEPS} steps: raise the prior")


def _counts(cells: Int[np.ndarray, " v"], t: int) -> Int[np.ndarray, "t t"]:
    return np.bincount(cells, minlength=t * t).reshape(t, t)


def _resamples(cells: Int[np.ndarray, " v"], judges: Sequence[str] | None, t: int, draws: int, seed: int) -> list[Int[np.ndarray, "b t t"]]:
    """Win counts of `draws` resamples, in batches."""
    if judges is None:
        units, times = np.unique(cells, return_counts=True)
        rows = np.zeros((len(units), t * t))  # float64: exact for counts, and multiplied fast
        rows[np.arange(len(units)), units] = 1
    else:
        places = {judge: index for index, judge in enumerate(sorted(set(judges)))}
        rows = np.zeros((len(places), t * t))
        np.add.at(rows, (np.array([places[judge] for judge in judges]), cells), 1)
        times = np.ones(len(places), dtype=np.int64)
    rng = np.random.default_rng(seed)
    batch = max(1, _BATCH // (t * t + len(rows)))
    out = []
    for start in range(0, draws, batch):
        drawn = rng.multinomial(times.sum(), times / times.sum(), size=min(batch, draws - start))
        out.append((drawn @ rows).reshape(-1, t, t))
    return out


def _groups(names: Sequence[str], wins: Int[np.ndarray, "t t"]) -> tuple[tuple[str, ...], ...]:
    """Tasks that votes link, directly or by way of others; the largest group first."""
    met = wins + wins.T > 0
    left, groups = set(range(len(names))), []
    while left:
        group, border = set(), {min(left)}
        while border:
            group |= border
            border = {other for index in border for other in np.flatnonzero(met[index]).tolist()} - group
        left -= group
        groups.append(tuple(names[index] for index in sorted(group)))
    return tuple(sorted(groups, key=lambda group: (-len(group), group)))

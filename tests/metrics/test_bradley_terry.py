"""Bradley-Terry against a logistic regression of statsmodels, planted orders, and what votes cannot tell."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from variegate.errors import UsageError, VariegateError
from variegate.metrics.bradley_terry import fit, rank_tasks


def planted(strengths: list[float], per_pair: int, seed: int = 0) -> list[tuple[str, str]]:
    """Votes on tasks t0, t1, ... of these log-strengths."""
    rng = np.random.default_rng(seed)
    votes = []
    for i, j in itertools.combinations(range(len(strengths)), 2):
        for _ in range(per_pair):
            first = rng.random() < 1 / (1 + np.exp(strengths[j] - strengths[i]))
            votes.append((f"t{i}", f"t{j}") if first else (f"t{j}", f"t{i}"))
    return votes


def logistic(wins: np.ndarray, prior: float) -> np.ndarray:
    """The same model as a binomial regression without intercept: a row a pair, +1 and -1 in its columns."""
    t = len(wins)
    rows, counts = [], []
    for i, j in itertools.combinations(range(t), 2):
        row = np.zeros(t)
        row[i], row[j] = 1, -1
        rows.append(row)
        counts.append([wins[i, j] + prior / (t - 1), wins[j, i] + prior / (t - 1)])
    found = sm.GLM(np.array(counts), np.array(rows)[:, 1:], family=sm.families.Binomial()).fit(tol=1e-12, maxiter=200).params
    theta = np.concatenate([[0.0], found])
    return theta - theta.mean()


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 7), st.integers(0, 2**32 - 1), st.sampled_from([0.1, 0.5, 3.0]))
def test_the_fit_is_that_of_a_logistic_regression(t: int, seed: int, prior: float) -> None:
    wins = np.random.default_rng(seed).integers(0, 9, (t, t)) * (1 - np.eye(t, dtype=int))
    assert fit(wins, prior) == pytest.approx(logistic(wins, prior), abs=1e-6)


def test_a_batch_is_fitted_as_one_by_one() -> None:
    wins = np.random.default_rng(0).integers(0, 5, (6, 4, 4)) * (1 - np.eye(4, dtype=int))
    for each, found in zip(wins, fit(wins, 0.5), strict=True):
        assert found == pytest.approx(fit(each, 0.5), abs=1e-8)


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 9), st.integers(0, 2**32 - 1), st.floats(0.001, 10), st.floats(0, 1))
def test_the_fit_is_at_the_maximum_however_lopsided(t: int, seed: int, prior: float, density: float) -> None:
    """Up to a million votes a pair, pairs that never met, tasks that won all: won votes equal the expected ones."""
    rng = np.random.default_rng(seed)
    wins = np.where(rng.random((t, t)) < density, np.floor(10 ** rng.uniform(0, 6, (t, t))), 0) * (1 - np.eye(t))
    theta = fit(wins, prior)
    w = wins + prior / (t - 1) * (1 - np.eye(t))
    expected = ((w + w.T) / (1 + np.exp(theta[None, :] - theta[:, None]))).sum(1)
    assert expected == pytest.approx(w.sum(1), abs=1e-9 * w.sum())


def test_no_maximum_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("variegate.metrics.bradley_terry._NEWTON_STEPS", 1)
    with pytest.raises(VariegateError, match="no maximum was reached in 1 steps: raise the prior"):
        fit(np.array([[0, 1e6, 0], [0, 0, 0], [0, 0, 0]]), 0.001)


def test_two_tasks_by_hand() -> None:
    """9 to 3 with half a vote more for each: the odds are 9.5 to 3.5."""
    found = rank_tasks([("a", "b")] * 9 + [("b", "a")] * 3)
    assert found.tasks[0].strength - found.tasks[1].strength == pytest.approx(np.log(9.5 / 3.5), abs=1e-9)
    assert found.preferred[0, 1] == pytest.approx(9.5 / 13)
    assert found.preferred[1, 0] == pytest.approx(3.5 / 13)


def test_a_planted_order_is_recovered() -> None:
    strengths = [2.0, 1.2, 0.4, -0.4, -1.2, -2.0]
    found = rank_tasks(planted(strengths, 60))
    assert [each.task for each in found.tasks] == ["t0", "t1", "t2", "t3", "t4", "t5"]
    assert [each.strength for each in found.tasks] == pytest.approx(strengths, abs=0.35)
    assert all(each.low < each.strength < each.high for each in found.tasks)
    assert all(each.rank_low <= each.rank <= each.rank_high for each in found.tasks)
    assert found.above[0, 5] == 1.0
    assert found.above + found.above.T == pytest.approx(np.ones((6, 6)))
    assert (found.groups, found.unbeaten, found.winless) == (((*(f"t{i}" for i in range(6)),),), (), ())
    assert [(each.wins, each.losses) for each in found.tasks] == [
        (int(w), int(v)) for w, v in zip(found.wins.sum(1), found.wins.sum(0), strict=True)
    ]


def test_few_votes_leave_the_order_open_and_more_narrow_it() -> None:
    few, many = rank_tasks(planted([0.2, 0.0, -0.2], 4)), rank_tasks(planted([0.2, 0.0, -0.2], 400))
    assert few.tasks[0].rank_high > 1
    widths = [[each.high - each.low for each in ranking.tasks] for ranking in (few, many)]
    assert min(widths[0]) > 5 * max(widths[1])


def test_it_is_seeded() -> None:
    votes = planted([1, 0, -1], 6)
    assert rank_tasks(votes, seed=1).tasks == rank_tasks(votes, seed=1).tasks
    assert rank_tasks(votes, seed=1).tasks != rank_tasks(votes, seed=2).tasks
    assert rank_tasks(votes[::-1]).tasks == rank_tasks(votes).tasks


def test_unbeaten_tasks_stay_finite() -> None:
    found = rank_tasks([("a", "b")] * 30 + [("b", "c")] * 30)
    assert [each.task for each in found.tasks] == ["a", "b", "c"]
    assert (found.unbeaten, found.winless) == (("a",), ("c",))
    assert all(np.isfinite([each.strength, each.low, each.high]).all() for each in found.tasks)
    assert found.tasks[0].strength > rank_tasks([("a", "b")] * 30 + [("b", "c")] * 30, prior=3).tasks[0].strength > 0


def test_tasks_that_never_met_are_named() -> None:
    found = rank_tasks([("a", "b"), ("b", "a"), ("b", "c"), ("d", "e")], tasks=["lonely"])
    assert found.groups == (("a", "b", "c"), ("d", "e"), ("lonely",))
    lonely = next(each for each in found.tasks if each.task == "lonely")
    assert (lonely.strength, lonely.wins, lonely.losses) == (pytest.approx(0, abs=0.3), 0, 0)


def test_whole_judges_are_resampled() -> None:
    """One judge of three says the opposite of the others, thirty times: by votes that is precise, by judges it is not."""
    votes = [("a", "b")] * 60 + [("b", "a")] * 30
    judges = ["x"] * 30 + ["y"] * 30 + ["z"] * 30
    by_votes, by_judges = rank_tasks(votes), rank_tasks(votes, judges=judges)
    assert by_votes.tasks[0].strength == by_judges.tasks[0].strength
    assert by_votes.above[0, 1] > 0.99
    assert by_judges.above[0, 1] == pytest.approx(1 - 7 / 27, abs=0.05)  # 0.5 for no tie: three draws of z at least twice
    assert (by_votes.resampled, by_judges.resampled) == ("votes", "judges")


@pytest.mark.parametrize(
    ("votes", "more", "said"),
    [
        ([("a", "a"), ("a", "b")], {}, "compares 'a' with itself"),
        ([], {}, "no vote"),
        ([], {"tasks": ["a", "b"]}, "no vote"),
        ([("a", "b")], {"judges": ["x"]}, "one judge alone"),
        ([("a", "b")], {"prior": 0}, r"prior 0: expected 0\.001 or more"),
        ([("a", "b")], {"prior": float("nan")}, "prior nan"),
    ],
)
def test_what_cannot_be_ranked_is_refused(votes: list[tuple[str, str]], more: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        rank_tasks(votes, **more)  # type: ignore[arg-type]

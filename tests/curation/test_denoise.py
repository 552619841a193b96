"""MSP's denoising: a case worked by hand, scipy's z-scores and ranks, the odds of a weighted draw, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare, rankdata, zscore

from variegate.curation import inputs
from variegate.curation.denoise import denoise
from variegate.curation.judging import Items, Judgement
from variegate.errors import UsageError


def items_of(labels: str) -> Items:
    n = len(labels)
    return Items(tuple(f"r{i}" for i in range(n)), tuple(f"text {i}" for i in range(n)), tuple(labels), ((),) * n)


def turned(cosines: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (of various lengths) and seeds with these cosines between them."""
    cosine = np.array(cosines)
    vectors = np.stack([cosine, np.sqrt(1 - cosine**2)], axis=1) * np.arange(1, len(cosine) + 1)[:, None]
    return vectors.astype(np.float32), np.tile(np.array([[2.0, 0.0]], dtype=np.float32), (len(cosine), 1))


def run(labels: str, cosines: list[float], **changed: Any) -> Judgement:
    vectors, seeds = turned(cosines)
    arguments = {"keep": 0.5, "weight": 0.5, "scale": "z", "choose": "top", "seed": 0, **changed}
    return denoise(items_of(labels), vectors, seeds, **arguments)


def kept(judgement: Judgement) -> list[int]:
    return [place for place, each in enumerate(judgement.verdicts) if each.keep]


def test_by_hand() -> None:
    """Labels a a a b: shares 3/4 3/4 3/4 1/4, z = 1/sqrt(3) and -sqrt(3). Distances 0.2 0.4 0.6 0.8, z = -+1.342, -+0.447."""
    judgement = run("aaab", [0.8, 0.6, 0.4, 0.2])
    shares, distances = np.array([0.57735, 0.57735, 0.57735, -1.73205]), np.array([-1.34164, -0.44721, 0.44721, 1.34164])
    assert [each.details["noise"] for each in judgement.verdicts] == pytest.approx((shares + distances) / 2, abs=1e-5)
    assert [each.details["share"] for each in judgement.verdicts] == [0.75, 0.75, 0.75, 0.25]
    assert [each.details["distance"] for each in judgement.verdicts] == pytest.approx([0.2, 0.4, 0.6, 0.8], abs=1e-6)
    assert kept(judgement) == [0, 3]
    assert [each.reason for each in judgement.verdicts] == ["", "noisy", "noisy", ""]
    assert all(each.confidence is None for each in judgement.verdicts)
    assert [each.label for each in judgement.verdicts] == list("aaab")
    assert judgement.facts["distance_kept"] == pytest.approx(0.5, abs=1e-6)
    assert judgement.facts["labels_gone"] == []


def test_the_weight_goes_from_distance_alone_to_frequency_alone() -> None:
    assert kept(run("aaab", [0.8, 0.6, 0.4, 0.2], weight=0.0)) == [0, 1]
    assert kept(run("aaab", [0.8, 0.6, 0.4, 0.2], weight=1.0)) == [0, 3]  # the rare one, and of equals the first
    assert kept(run("aabb", [0.1, 0.2, 0.9, 0.3], weight=0.0, keep=0.25)) == [2]


@pytest.mark.parametrize("scale", ["z", "rank"])
def test_scales_are_scipys(scale: str) -> None:
    rng = np.random.default_rng(0)
    labels = "".join(rng.choice(list("aaaabbc"), 40))
    cosines = rng.permutation(np.linspace(-0.9, 0.9, 40)).tolist()  # the shares have ties
    judgement = run(labels, cosines, scale=scale, weight=0.3)
    shares = np.array([labels.count(label) / 40 for label in labels])
    distances = 1 - np.array(cosines)
    scaled = [zscore(each) if scale == "z" else rankdata(each) / 40 for each in (shares, distances)]
    assert [each.details["noise"] for each in judgement.verdicts] == pytest.approx(0.3 * scaled[0] + 0.7 * scaled[1], abs=2e-5)


@pytest.mark.parametrize(("keep", "num"), [(0.8, 8), (0.81, 9), (0.01, 1), (1.0, 10), (0.7, 7)])
def test_the_share_kept_is_rounded_up(keep: float, num: int) -> None:
    judgement = run("aaaaabbbbb", np.linspace(-0.9, 0.9, 10).tolist(), keep=keep)
    assert len(kept(judgement)) == num == judgement.facts["kept"]


def test_the_share_kept_is_not_rounded_up_for_rounding_errors() -> None:
    """0.07 * 100 is 7.000000000000001."""
    assert len(kept(run("ab" * 50, np.linspace(-0.9, 0.9, 100).tolist(), keep=0.07))) == 7


@pytest.mark.parametrize("weight", [0.5, 1.0, 0.0])
def test_a_draw_has_the_odds_it_says(weight: float) -> None:
    """One of four, 2,000 times. Odds at weight 0.5: closeness / share, with closeness = (1 + cos) / 2."""
    cosines = [0.8, 0.0, -0.5, 0.6]
    draws = np.zeros(4)
    for seed in range(2000):
        draws[kept(run("aaab", cosines, keep=0.25, choose="sample", weight=weight, seed=seed))] += 1
    closeness, share = (1 + np.array(cosines)) / 2, np.array([0.75, 0.75, 0.75, 0.25])
    odds = {0.5: closeness / share, 1.0: share**-2.0, 0.0: closeness**2}[weight]
    assert chisquare(draws, 2000 * odds / odds.sum()).pvalue > 1e-3


def test_a_draw_depends_on_its_seed_and_keeps_the_number() -> None:
    cosines = np.linspace(-0.9, 0.9, 30).tolist()
    one, two, other = (run("ab" * 15, cosines, choose="sample", seed=seed) for seed in (1, 1, 2))
    assert one == two
    assert kept(one) != kept(other)
    assert len(kept(one)) == len(kept(other)) == 15
    opposite = run("ab" * 2, [-1.0, -1.0, 1.0, 1.0], choose="sample", keep=0.5)  # closeness 0: taken last
    assert kept(opposite) == [2, 3]


def test_items_without_a_seed_have_the_mean_distance() -> None:
    vectors, seeds = turned([0.9, 0.5, 0.1, 0.3])
    seeds[1] = np.nan
    judgement = denoise(items_of("aabb"), vectors, seeds, keep=0.5, weight=0.0, scale="z", choose="top", seed=0)
    assert kept(judgement) == [0, 1]
    assert [each.details["distance"] for each in judgement.verdicts] == [
        pytest.approx(0.1, abs=1e-6),
        None,
        *map(pytest.approx, [0.9, 0.7]),
    ]
    assert judgement.verdicts[1].details["noise"] == pytest.approx(0, abs=1e-6)
    assert judgement.facts["without_seed"] == 1
    assert judgement.facts["distance_kept"] == pytest.approx(0.1, abs=1e-6)
    assert "1 item of 4 without a seed" in judgement.warnings[0]
    seeds[:] = np.nan
    judgement = denoise(items_of("aaab"), vectors, seeds, keep=0.25, weight=0.5, scale="rank", choose="top", seed=0)
    assert kept(judgement) == [3]
    assert judgement.warnings[0] == "no item has a seed: the share of its label alone decides"


def test_a_label_that_is_gone_is_named() -> None:
    judgement = run("aab", [0.9, 0.8, -0.9], weight=0.0, keep=0.5)
    assert judgement.facts["labels_gone"] == ["b"]
    assert "nothing is left of 1 label: b" in judgement.warnings


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    cosines = np.linspace(-0.9, 0.9, 30).tolist()
    whole = run("ab" * 15, cosines)
    monkeypatch.setattr("variegate.curation.denoise.BLOCK_ROWS", 7)
    monkeypatch.setattr(inputs.blocks, "__defaults__", (7,))
    assert run("ab" * 15, cosines) == whole


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing tells the items apart"):
        run("aabb", [0.5, 0.2, 0.1, 0.3], weight=1.0)
    assert kept(run("aabb", [0.5, 0.2, 0.1, 0.3], weight=1.0, keep=1.0)) == [0, 1, 2, 3]
    with pytest.raises(UsageError, match="keep: got 0, expected a share above 0"):
        run("ab", [0.5, 0.2], keep=0)
    with pytest.raises(UsageError, match="weight: got -1"):
        run("ab", [0.5, 0.2], weight=-1)
    with pytest.raises(UsageError, match="scale: got 'log', expected 'z' or 'rank'"):
        run("ab", [0.5, 0.2], scale="log")
    with pytest.raises(UsageError, match="choose: got 'best', expected 'top' or 'sample'"):
        run("ab", [0.5, 0.2], choose="best")
    vectors, seeds = turned([0.5, 0.2])
    with pytest.raises(UsageError, match=r"seeds: got an array of shape \(1, 2\), expected \(2, 2\)"):
        denoise(items_of("ab"), vectors, seeds[:1], keep=0.5, weight=0.5, scale="z", choose="top", seed=0)
    vectors[1] = 0
    with pytest.raises(UsageError, match="item 'r1' or its seed has a zero vector"):
        denoise(items_of("ab"), vectors, seeds, keep=0.5, weight=0.5, scale="z", choose="top", seed=0)

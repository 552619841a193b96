"""The plain answer: which way each sign points, at its borders, and what is said to be unknown."""

from __future__ import annotations

from typing import Any

import pytest

from variegate.pipeline.subjectivity.risk import answer


def instances(low: float | None, high: float | None, *, kind: str = "file", true: str = "field") -> dict[str, Any]:
    value = ((low or 0) + (high or 0)) / 2
    return {
        "agreement": {"mean": 0.91, "low": 0.9, "high": 0.92, "chance": 0.69, "unanimous": 0.6, "tied": 0},
        "alpha": None if low is None and high is None else {"value": value, "low": low, "high": high},
        "source": {"kind": kind},
        "true": {"kind": true},
        "majority_right": {"value": 0.62, "low": 0.6, "high": 0.64, "n": 50},
    }


def sweep(gap: tuple[float, float], slope: tuple[float | None, float | None] = (-1.0, 1.0)) -> dict[str, Any]:
    """gap, slope: 95 % interval of synthetic less real."""
    low, high = gap
    difference = {"first": "synthetic", "second": "real", "value": (low + high) / 2, "low": low, "high": high}
    value = 0.1 if slope[0] is None or slope[1] is None else (slope[0] + slope[1]) / 2
    return {
        "points": [{"n": 500, "differences": [difference]}],
        "slope_differences": [{"first": "synthetic", "second": "real", "value": value, "low": slope[0], "high": slope[1]}],
    }


def tasks(rank: int, low: int, high: int, whole: int = 8, groups: list[list[str]] | None = None, kind: str = "file") -> dict[str, Any]:
    names = [f"t{place}" for place in range(1, whole + 1)]
    ranking = [{"task": name, "rank": place, "rank_low": place, "rank_high": place} for place, name in enumerate(names, 1)]
    ranking[rank - 1] |= {"task": "mine", "rank_low": low, "rank_high": high}
    return {"ranking": ranking, "groups": groups or [["mine", *names]], "source": {"kind": kind}}


def points(found: dict[str, Any]) -> dict[str, str]:
    return {sign["name"]: sign["points_to"] for sign in found["signs"]}


@pytest.mark.parametrize(
    ("low", "high", "way"),
    [(0.8, 0.9, "lower"), (0.79, 0.9, "neither"), (0.5, 0.66, "higher"), (0.5, 0.67, "neither"), (None, None, "neither")],
)
def test_the_sign_of_agreement(low: float | None, high: float | None, way: str) -> None:
    found = answer(instances(low, high), None, None, None)
    assert points(found) == {"agreement": way}
    assert found["level"] == {"neither": "unclear"}.get(way, way)
    assert "91 % of an item's labels are its majority's; 69 % would be by chance alone" in found["text"]


@pytest.mark.parametrize(
    ("gap", "way"), [((-0.2, -0.06), "higher"), ((-0.2, -0.04), "neither"), ((-0.04, 0.02), "lower"), ((0.01, 0.1), "lower")]
)
def test_the_sign_of_the_gap(gap: tuple[float, float], way: str) -> None:
    assert points(answer(None, sweep(gap), None, None)) == {"gap": way, "slope": "neither"}


def test_the_gap_is_said_as_a_loss() -> None:
    (gap, _) = answer(None, sweep((-0.20, -0.10)), None, None)["signs"]
    assert "15.0 points less accurate than trained on real data (loss 10.0 to 20.0, 95 %): more than 5.0 points." in gap["says"]
    (gap, _) = answer(None, sweep((-0.01, 0.03)), None, None)["signs"]
    assert "1.0 points more accurate than trained on real data (loss −3.0 to 1.0, 95 %): less than 5.0 points." in gap["says"]


@pytest.mark.parametrize(
    ("slope", "way", "said"),
    [
        ((0.1, 0.4), "higher", "2.5 points more for each 0.1 of agreement than the real-trained one's (1.0 to 4.0, 95 %): synthetic data costs most where"),
        ((-0.1, 0.4), "neither", "no difference is shown"),
        ((-0.4, -0.1), "neither", "2.5 points less for each 0.1 of agreement than the real-trained one's (−4.0 to −1.0, 95 %): what synthetic data costs is not"),
        ((None, None), "neither", "(no interval): no difference is shown"),
    ],
)  # fmt: skip
def test_the_sign_of_the_slope(slope: tuple[float | None, float | None], way: str, said: str) -> None:
    """A flat curve of a student that is bad everywhere is no good sign."""
    sign = answer(None, sweep((-0.1, 0.0), slope), None, None)["signs"][1]
    assert sign["points_to"] == way
    assert said in sign["says"]


@pytest.mark.parametrize(
    ("rank", "low", "high", "whole", "way"),
    [
        (2, 1, 4, 8, "lower"),
        (2, 1, 5, 8, "neither"),
        (6, 5, 8, 8, "higher"),
        (6, 4, 8, 8, "neither"),
        (3, 3, 3, 5, "neither"),
        (4, 4, 5, 5, "higher"),
    ],
)
def test_the_sign_of_the_rank(rank: int, low: int, high: int, whole: int, way: str) -> None:
    assert points(answer(None, None, tasks(rank, low, high, whole), "mine")) == {"rank": way}


def test_a_rank_among_tasks_it_never_met_says_nothing() -> None:
    found = answer(None, None, tasks(1, 1, 1, 8, [["t2", "t3"], ["mine"]]), "mine")
    assert points(found) == {"rank": "neither"}
    assert "it never met most of the others" in found["text"]


def test_signs_are_counted_and_may_disagree() -> None:
    found = answer(instances(0.85, 0.9), sweep((-0.2, -0.1)), tasks(6, 5, 8), "mine")
    assert points(found) == {"agreement": "lower", "gap": "higher", "slope": "neither", "rank": "higher"}
    assert found["level"] == "mixed"
    assert "Of 4 signs 2 point to a higher risk and 1 to a lower one." in found["text"]
    assert answer(None, None, None, None)["level"] == "unclear"


def test_what_is_not_known_is_said() -> None:
    everything = answer(instances(0.85, 0.9), sweep((-0.2, -0.1)), tasks(6, 5, 8), "mine")["unknown"]
    assert everything == ["The gap is that of these two students: it holds for their sizes of training data and their models alone."]
    nothing = " ".join(answer(None, None, None, None)["unknown"])
    for said in ("How far annotators agree was not measured", "cost of synthetic data was not measured", "was not compared with others"):
        assert said in nothing
    model = answer(instances(0.85, 0.9, kind="model", true="majority"), sweep((-0.2, -0.1)), tasks(6, 5, 8, kind="model"), "mine")
    unknown = " ".join(model["unknown"])
    assert "a stand-in for people's" in unknown
    assert "the majority's own" in unknown
    assert "compared by a language model" in unknown
    assert "Their majority is the true label on 62 % of the items." in model["text"]
    assert "name it" in " ".join(answer(None, None, tasks(6, 5, 8), None)["unknown"])


def test_every_convention_is_named() -> None:
    found = answer(instances(0.85, 0.9), sweep((-0.2, -0.1)), tasks(6, 5, 8), "mine")
    assert {"alpha", "gap", "slope", "rank"} == set(found["conventions"]["says"])
    assert (found["conventions"]["alpha_reliable"], found["conventions"]["costly_gap"]) == (0.8, 0.05)

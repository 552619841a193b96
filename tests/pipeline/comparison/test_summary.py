"""What cells come to, on tables small enough to work out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import stats

from variegate.config.study import BudgetConfig
from variegate.pipeline.comparison.summary import (
    best_of,
    conditional_effects_of,
    effects_of,
    front_of,
    measures_of,
    regression_of,
    summarise_cells,
)


def make(
    axes: Mapping[str, str], replicate: int = 0, *, accuracy: float | None = 0.5, status: str = "done", **values: Any
) -> dict[str, Any]:
    done = status == "done"
    return {
        "axes": dict(axes),
        "replicate": replicate,
        "n": 100 if done else None,
        "status": status,
        "label_accuracy": values.get("label") if done else None,
        "diversity": {"remote_clique": values.get("clique", 0.5)} if done else {},
        "similarity": {"top_5": values.get("top_5", 0.4), "cross_distance": values.get("cross")} if done else {},
        "student": None if accuracy is None or not done else {"accuracy": accuracy, "macro_f1": accuracy / 2},
        "cost": {"generated_tokens": values.get("tokens", 1000), "generate_seconds": 2.0, "curate_seconds": values.get("curate", 0.0)},
    }


def one(effects: list[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    (found,) = [effect for effect in effects if all(effect[name.rstrip("_")] == value for name, value in wanted.items())]
    return found


def test_what_is_null_is_not_measured() -> None:
    assert measures_of(make({}, accuracy=None)) == {
        "remote_clique": 0.5, "top_5": 0.4, "generated_tokens": 1000, "generate_seconds": 2.0, "curate_seconds": 0.0}  # fmt: skip


def test_means_are_over_the_replicates_that_were_measured() -> None:
    a, b = {"t": "1"}, {"t": "2"}
    cells = [make(a, 0, accuracy=0.6), make(a, 1, accuracy=0.8), make(b, 0, status="failed"), make(b, 1, accuracy=0.1)]
    first, second = summarise_cells(cells)
    assert (first["axes"], first["replicates"], first["failed"], first["n"]) == (a, 2, 0, 100)
    mean = first["measures"]["student_accuracy"]
    assert (mean["mean"], mean["n"]) == (pytest.approx(0.7), 2)
    assert (mean["low"], mean["high"]) == (0, 1)  # 0.7 -+ 1.27, cut to what a share can be
    half = 12.7062 * np.std([0.3, 0.4], ddof=1) / np.sqrt(2)  # t(0.975, 1)
    half_f1 = first["measures"]["student_macro_f1"]
    assert (half_f1["low"], half_f1["high"]) == (0, pytest.approx(0.35 + half, abs=1e-4))
    assert (second["replicates"], second["failed"]) == (1, 1)
    assert second["measures"]["student_macro_f1"] == {"mean": 0.05, "sd": None, "low": None, "high": None, "n": 1}
    (gone,) = summarise_cells([make(a, status="failed")])
    assert (gone["n"], gone["measures"]) == (None, {})


def test_effects_are_paired_over_cells_that_agree_in_all_else() -> None:
    """t from 1 to 2 adds 0.1 (and 0.02 more in replicate 1) whatever s is; s adds 0.3. Unpaired, s would drown the effect of t."""
    cells = [
        make({"t": t, "s": s}, replicate, accuracy=0.1 + (t == "2") * (0.1 + 0.02 * replicate) + (s == "b") * 0.3)
        for t, s, replicate in product("12", "ab", (0, 1))
    ]
    effects = effects_of({"t": ["1", "2"], "s": ["a", "b"]}, cells)
    found = one(effects, axis="t", measure="student_accuracy")
    assert (found["from"], found["to"], found["n"], found["difference"]) == ("1", "2", 4, pytest.approx(0.11))
    expected = stats.ttest_rel([0.2, 0.22, 0.5, 0.52], [0.1, 0.1, 0.4, 0.4])
    low, high = expected.confidence_interval()
    assert (found["low"], found["high"], found["p"]) == (pytest.approx(low), pytest.approx(high), pytest.approx(expected.pvalue))
    assert one(effects, axis="s", measure="student_accuracy")["difference"] == pytest.approx(0.3)
    assert one(effects, axis="t", measure="student_macro_f1")["difference"] == pytest.approx(0.055)
    assert not [effect for effect in effects if effect["measure"] in ("generated_tokens", "generate_seconds")]


def test_intervals_of_shares_and_of_their_differences_stay_where_those_can_be() -> None:
    values = {"0": (0.99, 1.0, 0.9), "1": (0.0, 0.9, 1.0)}
    cells = [make({"t": t}, replicate, accuracy=each, label=each, clique=0.1) for t in "01" for replicate, each in enumerate(values[t])]
    for group in summarise_cells(cells):
        for name in ("student_accuracy", "label_accuracy", "student_macro_f1", "remote_clique"):
            assert 0 <= group["measures"][name]["low"] <= group["measures"][name]["high"] <= (2 if name == "remote_clique" else 1)
    found = one(effects_of({"t": ["0", "1"]}, cells), measure="student_accuracy")
    assert (found["low"], found["high"]) == (-1, pytest.approx(1.0))  # -0.33 -+ 1.41


def test_curations_of_one_data_set_are_no_independent_pairs() -> None:
    """Two data sets a temperature, each under three curations: n = 2, and the differences are means over the curations."""
    cells = [
        make({"t": t, "curation": curation}, replicate, accuracy=(t == "2") * (0.1 + 0.2 * replicate + 0.03 * int(curation)))
        for t, curation, replicate in product("12", "012", (0, 1))
    ]
    found = one(effects_of({"t": ["1", "2"], "curation": ["0", "1", "2"]}, cells), axis="t", measure="student_accuracy")
    assert (found["n"], found["difference"]) == (2, pytest.approx(np.mean([0.13, 0.33])))
    expected = stats.ttest_1samp([0.13, 0.33], 0)
    assert found["p"] == pytest.approx(expected.pvalue)


def test_students_of_one_data_set_are_no_independent_pairs() -> None:
    axes = {"t": ["1", "2"], "examples": ["without", "with"]}
    cells = [make({"t": t, "examples": more}, accuracy=0.1 * int(t) + (more == "with") / 4) for t, more in product(*axes.values())]
    effects = effects_of(axes, cells)
    heat, more = (one(effects, axis=axis, measure="student_accuracy") for axis in axes)
    assert (heat["n"], heat["difference"]) == (1, pytest.approx(0.1))
    assert (more["n"], more["difference"]) == (2, pytest.approx(0.25))


def test_every_two_options_of_an_axis_in_order() -> None:
    cells = [make({"curation": each}, replicate, accuracy=0.1 * int(each)) for each in "012" for replicate in (0, 1)]
    effects = effects_of({"curation": ["0", "1", "2"]}, cells)
    pairs = [(each["from"], each["to"], round(each["difference"], 9)) for each in effects if each["measure"] == "student_accuracy"]
    assert pairs == [("0", "1", 0.1), ("0", "2", 0.2), ("1", "2", 0.1)]
    assert effects_of({"curation": ["0"]}, cells[:2]) == []


def test_failed_cells_and_null_measures_make_no_pairs() -> None:
    cells = [make({"t": "1"}, 0), make({"t": "2"}, 0, status="failed"), make({"t": "1"}, 1), make({"t": "2"}, 1, accuracy=None)]
    effects = effects_of({"t": ["1", "2"]}, cells)
    assert {effect["measure"]: effect["n"] for effect in effects} == {"remote_clique": 1, "top_5": 1}


def test_effects_inside_each_combination() -> None:
    """Replacement gains nothing in cold data and 0.2 in hot: the mean effect alone would hide that."""
    cells = [
        make({"t": t, "curation": curation}, replicate, accuracy=0.5 + 0.2 * (t == "hot" and curation == "lr"))
        for t, curation, replicate in product(("cold", "hot"), ("none", "lr"), (0, 1, 2))
    ]
    axes = {"t": ["cold", "hot"], "curation": ["none", "lr"]}
    found = conditional_effects_of(axes, cells)
    cold = one(found, axis="curation", within={"t": "cold"}, measure="student_accuracy")
    hot = one(found, axis="curation", within={"t": "hot"}, measure="student_accuracy")
    assert (cold["difference"], hot["difference"], hot["n"]) == (0, pytest.approx(0.2), 3)
    assert one(effects_of(axes, cells), axis="curation", measure="student_accuracy")["difference"] == pytest.approx(0.1)
    assert conditional_effects_of({"t": ["cold", "hot"]}, [make({"t": "cold"}), make({"t": "hot"})]) == []


def test_the_front_counts_in_the_summary() -> None:
    points = {"a": (0.9, 0.1), "b": (None, 0.9), "c": (0.5, 0.5), "d": (0.4, 0.4), "e": (0.3, 0.8)}
    summary = summarise_cells([make({"x": name}, accuracy=each[0], clique=each[1]) for name, each in points.items()])
    assert front_of(summary) == [0, 2, 4]
    assert front_of(summary, "top_5") == [0]  # the same everywhere


def test_the_regression_is_of_cells_and_finds_what_was_planted() -> None:
    rng = np.random.default_rng(0)
    cells = []
    for number in range(60):
        label, clique, cross = rng.uniform(0.4, 1), rng.uniform(0.2, 0.9), rng.uniform(0.3, 0.9)
        accuracy = 0.1 + 0.5 * label + 0.2 * clique + 0.3 * (1 - cross)
        cells.append(make({"x": str(number)}, accuracy=accuracy, label=label, clique=clique, cross=cross))
    cells += [make({"x": "gone"}, status="failed"), make({"x": "half"}, accuracy=None, label=0.5, cross=0.1)]
    found, why = regression_of(cells, "cross_similarity")
    assert why == []
    assert found is not None
    assert {term["name"]: round(term["coefficient"], 9) for term in found["terms"]} == {
        "intercept": 0.1, "label_accuracy": 0.5, "remote_clique": 0.2, "cross_similarity": 0.3}  # fmt: skip
    assert (found["n"], found["outcome"]) == (60, "student_accuracy")
    assert regression_of(cells[:3], "cross_similarity")[0] is None
    assert "3 rows for 4 coefficients" in regression_of(cells[:3], "cross_similarity")[1][0]
    assert regression_of(cells, "top_5")[0]["warnings"][0] == "top_5 is the same in all rows, so it was left out"  # type: ignore[index]
    assert regression_of([], "top_5") == (None, [])
    by_cross = regression_of(cells, "top_5", "cross_distance")[0]
    assert by_cross is not None
    assert [term["name"] for term in by_cross["terms"]] == ["intercept", "label_accuracy", "cross_distance"]


@pytest.fixture
def summary() -> list[dict[str, Any]]:
    return summarise_cells([
        make({"x": "dear"}, accuracy=0.9, tokens=5000, clique=0.5),
        make({"x": "fair"}, accuracy=0.8, tokens=2000, clique=0.5),
        make({"x": "wide"}, accuracy=0.8, tokens=2000, clique=0.6),
        make({"x": "slow"}, accuracy=0.85, tokens=1000, curate=60.0),
        make({"x": "none"}, accuracy=None, tokens=10),
    ])  # fmt: skip


Summary = list[dict[str, Any]]


@pytest.mark.parametrize(
    ("budget", "place"),
    [
        ({}, 0),
        ({"generated_tokens": 4999}, 3),
        ({"seconds": 10}, 0),
        ({"seconds": 10, "generated_tokens": 3000}, 2),
        ({"generated_tokens": 5000}, 0),
    ],
)
def test_the_best_within_the_budget_ties_by_diversity(summary: Summary, budget: dict[str, float], place: int) -> None:
    found, reason = best_of(summary, BudgetConfig(**budget))  # type: ignore[arg-type]
    assert found == place
    assert f"{summary[place]['measures']['student_accuracy']['mean']:.3f}" in reason


def test_ties_by_another_diversity(summary: Summary) -> None:
    summary[1]["measures"]["chamfer"], summary[2]["measures"]["chamfer"] = {"mean": 0.3}, {"mean": 0.1}
    assert best_of(summary, BudgetConfig(seconds=10, generated_tokens=3000), "chamfer")[0] == 1


def test_nothing_below_what_was_there_before_is_a_recipe(summary: Summary) -> None:
    majority, examples = {"accuracy": 0.3, "label": "joy"}, {"accuracy": 0.9, "n": 20}
    assert best_of(summary, BudgetConfig(), bars={"majority": majority, "examples": examples})[0] == 0  # as good is not below
    place, reason = best_of(summary, BudgetConfig(generated_tokens=4999), bars={"majority": majority, "examples": examples})
    assert (place, reason) == (
        None, "nothing helps yet: the highest mean student accuracy is 0.850 (x slow), that of the 20 real examples alone 0.900"
    )  # fmt: skip
    both = {"majority": {**majority, "accuracy": 0.95}, "examples": {**examples, "accuracy": 0.99}}
    assert "of the majority class, 'joy', 0.950 and of the 20 real examples alone 0.990" in best_of(summary, BudgetConfig(), bars=both)[1]


def test_reasons_in_words(summary: Summary) -> None:
    _, reason = best_of(summary, BudgetConfig(seconds=10, generated_tokens=3000))
    assert reason == (
        "the highest mean student accuracy, 0.800, of 2 combinations within the budget of 3,000 generated tokens and 10 seconds; next is "
        "x fair with 0.800"
    )
    assert best_of(summary, BudgetConfig(generated_tokens=10)) == (
        None, "no combination fits the budget of 10 generated tokens: the cheapest needs 1,000 generated tokens")  # fmt: skip
    assert best_of(summary[4:], BudgetConfig()) == (None, "no combination has a student accuracy to choose by")
    replicated = summarise_cells([make({"x": "a"}, each, accuracy=0.5 + 0.1 * each) for each in (0, 1)])
    assert "0.550 (95 % interval 0.000 to 1.000), of 1 combinations" in best_of(replicated, BudgetConfig())[1]

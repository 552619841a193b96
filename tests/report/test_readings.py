"""Every measure that the pipeline makes has a name and a way to read it."""

from __future__ import annotations

from typing import Any

from variegate.report.measured import measured
from variegate.report.readings import HEADLINE, READINGS, WORDING, details_in_words, reading


def title(**value: Any) -> str:
    (each,) = measured([{"value": 1.0, **value}])
    return reading(each).title


def test_what_tells_a_value_from_its_likes_stands_in_its_title() -> None:
    assert title(metric="top_k_similarity", k=3) == "Top-3 similarity"
    assert title(metric="vendi_score", details={"q": 0.5}) == "Vendi score, q = 0.5"
    assert title(metric="vendi_score", details={"q": 1.0}) == "Vendi score, q = 1"
    assert (
        title(metric="vendi_score", details={"q": "inf"})
        == title(metric="vendi_score", details={"q": float("inf")})
        == "Vendi score, q = ∞"
    )
    assert title(metric="leakage_near", details={"threshold": 0.9}) == "Leakage, cosine ≥ 0.9"


def test_a_foreign_measure_keeps_its_name() -> None:
    assert title(metric="mauve_{k}_{0}") == "mauve {k} {0}"
    assert title(metric=None) == "unnamed"


def test_every_measure_of_the_metrics_is_named() -> None:
    """The names are those in the docstrings and constructors of the metrics themselves."""
    import re
    from pathlib import Path

    import variegate.metrics

    source = "".join(path.read_text() for path in Path(variegate.metrics.__file__).parent.glob("*.py"))
    made = set(re.findall(r'(?:MetricValue\(|_value\(|_leakage\(|metric=|"metric": )\s*"([a-z_0-9]+)"', source))
    assert {"remote_clique", "chamfer", "coverage", "leakage_exact", "self_repetition", "coverage_tsne"} <= made
    assert made <= set(READINGS)
    assert {*HEADLINE, *WORDING} <= set(READINGS)


def test_details_in_words() -> None:
    (each,) = measured([{"value": 1, "details": {"num_ngrams": 11213, "q": 0.5, "nested": {"a": 1}, "none": None, "drawn": True}}])
    assert details_in_words(each) == "num ngrams 11,213, q 0.5, drawn yes"

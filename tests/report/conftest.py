"""What the tests of pages share: a strict reader of HTML, and a measurement made by hand."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from variegate.metrics.values import MetricValue

_VOID = {"meta", "link", "br", "img", "wbr"}


class Page(HTMLParser):
    """Tags, attributes and text; fails where tags do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.parts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []
        self.text = " ".join(" ".join(self.parts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.parts.append(data)


@pytest.fixture
def read_page() -> Callable[[str], Page]:
    return Page


def value(metric: str, number: float, n: int, **more: Any) -> dict[str, Any]:
    """As the pipeline has it: the JSON of a real MetricValue."""
    facts = {"implementation": "dense", "precision": "float64", **more}
    return MetricValue(metric, number, n, **facts).to_json()


def vector_value(metric: str, number: float, n: int, **more: Any) -> dict[str, Any]:
    return value(metric, number, n, **{"distance": "cosine", "encoder": "all-MiniLM-L6-v2", **more})


def diversity(clique: float, chamfer: float, n: int, *, distinct: float | None = None, **more: Any) -> list[dict[str, Any]]:
    more = {"include_self": False, "num_duplicates": 2, **more}
    values = [
        vector_value("remote_clique", clique, n, **{**more, "implementation": "closed_form"}),
        vector_value("chamfer", chamfer, n, **more),
    ]
    return values + ([] if distinct is None else [value("distinct_2", distinct, n, details=more.get("details", {}))])


def wording(n: int, shift: float) -> list[dict[str, Any]]:
    lengths = {"median": 8.0, "sd": 3.7, "min": 3, "max": 30, "q05": 4.0, "q25": 7.0, "q75": 11.0, "q95": 16.0, "mean_characters": 51.05}
    vendi = [
        vector_value("vendi_score", score - shift, n, include_self=True, details={"q": q, "max": 384})
        for q, score in ((0.5, 109.59), (1.0, 90.86), (2.0, 57.09), ("inf", 4.69))
    ]
    return [
        *vendi,
        value("distinct_1", 0.2927 + shift / 100, n, implementation="counts"),
        value("distinct_2", 0.6891, n, implementation="counts"),
        value("distinct_3", 0.8584, n, implementation="counts"),
        value("self_repetition", 0.4999, n, implementation="counts", details={"n": 4, "num_without": 31}),
        value("compression_ratio", 2.514, n, implementation="gzip", details={"bytes": 64175, "compressed_bytes": 25525}),
        value("vocabulary_size", 3282.0, n, implementation="counts", details={"num_words": 11213}),
        value("mean_length", 9.0941, n, implementation="counts", details=lengths),
    ]


@pytest.fixture
def measurement() -> dict[str, Any]:
    """1,200 generated texts of three labels against 300 real ones; of `fear` the set has one text, of `awe` the reference none."""
    drawn = {"details": {"drawn_from": 1200, "seed": 7}}
    return {
        "variegate": "0.1.0",
        "created": "2026-01-02T03:04:05+00:00",
        "set": {"source": "runs/feelings", "n": 1200, "num_unique": 1190, "skipped": {"no text": 3}, "labels": {"joy": 700, "awe": 499, "fear": 1}},
        "reference": {"source": "feelings/train.jsonl", "n": 300, "num_unique": 300, "skipped": {}, "labels": {"joy": 250, "fear": 50}},
        "encoder": {
            "name": "all-MiniLM-L6-v2", "width": 384, "max_tokens": 256, "pooling": "mean", "precision": "bfloat16",
            "precision_reason": "largest error 8.6e-05", "num_truncated": 17, "fingerprint": "0f3c" * 16,
        },
        "distance": "cosine",
        "k": 5,
        "seed": 7,
        "pooled": {
            "set": [*diversity(0.9393, 0.1774, 1200), *wording(1200, 0.0), *diversity(0.9423, 0.2478, 300, **drawn)],
            "reference": [*diversity(0.8817, 0.1385, 300), *wording(300, 1.5)],
            "pair": [
                vector_value("cross_distance", 0.9294, 1200, m=300, implementation="closed_form"),
                vector_value(
                    "top_k_similarity", 0.77399, 1200, m=300, k=5, implementation="inverted_index", precision="fp32",
                    interval=(0.773968, 0.774012),
                ),
                vector_value("leakage_near", 0.1298, 1200, m=300, details={"threshold": 0.95}),
                vector_value("coverage", 0.462, 1200, m=300, details={"radius": 0.07, "rule": "given"}),
                value("leakage_exact", 0.0073, 1200, m=300, implementation="hash_set", details={"num_leaked": 9}),
                value("leakage_folded", 0.0097, 1200, m=300, implementation="hash_set", details={"num_leaked": 12}),
                value("bigram_overlap", 0.2214, 1200, m=300, implementation="inverted_index"),
                vector_value("top_k_similarity", 0.6791, 300, m=300, k=5, **drawn),
            ],
        },
        "labels": {
            "joy": {
                "set": diversity(0.8, 0.2, 250, distinct=0.5, details={"drawn_from": 700, "seed": 7}),
                "reference": diversity(0.6, 0.1, 250, distinct=0.4),
                "pair": [vector_value("top_k_similarity", 0.9, 250, m=250, k=5)],
            },
            "awe": {"set": diversity(0.4, 0.05, 499, distinct=0.3), "reference": [], "pair": []},
            "fear": {"set": [], "reference": diversity(0.7, 0.3, 50, distinct=0.6), "pair": []},
        },
        "map": {
            "method": "pca",
            "explained": [0.0839, 0.0324],
            "labels": ["awe", "fear", "joy"],
            "set": {"x": [0.1, 0.2, -0.4], "y": [0.3, -0.1, 0.0], "label": [0, 2, 1]},
            "reference": {"x": [0.15, -0.35], "y": [0.2, 0.1], "label": [2, 1]},
            "shown": {"set": 3, "reference": 2},
        },
        "nearest_pairs": [
            {
                "text": "I am so glad", "label": "joy", "id": "line 3", "reference_text": "I am so glad", "reference_label": "joy",
                "reference_id": "line 8", "similarity": 1.0, "kind": "equal",
            },
            {
                "text": "I AM afraid", "label": "awe", "id": "line 4", "reference_text": "I am afraid", "reference_label": "fear",
                "reference_id": "line 9", "similarity": 1.0, "kind": "folded",
            },
            {
                "text": "such a fine day", "label": "joy", "id": "line 5", "reference_text": "what a fine day", "reference_label": "joy",
                "reference_id": "line 10", "similarity": 0.93456, "kind": "near",
            },
        ],
        "duplicates": [{"text": "I am so glad", "count": 7}, {"text": "such a day", "count": 4}],
        "warnings": ["17 texts are longer than the encoder's 256 tokens: what stands beyond counts for nothing"],
        "seconds": {"read": 0.1, "embed": 12.5, "measure": 3.25},
    }  # fmt: skip

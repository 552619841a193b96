"""What stands out in measured sets: warnings, duplicates, the pairs nearest to the reference, a map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from variegate.errors import some_of
from variegate.kinds.text import folded, shown
from variegate.metrics import NearestReference
from variegate.metrics.projection import project
from variegate.pipeline.sides import Side

MOST_PAIRS = 30  # in the table of nearest pairs
MOST_DUPLICATES = 20  # texts named
MOST_DOTS = 2_000  # of each set on the map


def warnings_of(made: Side, real: Side | None, encoding: dict[str, Any]) -> Iterator[str]:
    truncated = encoding.get("num_truncated")
    if truncated:
        yield f"longer than the encoder's {encoding['max_tokens']} tokens, and cut there: {_count(truncated, 'text')}"
    if encoding.get("num_unknown"):
        yield f"unknown to the encoder, script or words: {_count(encoding['num_unknown'], 'text')}, whose vectors say nothing of them"
    for name, side in (("set", made), ("reference", real)):
        if side is not None and not side.has_directions:
            num_zero = int((side.vectors.norms == 0).sum())
            yield (
                f"{name}: {_count(num_zero, 'zero vector')}, without direction: Vendi score, top-k similarity, leakage by vectors and"
                " coverage by t-SNE are left out"
            )
        if side is not None and side.source.skipped:
            reasons = [f"{_count(count, 'row')} ({reason})" for reason, count in side.source.skipped.items()]
            yield f"{name}: left out {', '.join(reasons)}"
    if real is None:
        return
    if len(made) != len(real):
        yield (
            f"the set has {len(made):,} records, the reference {len(real):,}: Chamfer falls and top-k similarity rises with the number of"
            " records; compare the values at equal size"
        )
    if made.source.labels is not None and real.source.labels is not None:
        for name, missing in (
            ("the set", set(real.source.labels) - set(made.source.labels)),
            ("the reference", set(made.source.labels) - set(real.source.labels)),
        ):
            if missing:
                yield f"{name} has no record of {_count(len(missing), 'label')}: {some_of(sorted(missing))}"
    elif (made.source.labels is None) != (real.source.labels is None):
        yield f"the {'set' if made.source.labels is None else 'reference'} has no labels: those of the other are measured alone"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def describe_source(side: Side) -> dict[str, Any]:
    source = side.source
    distinct = len(set(source.texts)) if source.texts is not None else len(side) - side.vectors.distinct().num_duplicates
    return {
        # a file name that is no UTF-8 comes as half character pairs, which JSON cannot hold
        "source": source.source.encode("utf-8", "replace").decode(),
        "n": len(side),
        "num_unique": distinct,
        "skipped": dict(source.skipped),
        "labels": dict(Counter(source.labels).most_common()) if source.labels is not None else {},
    }


def duplicates_of(side: Side) -> list[dict[str, Any]]:
    if side.source.texts is None:
        return []
    common = Counter(side.source.texts).most_common(MOST_DUPLICATES)
    return [{"text": shown(text, side.source.text_fields), "count": count} for text, count in common if count > 1]


def nearest_pairs(made: Side, real: Side, near: NearestReference) -> list[dict[str, Any]]:
    """The closest records of the set and their references; of equal texts one. Without texts, ids stand in their place."""
    pairs: list[dict[str, Any]] = []
    seen: set[str] = set()
    for row in np.argsort(near.distances, kind="stable"):
        other = int(near.index[row])
        text, reference_text = made.describe(row), real.describe(other)
        if made.source.texts is not None:
            if text in seen:
                continue
            seen.add(text)
        pairs.append(
            {
                "text": text,
                "label": None if made.source.labels is None else made.source.labels[row],
                "id": made.source.ids[row],
                "reference_text": reference_text,
                "reference_label": None if real.source.labels is None else real.source.labels[other],
                "reference_id": real.source.ids[other],
                "similarity": 1 - float(near.distances[row]),
                "kind": _kind(made, int(row), real, other),
            }
        )
        if len(pairs) == MOST_PAIRS:
            break
    return pairs


def _kind(made: Side, row: int, real: Side, other: int) -> str:
    """How near two records are: by their texts, or by their vectors where one side has no texts."""
    if made.source.texts is None or real.source.texts is None:
        return "equal" if bool((made.vectors.rows[row] == real.vectors.rows[other]).all()) else "near"
    text, other_text = made.source.texts[made.places[row]], real.source.texts[real.places[other]]
    return "equal" if text == other_text else "folded" if folded(text) == folded(other_text) else "near"


def draw_map(made: Side, real: Side | None, *, method: Literal["pca", "tsne"], distance: str, seed: int) -> dict[str, Any] | None:
    """Dots of at most MOST_DOTS records of each set. None where there are too few records for t-SNE."""
    sides = {"set": made, **({"reference": real} if real is not None else {})}
    shown = {name: side.draw(MOST_DOTS, seed) for name, side in sides.items()}
    if method == "tsne" and sum(map(len, shown.values())) < 4:
        return None
    drawn = project(
        shown["set"].vectors,
        shown["reference"].vectors if real is not None else None,
        method=method,
        distance="euclidean" if distance in ("euclidean", "sqeuclidean") else "cosine",
        seed=seed,
    )
    labels = sorted({label for side in sides.values() for label in side.source.labels or ()})
    index = {label: place for place, label in enumerate(labels)}

    def dots(side: Side, points: np.ndarray) -> dict[str, Any]:
        own = None if side.source.labels is None else [index[side.source.labels[place]] for place in side.places]
        return {"x": np.round(points[:, 0], 5).tolist(), "y": np.round(points[:, 1], 5).tolist(), "label": own}

    return {
        "method": drawn.method,
        "explained": None if drawn.explained is None else list(drawn.explained),
        "labels": labels,
        "set": dots(shown["set"], drawn.x),
        "reference": None if drawn.y is None else dots(shown["reference"], drawn.y),
        "shown": {name: len(side) for name, side in shown.items()},
    }

"""Labels before and after a curation: flips, counts and agreement with the oracle, laid out. Counts nothing itself.

Keys read: those of `flips`, `labels` and `accuracy` (see `report/curation`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from variegate.report.intervals import Point, intervals
from variegate.report.matrix import NUMBERED, Matrix, heat_map
from variegate.report.measured import mapping, text, whole, words
from variegate.report.numbers import drawable, pair_of, write_range, write_share
from variegate.report.svg import clip

_FLIPS_IN_SIGHT = (8, 15)  # beside a matrix with numbers, and beside one without
_FLIPS_LISTED = 60
_LABELS_IN_SIGHT = 25
_MOST_LABELS = 400  # in a matrix
_LONGEST = 500
_ACCURACIES = {
    "given": "given, of all records",
    "given_kept": "given, of the kept",
    "final": "final, of the kept",
    "oracle_test": "the oracle itself on real texts",
}


def count_of(value: Any) -> int | None:
    number = whole(value)
    return number if number is not None and number >= 0 else None


def flip_matrix(flips: Mapping[str, Any], unchanged: list[tuple[str, int]]) -> Matrix:
    """old -> new. unchanged: (label, how many kept it), for the diagonal."""
    moves = [(old, new, count_of(count) or 0) for old, row in flips.items() for new, count in mapping(row).items()]
    moves = [(str(old), str(new), count) for old, new, count in moves if count and old != new]
    names = sorted({*(old for old, _, _ in moves), *(new for _, new, _ in moves), *(label for label, _ in unchanged)})
    place = {name: index for index, name in enumerate(names)}
    counts = {(place[old], place[new]): float(count) for old, new, count in moves}
    counts |= {(place[label], place[label]): float(count) for label, count in unchanged if count}
    return Matrix([words(name) or "(empty)" for name in names], counts)


def largest_flips(matrix: Matrix) -> list[dict[str, Any]]:
    return [{"old": old, "new": new, "count": int(count), "share": share} for old, new, count, share in matrix.largest()[:_FLIPS_LISTED]]


def flips_section(summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """given -> final over the kept records; None where no label changed."""
    flips = mapping(summary.get("flips"))
    arrived: Counter[str] = Counter()
    for row in flips.values():
        for new, count in mapping(row).items():
            arrived[str(new)] += count_of(count) or 0
    finals = [(str(label), count_of(mapping(each).get("final"))) for label, each in mapping(summary.get("labels")).items()]
    unchanged = [(label, final - arrived[label]) for label, final in finals if final is not None and final >= arrived[label]]
    matrix = flip_matrix(flips, unchanged)
    largest = largest_flips(matrix)
    if not largest:
        return None
    num_pairs = len(matrix.largest())
    compact = len(matrix.labels) > NUMBERED
    in_sight = _FLIPS_IN_SIGHT[compact]
    return {
        "plot": heat_map("Labels: given against final", matrix, row_title="given", column_title="final")
        if len(matrix.labels) <= _MOST_LABELS
        else None,
        "compact": compact,
        "in_sight": largest[:in_sight],
        "folded": largest[in_sight:],
        "num_pairs": num_pairs,
        "unlisted": num_pairs - len(largest),
    }


def labels_section(labels: Mapping[str, Any]) -> dict[str, Any] | None:
    rows: list[dict[str, Any]] = []
    for label, each in labels.items():
        given, final = (count_of(mapping(each).get(key)) for key in ("given", "final"))
        rows.append({"label": words(str(label)) or "(empty)", "given": given, "final": final})
    if not rows:
        return None
    most = max((row[key] or 0 for row in rows for key in ("given", "final")), default=0) or 1
    rows = [{**row, "shares": [(row["given"] or 0) / most, (row["final"] or 0) / most]} for row in rows]
    empty = [row["label"] for row in rows if row["final"] == 0 and row["given"]]
    return {"in_sight": rows[:_LABELS_IN_SIGHT], "folded": rows[_LABELS_IN_SIGHT:], "empty": empty}


def accuracy_section(value: Any) -> dict[str, Any] | None:
    """How far labels agree with the oracle: of all records, and of the kept before and after. None where it was not looked at."""
    data = mapping(value)
    points = []
    for key, name in _ACCURACIES.items():
        share, n = drawable(mapping(data.get(key)).get("accuracy")), whole(mapping(data.get(key)).get("n"))
        interval = pair_of(mapping(data.get(key)).get("ci95") or mapping(data.get(key)).get("accuracy_ci95"))
        low, high = interval or (None, None)
        if share is not None:
            said = write_share(share) + (f" ({write_range(*interval, 'share')})" if interval else "")
            points.append(Point(name, share, low, high, words=said + (f", n = {n:,}" if n is not None else "")))
    if not points:
        return None
    notes = [clip(said, _LONGEST) for key in ("doubt", "note") if (said := text(data.get(key)))]
    plot = intervals(
        "Label accuracy", points, axis="labels that the oracle gives too", written=lambda value: f"{100 * value:.4g} %", words_width=270
    )
    return {
        "plot": plot,
        "notes": [note[:1].upper() + note[1:] for note in notes],
        "named": [(point.name, point.words) for point in points],
    }

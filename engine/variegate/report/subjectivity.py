"""A measurement of subjectivity as one HTML page: the answer, agreement, accuracy over it, contested items, the ranking of tasks.

Reads what `variegate subjectivity` measured (the keys stand in pipeline/subjectivity/measure.py); others are ignored, and a missing part or
one of another type leaves a gap. Measures nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from variegate.report.measured import finite, items, mapping, scalar, text, whole, words
from variegate.report.numbers import write_range, write_share
from variegate.report.page import render_template
from variegate.report.subjectivity_sweep import sweep_section
from variegate.report.subjectivity_tasks import tasks_section
from variegate.report.svg import clip, histogram
from variegate.store.files import write_atomic

_LONGEST_TEXT = 500  # characters of an item in the table; the page says where one was cut
_WAYS = {"higher": "higher risk", "lower": "lower risk", "neither": "neither way"}
_LEVELS = ("higher", "lower", "mixed", "unclear")


def write_subjectivity_report(measurement: Mapping[str, Any], path: Path) -> Path:
    """Write the measurement as one HTML page that needs nothing else, and return its path. Raises StoreError."""
    page = render_template("subjectivity_page.html.j2", {"page": subjectivity_context(measurement)})
    write_atomic(path, page.encode())
    return path


def subjectivity_context(measurement: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows, as `page`."""
    instances, tasks = mapping(measurement.get("instances")), mapping(measurement.get("tasks"))
    about = _source(instances.get("source")) if instances else None
    return {
        "variegate": words(measurement.get("variegate")),
        "created": words(measurement.get("created"))[:16].replace("T", " "),
        "title": (about or {}).get("name") or words(mapping(tasks.get("source")).get("name")) or "unnamed",
        "name": words(measurement.get("name")),
        "answer": _answer(measurement.get("answer")),
        "source": about,
        "agreement": _agreement(instances),
        "sweep": sweep_section(measurement),
        "contested": _contested(instances, [words(mapping(each).get("name")) for each in items(measurement.get("students"))]),
        "tasks": tasks_section(tasks, words(measurement.get("name"))) if tasks else None,
        "students": [_student(each) for each in items(measurement.get("students"))],
        "warnings": [clip(text(each), _LONGEST_TEXT) for each in items(measurement.get("warnings")) if isinstance(each, str)],
        "seed": whole(measurement.get("seed")),
    }


def _answer(data: Any) -> dict[str, Any] | None:
    found = mapping(data)
    if not found:
        return None
    signs = []
    for sign in map(mapping, items(found.get("signs"))):
        way = sign.get("points_to") if isinstance(sign.get("points_to"), str) else ""
        signs.append(
            {
                "name": words(sign.get("name")),
                "way": way if way in _WAYS else "neither",
                "points": _WAYS.get(str(way), ""),
                "says": clip(text(sign.get("says")), 1000),
            }
        )
    conventions = mapping(found.get("conventions"))
    level = found.get("level")
    return {
        "level": level if level in _LEVELS else "unclear",
        "headline": clip(text(found.get("headline")), _LONGEST_TEXT),
        "signs": signs,
        "unknown": [clip(text(each), _LONGEST_TEXT) for each in items(found.get("unknown")) if isinstance(each, str)],
        "conventions": [(words(str(name)), clip(text(says), _LONGEST_TEXT)) for name, says in mapping(conventions.get("says")).items()],
    }


def _source(data: Any) -> dict[str, Any]:
    found = mapping(data)
    model = words(found.get("kind")) == "model"
    facts = []
    if model:
        facts = [
            ("model", words(found.get("model"))),
            ("engine", words(found.get("backend"))),
            ("answers a text", scalar(whole(found.get("votes")))),
            ("temperature", scalar(finite(found.get("temperature")))),
            ("answers read", ", ".join(f"{whole(n) or 0:,} {words(str(how))}" for how, n in mapping(found.get("read")).items())),
            ("answers that name no label", scalar(whole(found.get("unread")))),
            ("such answers", ", ".join(f"“{words(each)}”" for each in items(found.get("unread_examples"))[:3])),
            ("questions not asked", scalar(whole(found.get("errors")))),
        ]
    else:
        facts = [("form", words(found.get("form"))), ("annotators", scalar(whole(found.get("annotators"))))]
    return {"name": words(found.get("name")), "model": model, "facts": [(name, value) for name, value in facts if value]}


def _student(data: Any) -> dict[str, Any]:
    found = mapping(data)
    return {
        "name": words(found.get("name")),
        "source": words(found.get("source")),
        "without": whole(found.get("without")),
        "unmatched": whole(found.get("unmatched_rows")),
    }


# -- agreement -------------------------------------------------------------------------------------------------


def _agreement(instances: Mapping[str, Any]) -> dict[str, Any] | None:
    found = mapping(instances.get("agreement"))
    mean = finite(found.get("mean"))
    if mean is None:
        return None
    chance, unanimous = finite(found.get("chance")), finite(found.get("unanimous"))
    alpha, kappa = mapping(instances.get("alpha")), finite(instances.get("kappa"))
    value = finite(alpha.get("value"))
    left_out, true = mapping(instances.get("left_out")), mapping(instances.get("true"))
    bars = [
        (share, n)
        for each in map(mapping, items(instances.get("histogram")))
        if (share := finite(each.get("share"))) is not None and (n := whole(each.get("n"))) is not None
    ]
    return {
        "n": whole(instances.get("n")),
        "single": whole(left_out.get("single")) or 0,
        "unlabelled": whole(left_out.get("unlabelled")) or 0,
        "mean": write_share(mean),
        "mean_range": write_range(finite(found.get("low")), finite(found.get("high")), "share"),
        "chance": "" if chance is None else write_share(chance),
        "unanimous": "" if unanimous is None else write_share(unanimous),
        "tied": whole(found.get("tied")),
        "alpha": "" if value is None else f"{value:.3f}",
        "alpha_range": "" if value is None else write_range(finite(alpha.get("low")), finite(alpha.get("high")), ""),
        "kappa": "" if kappa is None else f"{kappa:.3f}",
        "right": _right(instances.get("majority_right")),
        "per_item": [
            (words(str(k)), n) for k, count in mapping(instances.get("labels_per_item")).items() if (n := whole(count)) is not None
        ],
        "labels": sorted(
            ((words(str(label)), n) for label, count in mapping(instances.get("labels")).items() if (n := whole(count)) is not None),
            key=lambda each: -each[1],
        ),
        "histogram": histogram(
            "Items by the share of their labels that the most frequent one has",
            [(f"{100 * share:.3g} %", float(n)) for share, n in bars],
            x_label="agreement",
            height=200,
        )
        if bars
        else "",
        "confused": [
            {"labels": [words(label) for label in items(each.get("labels"))], "n": whole(each.get("n"))}
            for each in map(mapping, items(instances.get("confused")))
        ],
        "true": {"kind": words(true.get("kind")), "field": words(true.get("field")), "without": whole(true.get("without")) or 0},
    }


def _right(data: Any) -> dict[str, Any] | None:
    found = mapping(data)
    value = finite(found.get("value"))
    if value is None:
        return None
    span = write_range(finite(found.get("low")), finite(found.get("high")), "share")
    return {"value": write_share(value), "range": span, "n": whole(found.get("n"))}


def _contested(instances: Mapping[str, Any], students: list[str]) -> dict[str, Any] | None:
    rows = []
    for each in map(mapping, items(instances.get("contested"))):
        share = finite(each.get("share"))
        full = text(each.get("text")) or words(each.get("id"))
        counts = [(words(str(label)), n) for label, count in mapping(each.get("labels")).items() if (n := whole(count)) is not None]
        true = words(each.get("true"))
        predicted = [words(mapping(each.get("predicted")).get(name)) for name in students]
        rows.append(
            {
                "share": "–" if share is None else write_share(share),
                "labels": sorted(counts, key=lambda pair: -pair[1]),
                "text": full[:_LONGEST_TEXT],
                "cut": len(full) > _LONGEST_TEXT,
                "id": words(each.get("id")),
                "true": true,
                "predicted": [
                    (name, label, bool(true) and label != true) for name, label in zip(students, predicted, strict=True) if label
                ],
            }
        )
    return {"rows": rows, "students": students} if rows else None

"""The section on a run's works: rounds of students and their errors as curves, and how texts for errors lie to them. Computes sums alone.

Keys read of the manifest's `works` (others are ignored; a missing part or one of another type leaves a gap):
    name, task, round (committed rounds before it), kept, said, seconds, memory {here, engine, device}
    of `student`: num_texts, validation and select {n, accuracy, f1}
    of `extrapolation`: pairs, cosine, random_cosine, edit, random_edit, words, coverage {seeds, all}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from variegate.report import svg
from variegate.report.curves import Curve, CurvePoint, curves
from variegate.report.measured import finite, items, mapping, text, whole, words
from variegate.report.numbers import drawable, write_share

_SPLITS = {"select": "to decide by", "validation": "to find errors in"}


def works_section(manifest: Mapping[str, Any], facts: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """For the template; None where the run has none. facts: of the committed rounds."""
    works = [mapping(each) for each in items(manifest.get("works"))]
    students = [_student(work, facts) for work in works if work.get("task") == "student"]
    if not works:
        return None
    lain = next((_lain(work) for work in reversed(works) if work.get("task") == "extrapolation"), None)
    return {
        "students": students,
        "with_f1": any(each["f1"] is not None for each in students),
        "said": [said for work in works if (said := text(work.get("said")))],
        "others": [words(work.get("name")) for work in works if work.get("task") not in ("student", "extrapolation")],
        "plots": _plots(students),
        "lain": lain,
        "memory": _memory(works),
    }


def _student(work: Mapping[str, Any], facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    before = [mapping(each) for each in facts[: whole(work.get("round")) or 0]]
    select, validation = mapping(work.get("select")), mapping(work.get("validation"))
    return {
        "name": words(work.get("name")),
        "texts": whole(work.get("num_texts")),
        "select": drawable(select.get("accuracy")),
        "validation": drawable(validation.get("accuracy")),
        "f1": drawable(select.get("f1", validation.get("f1"))),
        "tokens": sum(whole(each.get("num_tokens")) or 0 for each in before),
        "seconds": sum(finite(each.get("seconds")) or 0.0 for each in before),
        "training": drawable(work.get("seconds")),
    }


def _plots(students: Sequence[Mapping[str, Any]]) -> list[str]:
    """Accuracy on both splits over the texts so far; texts, tokens and seconds by round."""
    if len(students) < 2:
        return []
    drawn = []
    for place, (name, said) in enumerate(_SPLITS.items()):
        points = [CurvePoint(float(each["texts"]), each[name]) for each in students if each["texts"] is not None and each[name] is not None]
        if points:
            drawn.append(Curve(said, f"part-{place}", sorted(points, key=lambda point: point.x)))
    stops = [
        (float(each["texts"]), f"{each['texts']:,}", f"round {place}") for place, each in enumerate(students) if each["texts"] is not None
    ]
    out = []
    if drawn:
        out.append(
            curves("A student's share of real examples that are right", drawn, stops, x_label="texts", y_label="share", written=write_share)
        )
    for key, title, unit in (
        ("texts", "Texts", "texts"),
        ("tokens", "Tokens generated", "tokens"),
        ("seconds", "Seconds of generating", "s"),
    ):
        by_round = [(float(place), float(each[key])) for place, each in enumerate(students) if each[key] is not None]
        if len(by_round) > 1:
            out.append(svg.line(f"{title} so far, by round", by_round, x_label="round", y_label=unit, width=340))
    return out


def _lain(work: Mapping[str, Any]) -> dict[str, Any]:
    covered = mapping(work.get("coverage"))
    found: dict[str, Any] = {name: drawable(work.get(name)) for name in ("cosine", "random_cosine", "edit", "random_edit", "words")}
    return {**found, "pairs": whole(work.get("pairs")), "before": drawable(covered.get("seeds")), "after": drawable(covered.get("all"))}


def _memory(works: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Peaks in GiB, in words."""
    names = {"here": "this process, students in it", "engine": "the engine's process", "device": "students on the GPU"}
    peaks = {name: max((finite(mapping(work.get("memory")).get(name)) or 0.0 for work in works), default=0.0) for name in names}
    return {said: peaks[name] / 2**30 for name, said in names.items() if peaks[name]}

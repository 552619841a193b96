"""The tables of docs/STUDY.md, from what benchmarks/study_papers.py measured: `generate.py` puts them between their markers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"
_MARKED = re.compile(r"(<!-- study: (\S+) -->\n).*?(<!-- /study -->)", re.DOTALL)
_POINTS = {"label_accuracy", "student_accuracy", "coverage"}  # shown in points of a hundred
_CURATIONS = ("lr90", "lr180", "lr270", "oracle")


def filled(text: str) -> str:
    """`text` with every marked table made anew."""
    return _MARKED.sub(lambda found: f"{found[1]}{_table(found[2])}\n{found[3]}", text)


def _results(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"study-{name}.json").read_text(encoding="utf-8"))["results"]


def _table(name: str) -> str:
    if name == "scope":
        return _scope(_results(name))
    if name == "agreement":
        return _agreement(_results(name))
    kind, _, task = name.partition(":")
    study = _results(f"{kind.split('-')[0]}_{task}")
    return {"chung": _chung, "chung-effects": _chung_effects, "li": _li}[kind](study)


def _rows(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join([f"| {' | '.join(each)} |" for each in (header, ["---"] * len(header), *rows)])


def _value(measure: dict[str, Any], name: str) -> str:
    """Mean and half width of the 95 % interval over replicates."""
    scale, digits = (100, 1) if name in _POINTS else (1, 3)
    half = "" if measure["low"] is None else f" ± {scale * (measure['high'] - measure['low']) / 2:.{digits}f}"
    return f"{scale * measure['mean']:.{digits}f}{half}"


def _difference(effect: dict[str, Any]) -> str:
    scale, digits = (100, 1) if effect["measure"] in _POINTS else (1, 3)
    interval = "" if effect["low"] is None else f" ({scale * effect['low']:+.{digits}f} to {scale * effect['high']:+.{digits}f})"
    return f"{scale * effect['difference']:+.{digits}f}{interval}"


def _group(study: dict[str, Any], **axes: str) -> dict[str, Any]:
    return next(each["measures"] for each in study["summary"] if axes.items() <= each["axes"].items())


def _chung(study: dict[str, Any]) -> str:
    """One row for each way to generate: its data as generated, then the student after each curation."""
    rows = []
    for temperature in study["axes"]["temperature"]:
        for suppression in study["axes"]["suppression"]:
            way = {"temperature": temperature, "suppression": suppression}
            made = _group(study, **way, curation="none")
            names = ("remote_clique", "distinct_2", "top_5", "label_accuracy", "student_accuracy")
            row = [temperature, suppression, *(_value(made[name], name) for name in names)]
            row += [_difference(_gain(study, way, curation)) for curation in _CURATIONS]
            rows.append(row)
    header = ["T", "suppression", "Remote-Clique", "distinct bigrams", "top-5 similarity", "label accuracy", "student accuracy"]
    return _rows([*header, *(f"{name}: gain" for name in _CURATIONS)], rows)


def _gain(study: dict[str, Any], way: dict[str, str], curation: str) -> dict[str, Any]:
    return next(
        each
        for each in study["conditional_effects"]
        if each["axis"] == "curation"
        and (each["from"], each["to"], each["measure"]) == ("none", curation, "student_accuracy")
        and each["within"] == way
    )


def _chung_effects(study: dict[str, Any]) -> str:
    """What temperature and suppression changed, over all cells as generated; and the regression."""
    names = ("remote_clique", "distinct_2", "top_5", "label_accuracy", "student_accuracy")
    first, last = study["axes"]["temperature"][0], study["axes"]["temperature"][-1]
    rows = []
    for axis, options in (("temperature", (first, last)), ("suppression", ("off", "label"))):
        effects = {each["measure"]: each for each in study["effects"] if each["axis"] == axis and (each["from"], each["to"]) == options}
        rows.append([f"{axis} {options[0]} to {options[1]}", *(_difference(effects[name]) for name in names)])
    table = _rows(["change", "Remote-Clique", "distinct bigrams", "top-5 similarity", "label accuracy", "student accuracy"], rows)
    found = study["regression"]
    terms = ", ".join(
        f"{each['name'].replace('_', ' ')} {each['standardised']:+.2f} ({each['standardised_low']:+.2f} to {each['standardised_high']:+.2f})"
        for each in found["terms"]
        if each["name"] != "intercept"
    )
    return f"{table}\n\nRegression of student accuracy over {found['n']} cells, standardised coefficients: {terms}; R² {found['r2']:.2f}."


def _li(study: dict[str, Any]) -> str:
    names = ("remote_clique", "remote_clique_within_labels", "chamfer", "top_5", "coverage", "label_accuracy", "student_accuracy")
    rows = [
        [name, *(_value(_group(study, strategy=option)[each], each) for each in names)]
        for name, option in (("zero-shot", "zero"), ("few-shot", "few"))
    ]
    effects = {each["measure"]: each for each in study["effects"] if (each["from"], each["to"]) == ("zero", "few")}
    rows.append(["few-shot less zero-shot", *(_difference(effects[name]) for name in names)])
    return _rows(
        ["", "Remote-Clique", "within labels", "Chamfer", "top-5 similarity", "coverage", "label accuracy", "student accuracy"], rows
    )


def _scope(found: dict[str, Any]) -> str:
    rows = []
    for rate in sorted({each["judged_out_share"] for each in found["rows"]}):
        these = [each for each in found["rows"] if each["judged_out_share"] == rate]
        cells = []
        for name in ("precision", "recall", "in_scope_dropped_share"):
            values = [each[name] for each in these if each[name] is not None]
            cells.append(f"{sum(values) / len(values):.2f} ({min(values):.2f} to {max(values):.2f}; {len(values)} of {len(these)})")
        rows.append([f"{rate:.0%}".replace("%", " %"), *cells])
    return _rows(["out of scope among the judged", "precision", "recall", "share of in-scope texts dropped"], rows)


def _agreement(found: dict[str, Any]) -> str:
    def shown(value: list[float]) -> str:
        return f"{100 * value[0]:.1f} ({100 * value[1]:.1f} to {100 * value[2]:.1f})"

    rows = [
        [
            f"{point['gamma']:.2f}",
            f"{point['n']:,}",
            shown(point["accuracy"]["generated"]),
            shown(point["accuracy"]["real"]),
            shown(point["difference"][0]),
        ]
        for point in found["points"]
        if point["n"]
    ]
    return _rows(["gamma", "texts", "student of generated texts", "student of real texts", "real less generated"], rows)

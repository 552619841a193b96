"""The tables of docs/STUDY.md, from what benchmarks/study_papers.py measured: `generate.py` puts them between their markers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"
_MARKED = re.compile(r"(<!-- study: (\S+) -->\n).*?(<!-- /study -->)", re.DOTALL)
_POINTS = {"label_accuracy", "student_accuracy", "coverage"}  # shown in points of a hundred
_OF_TEXTS = {
    "remote_clique": "Remote-Clique",
    "distinct_2": "distinct bigrams",
    "top_5": "top-5 similarity",
    "label_accuracy": "label accuracy",
    "student_accuracy": "student accuracy",
}
_WAYS = {
    "zero": "zero-shot",
    "few": "few-shot",
    "mix_2": "PromptMix, two examples a class",
    "mix_0": "PromptMix, no examples",
    "none": "no history",
    "four": "a history of four",
}
_WORTH = {
    "majority": "none: the majority class",
    "examples": "the real examples alone",
    "set": "generated texts",
    "with_examples": "generated texts and the examples",
    "real": "as many real texts",
}


def filled(text: str) -> str:
    """`text` with every marked table made anew."""
    return _MARKED.sub(lambda found: f"{found[1]}{_table(found[2])}\n{found[3]}", text)


def _results(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"study-{name}.json").read_text(encoding="utf-8"))["results"]


def _table(name: str) -> str:
    if name == "scope":
        return _scope(_results(name))
    if name == "worth":
        return _worth(_results(name))
    if name == "agreement":
        return _agreement(_results(name))
    if name == "s3":
        return _s3(_results(name))
    kind, _, task = name.partition(":")
    study = _results(f"{kind.split('-')[0]}_{task}")
    tables = {
        "chung": _chung,
        "chung-effects": _chung_effects,
        "chung-regression": _regressions,
        "li": _li,
        "promptmix": _promptmix,
        "promptmix-changed": _changed,
    }
    return tables[kind](study)


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
    rows, curations = [], [each for each in study["axes"]["curation"] if each != "none"]
    for temperature in study["axes"]["temperature"]:
        for suppression in study["axes"]["suppression"]:
            way = {"temperature": temperature, "suppression": suppression}
            made = _group(study, **way, curation="none")
            gains = [_effects(study, "curation", "none", curation, way)["student_accuracy"] for curation in curations]
            rows.append([temperature, suppression, *(_value(made[name], name) for name in _OF_TEXTS), *map(_difference, gains)])
    return _rows(["T", "suppression", *_OF_TEXTS.values(), *(f"{name}: gain" for name in curations)], rows)


def _chung_effects(study: dict[str, Any]) -> str:
    """What temperature and suppression changed in the texts and their labels as generated, each at every option of the other."""
    rows = []
    for axis, other in (("temperature", "suppression"), ("suppression", "temperature")):
        first, *others = study["axes"][axis]
        for option in others:
            for held in study["axes"][other]:
                effects = _effects(study, axis, first, option, {other: held, "curation": "none"})
                words = f"{axis} {first} to {option}, {'T' if other == 'temperature' else other} {held}"
                rows.append([words, *(_difference(effects[name]) for name in _OF_TEXTS)])
    return _rows(["change", *_OF_TEXTS.values()], rows)


def _effects(study: dict[str, Any], axis: str, first: str, second: str, within: dict[str, str]) -> dict[str, dict[str, Any]]:
    """measure -> what it changes by from one option to the other, the other axes held."""
    return {
        each["measure"]: each
        for each in study["conditional_effects"]
        if (each["axis"], each["from"], each["to"], each["within"]) == (axis, first, second, within)
    }


def _regressions(study: dict[str, Any]) -> str:
    """Student accuracy on label accuracy, diversity and similarity, with either measure of similarity and each term's inflation."""
    rows = []
    for name, found in (("top-5", study["regression"]), ("between the sets (Chung et al.)", study["regression_cross"])):
        terms = [each for each in found["terms"] if each["name"] != "intercept"]
        rows.append([name, *(_coefficient(each) for each in terms), f"{found['r2']:.2f}"])
    return _rows(
        [f"similarity, {study['regression']['n']} cells", "label accuracy", "Remote-Clique", "similarity", "R²"],
        rows,
    )


def _coefficient(term: dict[str, Any]) -> str:
    low, high = term["standardised_low"], term["standardised_high"]
    return f"{term['standardised']:+.2f} ({low:+.2f} to {high:+.2f}), inflation {term['vif']:.1f}"


def _li(study: dict[str, Any]) -> str:
    """One row for each way to generate, and one for the effect of each axis."""
    names = ("remote_clique", "remote_clique_within_labels", "chamfer", "top_5", "coverage", "label_accuracy", "student_accuracy")
    rows = [
        [", ".join(_WAYS[option] for option in each["axes"].values()), *(_value(each["measures"][name], name) for name in names)]
        for each in study["summary"]
    ]
    for options in study["axes"].values():
        first, second = options
        effects = {each["measure"]: each for each in study["effects"] if (each["from"], each["to"]) == (first, second)}
        rows.append([f"{_WAYS[second]} less {_WAYS[first]}", *(_difference(effects[name]) for name in names)])
    return _rows(
        ["", "Remote-Clique", "within labels", "Chamfer", "top-5 similarity", "coverage", "label accuracy", "student accuracy"], rows
    )


def _worth(found: dict[str, Any]) -> str:
    """Accuracy by what the student was trained on: mean of the replicates, lowest to highest, in points."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for each in found["rows"]:
        groups.setdefault((each["task"], each["strategy"]), []).append(each)
    rows = [[words, *(_spread(runs, name) for runs in groups.values())] for name, words in _WORTH.items()]
    helped = [f"{sum(each['helps'] is True for each in runs)} of {len(runs)}" for runs in groups.values()]
    rows.append(["the verdict is that the data helps", *helped])
    return _rows(["trained on", *(f"{task}, {_WAYS[strategy]}" for task, strategy in groups)], rows)


def _spread(runs: list[dict[str, Any]], name: str) -> str:
    """Of this student's accuracy over the runs: the mean (lowest to highest), and on how many texts it was trained."""
    students = [next(one for one in each["students"] if one["name"] == name) for each in runs]
    values, sizes = [100 * each["accuracy"] for each in students], sorted({each["n"] for each in students if each["n"] is not None})
    texts = f", {sizes[0]} to {sizes[-1]} texts" if len(sizes) > 1 else f", {sizes[0]} texts" if sizes else ""
    return f"{sum(values) / len(values):.1f} ({min(values):.1f} to {max(values):.1f}){texts}"


def _promptmix(study: dict[str, Any]) -> str:
    """One row for each way to generate and label: the data, and a student of it without and with the real examples."""
    rows = []
    for strategy in study["axes"]["strategy"]:
        for curation, words in (("none", "as asked for"), ("relabel", "relabelled")):
            without, both = (_group(study, strategy=strategy, curation=curation, examples=each) for each in ("without", "with"))
            names = ("distinct_2", "top_5", "label_accuracy", "student_accuracy")
            row = [
                _WAYS[strategy],
                words,
                *(_value(without[name], name) for name in names),
                _value(both["student_accuracy"], "student_accuracy"),
            ]
            rows.append(row)
    for name, words in (("examples", "the real examples alone"), ("majority", "the majority class")):
        rows.append([words, "", "", "", "", "", f"{100 * study['bars'][name]['accuracy']:.1f}"])
    return _rows(["", "labels", "distinct bigrams", "top-5 similarity", "label accuracy", "student", "student with examples"], rows)


def _changed(study: dict[str, Any]) -> str:
    """The share of labels that relabelling changed, by the share of the asked class in the prompt; all replicates together."""
    ways = list(dict.fromkeys(each["strategy"] for each in study["changed"]))
    counts = {(each["strategy"], each["alpha"]): (each["changed"], each["texts"]) for each in study["changed"]}
    rows = []
    for alpha in sorted({alpha for _, alpha in counts}):
        cells = [counts.get((way, alpha), (0, 0)) for way in ways]
        rows.append([f"{alpha:.2f}", *(f"{changed / texts:.2f} of {texts:,}" if texts else "" for changed, texts in cells)])
    return _rows(["share of the asked class", *(_WAYS[way] for way in ways)], rows)


def _s3(found: dict[str, Any]) -> str:
    """Accuracy by what the student was trained on: mean of the replicates, lowest to highest, in points."""
    tasks = list(dict.fromkeys(each["task"] for each in found["rows"]))

    def cells(data: str, name: str) -> list[str]:
        return [_spread([each for each in found["rows"] if (each["task"], each["data"]) == (task, data)], name) for task in tasks]

    made = {"seed": "seed data", "rounds": "seed data and error rounds", "plain": "as many, no error rounds"}
    rows = [[words, *cells(data, "set")] for data, words in made.items()]
    rows += [[_WORTH[name], *cells("rounds", name)] for name in ("examples", "majority")]
    return _rows(["trained on", *tasks], rows)


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

"""What may hold a set of generated texts back, as far as it was measured: labels, copies, diversity, fit. With what to try next.

Reads what `train`, `measure` and `curate` found; measures only which texts copy the examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from variegate.errors import some_of
from variegate.overlap import find_overlap
from variegate.pipeline.training.splits import Splits
from variegate.store.run_folder import MEASURES
from variegate.store.verdicts import CURATIONS, SUMMARY

# Thresholds of a hint, chosen by us: a person decides what to change.
_LABELS_BEHIND = 0.1  # by which labels agree less with a real student than the test data's do
_MANY_COPIES = 0.1
_NARROW = 0.8  # of the reference's diversity
_UNCOVERED = 0.3  # of coverage; within the median distance to its nearest other, real data cover about half of themselves
_UNCOVERED_OF_REAL = 0.6  # of what as many real texts cover, where that was measured


@dataclass(frozen=True, slots=True)
class Finding:
    """says: with its number. next: what to try; empty where this holds nothing back."""

    what: str  # labels, copies, diversity, fit
    says: str
    next: str = ""


def find_setbacks(splits: Splits, rows: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Everything that was measured of the set; what holds it back has a `next`, the most telling first.

    Fit comes first: of texts unlike real ones, what a student of real texts says of the labels means little.
    """
    real = next((row for row in rows if row["agrees"] is not None), None)
    folder = splits.run and (splits.run if splits.curation is None else splits.run / CURATIONS / splits.curation)
    measured = {} if folder is None else _read(folder / MEASURES)
    return [*_fit(measured), *_labels(splits, real), *_copies(splits, measured), *_diversity(measured)]


def _labels(splits: Splits, real: Mapping[str, Any] | None) -> Iterator[Finding]:
    generated = splits.generated or splits.train
    absent = [label for label in splits.known if label not in generated.label_counts]
    if absent:
        yield Finding(
            "labels",
            f"no generated text has the label{'s' * (len(absent) > 1)} {some_of([repr(each) for each in absent], 5)}",
            "generate until every label has its texts: give target.max_attempts a higher number",
        )
    curate = "read the texts of the labels that are taken for each other, and describe those more sharply in the task file"
    if splits.run is not None and splits.curation is None:
        curate = f"repair the labels: `variegate curate {splits.run} relabel`, then `variegate train {splits.run} --curation relabel`"
    if real is not None:
        share, usual = real["agrees"]["share"], real["accuracy"]
        yield Finding(
            "labels",
            f"a student of {real['n']:,} real texts agrees with {share:.1%} of the labels, and with {usual:.1%} of the test data's",
            curate if share < usual - _LABELS_BEHIND else "",
        )
    elif splits.run is not None and splits.curation is not None:
        checked = _read(splits.run / CURATIONS / splits.curation / SUMMARY).get("accuracy") or {}
        final = checked.get("final") or {}
        if (share := final.get("accuracy")) is not None:
            few = checked.get("doubt") is not None  # who errs so often blames no label
            who = "a student of few real texts" if few else "the oracle"
            yield Finding("labels", f"{who} agrees with {share:.1%} of the curated labels", curate if share < 0.7 and not few else "")


def _copies(splits: Splits, measured: Mapping[str, Any]) -> Iterator[Finding]:
    again = "have the texts vary more: raise decoding.temperature, or give the prompts more examples (strategy.seed_pool)"
    examples, generated = splits.real.examples, splits.generated or splits.train
    if examples is not None:
        share = len(find_overlap(generated.texts, examples.texts)) / len(generated)
        yield Finding("copies", f"{share:.1%} of the texts are copies of the examples", again if share > _MANY_COPIES else "")
    near = _value(measured, "pair", "leakage_near")
    if near is not None:
        yield Finding("copies", f"{near:.1%} of the texts nearly equal a reference text", again if near > _MANY_COPIES else "")


def _diversity(measured: Mapping[str, Any]) -> Iterator[Finding]:
    for name, title in (("remote_clique", "Remote-Clique"), ("distinct_2", "distinct-2")):
        own, theirs = (_value(measured, side, name) for side in ("set", "reference"))
        if own is not None and theirs is not None:
            narrow = own < _NARROW * theirs
            yield Finding(
                "diversity",
                f"{title} is {own:.3f}, and {theirs:.3f} of the reference",
                "have the texts vary more: raise decoding.temperature, or switch on decoding.suppression" if narrow else "",
            )


def _fit(measured: Mapping[str, Any]) -> Iterator[Finding]:
    share, least, beside = _value(measured, "pair", "coverage"), _UNCOVERED, ""
    for row in (measured.get("real_against_real") or {}).get("values") or ():
        if row.get("metric") == "coverage":  # at equal n
            share, theirs = row["set"]["value"], row["real"]["value"]
            least, beside = _UNCOVERED_OF_REAL * theirs, f", and {theirs:.1%} a real one"
    if share is not None:
        yield Finding(
            "fit",
            f"{share:.1%} of the reference texts have a generated one near them{beside}",
            "have the texts resemble real ones: lower decoding.temperature, show the model examples (strategy few_shot), or say in the task file"
            " how such texts are written"
            if share < least
            else "",
        )


def _value(measured: Mapping[str, Any], side: str, name: str) -> float | None:
    """As measured at equal size, which comes after the whole, where sizes differ."""
    found = [each["value"] for each in (measured.get("pooled") or {}).get(side) or () if each.get("metric") == name]
    return None if not found else found[-1]


def _read(path: Path) -> dict[str, Any]:
    """Nothing where there is none, or it is damaged: the report says so in its own section."""
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

"""Whether generated texts help, in words: their student beside the majority class and the examples that were there before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from variegate.pipeline.training.beside import BARS, EXAMPLES, MAJORITY, SET, WITH_EXAMPLES
from variegate.pipeline.training.setbacks import find_setbacks
from variegate.pipeline.training.splits import Splits

Row = Mapping[str, Any]


def find_verdict(rows: Sequence[Row], splits: Splits) -> dict[str, Any]:
    """{helps, with, sentence, measured [..], held_back [..], next} of the rows of `judge_beside`.

    helps: whether a student of the generated texts, alone or with the examples, is above the majority class and the examples alone:
    the paired difference's 95 % interval lies above 0. None: that cannot be said, and `sentence` says why.
    with: "set" or "with_examples", by which they help. held_back, next: what may be why they do not, and what to try.
    """
    verdict: dict[str, Any] = {"helps": None, "with": None, "sentence": "", "measured": [], "held_back": [], "next": None}
    if not rows:
        return {**verdict, "sentence": "No verdict: the student stands beside nothing (--no-baselines)."}
    by_name = {row["name"]: row for row in rows}
    main, bars = rows[0], [by_name[name] for name in BARS[::-1] if name in by_name]
    ways = [by_name[name] for name in (SET, WITH_EXAMPLES) if name in by_name]
    way = next((row for row in ways if all(difference["ci95"][0] > 0 for difference in row["less"].values())), None)
    if way is not None and EXAMPLES in by_name:
        together = "" if way["name"] == SET else ", together with the real examples"
        both = "train on both, with --with-examples" if way is not main and together else None
        sentence = f"The data helps{together}: {_compared(way, bars)}."
        return {**verdict, "helps": True, "with": way["name"], "sentence": sentence, "next": both}
    if way is not None:
        unknown = (
            "Whether it helps cannot be said, as no student of real examples stands beside: name a file of those you have with --examples."
        )
        return {**verdict, "sentence": f"The data is above the majority class: {_compared(way, bars)}. {unknown}"}
    near = all(difference["ci95"][1] >= 0 for difference in main["less"].values())
    chance = f"; on {len(splits.test):,} test texts the difference may be chance" if near else ""
    findings = find_setbacks(splits, rows)
    held_back = [each for each in findings if each.next]
    return {
        **verdict,
        "helps": False,
        "sentence": f"The data does not help yet: {_compared(main, bars)}{chance}.",
        "measured": [each.says for each in findings],
        "held_back": [each.says for each in held_back],
        "next": held_back[0].next if held_back else _otherwise({each.what for each in findings}, splits),
    }


def _compared(row: Row, bars: Sequence[Row]) -> str:
    words = {
        SET: "a student of the {n:,} generated texts is right in {accuracy:.1%} of the test texts",
        WITH_EXAMPLES: "a student of {n:,} texts, real examples and generated ones, is right in {accuracy:.1%} of the test texts",
        EXAMPLES: "one of the {n:,} real examples alone in {accuracy:.1%}",
        MAJORITY: "the majority class in {accuracy:.1%}",
    }
    return ", ".join(words[each["name"]].format(**each) for each in (row, *bars))


def _otherwise(measured: set[str], splits: Splits) -> str:
    """Where nothing that was measured explains it."""
    if not {"diversity", "fit"} <= measured:
        real = splits.real.train or splits.real.examples
        reference = real.source if real is not None and Path(real.source).exists() else "REAL"
        return f"measure diversity and fit: `variegate measure {splits.run or splits.train.source} --reference {reference}`"
    return "a larger or instruction-tuned model, or more texts of each label: what was measured explains nothing"

"""Curations of a run, laid out for its report: the flow of the records, what each stage did, and which labels changed.

Keys read of RUN/curations/NAME/curation.json (others are ignored; a missing part or one of another type leaves a gap):
    name, created, records, requested, parsed, kept_generated, kept, dropped {reason: n}, changed, flips {given: {final: n}},
    labels {label: {given, final}}, accuracy {..}, seconds, warnings [text]
    stages [{kind, index, counts {in, kept, dropped {reason: n}, changed, unjudged, named {reason: n}}, flips {old: {new: n}},
             confidence_histogram [20 counts over 0..1], facts {..}, seconds, warnings}]
Counts nothing itself and judges nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from variegate.report import svg
from variegate.report.before_after import before_after
from variegate.report.curation_labels import accuracy_section, count_of, flip_matrix, flips_section, labels_section, largest_flips
from variegate.report.flow import Step, flow, gaps, reason_class
from variegate.report.found import read_object
from variegate.report.measured import finite, items, mapping, scalar, text, whole, words
from variegate.report.measures import read_measures
from variegate.report.svg import clip
from variegate.store.ledger import UNREAD, meaning
from variegate.store.rows import KEPT
from variegate.store.run_folder import MEASURES, RunFolder
from variegate.store.verdicts import CURATION_REASONS, CURATIONS, SUMMARY

_LONGEST_WARNING = 500
_AGAIN = "Run `variegate curate` again."
_STAGES = {
    "duplicates": "Duplicates",
    "relabel": "Relabelling",
    "label_replacement": "Label replacement",
    "scope": "Scope",
    "denoise": "Denoising",
    "audit": "Audit",
}


def curations_section(folder: RunFolder, totals: Counter[str]) -> dict[str, Any] | None:
    """All curations of the run, for the template; None where it has none. totals: the ledger's outcomes over the whole run."""
    found, notes = [], []
    generated, _ = read_measures(folder.path / MEASURES)
    for path in sorted((folder.path / CURATIONS).glob(f"*/{SUMMARY}")):
        summary, note = read_object(path, _AGAIN)
        if summary is None:
            notes.append(f"{words(path.parent.name)}: {note or 'cannot be read'}")
            continue
        context = curation_context(summary, words(path.parent.name), totals)
        measured_after, note = read_measures(path.parent / MEASURES)
        context["diversity"] = before_after(generated, measured_after) if generated and measured_after else None
        context["diversity_note"] = note
        found.append(context)
    return {"all": found, "notes": notes} if found or notes else None


def curation_context(summary: Mapping[str, Any], name: str, totals: Counter[str]) -> dict[str, Any]:
    """One curation, for the template."""
    stages = [mapping(stage) for stage in items(summary.get("stages"))]
    steps = flow_steps(summary, totals)
    kept, records, changed = (whole(summary.get(key)) for key in ("kept", "records", "changed"))
    return {
        "name": name or "unnamed",
        "created": words(summary.get("created"))[:16].replace("T", " "),
        "records": records,
        "kept": kept,
        "num_dropped": None if records is None or kept is None else records - kept,
        "changed": changed,
        "changed_share": changed / kept if changed is not None and kept else None,
        "seconds": finite(summary.get("seconds")),
        "flow": flow(f"Flow of the records through curation {name}", steps) if len(steps) > 1 else None,
        "gaps": [*gaps(steps), *_other_run(summary, totals)],
        "dropped": _reasons(mapping(summary.get("dropped")), records),
        "stages": [_stage(stage, place) for place, stage in enumerate(stages)],
        "flips": flips_section(summary),
        "labels": labels_section(mapping(summary.get("labels"))),
        "accuracy": accuracy_section(summary.get("accuracy")),
        "warnings": _warnings(summary, stages),
        "diversity": None,
        "diversity_note": None,
    }


# -- flow ------------------------------------------------------------------------------------------------------


def flow_steps(summary: Mapping[str, Any], totals: Counter[str]) -> list[Step]:
    """requested, parsed, kept when generated, each stage, final labels: as far as the numbers are there."""
    requested, parsed, generated = (count_of(summary.get(key)) for key in ("requested", "parsed", "kept_generated"))
    steps = []
    if requested is not None and parsed is not None and generated is not None and requested >= parsed >= generated:
        lost = {reason: count for reason, count in totals.items() if reason != KEPT and count}
        steps.append(Step("requested", requested))
        steps.append(Step("parsed", parsed, dropped=_lost(lost, True, requested - parsed, "not parsed")))
        steps.append(Step("kept", generated, dropped=_lost(lost, False, parsed - generated, "not kept when generated")))
    for place, stage in enumerate(map(mapping, items(summary.get("stages")))):
        counts = mapping(stage.get("counts"))
        kept = count_of(counts.get("kept"))
        if kept is not None:
            changed = min(count_of(counts.get("changed")) or 0, kept)
            dropped = tuple((each["name"], each["count"]) for each in _reasons(mapping(counts.get("dropped")), None))
            steps.append(Step(f"{_index(stage, place)} {_stage_name(stage).lower()}", kept, changed, dropped))
    kept = count_of(summary.get("kept"))
    if kept is not None:
        steps.append(Step("final labels", kept, min(count_of(summary.get("changed")) or 0, kept)))
    return steps


def _lost(lost: Mapping[str, int], unparsed: bool, number: int, otherwise: str) -> tuple[tuple[str, int], ...]:
    """The ledger's reasons where they come to `number`; else the number without them: it is then of another state of the run."""
    own = {reason: count for reason, count in lost.items() if (reason in UNREAD) == unparsed}
    if sum(own.values()) == number:
        return tuple(sorted(own.items(), key=lambda item: (-item[1], item[0])))
    return ((otherwise, number),) if number else ()


def _other_run(summary: Mapping[str, Any], totals: Counter[str]) -> list[str]:
    """A curation made before the run went on is of fewer records than the run now has."""
    records = count_of(summary.get("records"))
    if records is None or not totals or records == totals[KEPT]:
        return []
    return [f"The curation is of {records:,} records, but the run has kept {totals[KEPT]:,}: run `variegate curate` again."]


def _index(stage: Mapping[str, Any], place: int) -> int:
    """As its folder and the command line have it: from 0."""
    index = count_of(stage.get("index"))
    return place if index is None else index


def _stage_name(stage: Mapping[str, Any]) -> str:
    kind = words(stage.get("kind"))
    return _STAGES.get(kind, kind.replace("_", " ") or "unnamed")


def _reasons(dropped: Mapping[str, Any], of: int | None) -> list[dict[str, Any]]:
    """Most frequent first."""
    counts = [(words(str(reason)), count_of(count) or 0) for reason, count in dropped.items()]
    return [
        {
            "name": reason,
            "words": reason.replace("_", " ") or "no reason given",
            "colour": reason_class(reason),
            "count": count,
            "share": count / of if of else None,
            "meaning": CURATION_REASONS.get(reason) or meaning(reason),
        }
        for reason, count in sorted(counts, key=lambda item: (-item[1], item[0]))
        if count
    ]


# -- stages ----------------------------------------------------------------------------------------------------


def _stage(stage: Mapping[str, Any], place: int) -> dict[str, Any]:
    counts = mapping(stage.get("counts"))
    incoming, kept = count_of(counts.get("in")), count_of(counts.get("kept"))
    name = _stage_name(stage)
    named = [(reason, count_of(count)) for reason, count in mapping(counts.get("named")).items()]
    return {
        "number": _index(stage, place),
        "name": name,
        "in": incoming,
        "kept": kept,
        "dropped": _reasons(mapping(counts.get("dropped")), incoming),
        "changed": count_of(counts.get("changed")),
        "changed_share": (count_of(counts.get("changed")) or 0) / kept if kept else None,
        "unjudged": count_of(counts.get("unjudged")),
        "named": [(words(str(reason)).replace("_", " "), count) for reason, count in named if count],
        "seconds": finite(stage.get("seconds")),
        "facts": facts_in_words(mapping(stage.get("facts"))),
        "histogram": _histogram(stage.get("confidence_histogram"), f"{name}: confidence"),
        "flips": largest_flips(flip_matrix(mapping(stage.get("flips")), [])),
    }


def facts_in_words(facts: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """The scalars of a stage's facts and of the mappings in them, named by their path; lists of scalars in one line."""
    found: list[tuple[str, str]] = []
    for key, value in facts.items():
        name = f"{prefix}{words(str(key)).replace('_', ' ')}"
        if isinstance(value, Mapping):
            found += facts_in_words(value, f"{name}: ") if prefix.count(": ") < 2 else []
        elif isinstance(value, list | tuple):
            written = [scalar(each) for each in value]
            if written and all(written):
                found.append((name, clip(", ".join(written), 200)))
        elif said := scalar(value):
            found.append((name, said))
    return found


def _histogram(value: Any, title: str) -> dict[str, Any] | None:
    counts = [count_of(each) for each in items(value)]
    numbers = [count for count in counts if count is not None]
    if not numbers or len(numbers) != len(counts) or len(numbers) > 100 or not sum(numbers):
        return None
    bins = [(f"{index / len(numbers):.2f}", float(count)) for index, count in enumerate(numbers)]
    below = next(index for index in range(len(numbers)) if sum(numbers[: index + 1]) * 2 >= sum(numbers))
    return {
        "plot": svg.histogram(title, bins, x_label="confidence from … on", height=170),
        "n": sum(numbers),
        "median": f"{below / len(numbers):.2f} to {(below + 1) / len(numbers):.2f}",
    }


def _warnings(summary: Mapping[str, Any], stages: list[Mapping[str, Any]]) -> list[str]:
    """Of the whole, and of each stage with its name."""
    named = [("", summary), *((f"{_index(stage, place)} {_stage_name(stage)}: ", stage) for place, stage in enumerate(stages))]
    said = [(name, clip(text(each), _LONGEST_WARNING)) for name, part in named for each in items(part.get("warnings"))]
    return list(dict.fromkeys(name + each for name, each in said if each))

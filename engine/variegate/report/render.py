"""report.html from a run folder: counts the rows, fills in the template, writes one self-contained file.

Reads what is there: a run that has not ended, or a manifest of another version, only leaves gaps. Measures nothing beyond
counting; what `variegate measure`, `curate` and `train` left in the folder is laid out by `measures`, `curation` and `students`,
the words for settings come from `store.settings`, the plots from `svg`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from variegate.report import svg
from variegate.report.counting import NGRAM_SIZES, OPENING_WORDS, BoundedCounter, Counts, count, quantile
from variegate.report.curation import curations_section
from variegate.report.facts import facts_section
from variegate.report.measures import measures_context, read_measures
from variegate.report.page import render_template
from variegate.report.students import students_section
from variegate.report.works import works_section
from variegate.store.files import write_atomic
from variegate.store.kind import kind_of_run
from variegate.store.ledger import REASONS, in_words, meaning
from variegate.store.rows import KEPT, NOTE
from variegate.store.run_folder import MEASURES, RunFolder
from variegate.store.settings import decoding_in_words, labels_of, part, read_settings, strategy_in_words, suppression_in_words

_BARS_IN_COLUMN = 25
_TOP_OPENINGS = 15
_TOP_NGRAMS = 12


def write_report(folder: RunFolder) -> Path:
    """Write report.html and return its path. Raises StoreError when the folder cannot be read or written."""
    path = folder.path / "report.html"
    write_atomic(path, render(folder).encode())
    return path


def render(folder: RunFolder) -> str:
    """The report as HTML."""
    return render_template("report.html.j2", _context(folder))


def _context(folder: RunFolder) -> dict[str, Any]:
    settings = read_settings(folder)
    manifest = folder.read_manifest()
    facts = folder.round_facts()
    counts = count(folder.rows(), kind_of_run(folder))
    labels = sorted({*labels_of(settings), *counts.ledger.counts})
    target = part(settings, "target", "per_label")
    return {
        "settings": settings,
        "manifest": {name: value for name, value in (manifest or {}).items() if value is not None},
        "part": part,
        "state": _state(manifest, counts, labels, target),
        "folder_name": folder.path.resolve().name,
        "strategy": strategy_in_words(settings),
        "decoding": decoding_in_words(settings),
        "suppression": suppression_in_words(settings),
        "decoding_settings": _flat(settings.get("decoding") or {}),
        "feedback": _feedback(settings, facts, counts.kept),
        "headline": _headline(manifest or {}, facts, counts, labels),
        "ledger": _ledger(counts),
        "target": target,
        "labels": _labels(counts, labels),
        "kept_plots": _kept_plots(counts, labels),
        "facts": facts_section(folder, counts.facts),
        "lengths": _lengths(counts),
        "repetition": _repetition(counts),
        **_measures(folder, counts.kept),
        "curations": curations_section(folder, counts.ledger.totals()),
        "students": students_section(folder),
        "works": works_section(manifest or {}, facts),
        "throughput": _throughput(facts),
        "versions": sorted((part(manifest or {}, "versions") or {}).items()),
        "suppressed": _suppressed(manifest or {}),
    }


# -- sections --------------------------------------------------------------------------------------------------


def _state(manifest: Mapping[str, Any] | None, counts: Counts, labels: list[str], target: int | None) -> dict[str, Any]:
    """Whether the run has ended and reached its target; missing: label -> kept texts it lacks."""
    stated = part(manifest or {}, "shortfall")
    if not isinstance(stated, Mapping):
        stated = {label: target - counts.ledger.kept(label) for label in labels if target and counts.ledger.kept(label) < target}
    missing = {label: number for label, number in stated.items() if number}
    return {
        "ended": manifest is not None,
        "missing": sorted(missing.items(), key=lambda item: (-item[1], item[0])),
        "total": sum(missing.values()),
    }


def _feedback(settings: Mapping[str, Any], facts: list[dict[str, Any]], kept: int) -> dict[str, Any] | None:
    """What share of the texts was made under what the run wrote before; None where nothing was, and no suppression was asked for."""
    under = sum(each.get("under_feedback") or 0 for each in facts)
    if not kept or not (under or part(settings, "decoding", "suppression")):
        return None
    return {"share": under / kept, "rounds": len(facts)}


def _headline(manifest: Mapping[str, Any], facts: list[dict[str, Any]], counts: Counts, labels: list[str]) -> dict[str, Any]:
    """The figures at the top. While no manifest states the speed, it is that of the rounds so far."""
    totals = counts.ledger.to_json()
    seconds = sum(each.get("seconds") or 0 for each in facts)
    tokens = sum(_fresh_tokens(each) for each in facts)
    return {
        "requested": totals["requested"],
        "kept": totals["kept"],
        "dropped": sum(totals["dropped"].values()),
        "num_labels": len(labels),
        "tokens_per_second": manifest.get("tokens_per_second") or (tokens / seconds if seconds else None),
        "records_per_second": manifest.get("records_per_second") or (totals["kept"] / seconds if seconds else None),
        "seconds": part(manifest, "seconds", "total") or seconds or None,
        "tokens": part(manifest, "tokens", "generated") or tokens or None,
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)))
    return rows


def _colour(reason: str) -> str:
    """The class of a reason: the same colour in every report."""
    return "s-kept" if reason == KEPT else f"s-{list(REASONS).index(reason)}" if reason in REASONS else "s-other"


def _parts(outcomes: Counter[str]) -> list[tuple[str, float, str]]:
    order = [KEPT, *REASONS, *sorted(set(outcomes) - {KEPT, NOTE, *REASONS})]
    return [(reason.replace("_", " "), outcomes[reason], _colour(reason)) for reason in order if outcomes[reason]]


def _ledger(counts: Counts) -> dict[str, Any]:
    totals = counts.ledger.totals()
    reasons = sorted((reason for reason in totals if reason not in (KEPT, NOTE)), key=lambda reason: (-totals[reason], reason))
    rows = [
        {
            "name": reason,
            "words": reason.replace("_", " "),
            "colour": _colour(reason),
            "count": totals[reason],
            "share": totals[reason] / totals.total(),
            "meaning": meaning(reason),
            "examples": counts.dropped_examples.get(reason, []),
        }
        for reason in reasons
    ]
    kept = totals[KEPT] / totals.total() if totals else 0
    return {
        "plot": svg.stacked_bar("What became of the requests", _parts(totals)),
        "reasons": rows,
        "kept_share": kept,
        "words": in_words(counts.ledger.to_json()),
    }


def _labels(counts: Counts, labels: list[str]) -> list[dict[str, Any]]:
    most = max((counts.ledger.requested(label) for label in labels), default=0)
    rows = []
    for label in labels:
        about = counts.labels.get(label)
        kept = counts.ledger.kept(label)
        outcomes = counts.ledger.counts.get(label, Counter())
        opening = about.openings.top(1) if about else []
        rows.append(
            {
                "name": label,
                "requested": counts.ledger.requested(label),
                "kept": kept,
                "outcomes": outcomes,
                "plot": svg.stacked_bar(f"{label}: outcomes", _parts(outcomes), width=140, height=12, total=most),
                "mean_words": about.num_words / kept if about and kept else None,
                "opening": opening[0] if opening else None,
                "opening_share": opening[0][1] / kept if opening else 0,
                "examples": about.examples if about else [],
            }
        )
    return rows


def _kept_plots(counts: Counts, labels: list[str]) -> list[str]:
    """Kept by label as bars on one scale; many labels are set in columns."""
    data = [(label, float(counts.ledger.kept(label))) for label in labels]
    top = max((value for _, value in data), default=0)
    if len(data) <= _BARS_IN_COLUMN:
        return [svg.horizontal_bars("Kept texts by label", data, top=top)]
    size = -(-len(data) // 3)
    return [
        svg.horizontal_bars(
            f"Kept texts by label, column {start // size + 1}", data[start : start + size], top=top, width=290, label_width=165
        )
        for start in range(0, len(data), size)
    ]


def _lengths(counts: Counts) -> dict[str, Any] | None:
    lengths = counts.lengths
    if not lengths:
        return None
    longest = max(lengths)
    width = next(size for size in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, longest + 1) if longest / size <= 40)
    bins: Counter[int] = Counter()
    for length, number_of in lengths.items():
        bins[length // width] += number_of
    first, last = min(bins), max(bins)
    named = [(str(slot) if width == 1 else f"{slot * width}–{slot * width + width - 1}", bins[slot]) for slot in range(first, last + 1)]
    mean = sum(length * number_of for length, number_of in lengths.items()) / lengths.total()
    table = [
        ("shortest", min(lengths)),
        *((f"{share:.0%} at most".replace("%", " %"), quantile(lengths, share)) for share in (0.05, 0.25, 0.5, 0.75, 0.95)),
    ]
    return {
        "plot": svg.histogram("Length of the kept texts", named, x_label="words (split at white space)"),
        "table": [*table, ("longest", longest), ("mean", mean)],
    }


def _repetition(counts: Counts) -> dict[str, Any]:
    kept = counts.kept or 1

    def table(counter: BoundedCounter, size: int) -> dict[str, Any]:
        return {"rows": [(text, number_of, number_of / kept) for text, number_of in counter.top(size)], "slack": counter.slack}

    return {
        "opening_words": OPENING_WORDS,
        "openings": table(counts.openings, _TOP_OPENINGS),
        "ngrams": [(size, table(counts.ngrams[size], _TOP_NGRAMS)) for size in NGRAM_SIZES],
        "label_slack": max((each.openings.slack for each in counts.labels.values()), default=0),
    }


def _measures(folder: RunFolder, kept: int) -> dict[str, Any]:
    """The measurement in the folder, if there is one, and what to say of it: damaged, or of other texts than the run's."""
    measurement, note = read_measures(folder.path / MEASURES)
    if measurement is None:
        return {"measures": None, "measures_note": note}
    measures = measures_context(measurement)
    measured = measures["set"]["n"]
    if measured is not None and measured != kept:
        note = f"These are the measures of {measured:,} records, but the run has kept {kept:,}: measure it again."
    return {"measures": measures, "measures_note": note}


def _fresh_tokens(facts: Mapping[str, Any]) -> int:
    """Tokens that the round generated itself: those of reused rows cost no time."""
    return facts.get("num_generated_tokens", facts.get("num_tokens")) or 0


def _throughput(facts: list[dict[str, Any]]) -> dict[str, Any]:
    """Tokens a second of each round that generated some; one that was only reused says nothing of speed."""
    points = [
        (float(each.get("round", index)), _fresh_tokens(each) / each["seconds"])
        for index, each in enumerate(facts)
        if each.get("seconds") and _fresh_tokens(each)
    ]
    return {
        "num_rounds": len(facts),
        "reused": sum(each.get("reused") or 0 for each in facts),
        "plot": svg.line("Tokens a second by round", points, x_label="round", y_label="tokens/s") if points else None,
        "slowest": min((y for _, y in points), default=None),
        "fastest": max((y for _, y in points), default=None),
    }


def _suppressed(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The manifest's most suppressed tokens, by group."""
    groups = manifest.get("suppression")
    if not isinstance(groups, Mapping):
        return []
    return [
        {
            "name": name,
            "tokens": tokens,
            "strongest": min((each.get("bias") or 0 for each in tokens), default=0),
            "largest_share": max((each.get("share_percent") or 0 for each in tokens), default=0),
        }
        for name, tokens in groups.items()
    ]

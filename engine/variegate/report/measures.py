"""The measurement that `variegate measure` prints, laid out for HTML: in a run's report, or as a page of its own. Measures nothing.

Keys read (others are ignored; a missing part, a null or a part of another type leaves a gap):
    variegate, created, seed
    set, reference: source, n, num_unique, skipped {reason: count}, labels {label: n}
    encoder: name, width, pooling, max_tokens, num_truncated, precision, precision_reason, fingerprint
    pooled {set, reference, pair: [value]}, value as in MetricValue.to_json()
    real_against_real {n, m, values [{set, real: value}]}
    labels {label: {set, reference, pair: [value]}}
    map: method, explained, labels, set and reference {x, y, label}
    nearest_pairs [{text, label, id, reference_text, reference_label, reference_id, similarity, kind}]
    duplicates [{text, count}], warnings [text], seconds {stage: seconds}
A value whose details hold `drawn_from` is of a drawn part of its set, for a comparison at equal size.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from variegate.report.measured import finite, items, mapping, measured, text, whole, words, written
from variegate.report.measured_labels import label_bars
from variegate.report.measured_map import dot_map
from variegate.report.measured_values import SIDES, cards, pair_measures, vendi_rows, whole_story, wording_rows
from variegate.report.page import render_template
from variegate.report.readings import HEADLINE, READINGS, WORDING, detail, reading
from variegate.report.svg import clip
from variegate.store.files import write_atomic

_PAIRS_IN_SIGHT = 12
_DUPLICATES_IN_SIGHT = 8
_LONGEST_TEXT = 500  # characters of a text in a table; the page says where one was cut
_KINDS = {"equal": "equal", "folded": "equal when folded", "near": "near"}
_AGAIN = "Run `variegate measure` on this folder again."


def write_measures_report(measurement: Mapping[str, Any], path: Path) -> Path:
    """Write the measurement as one HTML page that needs nothing else, and return its path. Raises StoreError."""
    page = render_template("measures_page.html.j2", {"measures": measures_context(measurement), "measures_note": None})
    write_atomic(path, page.encode())
    return path


def read_measures(path: Path) -> tuple[dict[str, Any] | None, str | None]:
    """(measurement, None); (None, why it is left out), where the file cannot be used; (None, None) where there is none."""
    try:
        data = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return None, None
    except OSError as error:
        return None, f"{path.name} cannot be read ({error.strerror}). {_AGAIN}"
    except orjson.JSONDecodeError as error:
        return None, f"{path.name} is damaged ({error}). {_AGAIN}"
    if not isinstance(data, dict) or not any(measured(mapping(data.get("pooled")).get(side)) for side in SIDES):
        return None, f"{path.name} holds no measurement. {_AGAIN}"
    return data, None


def measures_context(measurement: Mapping[str, Any]) -> dict[str, Any]:
    """What the templates show, as `measures`."""
    pooled = {side: measured(mapping(measurement.get("pooled")).get(side)) for side in SIDES}
    compared = isinstance(measurement.get("reference"), Mapping)
    sizes = {each.n for side in ("set", "reference") for each in pooled[side] if each.drawn_from is None}
    return {
        "variegate": words(measurement.get("variegate")),
        "created": words(measurement.get("created"))[:16].replace("T", " "),
        "set": _source(measurement.get("set")),
        "reference": _source(measurement.get("reference")) if compared else None,
        "headline": cards(HEADLINE, pooled),
        "labels": label_bars(measurement),
        "map": dot_map(measurement),
        "pairs": _pairs(measurement),
        "threshold": next((detail(each, "threshold") for each in pooled["pair"] if each.metric == "leakage_near"), ""),
        "pair_measures": pair_measures(pooled),
        "beside_real": _beside_real(measurement.get("real_against_real")),
        "vendi": vendi_rows(pooled),
        "wording": wording_rows(WORDING, pooled),
        "unequal": len(sizes) > 1,
        "others": wording_rows(sorted({each.metric for side in SIDES for each in pooled[side]} - {*READINGS}), pooled),
        "duplicates": _duplicates(measurement),
        "warnings": [clip(text(each), _LONGEST_TEXT) for each in items(measurement.get("warnings")) if isinstance(each, str)],
        "encoder": _encoder(measurement.get("encoder")),
        "seconds": [
            (words(str(stage)), value) for stage, each in mapping(measurement.get("seconds")).items() if (value := finite(each)) is not None
        ],
        "seed": whole(measurement.get("seed")),
        "measured_values": [whole_story(each, side) for side in SIDES for each in pooled[side]],
    }


def _beside_real(data: Any) -> dict[str, Any] | None:
    """The set's nearness to real texts, and that of real texts, at equal n."""
    rows = []
    for each in map(mapping, items(mapping(data).get("values"))):
        both = [measured([each.get(side)]) for side in ("set", "real")]
        if all(both):
            about = reading(both[0][0])
            rows.append({"title": about.title, "values": [written(value[0], about.kind) for value in both]})
    return {"n": whole(mapping(data).get("n")), "m": whole(mapping(data).get("m")), "rows": rows} if rows else None


def _source(data: Any) -> dict[str, Any]:
    data = mapping(data)
    n, num_unique = whole(data.get("n")), whole(data.get("num_unique"))
    return {
        "name": words(data.get("source")) or "unnamed",
        "n": n,
        "num_unique": num_unique,
        "num_repeated": None if n is None or num_unique is None else n - num_unique,
        "num_labels": len(mapping(data.get("labels"))),
        "skipped": [(clip(text(str(reason)), _LONGEST_TEXT), whole(count)) for reason, count in mapping(data.get("skipped")).items()],
    }


# -- texts -----------------------------------------------------------------------------------------------------


def _shown(content: Any) -> dict[str, Any]:
    full = text(content)
    return {"text": full[:_LONGEST_TEXT], "cut": len(full) > _LONGEST_TEXT}


def _pairs(measurement: Mapping[str, Any]) -> dict[str, Any] | None:
    rows = []
    for each in map(mapping, items(measurement.get("nearest_pairs"))):
        similarity = finite(each.get("similarity"))
        label, other = words(each.get("label")), words(each.get("reference_label"))
        rows.append(
            {
                "similarity": "–" if similarity is None else f"{similarity:.4f}",
                "kind": _KINDS.get(words(each.get("kind")), words(each.get("kind"))),
                "made": _shown(each.get("text")),
                "label": label,
                "id": words(each.get("id")),
                "reference": _shown(each.get("reference_text")),
                "reference_label": other,
                "reference_id": words(each.get("reference_id")),
                "differ": bool(label and other and label != other),
            }
        )
    return {"in_sight": rows[:_PAIRS_IN_SIGHT], "folded": rows[_PAIRS_IN_SIGHT:]} if rows else None


def _duplicates(measurement: Mapping[str, Any]) -> dict[str, Any] | None:
    rows = [{**_shown(each.get("text")), "count": whole(each.get("count"))} for each in map(mapping, items(measurement.get("duplicates")))]
    return {"in_sight": rows[:_DUPLICATES_IN_SIGHT], "folded": rows[_DUPLICATES_IN_SIGHT:]} if rows else None


def _encoder(data: Any) -> dict[str, str]:
    """What made the vectors, in words; empty where nothing is said."""
    data = mapping(data)
    width, max_tokens, num_truncated = (whole(data.get(name)) for name in ("width", "max_tokens", "num_truncated"))
    pooling, reason = words(data.get("pooling")), clip(text(data.get("precision_reason")), _LONGEST_TEXT)
    parts = [
        words(data.get("name")),
        f"{width:,} dimensions" if width is not None else "",
        f"{pooling} pooling" if pooling else "",
        f"at most {max_tokens:,} tokens a text" if max_tokens is not None else "",
        f"{'none' if num_truncated == 0 else f'{num_truncated:,}'} cut there" if num_truncated is not None else "",
    ]
    precision = ": ".join(filter(None, (words(data.get("precision")), reason)))
    return {
        "name": parts[0],
        "words": ", ".join(filter(None, parts)),
        "precision": precision,
        "fingerprint": words(data.get("fingerprint")),
    }

"""Verdicts of a relabelling from what the engine said. Knows stored rows, probabilities and answers; knows no engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from variegate.config.curation import RelabelStage
from variegate.curation.answers import PATHS, read_answers
from variegate.curation.asks import CONTENT_FREE, Plan
from variegate.curation.calibration import calibration_error, contextual, fit_temperature, log_softmax, scaled
from variegate.curation.judging import Items, Judgement
from variegate.errors import UsageError
from variegate.kinds.task import LabelConfig
from variegate.records import Verdict

FEW_EXAMPLES = 20  # a temperature fitted on fewer is named in a warning
SHOWN = 5  # choices in a verdict's details


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the model says of one text. label None: `reason` says why ("refused" or "unjudged")."""

    label: str | None
    reason: str = ""
    confidence: float | None = None
    margin: float | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)  # of all candidates; empty where it was not scored
    details: Mapping[str, Any] = field(default_factory=dict)


def judge(
    stage: RelabelStage,
    plan: Plan,
    rows: Sequence[Mapping[str, Any]],
    items: Items,
    labels: Mapping[str, LabelConfig],
    *,
    encode: Callable[[Sequence[str]], Float[np.ndarray, "n d"]] | None = None,
) -> Judgement:
    """A verdict for each item, from the rows of all chunks of `observe`, in any order.

    encode: for `mode: generate`, whose last resort is the title with the nearest embedding; without it such an answer is
    refused. Raises UsageError where an item has no row, and where a temperature has no example to be fitted on.

    confidence: the calibrated probability of the verdict's label; None where it was not scored or not a candidate.
    facts: mode, candidates (most for one text), groups, judged, unjudged, refused, changed, low_margin, given_not_candidate,
    agreement (share of the judged whose best label is the given one), paths (generate), calibration, real (accuracy on the
    real examples), usage and prefix_hit_rate.
    """
    by_id = {row["id"]: row for row in rows}
    absent = [ask.id for ask in plan.asks if ask.id not in by_id]
    if absent:
        raise UsageError(
            f"relabel: {len(absent)} of {len(plan.asks)} asks have no observation, the first is {absent[0]!r}: observe them first"
        )
    calibration: dict[str, Any] = {"kind": stage.calibration}
    warnings: list[str] = []
    opinions = _read(by_id, labels, encode) if stage.mode == "generate" else _weigh(stage, plan, by_id, calibration, warnings)
    verdicts = [_verdict(stage, opinions[each], each, given) for each, given in zip(items.ids, items.labels, strict=True)]
    facts = _facts(stage, plan, by_id, opinions, items, verdicts)
    facts["calibration"] = calibration
    failed = [opinions[each] for each in items.ids if opinions[each].reason == "unjudged"]
    if failed:
        warnings.append(
            f"{len(failed)} of {len(items)} texts could not be judged and keep their label; the first: {failed[0].details['error']}"
        )
    if facts["refused"]:
        warnings.append(f"{facts['refused']} of {len(items)} answers name no class; their texts keep their label")
    return Judgement(tuple(verdicts), facts, tuple(warnings))


def _verdict(stage: RelabelStage, opinion: Opinion, item: str, given: str) -> Verdict:
    if opinion.label is None:
        return Verdict(item, given, reason=opinion.reason, details=opinion.details)
    if opinion.margin is not None and opinion.margin < stage.margin:
        keep = stage.below_margin == "keep_label"
        return Verdict(item, given, keep, "low_margin", opinion.probabilities.get(given), opinion.details)
    return Verdict(item, opinion.label, True, "relabelled" if opinion.label != given else "", opinion.confidence, opinion.details)


def _read(
    by_id: Mapping[str, Mapping[str, Any]],
    labels: Mapping[str, LabelConfig],
    encode: Callable[[Sequence[str]], Float[np.ndarray, "n d"]] | None,
) -> dict[str, Opinion]:
    answered = [row for row in by_id.values() if "error" not in row]
    titles = {name: label.title for name, label in labels.items()}
    readings = read_answers([row["answer"] for row in answered], [row["choices"] for row in answered], titles, encode=encode)
    opinions = {row["id"]: Opinion(None, "unjudged", details={"error": row["error"]}) for row in by_id.values() if "error" in row}
    for row, reading in zip(answered, readings, strict=True):
        details = {"answer": row["answer"][:200], "path": reading.path}
        opinions[row["id"]] = Opinion(reading.label, "" if reading.label else "refused", details=details)
    return opinions


@dataclass(frozen=True, slots=True)
class Scored:
    """The rows that were scored. logprobs: each row's own choices first, then -inf. true: row -> place of its real label."""

    rows: tuple[Mapping[str, Any], ...]
    logprobs: Float[np.ndarray, "n c"]
    place: Mapping[str, int]  # id -> row
    true: Mapping[int, int]

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]], true: Mapping[str, str]) -> Scored:
        scored = tuple(row for row in rows if "error" not in row)
        logprobs = np.full((len(scored), max((len(row["choices"]) for row in scored), default=1)), -np.inf)
        for number, row in enumerate(scored):
            logprobs[number, : len(row["choices"])] = row["logprobs"]
        place = {row["id"]: number for number, row in enumerate(scored)}
        known = {
            place[each]: scored[place[each]]["choices"].index(label)
            for each, label in true.items()
            if each in place and label in scored[place[each]]["choices"]
        }
        return cls(scored, log_softmax(logprobs) if scored else logprobs, place, known)


def _weigh(
    stage: RelabelStage, plan: Plan, by_id: Mapping[str, Mapping[str, Any]], facts: dict[str, Any], warnings: list[str]
) -> dict[str, Opinion]:
    """Opinions from log-probabilities, calibrated. facts, warnings: what there is to say of the calibration is added."""
    scored = Scored.of(list(by_id.values()), plan.true)
    errors = {row["id"]: row["error"] for row in by_id.values() if "error" in row}
    calibrated = scored.logprobs
    if stage.calibration == "temperature":
        calibrated = _by_temperature(scored, facts, warnings)
    elif stage.calibration == "contextual":
        calibrated = _by_context(scored, plan, facts, errors)
    examples = np.array(sorted(scored.true), dtype=int)
    wanted = np.array([scored.true[each] for each in examples.tolist()], dtype=int)
    facts["examples"] = len(examples)
    for name, values in (("before", scored.logprobs), ("after", calibrated)) if len(examples) else ():
        top = values[examples].argmax(axis=1)
        facts[f"ece_{name}"] = calibration_error(np.exp(values[examples, top]), top == wanted)
        facts[f"accuracy_{name}"] = float((top == wanted).mean())
    opinions = {each: Opinion(None, "unjudged", details={"error": error}) for each, error in errors.items()}
    for number, row in enumerate(scored.rows):
        if row["id"] not in opinions:
            opinions[row["id"]] = _opinion(row["choices"], np.exp(calibrated[number, : len(row["choices"])]))
    return opinions


def _by_temperature(scored: Scored, facts: dict[str, Any], warnings: list[str]) -> Float[np.ndarray, "n c"]:
    """One temperature for all, fitted on the real examples whose label was a candidate."""
    examples = sorted(scored.true)
    if not examples:
        raise UsageError(
            "relabel: calibration: temperature: none of the real examples could be scored with its label among the candidates: "
            "use calibration: contextual or none, or raise nearest_classes"
        )
    fitted = fit_temperature(scored.logprobs[examples], np.array([scored.true[each] for each in examples]))
    facts.update(temperature=fitted.value, nll_before=fitted.nll_before, nll_after=fitted.nll_after, at_bound=fitted.at_bound)
    if fitted.at_bound and fitted.value > 1:
        warnings.append(f"the model's scores say next to nothing of the labels of {len(examples)} real examples: use another model")
    elif fitted.at_bound:
        warnings.append(f"the model labels all {len(examples)} real examples right, which cannot tell how sure it may be: give harder ones")
    elif len(examples) < FEW_EXAMPLES:
        warnings.append(f"the temperature {fitted.value:.3g} was fitted on {len(examples)} real examples only")
    return scaled(scored.logprobs, fitted.value)


def _by_context(scored: Scored, plan: Plan, facts: dict[str, Any], errors: dict[str, str]) -> Float[np.ndarray, "n c"]:
    """Each group by its own content-free texts. errors: what cannot be calibrated is added."""
    groups: dict[str, list[int]] = {}
    free: dict[str, list[int]] = {}
    for ask in plan.asks:
        if ask.id in scored.place:
            (free if ask.id.startswith(CONTENT_FREE) else groups).setdefault(ask.group, []).append(scored.place[ask.id])
    facts["content_free"] = sum(map(len, free.values()))
    calibrated = scored.logprobs.copy()
    for group, places in groups.items():
        if group not in free:
            errors.update({scored.rows[place]["id"]: "its group's texts without content could not be scored" for place in places})
            continue
        c = len(scored.rows[places[0]]["choices"])
        calibrated[places, :c] = contextual(scored.logprobs[places, :c], scored.logprobs[free[group], :c])
    return calibrated


def _opinion(choices: Sequence[str], probabilities: Float[np.ndarray, " c"]) -> Opinion:
    order = np.argsort(-probabilities, kind="stable")
    best = int(order[0])
    margin = float(probabilities[best] - probabilities[order[1]]) if len(order) > 1 else float(probabilities[best])
    shown = {choices[place]: round(float(probabilities[place]), 6) for place in order[:SHOWN].tolist()}
    every = {name: float(value) for name, value in zip(choices, probabilities, strict=True)}
    details = {"probabilities": shown, "margin": round(margin, 6)}
    return Opinion(choices[best], "", float(probabilities[best]), margin, every, details)


def _facts(
    stage: RelabelStage,
    plan: Plan,
    by_id: Mapping[str, Mapping[str, Any]],
    opinions: Mapping[str, Opinion],
    items: Items,
    verdicts: Sequence[Verdict],
) -> dict[str, Any]:
    mine = [opinions[each] for each in items.ids]
    judged = [(opinion, given) for opinion, given in zip(mine, items.labels, strict=True) if opinion.label is not None]
    usage: Counter[str] = Counter()
    for row in by_id.values():
        usage.update(row.get("usage", {}))
    real = [(opinions[each].label, label) for each, label in plan.true.items()]
    facts: dict[str, Any] = {
        "mode": stage.mode,
        "candidates": max((len(ask.choices) for ask in plan.asks), default=0),
        "class_block": stage.class_block,
        "groups": len({ask.group for ask in plan.asks}),
        "judged": len(judged),
        "unjudged": sum(opinion.reason == "unjudged" for opinion in mine),
        "refused": sum(opinion.reason == "refused" for opinion in mine),
        "changed": sum(verdict.reason == "relabelled" for verdict in verdicts),
        "low_margin": sum(verdict.reason == "low_margin" for verdict in verdicts),
        "agreement": sum(opinion.label == given for opinion, given in judged) / len(judged) if judged else None,
        "given_not_candidate": sum(given not in by_id[each]["choices"] for each, given in zip(items.ids, items.labels, strict=True)),
        "real": {"n": len(real), "accuracy": sum(found == label for found, label in real) / len(real)} if real else None,
        "usage": dict(usage),
        "prefix_hit_rate": usage["cached_tokens"] / usage["prompt_tokens"] if usage["prompt_tokens"] else None,
    }
    if stage.mode == "generate":
        paths = Counter(opinion.details["path"] for opinion in mine if "path" in opinion.details)
        facts["paths"] = {path: paths[path] for path in PATHS}
    else:
        facts["scoring"] = stage.scores
    return facts

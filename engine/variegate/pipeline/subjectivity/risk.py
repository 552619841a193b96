"""The plain answer: how risky is synthetic training data for this task, from what was measured, with its reasons.

Signs are read off intervals by stated conventions; each points to a higher risk, to a lower one, or to neither. Nothing here is a
law: Li et al. (EMNLP 2023) found that synthetic data serves the less, the more subjective the task, and gave no thresholds.
Knows the measurement as JSON (see `subjectivity`); measures nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What the signs are read by. None of these numbers is from Li et al.
CONVENTIONS: dict[str, Any] = {
    "alpha_reliable": 0.8,
    "alpha_tentative": 0.667,
    "costly_gap": 0.05,
    "says": {
        "alpha": "Krippendorff's custom: labels with an alpha of 0.8 are reliable, below 0.667 they are not. It was made for annotations,"
        " not for the value of synthetic data.",
        "gap": "Ours: losing more than 5 points of accuracy is costly. Set your own price.",
        "slope": "Ours: the synthetic-trained student leans more on agreement where the 95 % interval of the difference in slope lies above 0,"
        " as Li et al. found. A difference below 0 is no good sign: a student that is bad everywhere has no slope.",
        "rank": "Ours: a rank counts where its 95 % interval lies in one half of the tasks.",
    },
}
_HEADLINES = {
    "higher": "The signs point to a higher risk: synthetic training data may serve this task badly.",
    "lower": "The signs point to a lower risk: synthetic training data may serve this task well.",
    "mixed": "The signs disagree: look at them one by one.",
    "unclear": "The signs do not tell: nothing measured here points to a higher or a lower risk.",
}


def answer(
    instances: Mapping[str, Any] | None, sweep: Mapping[str, Any] | None, tasks: Mapping[str, Any] | None, name: str | None
) -> dict[str, Any]:
    """level: "higher", "lower", "mixed" or "unclear". name: of the task in question, in `tasks`."""
    signs = [sign for sign in (_agreement(instances), _gap(sweep), _slope(sweep), _rank(tasks, name)) if sign is not None]
    higher, lower = (sum(sign["points_to"] == way for sign in signs) for way in ("higher", "lower"))
    level = "mixed" if higher and lower else "higher" if higher else "lower" if lower else "unclear"
    counts = f"Of {len(signs)} sign{'s' if len(signs) != 1 else ''} {higher} point{'s' if higher == 1 else ''} to a higher risk and {lower} to a lower one."
    return {
        "level": level,
        "headline": _HEADLINES[level],
        "text": " ".join([_HEADLINES[level], counts, *(sign["says"] for sign in signs)]),
        "signs": signs,
        "unknown": _unknown(instances, sweep, tasks, name),
        "conventions": CONVENTIONS,
    }


def _sign(name: str, way: str, says: str, **numbers: Any) -> dict[str, Any]:
    return {"name": name, "points_to": way, "says": says, "numbers": numbers}


def _agreement(instances: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if instances is None:
        return None
    mean, alpha = instances["agreement"], instances["alpha"]
    who = "such votes" if instances["source"]["kind"] == "model" else "such labels"
    said = f"On average {_share(mean['mean'])} of an item's labels are its majority's; {_share(mean['chance'])} would be by chance alone"
    if alpha is None:
        return _sign("agreement", "neither", f"{said}; all labels are the same, so that agreement tells nothing.", **mean)
    reliable, tentative = CONVENTIONS["alpha_reliable"], CONVENTIONS["alpha_tentative"]
    low, high = (alpha["value"] if alpha[end] is None else alpha[end] for end in ("low", "high"))
    way = "lower" if low >= reliable else "higher" if high < tentative else "neither"
    verdict = {
        "lower": f"above {reliable}, from where {who} are by custom reliable",
        "higher": f"below {tentative}, where {who} are by custom not reliable",
        "neither": f"not clearly below {tentative} (by custom not reliable) nor above {reliable} (reliable)",
    }[way]
    right = instances["majority_right"]
    model = instances["source"]["kind"] == "model"
    weak = f" Their majority is the true label on {_share(right['value'])} of the items." if model and right else ""
    says = f"{said}. Krippendorff's alpha is {_within(alpha, 2)}: {verdict}.{weak}"
    return _sign(
        "agreement", way, says, alpha=alpha["value"], low=alpha["low"], high=alpha["high"], mean=mean["mean"], chance=mean["chance"]
    )


def _gap(sweep: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the synthetic-trained student loses against the real-trained one, on all items."""
    found = None if sweep is None else _of_pair(sweep["points"][0]["differences"])
    if found is None:
        return None
    value, low, high, costly = -found["value"], -found["high"], -found["low"], CONVENTIONS["costly_gap"]
    way = "higher" if low > costly else "lower" if high < costly else "neither"
    verdict = {
        "higher": f"more than {_points(costly)} points",
        "lower": f"less than {_points(costly)} points",
        "neither": f"whether that is more than {_points(costly)} points cannot be told",
    }[way]
    says = (
        f"Trained on synthetic data the student is {_points(abs(value))} points {'less' if value >= 0 else 'more'} accurate than trained on real"
        f" data (loss {_points(low)} to {_points(high)}, 95 %): {verdict}."
    )
    return _sign("gap", way, says, value=value, low=low, high=high, n=sweep["points"][0]["n"] if sweep else None)


def _slope(sweep: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Whether the synthetic-trained student leans more on agreement than the real-trained one."""
    found = None if sweep is None else _of_pair(sweep["slope_differences"])
    if found is None:
        return None
    low, high = found["low"], found["high"]
    way = "higher" if low is not None and low > 0 else "neither"  # below 0 is no good sign: a student that is bad everywhere is flat
    rise = found["value"] / 10
    measured = f"{_points(abs(rise))} points {'more' if rise >= 0 else 'less'} for each 0.1 of agreement"
    interval = "no interval" if low is None else f"{_points(low / 10)} to {_points(high / 10)}, 95 %"
    if way == "higher":
        verdict = "synthetic data costs most where labels disagree"
    elif high is not None and high < 0:
        verdict = "what synthetic data costs is not lost where labels disagree"
    else:
        verdict = "no difference is shown"
    says = f"As agreement rises, the synthetic-trained student's accuracy rises {measured} than the real-trained one's ({interval}): {verdict}."
    return _sign("slope", way, says, **found)


def _rank(tasks: Mapping[str, Any] | None, name: str | None) -> dict[str, Any] | None:
    found = None if tasks is None else next((each for each in tasks["ranking"] if each["task"] == name), None)
    if tasks is None or found is None:
        return None
    whole, low, high = len(tasks["ranking"]), found["rank_low"], found["rank_high"]
    way = "lower" if high <= whole / 2 else "higher" if low > (whole + 1) / 2 else "neither"
    verdict = {"lower": "among the more objective", "higher": "among the more subjective", "neither": "in which half cannot be told"}[way]
    alone = any(name in group for group in tasks["groups"][1:]) or len(tasks["groups"][0]) < 2
    if alone:
        way, verdict = "neither", "but it never met most of the others, so its rank says nothing"
    says = f"Of {whole} tasks it ranks {found['rank']} from the most objective ({low} to {high}, 95 %): {verdict}."
    return _sign("rank", way, says, rank=found["rank"], low=low, high=high, of=whole)


def _of_pair(differences: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Synthetic less real, where both students are there."""
    return next((each for each in differences if (each["first"], each["second"]) == ("synthetic", "real")), None)


def _unknown(
    instances: Mapping[str, Any] | None, sweep: Mapping[str, Any] | None, tasks: Mapping[str, Any] | None, name: str | None
) -> list[str]:
    """What would tell more."""
    out = []
    if instances is None:
        out.append("How far annotators agree was not measured: give a file with several labels of each text.")
    elif instances["source"]["kind"] == "model":
        out.append(
            "The votes are one model's, a stand-in for people's. They say how sure it is, which rises as the temperature falls and is low for a model"
            " that is weak at the task, and not how far people differ."
        )
    if sweep is None or _of_pair(sweep["points"][0]["differences"]) is None:
        out.append("The cost of synthetic data was not measured: give two students trained alike, one on synthetic and one on real data.")
    else:
        out.append("The gap is that of these two students: it holds for their sizes of training data and their models alone.")
    if instances is not None and instances["true"]["kind"] == "majority" and sweep is not None:
        out.append(
            "The true label is the majority's own, which is least certain where labels disagree: any student is less accurate there, so compare"
            " students, not heights."
        )
    if tasks is None:
        out.append("The task was not compared with others: give votes on pairs of tasks.")
    elif name is None or all(each["task"] != name for each in tasks["ranking"]):
        out.append("Which of the ranked tasks is meant was not said, or it has no votes: name it.")
    elif tasks["source"]["kind"] == "model":
        out.append("The tasks were compared by a language model, not by people.")
    return out


# -- numbers in writing ----------------------------------------------------------------------------------------


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"


def _points(value: float) -> str:
    return f"{100 * value:.1f}".replace("-0.0", "0.0").replace("-", "−")


def _within(found: Mapping[str, Any], decimals: int) -> str:
    value = f"{found['value']:.{decimals}f}"
    if found["low"] is None:
        return value
    return f"{value} ({found['low']:.{decimals}f} to {found['high']:.{decimals}f}, 95 %)"

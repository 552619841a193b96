"""How subjective is a task, and what does that cost a student trained on synthetic data: instances, students, tasks, one answer.

The measurement is plain JSON data, printed by `variegate subjectivity ... --json` and drawn by report/subjectivity.py:

    variegate, created, seed, warnings [text], seconds {stage: seconds}
    instances: null, or
        source: {kind: "file" | "model", name, form: "long" | "list" | "columns" | "model", annotators: number or null; of a model also
            model, backend, votes, temperature, folder, read {how: answers}, unread, unread_examples [text], errors}
        n: items with two labels or more; left_out: {single: items with one label, unlabelled: items with none}
        labels: {label: times given}; labels_per_item: {K: items}
        agreement: {mean, low, high (95 %; null where all shares are equal), chance: mean share if labels were drawn at random,
            unanimous: share of items, tied: items without a majority}
        histogram: [{share, n}]
        alpha: {value, low, high} or null (Krippendorff's, nominal); kappa: number or null (Fleiss'; needs equal K)
        true: {kind: "field" | "majority", field, without: items without a true label}
        majority_right: {value, low, high, n} or null, how often the majority's label is the true one, where a field gives that
        confused: [{labels: [a, b], n: items that were given both}], the most frequent first
        contested: [{id, text, share, labels {label: times}, true, predicted {student: label}}], the least agreed on first
    students: [{name, source, kind: "file" | "student", unmatched_rows, without: items it says nothing of}]
    sweep: null (no student), or
        rule: ">="; n: items with a true label and a prediction of every student
        points: [{gamma, n, accuracy: {student: {value, low, high, correct}}, differences: [difference]}], gamma ascending from 0;
            difference: {first, second, value, low, high, first_only, second_only}, accuracy of first less that of second
        slopes: {student: {value, low, high} or null}, rise of accuracy from agreement 0 to 1 by least squares over items
        slope_differences: [{first, second, value, low, high}]
    tasks: null, or
        source: {kind: "file", name, judges} or {kind: "model", name, backend, comparisons, instances, without_vote,
            position_bias {p_a, a_preferred, contradictions}}
        ranking: [{task, strength, low, high, rank, rank_low, rank_high, wins, losses}], the most objective first
        above, preferred, wins: matrices in the ranking's order (see metrics.bradley_terry.Ranking)
        groups: [[task]], unbeaten: [task], winless: [task], num_votes, prior, draws, resampled: "votes" | "judges"
    name: of the task in question among `tasks`, or null
    answer: null (tasks were ranked, and none is in question), or {level, headline, text, signs [{name, points_to, says, numbers}], unknown [text], conventions}; see risk.py
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from variegate import __version__
from variegate.config import TaskConfig
from variegate.errors import UsageError, nearest
from variegate.metrics.bradley_terry import PRIOR, rank_tasks
from variegate.pipeline.subjectivity.annotations import Annotated
from variegate.pipeline.subjectivity.instances import StudentAnswers, measure_instances
from variegate.pipeline.subjectivity.risk import answer
from variegate.pipeline.subjectivity.task_votes import TaskVotes
from variegate.seeding import derive_seed


@dataclass(frozen=True, slots=True)
class RankSettings:
    prior: float = PRIOR
    draws: int = 2000
    resample: str = "votes"  # or "judges"


def measure_subjectivity(
    items: Annotated | None,
    votes: TaskVotes | None,
    *,
    source: Mapping[str, Any] | None = None,
    students: Sequence[StudentAnswers] = (),
    gammas: Sequence[float] = (),
    task: TaskConfig | None = None,
    name: str | None = None,
    ranking: RankSettings | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """The measurement; see the module.

    items: with several labels each; source: what is known of where they come from beyond the items themselves.
    gammas: none takes every one at which the curve can change. task: its labels are the only ones that may occur.
    name: of the task in question among the votes; by default that of `task`, where it has votes.
    Raises UsageError: unknown labels, one label for every item, no item with a true label and all predictions, votes that cannot be ranked.
    """
    seconds: dict[str, float] = {}
    warnings: list[str] = []
    started = time.perf_counter()
    instances = sweep = None
    if items is not None:
        instances, sweep = measure_instances(items, source or {}, students, gammas, task, seed, warnings)
        seconds["instances"] = round(time.perf_counter() - started, 3)
    tasks = None
    if votes is not None:
        started = time.perf_counter()
        tasks = _tasks(votes, ranking or RankSettings(), seed, warnings)
        seconds["tasks"] = round(time.perf_counter() - started, 3)
        name = _chosen_name(name, task, votes)
    return {
        "variegate": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "instances": instances,
        "students": [_student(each) for each in students],
        "sweep": sweep,
        "tasks": tasks,
        "name": name,
        "answer": None if instances is None and name is None else answer(instances, sweep, tasks, name),
        "warnings": warnings,
        "seconds": seconds,
    }


def _chosen_name(name: str | None, task: TaskConfig | None, votes: TaskVotes) -> str | None:
    if name is None:
        return task.name if task is not None and task.name in votes.tasks else None
    if name not in votes.tasks:
        raise UsageError(f"no vote names a task {name!r}{nearest(name, votes.tasks)} Tasks with votes: {', '.join(votes.tasks)}")
    return name


def _student(each: StudentAnswers) -> dict[str, Any]:
    without = sum(label is None for label in each.predicted.labels)
    return {
        "name": each.name,
        "source": each.source,
        "kind": each.kind,
        "unmatched_rows": each.predicted.num_of_no_item,
        "without": without,
    }


# -- tasks -----------------------------------------------------------------------------------------------------


def _tasks(votes: TaskVotes, settings: RankSettings, seed: int, warnings: list[str]) -> dict[str, Any]:
    by_judges = settings.resample == "judges"
    if by_judges and votes.judges is None:
        raise UsageError(f"{votes.source['name']}: names no judges, so they cannot be resampled: add a field `judge`, or resample votes")
    found = rank_tasks(
        votes.votes,
        tasks=votes.tasks,
        judges=votes.judges if by_judges else None,
        prior=settings.prior,
        draws=settings.draws,
        seed=derive_seed(seed, "ranking"),
    )
    if len(found.groups) > 1:
        named = "; ".join(", ".join(group[:6]) + (" …" if len(group) > 6 else "") for group in found.groups[:6])
        warnings.append(
            f"the votes fall into {len(found.groups)} groups of tasks that never met ({named}): how one group stands to another is the"
            " prior's doing, not the votes'"
        )
    for tasks, what in ((found.unbeaten, "won"), (found.winless, "lost")):
        if tasks:
            warnings.append(f"{', '.join(tasks)} {what} every vote: only the prior keeps the strength finite, and its size says little")
    bias = votes.source.get("position_bias")
    if bias and bias["contradictions"] > 0.5:
        warnings.append(
            f"the judge names another task when the order is turned in {100 * bias['contradictions']:.0f} % of the comparisons: its votes rest on"
            " small differences, and its liking for a place on large ones"
        )
    judges = votes.source.get("judges")
    if not by_judges and votes.judges is not None and judges and judges < len(votes.votes):
        warnings.append(
            f"{judges:,} judges gave {len(votes.votes):,} votes: intervals take the votes as independent; `variegate subjectivity tasks"
            " --resample judges` does not"
        )
    return {
        "source": dict(votes.source),
        "ranking": [asdict(each) for each in found.tasks],
        "above": found.above.tolist(),
        "preferred": found.preferred.tolist(),
        "wins": found.wins.tolist(),
        "groups": [list(group) for group in found.groups],
        "unbeaten": list(found.unbeaten),
        "winless": list(found.winless),
        "num_votes": found.num_votes,
        "prior": found.prior,
        "draws": found.draws,
        "resampled": found.resampled,
    }

"""What a reader of a study should know beside its numbers. Knows cells as study.json holds them; measures nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from variegate.config.curation import LabelReplacementStage
from variegate.config.study import SHARING, StudyConfig
from variegate.config.study_cells import named
from variegate.pipeline.comparison.places import Place, read_manifest, runs_of
from variegate.pipeline.comparison.real import RealData
from variegate.pipeline.comparison.score import Sample
from variegate.pipeline.curation.inputs import ORACLE
from variegate.students.train import depends_on_seed

SHARED = 0.1  # of their texts that two arms may have in common


def notes_of(
    study: StudyConfig, real: RealData, places: Sequence[Place], cells: Sequence[Mapping[str, Any]], samples: Mapping[str, Sample]
) -> list[str]:
    """Sentences, each once."""
    every = (*_failures(cells), *_real_data(study, real), *_design(study), *_sizes(study, places, cells), *_feedback(places), *_alike(places, samples), *_students(study, cells))  # fmt: skip
    return list(dict.fromkeys(every))


def _failures(cells: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    failed = [cell["id"] for cell in cells if cell["status"] == "failed"]
    if failed:
        yield f"{len(failed)} of {len(cells)} cells failed: {', '.join(failed)}"


def _real_data(study: StudyConfig, real: RealData) -> Iterator[str]:
    if real.train is None:
        yield (
            f"task {study.run.task.name!r} has no data.train: label accuracy, similarity to real data and the student of real texts were "
            "not measured"
        )
    if study.student is None:
        yield "no student was asked for (`student: null`): no student accuracy was measured"
    if real.num_leaked:
        yield f"{real.num_leaked} texts of the real train split also stand in the held-out data: oracle and student did not see them"


def _design(study: StudyConfig) -> Iterator[str]:
    if study.replicates == 1:
        yield "one replicate: means have no intervals, and differences between options may be chance"
    options = study.options().get("curation", ())
    judged = [name for name in options if name in study.curations and _judged_by_oracle(study, name)]
    if judged:
        yield (
            f"label accuracy is agreement with the oracle, and curation {', '.join(judged)} took labels from an oracle of the same kind: there "
            "it says how many labels were replaced, not how good they are; student accuracy is measured on real labels"
        )
    if study.student is not None and study.student_seeds > 1 and not depends_on_seed(study.student):
        yield f"student_seeds: {study.student_seeds}: a {study.student.kind} does not depend on its seed, so 1 says as much"


def _judged_by_oracle(study: StudyConfig, name: str) -> bool:
    curation = study.curations[name]
    return curation.oracle == study.oracle and any(
        isinstance(stage, LabelReplacementStage) and stage.labels == ORACLE for stage in curation.stages
    )


def _sizes(study: StudyConfig, places: Sequence[Place], cells: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    short = [f"{cell['id']} ({cell['n']})" for cell in cells if cell["shortfall"]]
    if short:
        yield f"fewer texts than train_size {study.train_size}: {', '.join(short)}: their measures are not at equal size"
    for place in runs_of(places):
        missing = sum(((read_manifest(place) or {}).get("shortfall") or {}).values())
        if missing:
            yield f"{place.run_id}: {missing} records short of its target"


def _alike(places: Sequence[Place], samples: Mapping[str, Sample]) -> Iterator[str]:
    """Arms, curated alike or not at all, that share more of their texts than SHARED; and replicates that do not differ."""
    found = [place for place in places if place.id in samples]
    texts = {place.id: set(samples[place.id].texts.texts) for place in found}
    shares: dict[tuple[str, str], list[float]] = {}  # of two arms -> share of each replicate and curation
    same_suppression: dict[tuple[str, str], bool] = {}
    for one, other in combinations(found, 2):
        if any(one.cell.axes.get(axis) != other.cell.axes.get(axis) for axis in SHARING):
            continue
        shared = len(texts[one.id] & texts[other.id]) / min(len(texts[one.id]), len(texts[other.id]))
        if one.cell.generation == other.cell.generation:
            if shared == 1:
                yield f"({named(one.cell.generation)}): replicates have the very same texts (greedy decoding?), so they say nothing of chance"
        elif one.cell.replicate == other.cell.replicate:
            arms = named(one.cell.generation), named(other.cell.generation)
            shares.setdefault(arms, []).append(shared)
            same_suppression[arms] = one.run.decoding.suppression == other.run.decoding.suppression
    for arms, each in shares.items():
        share = sum(each) / len(each)
        if share > SHARED:
            advice = (
                ""
                if same_suppression[arms]
                else ". Suppression acts after a label's first block alone: lower rounds.first, or raise the target"
            )
            yield f"({arms[0]}) and ({arms[1]}) share {share:.0%} of their texts: what differs between them is diluted{advice}"


def _feedback(places: Sequence[Place]) -> Iterator[str]:
    """What share of each arm's records was made under what the run wrote before: where any was, or should have been."""
    shares: dict[str, list[float]] = {}
    for place in runs_of(places):
        feedback = (read_manifest(place) or {}).get("feedback")
        if feedback and (feedback["kept"] or place.run.decoding.suppression is not None):
            shares.setdefault(named(place.cell.generation), []).append(feedback["share"])
    for arm, each in shares.items():
        yield f"({arm}): {sum(each) / len(each):.0%} of its records were made under feedback (suppression, a growing pool or a history)"


def _students(study: StudyConfig, cells: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for cell in cells:
        yield from (f"students: {warning}" for warning in (cell["student"] or {}).get("warnings", ()))

"""Are a run's curations what they say they are? Hashes, one verdict a record, counts that add up, the curated records.

Reads only. Holds the ids and labels of one curation at a time. Knows nothing of how a verdict came about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from variegate.errors import VariegateError, nearest
from variegate.kinds import TaskKind
from variegate.kinds.text import Text, text_of
from variegate.records import Record, Verdict
from variegate.store.checks import Check, Problems
from variegate.store.files import sha256_of
from variegate.store.kind import kind_of_run, text_in
from variegate.store.run_folder import RunFolder
from variegate.store.verdicts import (
    CHANGING,
    CONFIG,
    CURATED,
    CURATION_REASONS,
    CURATIONS,
    DROPPING,
    CurationFolder,
    StoredStage,
    count_verdicts,
    input_digest,
)

_Records = Mapping[str, tuple[Record, Text]]  # by id, with what each says


def verify_curations(run: RunFolder, labels: Sequence[str] | None) -> list[Check]:
    """One check a curation. labels: the task's; None where they cannot be read."""
    found = []
    for path in sorted((run.path / CURATIONS).glob("*/")):
        name = f"curation {path.name}"
        try:
            found.append(_verify(CurationFolder(run, path.name), name, labels))
        except (VariegateError, OSError) as error:
            found.append(Check(name, "FAILED", str(error)))
    return found


def _verify(curation: CurationFolder, name: str, labels: Sequence[str] | None) -> Check:
    problems = Problems()
    for problem in curation.shelf.check():
        problems.add(problem)
    if not curation.config_is_whole():
        problems.add(f"{curation.path / CONFIG}: is missing, or was changed after it was written")
    if problems.count:
        return problems.check(name)
    stages = curation.stages()
    summary = curation.read_summary()
    if not stages:
        return Check(name, "skipped", "no stage has ended")
    kind = kind_of_run(curation.run)
    records = {record.id: (record, text_in(kind, record)) for record in curation.run.records()}
    if stages[0].index != 0:
        return Check(name, "FAILED", "stage 0 is missing")
    if stages[0].facts["input"].get("sha256") != input_digest((id, text, record.label) for id, (record, text) in records.items()):
        return Check(name, "skipped", "it is of an earlier state of the run: run `variegate curate` again")

    current = {id: record.label for id, (record, _) in records.items()}  # of what is still kept, in record order
    dropped: Counter[str] = Counter()
    for number, stage in enumerate(stages):
        if stage.index != number:
            problems.add(f"stage {number} is missing")
            break
        verdicts = stage.verdicts()
        _check_stage(stage, verdicts, current, records, labels, problems)
        dropped.update(verdict.reason for verdict in verdicts if not verdict.keep)
        current = {verdict.id: verdict.label for verdict in verdicts if verdict.keep}
    changed = sum(label != records[id][0].label for id, label in current.items() if id in records)
    good = f"{len(stages)} stages, {len(records)} records = {len(current)} kept + {dropped.total()} dropped, {changed} labels changed"
    if summary is None:
        return problems.check(name, f"{good}; it has not ended")
    stated = {
        "name": curation.name,
        "records": len(records),
        "kept": len(current),
        "dropped": dict(sorted(dropped.items())),
        "changed": changed,
    }
    for field, value in stated.items():
        if summary.get(field) != value:
            problems.add(f"curation.json states {field}: {summary.get(field)}, the verdicts give {value}")
    if summary["stages"] != [stage.facts for stage in stages]:
        problems.add("the stages in curation.json are not those on the shelf")
    _check_curated(curation, summary, current, records, kind, problems)
    return problems.check(name, good)


def _check_stage(
    stage: StoredStage,
    verdicts: Sequence[Verdict],
    current: Mapping[str, str],
    records: _Records,
    labels: Sequence[str] | None,
    problems: Problems,
) -> None:
    where = f"stage {stage.index} ({stage.kind})"
    if [verdict.id for verdict in verdicts] != list(current):
        problems.add(f"{where}: {len(verdicts)} verdicts are not one for each of the {len(current)} records it was given, in order")
        return
    if stage.facts["input"] != {"n": len(current), "sha256": input_digest((id, records[id][1], label) for id, label in current.items())}:
        problems.add(f"{where}: its input is not what entry.json states")
    for verdict, label in zip(verdicts, current.values(), strict=True):
        if labels is not None and verdict.label not in labels:
            problems.add(f"{where}: {verdict.id}: label {verdict.label!r} is not in run.yaml{nearest(verdict.label, labels)}")
        if verdict.reason and verdict.reason not in CURATION_REASONS:
            problems.add(f"{where}: {verdict.id}: reason {verdict.reason!r} is not known{nearest(verdict.reason, CURATION_REASONS)}")
        elif not verdict.keep and verdict.reason not in DROPPING:
            problems.add(f"{where}: {verdict.id}: dropped with reason {verdict.reason!r}")
        elif verdict.keep and verdict.label != label and verdict.reason not in CHANGING:
            problems.add(f"{where}: {verdict.id}: label {label!r} became {verdict.label!r} with reason {verdict.reason!r}")
    for field, value in count_verdicts(list(current.values()), verdicts).items():
        if stage.facts.get(field) != value:
            problems.add(f"{where}: {field} in entry.json are not those of its verdicts")


def _check_curated(
    curation: CurationFolder, summary: Mapping[str, Any], current: Mapping[str, str], records: _Records, kind: TaskKind, problems: Problems
) -> None:
    path = curation.path / CURATED
    if sha256_of(path) != summary.get("sha256"):
        problems.add(f"{path}: its hash is not the one in curation.json: it was changed after it was written")
        return
    expected = [(id, records[id][1], label, records[id][0].label) for id, label in current.items() if id in records]
    if [(row["id"], text_of(kind.texts(row)), row["label"], row["given_label"]) for row in curation.rows()] != expected:
        problems.add(f"{path}: is not what records and verdicts give")

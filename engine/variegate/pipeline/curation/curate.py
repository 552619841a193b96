"""A curation from its configuration to its finished folder: stages in order, reuse of what is there, and the files at the end.

Records, rounds and ledger are only read. A stage is on disk, whole, before the next one starts; one whose key is unchanged is
reused, and from the first that is not on, earlier ones are set aside and made again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from variegate import __version__
from variegate.config.curation import CurationConfig, RelabelStage, StageConfig
from variegate.config.load import load_run, to_yaml
from variegate.curation.judging import Items, Judgement
from variegate.errors import Interrupted, UsageError, VariegateError
from variegate.inference.session import Sessions, Start
from variegate.pipeline.curation.check import check_against_oracle
from variegate.pipeline.curation.inputs import ORACLE, Inputs
from variegate.pipeline.curation.relabelling import Relabelling
from variegate.pipeline.curation.stages import check, prepare
from variegate.pipeline.curation.summary import History, after, check_judgement, curated_rows, emptied, many_flips, summarise
from variegate.progress import Progress, Silent
from variegate.records import Record, Verdict
from variegate.seeding import digest
from variegate.store.answers import Answers
from variegate.store.ledger import Ledger
from variegate.store.rows import KEPT, stored_items
from variegate.store.run_folder import RunFolder
from variegate.store.verdicts import OBSERVATIONS, CurationFolder, StoredStage, count_verdicts, input_digest

if TYPE_CHECKING:
    from variegate.embeddings import Encoder
    from variegate.students.student import Student

# Fields of a stage that are not part of its key: they do not change its verdicts, or what they name is (`Prepared.reads`).
_NOT_IN_KEY = {"relabel": {"chunk", "model"}, "label_replacement": {"labels"}, "scope": {"labels"}, "duplicates": {"against"}}
_RECIPE = 2  # of stages: another one where a judging function, or the default of a setting, is no longer the same
_VOLATILE = ("created", "seconds", "sha256")  # of curation.json: differ where nothing else does


def curate(
    folder: RunFolder,
    config: CurationConfig,
    name: str,
    *,
    progress: Progress | None = None,
    sessions: Sessions | None = None,
    start: Start | None = None,
    encoder: Encoder | None = None,
    oracle: Student | None = None,
    check_labels: bool = False,
) -> dict[str, Any]:
    """Apply the stages to the run's kept records; returns what curation.json holds, and `reused`: stages that were on disk.

    sessions: of the engines that relabel stages ask, which stay the caller's to close. Without them an engine runs in a process
        of its own, until its stage is done.
    start: makes those engines, in this process; they are the caller's to close.
    encoder, oracle: ready ones, made as `config` says, in place of new ones.
    check_labels: also measure how far given and final labels agree with the oracle (`accuracy`).
    Raises UsageError (a wrong config or file, no records), VariegateError (nothing is left), BackendError, StoreError;
    Interrupted on Ctrl-C. Finished stages, and finished chunks of a relabel stage, are on disk then.
    """
    folder = RunFolder.existing(folder.path)
    progress = progress or Silent()
    curation = CurationFolder(folder, name, on_damage=progress.note)
    with folder.lock():
        records, ledger = _read(folder)
        if not records:
            raise UsageError(
                f"{folder.path}: has no kept record to curate: `variegate generate` makes some, `variegate report` says why there are none"
            )
        run = load_run(folder.path / "run.yaml")
        inputs = Inputs(folder, run, config, records, encoder=encoder, oracle=oracle, progress=progress)
        own = sessions or Sessions(progress=progress, start=start, process="worker")
        curating = _Curating(inputs, curation, ledger, own, keep_engines=sessions is not None)
        if check_labels:
            inputs.check_oracle()
        try:
            curating.run()
            return curating.finish(check_labels)
        except KeyboardInterrupt as error:
            raise Interrupted(
                f"stopped: {len(curating.stored)} of {len(config.stages)} stages are done in {curation.path}. Run the same command again to go on."
            ) from error
        finally:
            if sessions is None:
                own.close()


def standing_stages(folder: RunFolder, config: CurationConfig, name: str, *, encoder: Encoder | None = None) -> int:
    """How many stages, from the first on, `curate` would find as it would make them. Nothing is made, moved or started.

    Raises UsageError as `curate` does.
    """
    records, ledger = _read(folder)
    inputs = Inputs(folder, load_run(folder.path / "run.yaml"), config, records, encoder=encoder, progress=Silent())
    return _Curating(inputs, CurationFolder(folder, name), ledger, Sessions(), keep_engines=True).standing()


def _read(folder: RunFolder) -> tuple[list[Record], Ledger]:
    records, ledger = [], Ledger()
    for row in folder.rows():
        ledger.add(row)
        records += [item.to_record() for item in stored_items(row) if item.outcome == KEPT]
    return records, ledger


def _digest(items: Items) -> str:
    return input_digest(zip(items.ids, items.texts, items.labels, strict=True))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class _Curating:
    """One call of `curate`. items: as they stand after the stages so far."""

    def __init__(self, inputs: Inputs, folder: CurationFolder, ledger: Ledger, sessions: Sessions, *, keep_engines: bool) -> None:
        self.inputs, self.folder, self.ledger = inputs, folder, ledger
        self._sessions, self._keep_engines = sessions, keep_engines
        self.config = inputs.config
        self.given = Items(
            ids=tuple(record.id for record in inputs.records),
            texts=inputs.texts,
            labels=tuple(record.label for record in inputs.records),
            parents=tuple(tuple(record.origin.get("parents") or ()) for record in inputs.records),
        )
        self.items = self.given
        self.stored: list[StoredStage] = []
        self.reused: list[int] = []
        self.made: list[int] = []
        self.history: dict[str, History] = {}

    # -- stages ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Raises VariegateError when a stage, which is stored all the same, leaves nothing."""
        for stage in self.config.stages:
            check(stage, self.inputs)
        self.folder.shelf.clear_unfinished()
        self.folder.write_config(to_yaml(self.config))
        for index, stage in enumerate(self.config.stages):
            self._apply(index, stage)
        if self.folder.later_stages(len(self.config.stages)):
            self.folder.set_aside(len(self.config.stages))

    def _apply(self, index: int, stage: StageConfig) -> None:
        reads, judge = self._prepare(stage)
        key = self._key(stage, reads)
        stored = self.folder.find_stage(index, stage.kind, key)
        if stored is None:
            self.folder.set_aside(index)  # it may come back from there, and so may later ones
            made = partial(self._make, index, stage, key, judge)
            stored = self.folder.made_stage(index, stage.kind, key, made)
        if index not in self.made:
            self.reused.append(index)
        self._take_in(stored)
        if not len(self.items):
            raise VariegateError(self._nothing_left(stored))

    def standing(self) -> int:
        """How many stages, from the first on, are there as `run` would make them."""
        for index, stage in enumerate(self.config.stages):
            reads, _ = self._prepare(stage)
            stored = self.folder.read_stage(index, stage.kind, self._key(stage, reads))
            if stored is None:
                return index
            self._take_in(stored)
        return len(self.config.stages)

    def _prepare(self, stage: StageConfig) -> tuple[Sequence[Any], Callable[[str], Judgement]]:
        """(what decides the judgement beside items, config and seed; the judgement, for a stage of the key given)."""
        if isinstance(stage, RelabelStage):
            relabelling = Relabelling(stage, self.items, self.inputs, self._sessions)
            return relabelling.reads, lambda key: relabelling.judge(Answers(self.folder.shelf, OBSERVATIONS, key))
        prepared = prepare(stage, self.items, self.inputs)
        return prepared.reads, lambda key: prepared.judge()

    def _key(self, stage: StageConfig, reads: Sequence[Any]) -> str:
        settings = stage.model_dump(mode="json", exclude=_NOT_IN_KEY.get(stage.kind), exclude_defaults=True)
        items = self.items
        return digest([_RECIPE, settings, _digest(items), self.config.seed, list(reads)], length=32)

    def _make(
        self, index: int, stage: StageConfig, key: str, judge: Callable[[str], Judgement]
    ) -> tuple[Sequence[Verdict], Mapping[str, Any]]:
        """Judge now; (the verdicts, what is stored beside them)."""
        self.inputs.report(stage.kind, 0, 1)
        began = time.monotonic()
        judgement = judge(key)
        if not self._keep_engines:
            self._sessions.rest()
        seconds = time.monotonic() - began
        self.made.append(index)
        items = self.items
        check_judgement(items, judgement, self.inputs.task.labels)
        facts = {
            "kind": stage.kind,
            "index": index,
            "input": {"n": len(items), "sha256": _digest(items)},
            "config": stage.model_dump(mode="json"),
            "facts": dict(judgement.facts),
            **count_verdicts(items.labels, judgement.verdicts),
            "seconds": round(seconds, 3),
            "created": _now(),
            "warnings": [
                *judgement.warnings,
                *many_flips(items, judgement.verdicts),
                *emptied(items, after(items, judgement.verdicts)),
            ],
            "variegate": __version__,
        }
        return judgement.verdicts, facts

    def _take_in(self, stored: StoredStage) -> None:
        """The stored verdicts, also of a stage just made: a resumed curation reads the same bytes."""
        verdicts = stored.verdicts()
        for verdict in verdicts:
            if verdict.reason or verdict.confidence is not None:
                self.history.setdefault(verdict.id, History()).add(stored.kind, verdict)
        self.items = after(self.items, verdicts)
        self.stored.append(stored)

    def _nothing_left(self, stored: StoredStage) -> str:
        counts = stored.facts["counts"]
        reasons = ", ".join(f"{number} {reason}" for reason, number in counts["dropped"].items())
        return (
            f"curation {self.folder.name}: stage {stored.index} ({stored.kind}) dropped all {counts['in']} records that were left ({reasons}),"
            f" so no set comes of it. The run's records are untouched, and the verdicts are in {stored.path}. Change the stage, or take it out"
        )

    # -- results -----------------------------------------------------------------------------------------------

    def finish(self, check_labels: bool) -> dict[str, Any]:
        """Write curated.jsonl and curation.json, unless they are there as they would be written."""
        earlier = self._earlier()
        accuracy = earlier.get("accuracy") if earlier is not None else None
        if check_labels:
            accuracy = check_against_oracle(self.inputs, self.given, self.items)
        counts = summarise(self.inputs.records, self.items, self.stored, self.ledger, self.inputs.task.labels)
        ended = self.inputs.folder.read_manifest() is not None
        summary = {
            "variegate": __version__,
            "created": _now(),
            "name": self.folder.name,
            "run": self.inputs.folder.path.resolve().name,
            **counts,
            "accuracy": accuracy,
            "seconds": round(sum(stage.facts["seconds"] for stage in self.stored), 3),
            "warnings": [
                *counts["warnings"],
                *([] if ended else ["the run had not ended when it was curated"]),
                *self._doubts(accuracy),
            ],
        }
        if earlier is None or _lasting(earlier) != _lasting(summary):
            summary = self.folder.write_results(curated_rows(self.inputs.records, self.items, self.history), summary)
        else:
            summary = earlier
        return {**summary, "reused": self.reused}

    def _doubts(self, accuracy: Mapping[str, Any] | None) -> list[str]:
        """Whether the oracle that was asked deserves the name."""
        asked = any(getattr(stage, "labels", None) == ORACLE for stage in self.config.stages)
        doubt = accuracy["doubt"] if accuracy is not None else self.inputs.doubt_oracle() if asked else None
        return [] if doubt is None else [doubt]

    def _earlier(self) -> dict[str, Any] | None:
        """The summary on disk, where it is of these very stages and its records are whole."""
        earlier = self.folder.find_summary()
        same = earlier is not None and [stage["key"] for stage in earlier["stages"]] == [stage.key for stage in self.stored]
        return earlier if same else None


def _lasting(summary: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in summary.items() if name not in _VOLATILE}

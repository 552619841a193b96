"""What curation says of a run's records, on disk: one folder a curation, in it a shelf of stages. See `store/__init__`.

Knows verdicts and files; knows nothing of how a verdict is made. Records, rounds and ledger are never written here.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from variegate.errors import StoreError, UsageError, nearest
from variegate.kinds import TaskKind
from variegate.kinds.text import Text
from variegate.records import Verdict
from variegate.store.files import sha256_of, write_atomic
from variegate.store.kind import kind_of_run, text_in
from variegate.store.run_folder import MEASURES, RunFolder
from variegate.store.sealed import is_sealed_text, seal, seal_text, unseal
from variegate.store.shelf import Entry, Made, Shelf

CURATIONS = "curations"
CURATED = "curated.jsonl"
SUMMARY = "curation.json"
CONFIG = "curation.yaml"
OBSERVATIONS = "observations"
HISTOGRAM_BINS = 20

# Every reason a verdict can give, and what a person should know of it.
CURATION_REASONS = {
    "relabelled": "a language model gave another label",
    "replaced": "given label and proxy together speak for another label",
    "inspected": "the label was looked at: by an oracle, in a file or by a person",
    "duplicate": "equal to an earlier text after Unicode, case and white-space folding",
    "near_duplicate": "too similar to an earlier text (see the stage's `near`)",
    "held_out": "stands in held-out data (a dev or test split), where it would leak",
    "low_margin": "the best label is not far enough ahead of the second (see the stage's `margin`)",
    "out_of_scope": "judged to be outside the task",
    "noisy": "far from its seed or of a frequent label: not among the share that denoising keeps",
    "label_issue": "confident learning doubts the label",
    "unjudged": "could not be judged (the prompt did not fit, the engine failed, no other record has the label): the label stands",
    "refused": "the model's answer names no label: the label stands",
}
# Reasons of a label that changed; a kept verdict with any other one leaves the label as it was.
CHANGING = frozenset({"relabelled", "replaced", "inspected"})
DROPPING = frozenset({"duplicate", "near_duplicate", "held_out", "low_margin", "out_of_scope", "noisy", "label_issue"})

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # as closed.Name
_STAGE = re.compile(r"(\d{3})-([^/]+)")  # name of a stage on the shelf
SUMMARY_SEAL = "summary_sha256"
_CURATED_HINT = "the file was damaged after it was written. Delete it and run `variegate curate` again, which writes it anew"


def check_name(name: str) -> str:
    """`name`, when it can be a curation's folder. Raises UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"curation name {name!r}: expected letters, digits, dots, dashes and underscores, a letter or digit first")
    return name


@dataclass(frozen=True, slots=True)
class StoredStage:
    """A stage on the shelf, whole when it was looked for."""

    index: int
    kind: str
    entry: Entry

    @property
    def key(self) -> str:
        return self.entry.key

    @property
    def path(self) -> Path:
        return self.entry.path

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of the stage beside its verdicts, with its key."""
        return {**self.entry.facts, "key": self.entry.key}

    def verdicts(self) -> list[Verdict]:
        """In the order of the stage's input. Raises StoreError."""
        return [Verdict.from_json(row) for row in self.entry.rows()]


class CurationFolder:
    """RUN/curations/NAME. on_damage: told of each damaged stage that is set aside."""

    def __init__(self, run: RunFolder, name: str, *, on_damage: Callable[[str], None] | None = None) -> None:
        self.run, self.name = run, check_name(name)
        self.path = run.path / CURATIONS / name
        self.shelf = Shelf(self.path) if on_damage is None else Shelf(self.path, on_damage=on_damage)

    # -- stages ------------------------------------------------------------------------------------------------

    def stages(self) -> list[StoredStage]:
        """Finished stages, in order; nothing is moved. Raises StoreError for the first that is damaged."""
        return [_stored(entry) for name in self._stage_names() if (entry := self.shelf.read(name)) is not None]

    def find_stage(self, index: int, kind: str, key: str) -> StoredStage | None:
        """The stage, where it is there, whole, and of this key. A damaged one is named and set aside."""
        entry = self.shelf.get(stage_name(index, kind), key)
        return None if entry is None else _stored(entry)

    def read_stage(self, index: int, kind: str, key: str) -> StoredStage | None:
        """The same for those who may move nothing: a damaged one is none."""
        try:
            entry = self.shelf.read(stage_name(index, kind))
        except StoreError:
            return None
        return _stored(entry) if entry is not None and entry.key == key else None

    def made_stage(self, index: int, kind: str, key: str, make: Callable[[], tuple[Sequence[Verdict], Mapping[str, Any]]]) -> StoredStage:
        """The stage as it is there or was set aside once; else as `make` makes it now: its verdicts, and its facts (without key)."""

        def made() -> Made:
            verdicts, facts = make()
            return (verdict.to_json() for verdict in verdicts), facts

        return _stored(self.shelf.made(stage_name(index, kind), key, made))

    def later_stages(self, first: int) -> list[str]:
        """Names of the stages from number `first` on."""
        return [name for name in self._stage_names() if int(name[:3]) >= first]

    def set_aside(self, first: int) -> Path | None:
        """Move the stages from number `first` on, and the files of what all led to, to set-aside/NNN; returns that folder."""
        return self.shelf.set_aside([*self.later_stages(first), SUMMARY, CURATED, MEASURES])

    def _stage_names(self) -> list[str]:
        return [name for name in self.shelf.names() if _STAGE.fullmatch(name)]

    # -- whole curation ----------------------------------------------------------------------------------------

    def write_config(self, text: str) -> None:
        write_atomic(self.path / CONFIG, seal_text(text))

    def config_is_whole(self) -> bool:
        """Whether curation.yaml is what `write_config` wrote."""
        path = self.path / CONFIG
        return path.is_file() and is_sealed_text(_read(path))

    def write_results(self, rows: Iterable[Mapping[str, Any]], summary: Mapping[str, Any]) -> dict[str, Any]:
        """curated.jsonl, then curation.json with its hash: with it the curation is there, whole. Returns the summary."""
        write_atomic(self.path / CURATED, (orjson.dumps(row) + b"\n" for row in rows))
        sealed = seal({**summary, "sha256": sha256_of(self.path / CURATED)}, SUMMARY_SEAL)
        write_atomic(self.path / SUMMARY, sealed)
        return unseal(sealed, SUMMARY_SEAL)

    def read_summary(self) -> dict[str, Any] | None:
        """curation.json; None while the curation is in progress. Raises StoreError when it is damaged."""
        path = self.path / SUMMARY
        if not path.is_file():
            return None
        try:
            return unseal(_read(path), SUMMARY_SEAL)
        except ValueError as error:
            raise StoreError(f"{path}: {error}: run `variegate curate` again, which writes it anew") from error

    def find_summary(self) -> dict[str, Any] | None:
        """curation.json, where it and curated.jsonl are whole. A damaged one is named and set aside."""
        try:
            summary = self.read_summary()
        except StoreError as error:
            self.shelf.set_damaged_aside(SUMMARY, error)
            return None
        path = self.path / CURATED
        if summary is not None and path.is_file() and sha256_of(path) != summary["sha256"]:
            self.shelf.set_damaged_aside(CURATED, StoreError(f"{path}: is not what {SUMMARY} states"))
        return summary if path.is_file() else None

    def rows(self) -> Iterator[dict[str, Any]]:
        """curated.jsonl: kept records with their final label, in record order. Raises StoreError when it is damaged."""
        path = self.path / CURATED
        strings = ("id", *kind_of_run(self.run).text_names, "label", "given_label")
        with _reading(path), path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    row = orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    raise StoreError(f"{path}:{number}: not valid JSON ({error}): {_CURATED_HINT}") from error
                if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in strings):
                    raise StoreError(f"{path}:{number}: expected a curated record: {_CURATED_HINT}")
                yield row


def curation_names(run: RunFolder) -> list[str]:
    """Of the run's finished curations."""
    return sorted(path.parent.name for path in (run.path / CURATIONS).glob(f"*/{SUMMARY}"))


def open_curation(run: RunFolder, name: str) -> CurationFolder:
    """A finished curation of the run as it is now. Raises UsageError, with the names there are where this is none of them, and
    where the run changed since; StoreError when it is damaged."""
    known = curation_names(run)
    again = f"variegate curate {run.path} --name {name}"
    if name not in known:
        here = f"Curations here: {', '.join(known)}." if known else "It has none:"
        if _NAME.fullmatch(name) and (run.path / CURATIONS / name / CONFIG).is_file():
            raise UsageError(f"{run.path}: curation {name!r} has not ended: run `{again}` to go on")
        raise UsageError(f"{run.path}: no curation {name!r}{nearest(name, known)} {here} `variegate curate {run.path} ...` makes one")
    curation = CurationFolder(run, name)
    summary = curation.read_summary() or {}
    path = curation.path / CURATED
    with _reading(path):
        if sha256_of(path) != summary["sha256"]:
            raise StoreError(f"{path}: is not what {SUMMARY} states: {_CURATED_HINT}")
    if not is_current(run, summary):
        raise UsageError(f"{run.path}: curation {name!r} is of an earlier state of the run, whose records changed since: run `{again}`")
    return curation


def is_current(run: RunFolder, summary: Mapping[str, Any]) -> bool:
    """Whether the curation began with the run's records as they are now."""
    stages = summary.get("stages") or [{}]
    stated = stages[0].get("input", {}).get("sha256") if isinstance(stages[0], dict) else None
    return stated == records_digest(run, kind_of_run(run))


# -- what a stage's verdicts come to ---------------------------------------------------------------------------


def count_verdicts(labels: Sequence[str], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Counts of a stage, its flips (old -> new, over the kept) and the histogram of confidences.

    labels: as the stage found them, in the verdicts' order. `in` = `kept` + all of `dropped`; the flips sum to `changed`.
    """
    kept = [verdict for verdict in verdicts if verdict.keep]
    dropped = Counter(verdict.reason for verdict in verdicts if not verdict.keep)
    flips: dict[str, Counter[str]] = {}
    for label, verdict in zip(labels, verdicts, strict=True):
        if verdict.keep and verdict.label != label:
            flips.setdefault(label, Counter())[verdict.label] += 1
    counts = {
        "in": len(verdicts),
        "kept": len(kept),
        "dropped": dict(sorted(dropped.items())),
        "changed": sum(each.total() for each in flips.values()),
        "unjudged": sum(verdict.reason == "unjudged" for verdict in verdicts),
        "named": dict(sorted(Counter(verdict.reason for verdict in kept if verdict.reason).items())),
    }
    confidences = [verdict.confidence for verdict in verdicts if verdict.confidence is not None]
    return {"counts": counts, "flips": sorted_flips(flips), "confidence_histogram": histogram(confidences) if confidences else None}


def sorted_flips(flips: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    return {old: dict(sorted(news.items())) for old, news in sorted(flips.items())}


def histogram(values: Iterable[float]) -> list[int]:
    """HISTOGRAM_BINS counts over [0, 1]; 1 falls into the last bin."""
    counts = [0] * HISTOGRAM_BINS
    for value in values:
        counts[min(int(value * HISTOGRAM_BINS), HISTOGRAM_BINS - 1)] += 1
    return counts


def input_digest(rows: Iterable[tuple[str, Text, str]]) -> str:
    """SHA-256 of what a stage is given: (id, text or texts, label) of each record, in order."""
    whole = hashlib.sha256()
    for row in rows:
        whole.update(orjson.dumps(row) + b"\n")
    return whole.hexdigest()


def records_digest(run: RunFolder, kind: TaskKind) -> str:
    """`input_digest` of a curation's first stage: of the run's records as they are now."""
    return input_digest((record.id, text_in(kind, record), record.label) for record in run.records())


# -- files -----------------------------------------------------------------------------------------------------


def stage_name(index: int, kind: str) -> str:
    return f"{index:03d}-{kind}"


def _stored(entry: Entry) -> StoredStage:
    index, _, kind = entry.name.partition("-")
    return StoredStage(int(index), kind, entry)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror or error}") from error


def _read(path: Path) -> bytes:
    with _reading(path):
        return path.read_bytes()

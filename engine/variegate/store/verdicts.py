"""What curation says of a run's records, on disk: one folder a curation, in it one folder a stage. See `store/__init__`.

Knows verdicts and files; knows nothing of how a verdict is made. Records, rounds and ledger are never written here.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from variegate.errors import StoreError, UsageError, nearest
from variegate.kinds import TaskKind
from variegate.kinds.text import Text
from variegate.records import Verdict
from variegate.store.files import explained, sha256_of, write_atomic
from variegate.store.kind import kind_of_run, text_in
from variegate.store.run_folder import MEASURES, RunFolder

CURATIONS = "curations"
CURATED = "curated.jsonl"
SUMMARY = "curation.json"
CONFIG = "curation.yaml"
VERDICTS = "verdicts.jsonl"
STAGE = "stage.json"
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
_HINT = "the file was damaged after it was written. Restore it, or delete its stage's folder and run `variegate curate` again"
_CURATED_HINT = "the file was damaged after it was written. Delete it and run `variegate curate` again, which writes it anew"


def check_name(name: str) -> str:
    """`name`, when it can be a curation's folder. Raises UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"curation name {name!r}: expected letters, digits, dots, dashes and underscores, a letter or digit first")
    return name


@dataclass(frozen=True, slots=True)
class StoredStage:
    index: int
    kind: str
    path: Path
    facts: Mapping[str, Any]  # stage.json

    @property
    def key(self) -> str:
        return str(self.facts.get("key"))

    def verdicts(self) -> list[Verdict]:
        """In the order of the stage's input. Raises StoreError where the file is not what stage.json states."""
        path = self.path / VERDICTS
        data = _read(path)
        if hashlib.sha256(data).hexdigest() != self.facts.get("sha256"):
            raise StoreError(f"{path}: is not what {STAGE} states: {_HINT}")
        try:
            return [Verdict.from_json(orjson.loads(line)) for line in data.splitlines()]
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise StoreError(f"{path}: holds a line that is no verdict ({error}): {_HINT}") from error


class CurationFolder:
    """RUN/curations/NAME."""

    def __init__(self, run: RunFolder, name: str) -> None:
        self.run, self.name = run, check_name(name)
        self.path = run.path / CURATIONS / name

    # -- stages ------------------------------------------------------------------------------------------------

    def stage_path(self, index: int, kind: str) -> Path:
        return self.path / f"{index:03d}-{kind}"

    def stage_folders(self) -> list[Path]:
        """Of stages that are done or in progress, in order."""
        return sorted(path for path in self.path.glob("[0-9][0-9][0-9]-*") if path.is_dir())

    def read_stage(self, path: Path) -> StoredStage | None:
        """The stage in `path`; None while it is in progress. Raises StoreError when stage.json is damaged."""
        file = path / STAGE
        if not file.is_file():
            return None
        try:
            facts = orjson.loads(_read(file))
        except orjson.JSONDecodeError as error:
            raise StoreError(f"{file}: not valid JSON ({error}): {_HINT}") from error
        wrong = _wrong_stage(facts)
        if wrong:
            raise StoreError(f"{file}: {wrong}: {_HINT}")
        return StoredStage(int(path.name[:3]), path.name[4:], path, facts)

    def stages(self) -> list[StoredStage]:
        """Finished stages, in order. Raises StoreError."""
        found = (self.read_stage(path) for path in self.stage_folders())
        return [stage for stage in found if stage is not None]

    def commit_stage(self, index: int, kind: str, verdicts: Sequence[Verdict], facts: Mapping[str, Any]) -> StoredStage:
        """`facts` become stage.json, with the hash of the verdicts added. It is written last: with it the stage is there, whole."""
        path = self.stage_path(index, kind)
        data = dump_verdicts(verdicts)
        facts = {**facts, "sha256": hashlib.sha256(data).hexdigest()}
        write_atomic(path / VERDICTS, data)
        write_atomic(path / STAGE, _dump(facts))
        return StoredStage(index, kind, path, facts)

    def write_observations(self, stage: Path, rows: Sequence[Mapping[str, Any]]) -> None:
        """One more file of what a stage in progress has seen, whole or not at all."""
        folder = stage / OBSERVATIONS
        number = max((int(path.stem) for path in folder.glob("[0-9]*.jsonl")), default=-1) + 1
        write_atomic(folder / f"{number:06d}.jsonl", (orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n" for row in rows))

    def read_observations(self, stage: Path) -> Iterator[dict[str, Any]]:
        """All rows, in the order they were written. Raises StoreError when a file is damaged."""
        for path in sorted((stage / OBSERVATIONS).glob("[0-9]*.jsonl")):
            for number, line in enumerate(_read(path).splitlines(), 1):
                try:
                    yield orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    raise StoreError(
                        f"{path}:{number}: not valid JSON ({error}): the file was damaged after it was written. Restore it, or delete it"
                        " and run `variegate curate` again"
                    ) from error

    def set_aside(self, paths: Iterable[Path]) -> Path | None:
        """Move stages, and the files of what they led to, to set-aside/NNN; returns that folder. Nothing is deleted."""
        moved = [path for path in [*paths, *(self.path / name for name in (SUMMARY, CURATED, MEASURES))] if path.exists()]
        if not moved:
            return None
        aside = self.path / "set-aside"
        target = aside / f"{max((int(each.name) for each in aside.glob('[0-9]*') if each.name.isdigit()), default=-1) + 1:03d}"
        with explained(target):
            target.mkdir(parents=True)
            for path in sorted(moved, reverse=True):  # the whole first, then later stages: what stays is gapless at any instant
                path.rename(target / path.name)
        return target

    def restore(self, path: Path, key: str) -> StoredStage | None:
        """Bring a stage of this key back to `path`, where nothing stands, from where it was set aside last; None if there is none."""
        for aside in sorted((self.path / "set-aside").glob(f"*/{path.name}"), reverse=True):
            stored = self.read_stage(aside)
            if stored is not None and stored.key == key:
                with explained(path):
                    aside.rename(path)
                return StoredStage(stored.index, stored.kind, path, stored.facts)
        return None

    def set_aside_stages(self, kind: str) -> list[Path]:
        """Folders of `kind` set aside earlier, the last first."""
        return sorted((self.path / "set-aside").glob(f"*/[0-9][0-9][0-9]-{kind}"), reverse=True)

    def clear_unfinished(self) -> None:
        """Remove what a killed process left of a file it was writing."""
        for path in self.path.rglob(".*.tmp"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    # -- whole curation ----------------------------------------------------------------------------------------

    def write_config(self, text: str) -> None:
        write_atomic(self.path / CONFIG, text.encode())

    def write_results(self, rows: Iterable[Mapping[str, Any]], summary: Mapping[str, Any]) -> dict[str, Any]:
        """curated.jsonl, then curation.json with its hash: with it the curation is there, whole. Returns the summary."""
        write_atomic(self.path / CURATED, (orjson.dumps(row) + b"\n" for row in rows))
        whole = {**summary, "sha256": sha256_of(self.path / CURATED)}
        write_atomic(self.path / SUMMARY, _dump(whole))
        return whole

    def read_summary(self) -> dict[str, Any] | None:
        """curation.json; None while the curation is in progress. Raises StoreError when it is damaged."""
        path = self.path / SUMMARY
        if not path.is_file():
            return None
        try:
            summary = orjson.loads(_read(path))
        except orjson.JSONDecodeError as error:
            raise StoreError(f"{path}: not valid JSON ({error}): run `variegate curate` again to write it anew") from error
        if not isinstance(summary, dict) or not isinstance(summary.get("stages"), list):
            raise StoreError(f"{path}: expected an object with `stages`: run `variegate curate` again to write it anew")
        return summary

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
        if sha256_of(path) != summary.get("sha256"):
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


def dump_verdicts(verdicts: Iterable[Verdict]) -> bytes:
    return b"".join(orjson.dumps(verdict.to_json(), option=orjson.OPT_SERIALIZE_NUMPY) + b"\n" for verdict in verdicts)


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


def _wrong_stage(facts: Any) -> str | None:
    """What is wrong with the content of stage.json, or None."""
    if not isinstance(facts, dict):
        return "expected a JSON object"
    for name, kind in (("key", str), ("sha256", str), ("counts", dict), ("input", dict), ("flips", dict)):
        if not isinstance(facts.get(name), kind):
            return f"field {name!r} is missing, or of another type"
    counts = facts["counts"]
    if not isinstance(counts.get("dropped"), dict) or not all(isinstance(counts.get(name), int) for name in ("in", "kept", "changed")):
        return "field 'counts' does not hold `in`, `kept`, `dropped` and `changed`"
    return None


def _dump(value: Mapping[str, Any]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror or error}") from error


def _read(path: Path) -> bytes:
    with _reading(path):
        return path.read_bytes()

"""Is a run folder what it says it is? Hashes, ledger sums, keys, labels, the result files against the rounds, curations, students.

Reads only. Streams: what grows with the run is one set of keys. Knows nothing of how results are printed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import orjson

from variegate.errors import StoreError, nearest
from variegate.store.checks import Check, Problems
from variegate.store.entry import read_entry, read_statement
from variegate.store.files import sha256_of
from variegate.store.hashes import damage_in
from variegate.store.ledger import Ledger, in_words
from variegate.store.run_folder import GIVENS, GOLD, PARTS, RECORDS, RESULTS, ROUNDS, SEEDS, STAGES, WORKS, RunFolder
from variegate.store.settings import labels_of, part, read_settings
from variegate.store.verify_curations import verify_curations


@dataclass(frozen=True, slots=True)
class Verification:
    finished: bool  # the run has ended: its manifest is there
    shortfall: dict[str, int]  # label -> records that are missing
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return all(check.status != "FAILED" for check in self.checks)


@dataclass(slots=True)
class _Seen:
    """Everything one pass over the rounds finds out."""

    keys: set[str] = field(default_factory=set)
    ledger: Ledger = field(default_factory=Ledger)
    rounds: Problems = field(default_factory=Problems)
    unreadable: Problems = field(default_factory=Problems)
    hashes: Problems = field(default_factory=Problems)
    sums: Problems = field(default_factory=Problems)
    doubles: Problems = field(default_factory=Problems)
    labels: Problems = field(default_factory=Problems)
    with_seeds: int = 0  # rows whose prompts held real examples


def verify(folder: RunFolder) -> Verification:
    """Check all that can be checked; a damaged part is a failed check, never an exception."""
    checks: list[Check] = []
    manifest = _attempt(folder.read_manifest, "manifest.json readable", checks)
    if manifest is not None and not isinstance(manifest, dict):
        checks[-1] = Check("manifest.json readable", "FAILED", "expected a JSON object")
        manifest = None
    known = _attempt(lambda: labels_of(read_settings(folder)), "run.yaml readable", checks)
    seen = _Seen()
    for problem in (*folder.shelf.check(ROUNDS), *_no_rounds(folder)):
        seen.rounds.add(problem)
    names = folder.shelf.names(ROUNDS)
    stated = part(manifest or {}, "rounds")
    if isinstance(stated, dict):
        for name in sorted(set(names) ^ set(stated)):
            seen.rounds.add(f"{folder.path / name} is {'not in the manifest' if name in names else 'missing'}")
    for name in names:
        _read_round(folder, name, manifest, known, seen)
    checks += [
        seen.rounds.check("rounds whole", f"{len(names)} rounds, none missing, each what its entry.json states"),
        seen.unreadable.check("rows readable", f"{len(seen.keys)} rows"),
        seen.hashes.check("round hashes", "as in the manifest" if manifest else "the run has not ended"),
        seen.sums.check("ledger of each round", "as its rows say"),
        seen.doubles.check("keys unique", f"{len(seen.keys)} keys"),
        seen.labels.check("labels known to the task", f"{len(seen.ledger.counts)} labels used"),
        _whole_ledger(seen.ledger, manifest),
        _inputs(folder, manifest, seen.with_seeds),
    ]
    if folder.shelf.names(PARTS):
        parts = Problems()
        for problem in folder.shelf.check(PARTS):
            parts.add(problem)
        checks.append(parts.check("shards of a round in progress", "each what its entry.json states"))
    damaged = bool(seen.rounds.count or seen.unreadable.count)
    for name in RESULTS:
        checks.append(_result_file(folder, name, manifest, damaged=damaged))
    checks += verify_curations(folder, known)
    checks += [verify_training(path) for path in sorted((folder.path / "students").glob("[!.]*/"))]
    if (folder.path / STAGES).is_dir():
        checks.append(_stages(folder))
    shortfall = part(manifest or {}, "shortfall") or {}
    return Verification(finished=manifest is not None, shortfall=dict(shortfall), checks=tuple(checks))


def verify_training(folder: Path) -> Check:
    """Of a training of students: every file by its hash."""
    problems = Problems()
    for problem in damage_in(folder):
        problems.add(problem)
    return problems.check(f"student {folder.name}", "each file is what hashes.json states")


def _no_rounds(folder: RunFolder) -> Iterator[str]:
    """What stands among the rounds and holds none; records without any round."""
    for path in sorted((folder.path / ROUNDS).glob("[!.]*/")):
        if not any(path.iterdir()):
            yield f"{path}: is empty"
    if (folder.path / RECORDS).is_file() and not folder.shelf.names(ROUNDS):
        yield f"{folder.path / ROUNDS}: holds no round, and {RECORDS} is there"


def _inputs(folder: RunFolder, manifest: dict[str, Any] | None, with_seeds: int) -> Check:
    """Seeds, given texts, what works are judged by, works and about.json: whole, and those that the run was made with."""
    problems = Problems()
    for prefix in (SEEDS, GIVENS, GOLD, WORKS):
        for problem in folder.shelf.check(prefix):
            problems.add(problem)
    if with_seeds and not folder.shelf.names(SEEDS):
        problems.add(f"{folder.path / SEEDS}: is missing, and {with_seeds} rows were made with real examples in their prompts")
    stated = part(manifest or {}, "inputs") or {}
    try:
        there = folder.input_hashes()
    except StoreError:
        return problems.check("inputs whole")  # told already
    for name in sorted({*stated, *there} if stated else ()):
        if stated.get(name) != there.get(name):
            what = "is missing" if name not in there else "was changed after the run ended" if name in stated else "is not in the manifest"
            problems.add(f"{folder.path / name}: {what}")
    return problems.check("inputs whole", ", ".join(there) if stated else "as far as they can be known")


def _stages(folder: RunFolder) -> Check:
    """What `variegate run` keeps of the later stages."""
    problems = Problems()
    for problem in folder.shelf.check(STAGES):
        problems.add(problem)
    return problems.check("measured and judged parts", "each is what its entry.json states")


def _attempt(read: Callable[[], Any], name: str, checks: list[Check]) -> Any:
    try:
        value = read()
    except (StoreError, OSError) as error:
        checks.append(Check(name, "FAILED", str(error)))
        return None
    checks.append(Check(name, "ok") if value is not None else Check(name, "skipped", "there is none yet: the run has not ended"))
    return value


def _read_round(folder: RunFolder, name: str, manifest: dict[str, Any] | None, known: list[str] | None, seen: _Seen) -> None:
    path = folder.path / name
    try:
        statement = read_statement(path, name)
        rows = read_entry(path, statement).rows()
    except (StoreError, orjson.JSONDecodeError):
        return  # told with the rounds
    stated = part(manifest or {}, "rounds", name)
    if stated is not None and stated != statement["sha256"]:
        seen.hashes.add(f"{name}: its rows are not those of the manifest ({statement['sha256'][:12]}… instead of {str(stated)[:12]}…)")
    ledger = Ledger()
    for number, row in enumerate(rows, 1):
        where = f"{name} row {number}"
        wrong = _wrong_field(row)
        if wrong is not None:
            seen.unreadable.add(f"{where}: field {wrong!r} is missing, or of another type")
            continue
        ledger.add(row)
        seen.ledger.add(row)
        seen.with_seeds += any(str(parent).startswith("seed:") for parent in row["origin"].get("parents") or ())
        if row["key"] in seen.keys:
            seen.doubles.add(f"{where}: key {row['key']} stands twice")
        seen.keys.add(row["key"])
        for label in row["target"]["labels"]:
            if known is not None and label not in known:
                seen.labels.add(f"{where}: label {label!r} is not in run.yaml{nearest(str(label), known)}")
    facts = ledger.to_json()
    for field_name in ("requested", "kept", "dropped"):
        if statement["facts"].get(field_name) != facts[field_name]:
            seen.sums.add(f"{name}: {field_name} is {statement['facts'].get(field_name)} in entry.json but {facts[field_name]} by its rows")


_FIELDS = {
    "key": str,
    "name": str,
    "target": dict,
    "note": bool,
    "facts": dict,
    "raw": str,
    "origin": dict,
    "items": list,
    "token_ids": list,
}


def _wrong_field(row: Any) -> str | None:
    """The first field of a row that is not what `Row.to_json` writes."""
    if not isinstance(row, dict):
        return "key"
    for name, kind in _FIELDS.items():
        if not isinstance(row.get(name), kind):
            return name
    if not isinstance(row.get("error"), dict | None):
        return "error"
    if not isinstance(row["target"].get("labels"), list):
        return "target"
    good = all(
        isinstance(item, dict) and isinstance(item.get("outcome"), str) and isinstance(item.get("fields"), dict) for item in row["items"]
    )
    return None if good else "items"


def _whole_ledger(ledger: Ledger, manifest: dict[str, Any] | None) -> Check:
    name = "ledger of the run"
    rows = ledger.to_json()
    total = in_words(rows)
    if manifest is None:
        return Check(name, "skipped", f"{total}; the run has not ended, so no manifest states it")
    stated = manifest.get("ledger")
    if not isinstance(stated, dict):
        return Check(name, "FAILED", "the manifest holds no ledger")
    problems = Problems()
    for field_name in rows:
        if stated.get(field_name) != rows[field_name]:
            shown = f" ({stated.get(field_name)} instead of {rows[field_name]})" if field_name != "labels" else ""
            problems.add(f"the manifest's {field_name} differ from the rows'{shown}")
    return problems.check(name, total)


def _result_file(folder: RunFolder, name: str, manifest: dict[str, Any] | None, *, damaged: bool) -> Check:
    title = f"{name} equals the rounds"
    path = folder.path / name
    if manifest is None:
        return Check(title, "skipped", "the run has not ended")
    if not path.is_file():
        return Check(title, "FAILED", f"{path} is missing")
    stated = part(manifest, "files", name)
    if stated is not None and stated != sha256_of(path):
        return Check(title, "FAILED", "its hash is not the one in the manifest: it was changed after the run ended")
    if damaged:
        return Check(title, "skipped", "the rounds are not readable")
    try:
        num_lines = _compare(path, folder, name)
    except StoreError as error:
        return Check(title, "FAILED", str(error))
    return Check(title, "ok", f"{num_lines} lines" + ("" if stated else "; the manifest states no hash"))


def _compare(path: Path, folder: RunFolder, name: str) -> int:
    """The number of lines when `path` is what the rounds give. Raises StoreError at the first line that is not."""
    expected = (line for file, line in folder.result_lines() if file == name)
    number = 0
    with path.open("rb") as file:
        for number, (found, wanted) in enumerate(zip_longest(file, expected), 1):
            if found is None or wanted is None:
                raise StoreError(f"it has {'fewer' if wanted else 'more'} lines than the rounds give")
            if found != wanted:
                raise StoreError(f"line {number} is not what the rounds give")
    return number

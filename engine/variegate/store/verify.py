"""Is a run folder what it says it is? Hashes, ledger sums, keys, labels, the result files against the rounds, curations.

Reads only. Streams: what grows with the run is one set of keys. Knows nothing of how results are printed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import orjson

from variegate.errors import StoreError, nearest
from variegate.store.checks import Check, Problems
from variegate.store.files import sha256_of
from variegate.store.ledger import REASONS, Ledger
from variegate.store.rows import KEPT
from variegate.store.run_folder import COMPLETIONS, RunFolder
from variegate.store.settings import labels_of, part, read_settings
from variegate.store.verify_curations import verify_curations

RESULT_FILES = ("records.jsonl", "dropped.jsonl")


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
    unreadable: Problems = field(default_factory=Problems)
    hashes: Problems = field(default_factory=Problems)
    sums: Problems = field(default_factory=Problems)
    doubles: Problems = field(default_factory=Problems)
    labels: Problems = field(default_factory=Problems)
    outcomes: Problems = field(default_factory=Problems)


def verify(folder: RunFolder) -> Verification:
    """Check all that can be checked; a damaged part is a failed check, never an exception."""
    checks: list[Check] = []
    manifest = _attempt(folder.read_manifest, "manifest.json readable", checks)
    if manifest is not None and not isinstance(manifest, dict):
        checks[-1] = Check("manifest.json readable", "FAILED", "expected a JSON object")
        manifest = None
    known = _attempt(lambda: labels_of(read_settings(folder)), "run.yaml readable", checks)
    rounds = sorted(path for path in folder.rounds_path.glob("[0-9]*") if path.is_dir())
    checks.append(_every_round(folder, rounds, manifest))

    seen = _Seen()
    for path in rounds:
        _read_round(folder, path, manifest, known, seen)
    num_rows = seen.ledger.totals().total()
    checks += [
        seen.unreadable.check("rows readable", f"{num_rows} rows in {len(rounds)} rounds"),
        seen.hashes.check("round hashes", f"{len(rounds)} files"),
        seen.sums.check("ledger of each round", "requested = kept + dropped = rows"),
        seen.outcomes.check("outcomes", "each is `kept` or a reason of the ledger"),
        seen.doubles.check("keys unique", f"{len(seen.keys)} keys"),
        seen.labels.check("labels known to the task", f"{len(seen.ledger.counts)} labels used"),
        _whole_ledger(seen.ledger, manifest),
    ]
    for name in RESULT_FILES:
        checks.append(_result_file(folder, name, manifest, damaged=bool(seen.unreadable.count)))
    checks += verify_curations(folder, known)
    shortfall = part(manifest or {}, "shortfall") or {}
    return Verification(finished=manifest is not None, shortfall=dict(shortfall), checks=tuple(checks))


def _attempt(read: Callable[[], Any], name: str, checks: list[Check]) -> Any:
    try:
        value = read()
    except (StoreError, OSError) as error:
        checks.append(Check(name, "FAILED", str(error)))
        return None
    checks.append(Check(name, "ok") if value is not None else Check(name, "skipped", "there is none yet: the run has not ended"))
    return value


def _every_round(folder: RunFolder, rounds: list[Path], manifest: dict[str, Any] | None) -> Check:
    problems = Problems()
    names = {path.name for path in rounds}
    highest = max((int(name) for name in names if name.isdigit()), default=-1)
    expected = {f"{index:06d}" for index in range(highest + 1)} | set(part(manifest or {}, "rounds") or {})
    for name in sorted(expected - names):
        problems.add(f"{folder.rounds_path / name} is missing")
    for name in sorted(names - expected):
        problems.add(f"{folder.rounds_path / name} is no round's name")
    if manifest and isinstance(manifest.get("rounds"), dict):
        for name in sorted(names - set(manifest["rounds"])):
            problems.add(f"round {name} is not in the manifest")
    return problems.check("every round present", f"{len(rounds)} rounds")


def _read_round(folder: RunFolder, path: Path, manifest: dict[str, Any] | None, known: list[str] | None, seen: _Seen) -> None:
    name = path.name
    try:
        facts = orjson.loads((path / "round.json").read_bytes())
        digest = sha256_of(path / COMPLETIONS)
        rows = folder.read_round(path)
    except (StoreError, OSError, orjson.JSONDecodeError) as error:
        seen.unreadable.add(f"{path}: {error}")
        return
    if not isinstance(facts, dict):
        seen.unreadable.add(f"{path}/round.json: expected a JSON object")
        return
    for where, stated in (("round.json", facts.get("sha256")), ("the manifest", part(manifest or {}, "rounds", name))):
        if stated is not None and stated != digest:
            seen.hashes.add(f"round {name}: {COMPLETIONS} is not what {where} states ({digest[:12]}… instead of {str(stated)[:12]}…)")
    if facts.get("sha256") is None:
        seen.hashes.add(f"round {name}: round.json states no sha256")

    outcomes: Counter[str] = Counter()
    for number, row in enumerate(rows, 1):
        where = f"round {name} row {number}"
        wrong = [
            name for name in ("key", "label", "outcome", "text", "raw") if not isinstance(row, dict) or not isinstance(row.get(name), str)
        ]
        if wrong or not isinstance(row.get("origin"), dict):
            seen.unreadable.add(f"{where}: field {(wrong or ['origin'])[0]!r} is missing, or of another type")
            continue
        key, label, outcome = row["key"], row["label"], row["outcome"]
        outcomes[outcome] += 1
        seen.ledger.add(label, outcome)
        if key in seen.keys:
            seen.doubles.add(f"{where}: key {key} stands twice")
        seen.keys.add(key)
        if known is not None and label not in known:
            seen.labels.add(f"{where}: label {label!r} is not in run.yaml{nearest(str(label), known)}")
        if outcome != KEPT and outcome not in REASONS:
            seen.outcomes.add(f"{where}: outcome {outcome!r} is not known{nearest(str(outcome), REASONS)}")
    _check_sums(name, facts, outcomes, seen.sums)


def _check_sums(name: str, facts: dict[str, Any], outcomes: Counter[str], problems: Problems) -> None:
    dropped = {reason: count for reason, count in outcomes.items() if reason != KEPT}
    requested, kept, stated = facts.get("requested"), facts.get("kept"), {r: n for r, n in (facts.get("dropped") or {}).items() if n}
    if requested != outcomes.total():
        problems.add(f"round {name}: {requested} requested but {outcomes.total()} rows")
    if kept != outcomes[KEPT]:
        problems.add(f"round {name}: {kept} kept in round.json but {outcomes[KEPT]} in the rows")
    if stated != dropped:
        problems.add(f"round {name}: dropped {stated} in round.json but {dropped} in the rows")


def _whole_ledger(ledger: Ledger, manifest: dict[str, Any] | None) -> Check:
    name = "ledger of the run"
    rows = ledger.to_json()
    total = f"{rows['requested']} requested = {rows['kept']} kept + {sum(rows['dropped'].values())} dropped"
    if manifest is None:
        return Check(name, "skipped", f"{total}; the run has not ended, so no manifest states it")
    stated = manifest.get("ledger")
    if not isinstance(stated, dict):
        return Check(name, "FAILED", "the manifest holds no ledger")
    problems = Problems()
    if stated.get("requested") != (stated.get("kept") or 0) + sum((stated.get("dropped") or {}).values()):
        problems.add("the manifest's requested is not kept + dropped")
    for field_name in ("requested", "kept", "dropped", "labels"):
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
    expected = folder.record_lines() if name == "records.jsonl" else folder.dropped_lines()
    number = 0
    with path.open("rb") as file:
        for number, (found, wanted) in enumerate(zip_longest(file, expected), 1):
            if found is None or wanted is None:
                raise StoreError(f"it has {'fewer' if wanted else 'more'} lines than the rounds give")
            if found != wanted:
                raise StoreError(f"line {number} is not what the rounds give")
    return number

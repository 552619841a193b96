"""One run's folder: locking, committing rounds, reading them back, and the files written when a run ends.

    run.yaml, format.json         what the folder is a run of
    seeds/, givens/, gold/, works/NAME/, rounds/000000/, ...   entries of the shelf; parts/ holds the shards of a round in progress
    records.jsonl, dropped.jsonl, manifest.json, report.html

Knows files and rows; knows nothing of how a round is made.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson

from variegate.errors import StoreError, UsageError
from variegate.records import Record
from variegate.seeding import digest
from variegate.store.entry import DamagedEntryError, Entry, read_entry, read_statement
from variegate.store.files import check_file, check_inside, explained, make_folder, new_file, open_appending, sha256_of, write_atomic
from variegate.store.formats import check_format
from variegate.store.row_lookup import RowLookup
from variegate.store.rows import KEPT, NOTE, Row, StoredItem, dump_lines, parse_line, stored_items
from variegate.store.shelf import Shelf, warn

ROUNDS, PARTS, SEEDS, GIVENS, GOLD, WORKS = "rounds", "parts", "seeds", "givens", "gold", "works"
STAGES = "stages"  # what `variegate run` measured and judged, on the shelf
STAGES_FILE = "stages.yaml"  # beside run.yaml: what becomes of the records
RESULTS = RECORDS, DROPPED = "records.jsonl", "dropped.jsonl"
MEASURES = "measures.json"
ABOUT = "about.json"  # what the run's strategy says of itself, written when the run begins: words and citation
FILES = ("run.yaml", ABOUT, *RESULTS, "manifest.json", MEASURES, "report.html")  # that a run writes
# What may stand in a run's folder, and what shows that the folder is a run's (or a study's, which is held by the same lock).
OWN = (
    *(
        "run.yaml",
        *RESULTS,
        "manifest.json",
        MEASURES,
        "report.html",
        "lock",
        ROUNDS,
        PARTS,
        SEEDS,
        GIVENS,
        GOLD,
        WORKS,
        "set-aside",
    ),
    *("format.json", ABOUT, "inspected.jsonl", "curations", "students", STAGES, STAGES_FILE),
)
_MARKS = ("format.json", "lock", "rounds", "manifest.json", "study.json")


def is_ours(folder: Path) -> bool:
    """Whether Variegate has worked in it: one with a run.yaml that a person wrote is none."""
    return any((folder / mark).exists() for mark in _MARKS)


def round_name(number: int) -> str:
    return f"{ROUNDS}/{number:06d}"


def round_key(keys: Iterable[str]) -> str:
    """What a round is found by: its requests' keys, in order."""
    return digest(list(keys), length=32)


class RunFolder:
    """on_damage: told of each damaged round that is set aside."""

    def __init__(self, path: Path, *, on_damage: Callable[[str], None] | None = None) -> None:
        self.path = path
        self.shelf = Shelf(path, on_damage=on_damage or warn)

    @classmethod
    def existing(cls, path: Path) -> RunFolder:
        """Raises UsageError when there is no run at `path`, or one of another format."""
        if not (path / "run.yaml").is_file():
            raise UsageError(f"{path}: not a run folder (it holds no run.yaml): give the folder that `variegate generate` wrote")
        check_format(path, ("run.yaml",))
        return cls(path)

    @contextmanager
    def lock(self, *, own: Iterable[str] = OWN) -> Iterator[None]:
        """Hold the folder for this process. own: the names of what is written into it.

        Raises StoreError when another process holds it; UsageError as `check_place`.
        """
        make_folder(self.path)
        self.check_place(own)
        path = self.path / "lock"
        with explained(path):
            file = open_appending(path)
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().decode("ascii", "replace").strip()
                raise StoreError(
                    f"{self.path}: process {holder or '(unknown)'} is working in this folder: wait for it, stop it, or choose"
                    " another folder with -o"
                ) from None
            with explained(path):
                file.seek(0)
                file.truncate()
                file.write(str(os.getpid()).encode())
            yield  # the lock goes with the file, also when the process is killed

    def check_place(self, own: Iterable[str] = OWN) -> None:
        """Refuse a folder of other people's files, and one where a link leads out of it. Raises UsageError."""
        names = sorted(each.name for each in self.path.iterdir() if not each.name.startswith(".")) if self.path.is_dir() else []
        if names and not is_ours(self.path):
            ours = [name for name in own if name in names]
            why = "it would be written over" if ours else "a run's files would lie among others"
            raise UsageError(
                f"{self.path}: holds {(ours or names)[0]}, and is no folder that Variegate made: {why}. Choose another folder, a new one or"
                " an empty one, with `output:` or -o"
            )
        for path in (*(self.path / name for name in own if os.path.lexists(self.path / name)), *(self.path / "curations").glob("*")):
            check_inside(self.path, path)

    # -- rounds ------------------------------------------------------------------------------------------------

    def rounds(self) -> list[str]:
        """Names of the committed rounds in order. Raises StoreError when one in between is missing."""
        names = self.shelf.names(ROUNDS)
        for number, name in enumerate(names):
            if name != round_name(number):
                raise StoreError(
                    f"{self.path / ROUNDS}: round {number:06d} is missing but {name} is there: run the same command again to make it anew"
                )
        return names

    def entries(self) -> Iterator[Entry]:
        """The committed rounds, each checked by its hashes; nothing is moved. Raises StoreError for the first that is damaged."""
        for name in self.rounds():
            path = self.path / name
            try:
                yield read_entry(path, read_statement(path, name))
            except DamagedEntryError as error:
                raise StoreError(f"{error}: it was damaged after it was written. `variegate generate {self.path}` makes it anew") from error

    def round_stands(self, number: int, key: str) -> bool:
        """Whether the round of these requests is there; its rows are not looked at, and nothing is moved."""
        name = round_name(number)
        try:
            return read_statement(self.path / name, name)["key"] == key
        except StoreError:
            return False

    def commit_round(self, number: int, rows: list[Row], facts: Mapping[str, Any]) -> None:
        """Raises StoreError; the round is then not there."""
        self.retire_manifest()
        key = round_key(row.request.key for row in rows)
        self.shelf.put(round_name(number), key, (row.to_json() for row in rows), facts)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Every row of every round, as `Row.to_json` gave it."""
        for entry in self.entries():
            yield from entry.rows()

    def items(self) -> Iterator[StoredItem]:
        """Everything that came of the requests, faults among it."""
        return (item for row in self.rows() for item in stored_items(row))

    def records(self) -> Iterator[Record]:
        """Kept records in order, also of a run that has not ended."""
        return (item.to_record() for item in self.items() if item.outcome == KEPT)

    def round_facts(self) -> list[dict[str, Any]]:
        return [{**entry.facts} for entry in self.entries()]

    def round_hashes(self) -> dict[str, str]:
        """Name -> SHA-256 of the round's rows."""
        return {name: read_statement(self.path / name, name)["sha256"] for name in self.rounds()}

    def input_hashes(self) -> dict[str, str]:
        """Name -> SHA-256 of what else the run's texts, or what is said of them, come from: seeds, given texts, works, about.json."""
        names = [name for prefix in (SEEDS, GIVENS, GOLD, WORKS) for name in self.shelf.names(prefix)]
        stated = {name: read_statement(self.path / name, name)["sha256"] for name in names}
        return stated | ({ABOUT: sha256_of(self.path / ABOUT)} if (self.path / ABOUT).is_file() else {})

    def answers(self) -> RowLookup:
        """Rows with an answer, by key, of all rounds and parts that may be used again; what an engine failed at is not among them."""
        return self.shelf.rows_by_key([ROUNDS, PARTS], keep=lambda row: row["error"] is None)

    def ids_aside(self) -> set[str]:
        """Of the records in rounds that were set aside."""
        found: set[str] = set()

        def keep(row: Mapping[str, Any]) -> bool:
            found.update(item["id"] for item in row["items"] if item["outcome"] == KEPT)
            return False

        self.shelf.rows_by_key([ROUNDS], keep=keep)
        return found - {record.id for record in self.records()}

    def set_strays_aside(self) -> None:
        """Name and set aside what stands among the rounds and is none (a file manager's copy), and folders where files belong; name
        rounds that are missing."""
        for name in FILES:
            path = self.path / name
            if path.is_dir() and not path.is_symlink():
                self.shelf.set_damaged_aside(name, StoreError(f"{path}: is a folder, and a file is expected there"))
        names = self.shelf.names(ROUNDS)
        numbers = {name: int(last) for name in names if (last := name.rpartition("/")[2]).isdecimal()}
        for name in names:
            if name not in numbers or name != round_name(numbers[name]):
                self.shelf.set_damaged_aside(name, StoreError(f"{self.path / name}: is no round's name"))
        missing = sorted(set(range(max(numbers.values(), default=-1) + 1)) - set(numbers.values()))
        if missing:
            self.shelf.tell(f"{self.path / round_name(missing[0])}: is missing, and later rounds are there: it is made again")

    def set_rounds_aside(self, first: int, *, reuse: bool = True) -> None:
        """Set the rounds from number `first` on aside. reuse: False where their rows, and those of parts, may not be used again."""
        names = [name for name in self.shelf.names(ROUNDS) if int(name.rpartition("/")[2]) >= first]
        names += () if reuse else self.shelf.names(PARTS)
        if names:
            self.retire_manifest()
            self.shelf.set_aside(names, reuse=reuse)

    # -- works -------------------------------------------------------------------------------------------------

    def works(self) -> list[Entry]:
        """What is done of them, by name; nothing is moved. Raises StoreError for the first that is damaged."""
        return [entry for name in self.shelf.names(WORKS) if (entry := self.shelf.read(name)) is not None]

    def set_works_aside(self, but: Iterable[str] = (), *, reuse: bool = True) -> None:
        """Set the works aside that are not named in `but`: they are no part of this run."""
        own = {f"{WORKS}/{name}" for name in but}
        names = [name for name in self.shelf.names(WORKS) if name not in own]
        if names:
            self.retire_manifest()
            self.shelf.set_aside(names, reuse=reuse)

    # -- whole-run files ---------------------------------------------------------------------------------------

    def write_config(self, text: str) -> None:
        write_atomic(self.path / "run.yaml", text.encode())

    def result_lines(self) -> Iterator[tuple[str, bytes]]:
        """What records.jsonl and dropped.jsonl hold, from the rounds: (the file's name, a line)."""
        for item in self.items():
            if item.outcome == KEPT:
                yield RECORDS, dump_lines([item.to_record().to_json()])
            elif item.outcome != NOTE:
                yield DROPPED, dump_lines([item.dropped()])

    def write_results(self) -> dict[str, str]:
        """Write records.jsonl and dropped.jsonl from the rounds; returns file name -> sha256."""
        hashes = {name: hashlib.sha256() for name in RESULTS}
        with ExitStack() as stack:
            files = {name: stack.enter_context(new_file(self.path / name)) for name in hashes}
            for name, line in self.result_lines():
                files[name].write(line)
                hashes[name].update(line)
        return {name: each.hexdigest() for name, each in hashes.items()}

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        write_atomic(self.path / "manifest.json", orjson.dumps(manifest, option=orjson.OPT_INDENT_2))

    def retire_manifest(self) -> None:
        """Rename the manifest and the measurement of a run that goes on: they describe rounds that are about to change."""
        for name in ("manifest.json", MEASURES):
            path = self.path / name
            if path.is_file():
                with explained(path):
                    previous = path.with_suffix(".previous.json")
                    check_file(previous)
                    path.rename(previous)

    def read_manifest(self, *, previous: bool = False) -> dict[str, Any] | None:
        """None while the run has not ended. previous: the one that was retired last, where there is none."""
        for name in ("manifest.json", *(["manifest.previous.json"] if previous else [])):
            path = self.path / name
            if path.is_file():
                return parse_line(path.read_bytes(), str(path))
        return None

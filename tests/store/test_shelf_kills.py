"""The shelf under kill -9: a process dies at each of its file operations, and while rows are written; another one goes on.

What a kill leaves is whole and has no gap, nothing of what stood there is lost, and in the end the bytes are those of a shelf that was
never disturbed. The work runs in a forked child; a hook of the interpreter counts each opening, renaming, making and deleting below a
folder, and at the chosen one sends SIGKILL, before the operation is done: nothing of Python is left to run then.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from variegate.store.shelf import Shelf

_OPERATIONS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink", "shutil.rmtree"}


def kill_at(folder: Path, number: int, work: Callable[[], Any]) -> bool:
    """Run `work` in a child that is killed before file operation `number` (from 0) below `folder`. False: it ended before that.

    Raises AssertionError where the child failed by itself.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _arm(str(folder), number)
            work()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, f"the work failed by itself (its operation {number} was to be the last)"
    return False


def kill_everywhere(folder: Path, work: Callable[[], Any], after: Callable[[int], None], *, most: int = 1000) -> int:
    """Kill `work` at its operation 0, then 1, ... until it ends by itself; `after(number)` looks at what each kill left, and makes
    the folder ready for the next. Returns how often it was killed."""
    for number in range(most):
        if not kill_at(folder, number, work):
            return number
        after(number)
    raise AssertionError(f"the work has more than {most} file operations: it may never end")


def _arm(folder: str, number: int) -> None:
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in _OPERATIONS and any(isinstance(each, str | os.PathLike) and os.fspath(each).startswith(folder) for each in arguments):
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1

    sys.addaudithook(hook)


def rows_of(number: int, version: str) -> list[dict[str, Any]]:
    return [{"key": f"{version}{number}-{place}", "text": f"text {place} of {number} ☃"} for place in range(3)]


def replay(folder: Path, version: str, count: int = 3) -> None:
    """What a pipeline does: each round is found, brought back, or made; later ones go aside first; answers are spooled as they come.

    Round 0 is the same in all versions.
    """
    shelf = Shelf(folder, on_damage=fail)
    shelf.clear_unfinished()
    for number in range(count):
        own = version if number else "shared"
        name, key, wanted = f"rounds/{number:06d}", f"{own}{number}", rows_of(number, own)
        if shelf.get(name, key) is None:
            shelf.set_aside([each for each in shelf.names("rounds") if each >= name])
            found = shelf.rows_by_key(["parts", "rounds"], keep=bool).take(row["key"] for row in wanted)
            part = f"parts/of-{number}"
            if not found:
                shelf.put(part, "part", wanted[:2])
            shelf.made(name, key, lambda wanted=wanted, own=own: (iter(wanted), {"version": own}))
            shelf.drop([part])
    shelf.set_aside(shelf.names("rounds")[count:])


def fail(message: str) -> None:
    raise AssertionError(message)


def files(folder: Path, below: str = "") -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in (folder / below).rglob("*") if path.is_file()}


def hashes_of_entries(folder: Path) -> set[bytes]:
    """Of the rows of every entry, set-aside ones too; spooled parts may go."""
    return {hashlib.sha256(data).digest() for path, data in files(folder).items() if path.endswith("rows.jsonl") and "parts" not in path}


def whole(folder: Path) -> bool:
    return not list(Shelf(folder, on_damage=fail).check("rounds"))


@pytest.fixture(autouse=True)
def no_syncing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed process has written stays in the system's memory: syncing, tested in `test_shelf`, only takes time here."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.mark.slow
@pytest.mark.parametrize(
    "history", [[("a", 3)], [("a", 3), ("b", 3)], [("a", 3), ("b", 3), ("a", 2)]], ids=["made", "changed", "changed back and cut short"]
)
def test_killed_at_every_file_operation(tmp_path: Path, history: list[tuple[str, int]]) -> None:
    start, work, clean = tmp_path / "start", tmp_path / "work", tmp_path / "clean"
    start.mkdir()
    *before, (version, count) = history
    for earlier, number in before:
        replay(start, earlier, number)
    replay(clean, version, count)

    def again() -> None:
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(start, work)

    def after(number: int) -> None:
        assert whole(work)
        assert hashes_of_entries(start) <= hashes_of_entries(work)  # nothing is lost
        replay(work, version, count)
        assert files(work, "rounds") == files(clean, "rounds")
        assert hashes_of_entries(start) <= hashes_of_entries(work)
        again()

    again()
    assert kill_everywhere(work, lambda: replay(work, version, count), after) >= 30
    assert files(work, "rounds") == files(clean, "rounds")


@pytest.mark.slow
def test_killed_several_times_and_between_rows(tmp_path: Path) -> None:
    draw = random.Random(7)
    clean = tmp_path / "clean"
    replay(clean, "b")
    for trial in range(20):
        work = tmp_path / f"work-{trial}"
        replay(work, "a")
        for _ in range(3):
            kill_at(work, draw.randrange(50), lambda work=work: replay(work, "b"))
        assert whole(work)
        replay(work, "b")
        assert files(work, "rounds") == files(clean, "rounds")

        def dying() -> Iterator[dict[str, Any]]:
            for number in range(draw.randrange(1, 5000)):
                yield {"key": str(number), "text": "x" * 100}
            os.kill(os.getpid(), signal.SIGKILL)

        assert kill_at(work, 10**9, lambda work=work, dying=dying: Shelf(work).put("rounds/000003", "b3", dying()))
        assert Shelf(work, on_damage=fail).get("rounds/000003") is None
        assert whole(work)

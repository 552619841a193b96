"""For test_model_votes: kill the asking just before each of its file operations, ask again, and compare.

Usage: crash_script.py FOLDER
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from tests.support.crash import OPERATIONS, Kills, attempt, kill_everywhere
from tests.support.engine import FakeEngine
from variegate.config import load_model, load_task
from variegate.pipeline.subjectivity.judge import JudgeSettings, judge_tasks
from variegate.pipeline.subjectivity.model_votes import VoteSettings, collect_votes
from variegate.store.asked import verify_asked

Work = Callable[[Path], object]
TEXTS = ("one", "two", "three", "four", "five")
WATCHED = [each for each in OPERATIONS if each != "fsync"]


def vote(folder: Path, temperature: float, texts: Sequence[str] = TEXTS[:3]) -> None:
    """With an engine whose answers depend on what else is asked with them."""
    settings = VoteSettings(MODEL, votes=1, temperature=temperature, chunk=2)

    def start(_: object) -> FakeEngine:
        return FakeEngine(write=lambda _, rng: rng.choice(["location", "human", "nothing"]), batch_dependent=True)

    collect_votes(texts, TASKS[0], settings, folder, start=start)


def judge(folder: Path) -> None:
    judge_tasks(TASKS, JudgeSettings(MODEL, instances=0, chunk=2), folder, start=lambda _: FakeEngine(batch_dependent=True))


def data(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock"}
    return {name: data for name, data in found.items() if not name.startswith("set-aside")}


def kill(folder: Path, before: Work, work: Work, *, damaged: bool = False) -> Kills:
    """before: what made the folder that is worked on."""
    begun, whole, broken = folder / "begun", folder / "whole", folder / "broken"
    assert attempt(lambda: before(begun)) == 0
    shutil.copytree(begun, whole)
    assert attempt(lambda: work(whole)) == 0

    def fresh(_: int) -> Path:
        shutil.rmtree(broken, ignore_errors=True)
        shutil.copytree(begun, broken)
        return broken

    def right(place: Path) -> bool:
        return data(place) == data(whole) and verify_asked(place).ok and not list(place.rglob("*.tmp"))

    def half(place: Path) -> bool:
        """What stands is whole, wherever it was stopped."""
        return damaged or not (place / "asked.json").exists() or verify_asked(place).ok

    return kill_everywhere(fresh, work, right, half=half, operations=WATCHED, every=3)


def main() -> None:
    folder = Path(sys.argv[1])

    def damage(place: Path) -> None:
        vote(place, 1.0)
        path = place / "answers" / "000" / "000001" / "rows.jsonl"
        path.write_bytes(path.read_bytes()[:-1])

    os.fsync = lambda _: None  # a killed process leaves what it wrote with the system; syncing is tested in `test_shelf`
    found = {
        "new": kill(folder / "new", lambda place: place.mkdir(parents=True), lambda place: vote(place, 1.0)),
        "asked otherwise": kill(folder / "otherwise", lambda place: vote(place, 2.0), lambda place: vote(place, 1.0)),
        "a text fewer": kill(folder / "fewer", lambda place: vote(place, 1.0, TEXTS), lambda place: vote(place, 1.0, TEXTS[1:])),
        "damaged": kill(folder / "damaged", damage, lambda place: vote(place, 1.0), damaged=True),
        "judge": kill(folder / "judge", lambda place: vote(place, 1.0), judge),
    }
    print(json.dumps({name: asdict(kills) for name, kills in found.items()}))


MODEL = load_model("nano-llama")
TASKS = [load_task(name) for name in ("trec6", "subj", "sst2")]

if __name__ == "__main__":
    main()

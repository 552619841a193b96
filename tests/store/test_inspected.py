"""RUN/inspected.jsonl: every judgement on disk at once, a torn line is none, damage is named, one writer at a time."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.processes import start_python
from variegate.errors import StoreError
from variegate.store.inspected import INSPECTED, Inspected, open_inspected, read_inspected
from variegate.store.run_folder import RunFolder

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
AT = "2026-01-02T12:00:00+00:00"


def ids_of(folder: RunFolder) -> list[str]:
    return [record.id for record in folder.records()]


def write(folder: RunFolder, *rows: object) -> Path:
    path = folder.path / INSPECTED
    path.write_bytes(b"".join((json.dumps(row) if not isinstance(row, str) else row).encode() + b"\n" for row in rows))
    return path


def line(id: str, label: str | None = "joy", **fields: object) -> dict[str, object]:
    return {"id": id, "label": label, "scope": "out" if label is None else "in", "at": AT, **fields}


def test_the_file_a_line_a_judgement(run_folder: RunFolder) -> None:
    first, second, *_ = ids_of(run_folder)
    with open_inspected(run_folder, clock=lambda: NOON) as log:
        log.judge(first, "fear")
        log.judge(second, None)
        log.undo()
    rows = [json.loads(line) for line in (run_folder.path / INSPECTED).read_text().splitlines()]
    assert rows == [
        {"id": first, "label": "fear", "scope": "in", "at": AT},
        {"id": second, "label": None, "scope": "out", "at": AT},
        {"id": second, "undone": True, "at": AT},
    ]
    assert read_inspected(run_folder) == {first: Inspected(first, "fear", True, AT)}


def test_nothing_was_judged(run_folder: RunFolder) -> None:
    assert read_inspected(run_folder) == {}
    with open_inspected(run_folder):
        pass
    assert read_inspected(run_folder) == {}


def test_the_last_judgement_holds_and_comes_last(run_folder: RunFolder) -> None:
    first, second, *_ = ids_of(run_folder)
    write(run_folder, line(first, "joy"), line(second, "joy"), line(first, None))
    assert list(read_inspected(run_folder).items()) == [
        (second, Inspected(second, "joy", True, AT)),
        (first, Inspected(first, None, False, AT)),
    ]


def test_taking_back_brings_the_judgement_before_to_hold_again(run_folder: RunFolder) -> None:
    first, second, *_ = ids_of(run_folder)
    write(run_folder, line(first, "joy"), line(first, "fear"), line(second), {"id": first, "undone": True, "at": AT})
    assert read_inspected(run_folder)[first].label == "joy"


STEPS = st.lists(
    st.one_of(st.tuples(st.integers(0, 23), st.sampled_from(["joy", "anger", "fear", None])), st.just("undo"), st.just("open"))
)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_what_is_read_is_what_was_judged_however_it_was_opened(run_folder: RunFolder, steps: list[object]) -> None:
    """Against a plain list of judgements, from which an undo takes the last."""
    ids, expected = ids_of(run_folder), []
    (run_folder.path / INSPECTED).unlink(missing_ok=True)
    parts: list[list[object]] = [[]]
    for step in steps:
        parts.append([]) if step == "open" else parts[-1].append(step)
    for part in parts:
        with open_inspected(run_folder, clock=lambda: NOON) as log:
            for step in part:
                if isinstance(step, tuple):
                    log.judge(ids[step[0]], step[1])
                    expected.append((ids[step[0]], step[1]))
                elif log.history:
                    undone = log.undo()
                    assert (undone.id, undone.label) == expected.pop()
    assert {id: each.label for id, each in read_inspected(run_folder).items()} == dict(expected)
    with open_inspected(run_folder) as log:
        assert [(each.id, each.label) for each in log.history] == expected


# -- torn and damaged ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_line_cut_short_anywhere_is_left_out_and_cut_away(run_folder: RunFolder) -> None:
    first, second, third, *_ = ids_of(run_folder)
    whole = json.dumps(line(second, "fear")).encode()
    path = write(run_folder, line(first, "joy"))
    before = path.read_bytes()
    for length in range(1, len(whole)):
        path.write_bytes(before + whole[:length])
        assert list(read_inspected(run_folder)) == [first]
        with open_inspected(run_folder, clock=lambda: NOON) as log:
            assert log.torn
            assert path.read_bytes() == before + whole[:length]  # nothing is touched by reading
            log.judge(third, None)
            assert log.torn
        assert [json.loads(each)["id"] for each in path.read_bytes().splitlines()] == [first, third]


def test_a_whole_last_line_without_its_end_counts(run_folder: RunFolder) -> None:
    first, second, *_ = ids_of(run_folder)
    path = write(run_folder, line(first, "joy"))
    path.write_bytes(path.read_bytes().rstrip())
    assert list(read_inspected(run_folder)) == [first]
    with open_inspected(run_folder) as log:
        assert not log.torn
        log.judge(second, "joy")
    assert list(read_inspected(run_folder)) == [first, second]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (['{"id": "x", "lab'], ":2: not valid JSON"),
        (["[1]"], ":2: expected an object with `id` and `at` as text, got '[1]'"),
        ([{"id": 3, "label": "joy", "scope": "in", "at": AT}], ":2: expected an object with `id`"),
        ([{"id": "{first}", "label": "joy", "scope": "in"}], ":2: expected an object with `id` and `at`"),
        ([line("{first}", "joy", scope="maybe")], "got 'joy' and 'maybe'"),
        ([line("{first}", 3)], "expected a `label` (text or null) and a `scope`"),  # type: ignore[arg-type]
        ([{"id": "{first}", "scope": "in", "at": AT}], "expected a `label`"),
        ([line("{first}", "joy", scope="out")], "label 'joy' with scope 'out': out of scope means no label"),
        ([line("{first}", None, scope="in")], "label None with scope 'in'"),
        ([line("{first}", "joi")], ":2: the task has no label 'joi'; did you mean 'joy'?"),
        ([line("{first}x")], "x' is the id of no record of this run; did you mean '{first}'?"),
        ([line("{dropped}")], "'{dropped}' is the id of no record of this run"),
        ([{"id": "{second}", "undone": True, "at": AT}], "no judgement of '{second}' stands before it"),
        ([{"id": "{first}", "undone": "yes", "at": AT}], "field 'undone': expected true, got 'yes'"),
    ],
)
def test_damage_is_named_with_its_line(run_folder: RunFolder, rows: list[object], words: str) -> None:
    first, second, *_ = ids_of(run_folder)
    dropped = next(item.id for item in run_folder.items() if item.outcome != "kept")

    def filled(value: str) -> str:
        return value.replace("{first}", first).replace("{second}", second).replace("{dropped}", dropped)

    path = write(
        run_folder, line(first), *[row if isinstance(row, str) else json.loads(filled(json.dumps(row))) for row in rows], line(second)
    )
    before = path.read_bytes()
    for read in (read_inspected, lambda folder: open_inspected(folder).__enter__()):
        with pytest.raises(StoreError) as caught:
            read(run_folder)
        assert filled(words) in str(caught.value)
        assert str(caught.value).startswith(f"{path}:2: ")
    assert path.read_bytes() == before


def test_records_that_were_set_aside_are_left_out(run_folder: RunFolder) -> None:
    """As when the run's settings changed: the judgements stay in the file, and hold again when the records come back."""
    kept, gone = (next(r.id for r in run_folder.records() if r.origin["round"] == number) for number in (0, 1))
    write(run_folder, line(gone, "fear"), line(kept, "joy"), line(gone, None), {"id": gone, "undone": True, "at": AT})
    run_folder.set_rounds_aside(1)
    assert list(read_inspected(run_folder)) == [kept]
    settings = run_folder.path / "run.yaml"
    before = settings.read_text()
    settings.write_text(before.replace("fear", "dread"))  # nor is their label looked for among the task's
    assert list(read_inspected(run_folder)) == [kept]
    settings.write_text(before)
    (run_folder.path / "set-aside/000/rounds/000001").rename(run_folder.path / "rounds/000001")
    assert {id: each.label for id, each in read_inspected(run_folder).items()} == {gone: "fear", kept: "joy"}


# -- processes -------------------------------------------------------------------------------------------------

JUDGE = """
import sys, pathlib
from variegate.store.inspected import open_inspected
from variegate.store.run_folder import RunFolder
folder = RunFolder(pathlib.Path(sys.argv[1]))
ids = [record.id for record in folder.records()]
with open_inspected(folder) as log:
    for number, id in enumerate(ids * 200):
        log.judge(id, ("joy", None)[number % 2])
        print(number, flush=True)
"""


def test_a_killed_process_loses_nothing_and_frees_the_file(run_folder: RunFolder) -> None:
    process = start_python(JUDGE, run_folder.path)
    assert process.stdout is not None
    for _ in range(30):
        process.stdout.readline()
    with pytest.raises(StoreError, match="is open in another `variegate inspect`: end that one first"), open_inspected(run_folder):
        pass
    assert read_inspected(run_folder)  # others may read
    process.send_signal(signal.SIGKILL)
    told = 30 + len(process.stdout.readlines())
    process.wait()
    with open_inspected(run_folder) as log:
        assert len(log.history) in (told, told + 1)  # the last may be stored and not told


def test_a_full_disk_leaves_the_file_as_it_was(
    tiny_disk: Path, fill_disk: Callable[[], None], build_run: Callable[..., RunFolder], row: Callable[..., object]
) -> None:
    folder = build_run(tiny_disk / "run", [[row(slot=slot) for slot in range(3)]])
    first, second, _ = ids_of(folder)
    with open_inspected(folder) as log:
        log.judge(first, "joy")
        path = folder.path / INSPECTED
        fill_disk()
        room = 4096 - path.stat().st_size % 4096  # what is left of the file's last page can still be written
        seen = [path.read_bytes()]

        def judge_on() -> None:
            for _ in range(room // 40):
                log.judge(second, "joy")
                seen.append(path.read_bytes())

        with pytest.raises(StoreError, match="the disk is full"):
            judge_on()
        assert path.read_bytes() == seen[-1]
        history = log.history
    assert list(read_inspected(folder).values())[-1] == history[-1]

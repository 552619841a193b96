"""`variegate inspect` in a real pseudo-terminal: keys are pressed, the screen is read, the file is looked at."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from variegate.store.inspected import INSPECTED, read_inspected
from variegate.store.rows import Row
from variegate.store.run_folder import RunFolder

Make = Callable[..., Row]
Build = Callable[..., RunFolder]
ROOT = Path(__file__).parents[2]
_CONTROL = re.compile(r"\x1b\[(\d*)([AJm])|\x1b\[[\d;]*m|\r|\n|[^\x00-\x1f\x7f-\x9f]+")


def screen_of(output: str, width: int) -> list[str]:
    """The lines a terminal shows. Only what the command is meant to send is understood: SGR, cursor up, erase below, CR, LF.

    Anything else would be a control character that came through from a text, and fails.
    """
    lines, row, column, place = [""], 0, 0, 0
    while place < len(output):
        match = _CONTROL.match(output, place)
        assert match, f"an unexpected control character: {output[place : place + 10]!r}"
        place = match.end()
        if match[2] == "A":
            row = max(0, row - int(match[1] or 1))
        elif match[2] == "J":
            lines = [*lines[:row], lines[row][:column]]
        elif match[0] == "\r":
            column = 0
        elif match[0] == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif not match[0].startswith("\x1b"):
            for char in match[0]:
                if column == width:
                    row, column = row + 1, 0
                    lines += [""] * (row + 1 - len(lines))
                lines[row] = lines[row][:column].ljust(column) + char + lines[row][column + 1 :]
                column += 1
    return lines


class Session:
    def __init__(self, person: int, process: subprocess.Popen[bytes], width: int) -> None:
        self.person, self.process, self.width = person, process, width
        self.output = ""

    def press(self, keys: str, until: str, last: str = "q quit") -> None:
        """Press keys, and wait until what came since then holds `until`, and the screen's last written line holds `last`."""
        start = len(self.output)
        os.write(self.person, keys.encode())
        self.wait(until, last, start)

    def wait(self, until: str, last: str = "q quit", start: int = 0) -> None:
        end = time.monotonic() + 60
        while until not in re.sub(r"\x1b\[[\d;]*m", "", self.output[start:]) or last not in self._last_line():
            assert time.monotonic() < end, f"{until!r} and {last!r} never came: {self.screen}"
            if select.select([self.person], [], [], 0.2)[0] and not self._read():
                raise AssertionError(f"the command ended before {until!r}: {self.screen}")

    def _last_line(self) -> str:
        try:
            return [line for line in self.screen if line][-1]
        except (AssertionError, IndexError):  # half a control sequence has come, or nothing
            return ""

    def finish(self) -> int:
        while select.select([self.person], [], [], 10)[0] and self._read():
            pass
        return self.process.wait(30)

    def _read(self) -> bool:
        try:
            data = os.read(self.person, 65536)
        except OSError:  # the other end is closed
            return False
        self.output += data.decode()
        return bool(data)

    @property
    def screen(self) -> list[str]:
        return [line.rstrip() for line in screen_of(self.output, self.width)]


@contextmanager
def session(folder: RunFolder, *arguments: str, width: int = 80, height: int = 24) -> Iterator[Session]:
    person, program = pty.openpty()
    fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    environment |= {"TERM": "xterm-256color", "PYTHONPATH": f"{ROOT / 'engine'}:{ROOT / 'kernels'}"}
    process = subprocess.Popen(
        [sys.executable, "-m", "variegate.cli.main", "inspect", str(folder.path), *arguments],
        stdin=program, stdout=program, stderr=program, env=environment, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0) and None,
    )  # fmt: skip
    os.close(program)
    try:
        found = Session(person, process, width)
        yield found
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(person)


def stored(folder: RunFolder) -> list[object]:
    return [json.loads(line).get("label", "undone") for line in (folder.path / INSPECTED).read_text().splitlines()]


def test_a_session_with_keys(run_folder: RunFolder) -> None:
    with session(run_folder, "-n", "4") as person:
        person.wait("q quit")
        assert any(line.startswith("1 of 4 ──") for line in person.screen)
        person.press("2", "2 of 4")
        assert stored(run_folder) == ["fear"]  # at once
        person.press("\r", "3 of 4")
        person.press("/o", "4 of 4")
        person.press("7", "no label has the key 7", "no label has the key 7")
        person.press("?", "anger: The writer feels anger.")
        person.press("S", "All 4 items of this draw were shown")
        person.press("u", "the skip taken back")
        person.press("u", "out of scope taken back")
        person.press("1", "4 of 4")
        person.press("3", "All 4 items of this draw were shown")
        os.write(person.person, b"\r")
        assert person.finish() == 0
        assert "In all: 4 of 24 records judged" in person.output
        assert "This session: 4 judged, 0 skipped." in person.screen
    labels = stored(run_folder)
    assert [labels[0], *labels[2:]] == ["fear", None, "undone", "anger", "joy"]


@pytest.mark.slow
@pytest.mark.parametrize("end", ["interrupt", "end of file", "kill", "terminate", "hang up"])
def test_however_it_ends_nothing_is_lost(run_folder: RunFolder, end: str) -> None:
    with session(run_folder, "-n", "4") as person:
        person.wait("q quit")
        person.press("1", "2 of 4")
        person.press("2", "3 of 4")
        if end == "interrupt":
            os.write(person.person, b"\x03")
            assert person.finish() == 130
            assert f"stopped: what was judged is in {run_folder.path / INSPECTED}" in "".join(person.screen)
        elif end == "end of file":
            os.write(person.person, b"\x04")
            assert person.finish() == 0
        elif end == "kill":
            person.process.send_signal(signal.SIGKILL)
        elif end == "terminate":
            person.process.send_signal(signal.SIGTERM)
            assert person.finish() == 143
            assert termios.tcgetattr(person.person)[3] & termios.ECHO
        else:
            person.process.send_signal(signal.SIGHUP)
        person.process.wait(30)
    assert stored(run_folder) == ["anger", "fear"]
    if end == "kill":
        with session(run_folder, "-n", "4") as person:
            person.wait("3 of 4")
            person.press("u", "fear taken back")
            person.press("3", "3 of 4")
            os.write(person.person, b"q")
            assert person.finish() == 0
        assert [each.label for each in read_inspected(run_folder).values()] == ["anger", "joy"]


def many(tmp_path: Path, build_run: Build, row: Make) -> RunFolder:
    labels = [
        f"{first}_{second}"
        for first in ("card", "cash", "exchange", "top_up", "transfer")
        for second in ("arrival", "lost", "declined", "pending", "fee", "rate", "limit", "cancelled", "stolen", "swallowed")
    ]
    return build_run(tmp_path / "run", [[row(label) for label in labels]], labels=labels)


@pytest.mark.slow
def test_many_labels_are_searched_for(tmp_path: Path, build_run: Build, row: Make) -> None:
    folder = many(tmp_path, build_run, row)
    with session(folder) as person:
        person.wait("/q quit", ">")
        person.press("trans", "> trans", "> trans")
        assert "  › transfer fee  The writer feels transfer_fee." in person.screen
        assert "    … 10 labels fit" in person.screen
        person.press("\x1b[B" * 8 + "\x1b[A\x1b[B" + "\x1b[B" * 5, "› transfer swallowed", "> trans")  # the last, and no further
        person.press("\x7f\x7f\x7f sw", "", "> tr sw")
        assert [line for line in person.screen if line.startswith("  › ")] == [
            "  › transfer swallowed  The writer feels transfer_swallowed."
        ]
        assert not any("fee" in line and "…" not in line for line in person.screen if line.startswith("    "))  # the list narrowed in place
        person.press("\r", "2 of 50", ">")
        person.press("card lo\x7f\x7fst", "", "> card st")
        person.press("\x1b", "> ", ">")
        person.press("lost", "", "> lost")
        person.press("\x1b[B", "› cash lost", "> lost")
        person.press("\r", "3 of 50", ">")
        person.press("zzz", "no label is near to this", "> zzz")
        person.press("\r", "> zzz", "> zzz")  # nothing is taken
        person.press("\x15", "> ", ">")
        person.press("/", "u undo   s skip", "> /")
        person.press("o", "4 of 50", ">")
        person.press("usoq", "> usoq", "> usoq")  # letters are letters here
        person.press("\x1b", "> ", ">")
        person.press("/u", "out of scope taken back", ">")
        person.press("/s", "skipped", ">")
        person.press("?", "Type some letters of the label", ">")
        person.press("\r", "5 of 50", ">")  # as it was generated
        os.write(person.person, b"/q")
        assert person.finish() == 0
        assert "> " not in person.screen  # the typed line is taken away
    labels = stored(folder)
    assert labels[:4] == ["transfer_swallowed", "cash_lost", None, "undone"]
    (right,) = labels[4:]
    assert right == list(read_inspected(folder).values())[-1].label
    assert {record.id: record.label for record in folder.records()}[list(read_inspected(folder))[-1]] == right


@pytest.mark.parametrize(("width", "height"), [(18, 6), (40, 10)])
def test_a_small_window(tmp_path: Path, build_run: Build, row: Make, width: int, height: int) -> None:
    folder = many(tmp_path, build_run, row)
    with session(folder, width=width, height=height) as person:
        person.wait("/q quit", ">")
        person.press("transfer arrival and much more", "", "more")
        person.press("\x1b", "> ", ">")
        person.press("transfer", "", "> transfer")
        person.press("\x1b[B\x1b[B\x1b[B\x1b[B", "", "> transfer")
        # What stands below the item is the list and the typed line alone: nothing of the lists before was left.
        below = person.screen[max(place for place, line in enumerate(person.screen) if "quit" in line) + 1 :]
        assert below[-1] == "> transfer"
        assert len(below) <= height - 1
        assert all(line.startswith(("    ", "  › ")) and len(line) < width for line in below[:-1])
        assert all(len(line) <= width for line in person.screen)
        person.press("\r", "of 50", ">")
        os.write(person.person, b"/q")
        assert person.finish() == 0


def test_no_text_moves_the_cursor(tmp_path: Path, build_run: Build, row: Make) -> None:
    """`screen_of` fails on any control character that the command itself does not send."""
    text = "a\x1b[2J\x1b[H\x1b]0;title\x07b\rc\x08d\x9b2Je\x7f\x1b[999A\u2028 \u202eend\nsecond line"
    label = "l\x1b[2J"
    folder = build_run(tmp_path / "run", [[row(label, slot, text=text) for slot in range(2)]], labels=[label, "b"])
    with session(folder) as person:
        person.wait("q quit")
        person.press("?", "loses nothing")
        os.write(person.person, b"\x1b[2J\x1b]")  # keys that mean nothing
        person.press("1", "2 of 2")
        os.write(person.person, b"q")
        assert person.finish() == 0
        assert any("a␛[2J␛[H␛]0;title␇b␍c␈d�2Je␡␛[999A" in line for line in person.screen)
        assert "  second line" in person.screen


def test_output_that_is_no_terminal(run_folder: RunFolder) -> None:
    person, program = pty.openpty()
    command = [sys.executable, "-m", "variegate.cli.main", "inspect", str(run_folder.path)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'engine'}:{ROOT / 'kernels'}"}
    done = subprocess.run(command, stdin=program, capture_output=True, text=True, env=environment, check=False)
    for each in (person, program):
        os.close(each)
    assert done.returncode == 2
    assert "standard output is no terminal" in done.stderr
    assert not (run_folder.path / INSPECTED).exists()

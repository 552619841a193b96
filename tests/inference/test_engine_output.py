"""What engines print: hidden, and quoted when it explains a failure. Real processes and descriptors."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from variegate.inference.engine_output import EngineOutput

LOG = r"""
print("(EngineCore pid=7) WARNING 11-30 10:00:00 [numa.py:3] no NUMA", flush=True)
for line in ("failed to start.", "Traceback (most recent call last):", "  File \"x\", line 1", "torch.OutOfMemoryError: no room"):
    print("(Worker_TP1 pid=8) ERROR 11-30 10:00:01 [multiproc_executor.py:953] " + line, flush=True)
print("RuntimeError: see above", flush=True)
print("RuntimeError: see above", flush=True)
"""


def test_what_c_code_prints_is_hidden_and_the_streams_come_back() -> None:
    code = (
        "import os; from variegate.inference.engine_output import EngineOutput\n"
        "with EngineOutput().hidden(): os.write(1, b'hidden'); os.write(2, b'hidden'); print('hidden')\n"
        "os.write(1, b'shown')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("shown", "")
    with pytest.raises(ZeroDivisionError), EngineOutput().hidden():
        _ = 1 / 0


def test_the_errors_of_its_processes_are_quoted_also_of_later_ones() -> None:
    output = EngineOutput()
    assert output.quoted() == ""
    with output.hidden():
        process = subprocess.Popen([sys.executable, "-c", f"input()\n{LOG}"], stdin=subprocess.PIPE)
    process.communicate(b"\n")  # it prints when nothing is hidden any more
    _, *lines = output.quoted().strip().splitlines()
    assert lines == ["  torch.OutOfMemoryError: no room", "  RuntimeError: see above"]
    output.close()
    assert output.quoted() == ""


def test_the_last_lines_are_quoted_where_none_is_an_error() -> None:
    output = EngineOutput()
    with output.hidden():
        os.write(2, b"".join(b"line %d\n" % number for number in range(20)))
    assert output.quoted().splitlines()[-2:] == ["  line 18", "  line 19"]
    assert "line 11" not in output.quoted()


def test_nothing_is_hidden_from_who_asks_to_see_it(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("VARIEGATE_ENGINE_LOG", "1")
    output = EngineOutput()
    with output.hidden():
        os.write(1, b"seen")
    assert (capfd.readouterr().out, output.quoted()) == ("seen", "")


def test_what_is_hidden_can_be_read_line_by_line_while_it_is_written() -> None:
    lines: list[str] = []
    first = threading.Event()

    def take(line: str) -> None:
        lines.append(line)
        first.set()

    output = EngineOutput()
    with output.hidden():
        os.write(1, b"before\n")
        with output.read_by(take):
            os.write(1, b"Starting to load ")
            os.write(2, b"model\nand")
            assert first.wait(10)  # at once, not at the end
            os.write(1, b" more\nno line yet")
    assert lines == ["Starting to load model", "and more"]
    output.close()


def test_what_informs_is_not_quoted_as_what_went_wrong() -> None:
    output = EngineOutput()
    with output.hidden():
        os.write(1, b"(EngineCore pid=7) INFO 12-01 13:27:37 [model.py:1] fine\nkilled by hand\nWARNING 12-01 13:27:37 [a.py:1] so so\n")
    assert output.quoted().splitlines()[2:] == ["  killed by hand"]
    output.close()

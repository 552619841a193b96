"""An engine in a process of its own: the same answers, errors, Ctrl-C, death on either side. Real processes throughout."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.engine import FakeEngine
from tests.support.suppression import as_row
from variegate.config import ModelConfig, load_model
from variegate.errors import BackendError, UsageError, VariegateError
from variegate.inference.worker import WorkerBackend
from variegate.records import Message, Request, Sampling
from variegate.seeding import derive_seed

# What the other process imports: a module of its own, found through the path.
ENGINES = """
import os, signal, sys, time
from tests.support.engine import FakeEngine
from tests.support.suppression import as_row
from variegate.errors import BackendError, UsageError

class Engine(FakeEngine):
    def generate(self, requests, **named):
        asked = requests[0].key
        if asked == "broken":
            return {}["missing"]
        if asked == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if asked == "leaves":
            os._exit(7)
        if asked == "refused":
            raise BackendError("no such thing")
        if asked.startswith("/"):
            return self.wait(asked, **named)
        if asked == "slowly":
            for _ in range(12):
                time.sleep(0.1)
                named["on_progress"](2)
        return super().generate(requests, **named)

    def wait(self, folder, on_progress, **_):
        try:
            time.sleep(0.6)
            on_progress(1)
            open(os.path.join(folder, str(os.getpid())), "w").close()
            time.sleep(60)
        finally:
            time.sleep(0.3)  # the parent's own signal comes meanwhile
            open(os.path.join(folder, "ended"), "w").close()

    def close(self):
        if os.path.isdir(self.folder):
            open(os.path.join(self.folder, "closed"), "w").close()

def engine(model):
    found = Engine(clean=True)
    found.folder = model.licence or ""
    return found

def usage(model):
    raise UsageError("no such model: take another")

def backend(model):
    raise BackendError("no memory")

def broken(model):
    raise KeyError("missing")

def leaves(model):
    os._exit(7)
"""


@pytest.fixture(autouse=True)
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "worker_engines.py").write_text(ENGINES)
    monkeypatch.syspath_prepend(str(tmp_path))


def model_of(folder: Path) -> ModelConfig:
    """nano-llama; the engine tells in `folder` that it was closed."""
    return load_model("nano-llama", [f"licence={folder}"])


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[WorkerBackend]:
    backend = WorkerBackend(model_of(tmp_path), start="worker_engines:engine")
    yield backend
    backend.close()


def ask(*keys: str, bias: str = "") -> list[Request]:
    sampling = Sampling(max_tokens=20)
    return [
        Request(key=key, messages=(Message("user", f"Write {key}."),), sampling=sampling, seed=derive_seed(key), bias=bias) for key in keys
    ]


def gone(pid: int) -> bool:
    """Whether a process has ended; one that is only not collected yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def eventually(check: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not check() and time.monotonic() < deadline:
        time.sleep(0.02)
    return check()


def pid_of(backend: WorkerBackend) -> int:
    pid = backend._process.pid
    assert isinstance(pid, int)
    return pid


def test_it_answers_as_the_engine_itself(worker: WorkerBackend) -> None:
    here = FakeEngine(clean=True)
    assert worker.info == here.info
    assert worker.usage == here.usage
    row = as_row(np.full(4096, -1.0))
    for each in (worker, here):
        each.set_rows({row.digest: row})
    requests = [*ask("a", "b"), *ask("c", bias=row.digest), *ask("words " * 2000)]
    requests[1] = replace(requests[1], soft={"file": "/soft", "sha256": "ab", "tensor": "x"})
    assert worker.generate(requests, logprobs=True) == here.generate(requests, logprobs=True)
    prompts = [request.messages for request in requests[:3]]
    for constrained in (False, True):
        found = worker.score(prompts, ["yes", "no"], constrained=constrained)
        assert np.array_equal(found, here.score(prompts, ["yes", "no"], constrained=constrained))
    assert worker.usage == here.usage
    assert worker.prompts.encode(requests[0].messages)


def test_progress_comes_in_between(worker: WorkerBackend) -> None:
    told: list[int] = []
    worker.generate(ask("slowly"), on_progress=told.append)
    assert 2 <= len(told) <= 3  # two of them make a message each half second
    assert 10 <= sum(told) <= 24  # the last are told by the answer itself


def test_closing_ends_the_process_and_the_engine_closes_itself(worker: WorkerBackend, tmp_path: Path) -> None:
    worker.close()
    assert gone(pid_of(worker))
    assert (tmp_path / "closed").exists()
    worker.close()


def test_an_error_that_the_engine_says_leaves_it_at_work(worker: WorkerBackend) -> None:
    with pytest.raises(BackendError, match=r"^no such thing$"):
        worker.generate(ask("refused"))
    assert worker.generate(ask("a"))[0].text


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("broken", "nano-llama: KeyError: 'missing': this is an error in Variegate; the traceback is above"),
        ("killed", r"the engine of nano-llama: its process was ended by signal SIGKILL \(usually because memory was short"),
        ("leaves", "the engine of nano-llama: its process ended with exit code 7 and no answer. Run the same command again"),
    ],
)
def test_how_it_dies_is_told(worker: WorkerBackend, asked: str, words: str) -> None:
    with pytest.raises(BackendError, match=words):
        worker.generate(ask(asked))
    with pytest.raises(BackendError, match="the engine of nano-llama was stopped in the middle of a call: start another"):
        worker.generate(ask("a"))


@pytest.mark.parametrize(
    ("start", "kind", "words"),
    [
        ("usage", UsageError, "^no such model: take another$"),
        ("backend", BackendError, "^no memory$"),
        ("broken", BackendError, "nano-llama: KeyError: 'missing': this is an error in Variegate"),
        ("leaves", BackendError, "ended with exit code 7"),
    ],
)
def test_a_start_that_fails(tmp_path: Path, start: str, kind: type[VariegateError], words: str) -> None:
    with pytest.raises(VariegateError, match=words) as error:
        WorkerBackend(model_of(tmp_path), start=f"worker_engines:{start}")
    assert type(error.value) is kind


def test_an_error_on_this_side_ends_the_other_which_still_cleans_up(worker: WorkerBackend, tmp_path: Path) -> None:
    def refuse(count: int) -> None:
        raise UsageError("enough")

    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="enough"):
        worker.generate(ask(str(tmp_path / "folder")), on_progress=refuse)  # told of after 0.6 s
    started = time.monotonic()
    worker.close()
    assert time.monotonic() - started < 20
    assert gone(pid_of(worker))
    assert (tmp_path / "closed").exists()


def test_a_forgotten_one_ends(tmp_path: Path) -> None:
    backend = WorkerBackend(model_of(tmp_path), start="worker_engines:engine")
    pid = pid_of(backend)
    del backend
    assert eventually(lambda: gone(pid))


def parent_script(folder: Path, last: str) -> subprocess.Popen[str]:
    code = (
        "import sys\n"
        f"sys.path.insert(0, {str(folder)!r})\n"
        "from variegate.config import load_model\n"
        "from variegate.inference.worker import WorkerBackend\n"
        "from variegate.records import Message, Request, Sampling\n"
        "if __name__ == '__main__':\n"
        "    backend = WorkerBackend(load_model('nano-llama'), start='worker_engines:engine')\n"
        f"    request = Request(key={str(folder)!r}, messages=(Message('user', 'x'),), sampling=Sampling(), seed=0)\n"
        "    try:\n"
        f"        {last}\n"
        "    except KeyboardInterrupt:\n"
        "        backend.close()\n"
        "        sys.exit(130)\n"
    )
    (folder / "parent.py").write_text(code)
    path = os.pathsep.join(sys.path)
    return subprocess.Popen(
        [sys.executable, str(folder / "parent.py")],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": path},
    )


WAITS = "backend.generate([request], on_progress=lambda _: print('waiting', flush=True))"


def test_ctrl_c_ends_both(tmp_path: Path) -> None:
    parent = parent_script(tmp_path, WAITS)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "waiting\n"
    os.killpg(parent.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    assert parent.wait(timeout=30) == 130
    assert (tmp_path / "ended").exists()


def test_it_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    parent = parent_script(tmp_path, WAITS)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "waiting\n"
    assert eventually(lambda: any(path.name.isdigit() for path in tmp_path.iterdir()))
    (pid,) = [int(path.name) for path in tmp_path.iterdir() if path.name.isdigit()]
    assert not gone(pid)
    parent.kill()
    parent.wait()
    assert eventually(lambda: gone(pid))


def test_a_parent_that_ends_without_closing_it_ends(tmp_path: Path) -> None:
    parent = parent_script(tmp_path, "pass")
    assert parent.wait(timeout=30) == 0

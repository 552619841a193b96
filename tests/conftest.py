"""Fixtures shared by several parts of the tests. What they make by hand is in tests/support."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.curable import Curable, write_curable_run
from tests.support.real_data import data_folder  # noqa: F401
from tests.support.real_data import pytest_collection_modifyitems as mark_data
from tests.support.rows import make_row, small_rounds, write_run
from tests.support.workers import engines_of, groups_file, share_machine, write_groups
from variegate.store.rows import Row
from variegate.store.run_folder import RunFolder


def pytest_configure() -> None:
    share_machine(os.environ, sorted(os.sched_getaffinity(0)))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    mark_data(items)
    for item in items:
        if engines_of(item):
            item.add_marker(pytest.mark.engine)
    if groups := getattr(config, "workerinput", {}).get("groups"):
        write_groups(Path(groups), items)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["groups"] = str(groups_file())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of `--dist loadgroup`; other ways are pytest-xdist's own."""
    if config.getoption("dist") != "loadgroup":
        return None
    from tests.support.scheduling import GroupScheduling

    return GroupScheduling(config, log, groups_file())


@pytest.fixture
def row() -> Callable[..., Row]:
    return make_row


@pytest.fixture
def build_run() -> Callable[..., RunFolder]:
    """`build_run(path, rounds, labels=..., finished=...)`"""
    return write_run


@pytest.fixture
def run_folder(tmp_path: Path) -> RunFolder:
    """A finished run; see `small_rounds`."""
    return write_run(tmp_path / "run", small_rounds())


@pytest.fixture
def unfinished_run_folder(tmp_path: Path) -> RunFolder:
    return write_run(tmp_path / "unfinished", small_rounds(), finished=False)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 256 KiB. Skips where it cannot be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system (root)")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def curable_run() -> Callable[..., Curable]:
    """`curable_run(path, per_label=20, flip_every=4, out=0)`"""
    return write_curable_run


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that has none."""
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The embedded sentence encoder, with a cache of this session's own."""
    from variegate.embeddings import Encoder

    return Encoder(cache=tmp_path_factory.mktemp("vectors"))


START_STEPS: dict[str, list[str]] = {}  # "vllm nano-llama" -> what its engine told while it started


@pytest.fixture
def start_steps() -> dict[str, list[str]]:
    return START_STEPS


def started(backend: str, model: str, *, separate_process: bool = False) -> Iterator[Any]:
    from variegate.config import load_model
    from variegate.inference.start import start_backend

    settings = {"backend": backend, "batch_size": 16, "separate_process": separate_process}
    loaded = load_model(model, [f"engine.{name}={json.dumps(value)}" for name, value in settings.items()])
    running = start_backend(loaded, on_step=START_STEPS.setdefault(f"{backend} {model}", []).append)
    yield running
    running.close()


@pytest.fixture(scope="session")
def nano_vllm() -> Iterator[Any]:
    """The one vLLM engine in this process, on nano-llama in float32; tests leave its suppression table empty.

    It starts beside numba, as after a measurement in the same process.
    """
    import numba  # noqa: F401

    yield from started("vllm", "nano-llama")


@pytest.fixture(scope="session")
def nano_transformers() -> Iterator[Any]:
    yield from started("transformers", "nano-llama")


@pytest.fixture(scope="session")
def nano_t5_vllm() -> Iterator[Any]:
    """In a process of its own: vLLM runs one engine in a process, and `nano_vllm` has this one."""
    yield from started("vllm", "nano-t5", separate_process=True)


@pytest.fixture(scope="session")
def nano_t5_transformers() -> Iterator[Any]:
    yield from started("transformers", "nano-t5")


@pytest.fixture(scope="session")
def make_tiny_t5() -> Callable[..., Path]:
    """`make_tiny_t5(folder, gated=True, tied=False)`"""
    from tests.support.tiny_t5 import make_tiny_t5

    return make_tiny_t5


@pytest.fixture
def fill_disk(tiny_disk: Path) -> Callable[[], None]:
    """Call it, and `tiny_disk` is full."""

    def fill() -> None:
        with contextlib.suppress(OSError), (tiny_disk / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)

    return fill

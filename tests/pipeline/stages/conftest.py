"""A whole run on the fake engine, made once; tests copy its folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.support.whole_run import make_run, write_encoder, write_run_file


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture(scope="session")
def whole(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run file of a run that is all made."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VARIEGATE_CACHE", str(folder / "vectors"))
        make_run(write_run_file(folder, tiny_encoder))
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Callable[[], Path]:
    """`copy()`: the run file of a copy of `whole`, its data and its folder beside it."""

    def made() -> Path:
        shutil.copytree(whole / "run", tmp_path / "copy" / "run")
        text = (whole / "chatter.run.yaml").read_text().replace(str(whole / "run"), str(tmp_path / "copy" / "run"))
        path = tmp_path / "copy" / "chatter.run.yaml"
        path.write_text(text)
        return path

    return made


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Threads that wait for each other make models this small slower."""
    monkeypatch.setenv("VARIEGATE_CACHE", str(tmp_path / "vectors"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)

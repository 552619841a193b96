"""Hub ids where there is no network: refused at once, or taken from the cache without waiting."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from variegate.config import ModelConfig
from variegate.config.resources import asset
from variegate.errors import UsageError
from variegate.inference import hub
from variegate.inference.backend import check_model_path

MODEL = ModelConfig(name="mine", path="owner/name", chat=False)


@pytest.fixture(autouse=True)
def unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nobody has asked yet, and the cache is empty."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "")  # to be put back as it was
    for name in ("HF_HUB_OFFLINE", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    hub.reaches_hub.cache_clear()
    yield
    hub.reaches_hub.cache_clear()


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{unused.getsockname()[1]}")


@pytest.mark.usefixtures("unreachable")
def test_a_model_that_is_not_here_is_refused_at_once() -> None:
    start = time.monotonic()
    with pytest.raises(UsageError, match=r"'mine': hub id owner/name is not on this machine.*--set model\.path=FOLDER"):
        check_model_path(MODEL)
    assert time.monotonic() - start < 5


@pytest.mark.usefixtures("unreachable")
def test_one_in_the_cache_is_loaded_without_asking_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "models--owner--name"
    shutil.copytree(asset("nano-llama"), folder / "snapshots" / "0123")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0123")
    monkeypatch.setattr(hub, "hub_snapshot", lambda name, revision: folder / "snapshots" / "0123")
    start = time.monotonic()
    check_model_path(MODEL)
    assert constants.HF_HUB_OFFLINE
    assert time.monotonic() - start < 5


def test_where_the_hub_answers_only_the_engine_can_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        check_model_path(MODEL)


def test_behind_a_proxy_it_is_taken_for_granted(monkeypatch: pytest.MonkeyPatch, unreachable: None) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    check_model_path(MODEL)


def test_told_to_stay_offline_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("a connection was opened"))
    with pytest.raises(UsageError, match="cannot be reached"):
        check_model_path(MODEL)

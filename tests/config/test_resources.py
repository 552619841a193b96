from __future__ import annotations

from pathlib import Path

import pytest

from variegate.config.resources import asset, bundled, config_folder, data_root


def test_what_travels_with_variegate_is_there() -> None:
    assert (asset("nano-llama") / "model.safetensors").stat().st_size < 10_000_000
    assert {"demo", "trec6", "clinc150"} <= set(bundled("runs"))
    assert bundled("models")["nano-llama"] == config_folder() / "models" / "nano-llama.yaml"


def test_data_folder_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VARIEGATE_DATA", "some/where")
    assert data_root() == Path("some/where")
    monkeypatch.setenv("VARIEGATE_DATA", "")
    assert data_root() is None

"""What is kept beside the vectors: facts of the model, and how a lower precision did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from variegate.embeddings.about import PROBE_LIMIT, About, describe
from variegate.errors import StoreError


def open_about(folder: Path | None) -> About:
    return About(folder, model="m", fingerprint="f" * 64)


@pytest.mark.parametrize("kept", [True, False])
def test_facts_and_verdicts(tmp_path: Path, kept: bool) -> None:
    folder = tmp_path / "x" if kept else None
    about = open_about(folder)
    assert not about.known
    about.set_model(width=8, max_tokens=None, pooling="mean")
    assert about.verdict("bfloat16") is None
    about.add_probe("bfloat16", 2e-5, 64)
    about.add_probe("bfloat16", 1e-5, 16)
    if kept:
        about = open_about(folder)
    assert about.known
    assert (about["width"], about["max_tokens"], about["pooling"]) == (8, None, "mean")
    assert about.verdict("bfloat16") == {"error": 2e-5, "num_probed": 80, "accepted": True}
    verdict = about.add_probe("bfloat16", 1.01 * PROBE_LIMIT, 1)
    assert not verdict["accepted"]
    assert not about.add_probe("bfloat16", 1e-6, 500)["accepted"]  # once over the limit, always refused
    assert describe("bfloat16", verdict) == "bfloat16: largest 1 - cos against float32 5.1e-05 on 81 texts probed, over the limit of 5e-05"
    assert about.verdict("float16") is None


def test_how_many_texts_are_probed() -> None:
    about = open_about(None)
    assert [about.probe_size("bfloat16", count) for count in (1, 256, 512, 1024, 10**6)] == [16, 16, 32, 64, 64]
    about.add_probe("bfloat16", 1e-6, 63)
    assert about.probe_size("bfloat16", 10**6) == 64
    about.add_probe("bfloat16", 1e-6, 1)
    assert about.probe_size("bfloat16", 10**6) == 16


@pytest.mark.parametrize("content", ["", "[]", "{", '{"model": "m"}', "null"])
def test_a_damaged_file_is_said(tmp_path: Path, content: str) -> None:
    open_about(tmp_path).set_model(width=8, max_tokens=5, pooling="cls")
    (tmp_path / "about.json").write_text(content)
    with pytest.raises(StoreError, match=r"is damaged: about.json does not describe it. Delete that folder"):
        open_about(tmp_path)


def test_another_models_file_is_not_taken(tmp_path: Path) -> None:
    open_about(tmp_path).set_model(width=8, max_tokens=5, pooling="cls")
    about = json.loads((tmp_path / "about.json").read_text())
    (tmp_path / "about.json").write_text(json.dumps({**about, "fingerprint": "0" * 64}))
    with pytest.raises(StoreError, match="is damaged"):
        open_about(tmp_path)

"""A GGUF file becomes a folder that engines read, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.gguf_file import TEMPLATE, write_gguf
from variegate.config import load_model
from variegate.errors import UsageError, VariegateError
from variegate.inference.identity import fingerprint
from variegate.inference.start import start_backend
from variegate.prepared.convert import ABOUT, convert, is_whole
from variegate.records import Message, Request, Sampling
from variegate.store.files import sha256_of

pytest.importorskip("gguf")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="module")
def folder(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("prepared") / "tiny"
    convert(source, place, lambda text: None)
    return place


def test_the_folder_is_a_model_in_float32_that_never_was_quantized(folder: Path, source: Path) -> None:
    import gguf
    import numpy as np
    from safetensors.numpy import load_file

    config = json.loads((folder / "config.json").read_text())
    assert config["dtype"] == "float32"
    assert "quantization_config" not in config
    weights = load_file(folder / "model.safetensors")
    assert {str(each.dtype) for each in weights.values()} == {"float32"}
    stored = {each.name: each for each in gguf.GGUFReader(source).tensors}["token_embd.weight"]
    np.testing.assert_array_equal(weights["model.embed_tokens.weight"], gguf.quants.dequantize(stored.data, stored.tensor_type))
    assert json.loads((folder / ABOUT).read_text())["source"] == {"file": "tiny.gguf", "sha256": sha256_of(source)}
    assert is_whole(folder, hashes=True)


def test_an_engine_runs_it_as_a_chat_model(folder: Path) -> None:
    model = load_model(str(folder), ["engine.backend=transformers", "chat=true"])
    backend = start_backend(model)
    assert backend.prompts.tokenizer.chat_template == TEMPLATE
    ids = backend.prompts.encode((Message("user", "the thin"),))
    assert backend.prompts.tokenizer.decode(ids) == "<|im_start|>the thin<|im_end|><|im_start|>"
    asked = Request(key="a", messages=(Message("user", "the"),), sampling=Sampling(temperature=0.0, max_tokens=5), seed=0)
    (answer,) = backend.generate([asked])
    assert answer.error is None
    assert answer.token_ids
    assert fingerprint(model).tokenizer != ""


def test_two_conversions_give_the_same_model(folder: Path, source: Path, tmp_path: Path) -> None:
    convert(source, tmp_path / "again", lambda text: None)
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "again").iterdir())
    assert [(folder / name).read_bytes() for name in names] == [(tmp_path / "again" / name).read_bytes() for name in names]


@pytest.mark.parametrize("size", [0, 3, 100, 20_000])
def test_a_damaged_file_is_refused_and_leaves_nothing(source: Path, tmp_path: Path, size: int) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(source.read_bytes()[:size])
    with pytest.raises(UsageError, match=r"cut\.gguf"):
        convert(cut, tmp_path / "out", lambda text: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.gguf"]


def test_another_file_than_the_one_expected_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="install its package anew"):
        convert(source, tmp_path / "out", lambda text: None, sha256="0" * 64)
    assert not (tmp_path / "out").exists()


def test_an_architecture_that_is_not_known_is_refused(tmp_path: Path) -> None:
    source = write_gguf(tmp_path / "other.gguf", architecture="rwkv7")
    with pytest.raises(UsageError, match="cannot read this model"):
        convert(source, tmp_path / "out", lambda text: None)


def test_without_the_reader_its_package_is_named(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(VariegateError, match="pip install gguf"):
        convert(source, tmp_path / "out", lambda text: None)


def test_a_changed_or_missing_file_is_noticed(folder: Path, tmp_path: Path) -> None:
    import shutil

    for change in ("cut", "flipped", "gone", "no statement"):
        place = tmp_path / change
        shutil.copytree(folder, place)
        weights = place / "model.safetensors"
        data = bytearray(weights.read_bytes())
        if change == "cut":
            weights.write_bytes(data[:-1])
        elif change == "flipped":
            data[-1] ^= 1
            weights.write_bytes(data)
        elif change == "gone":
            weights.unlink()
        else:
            (place / ABOUT).unlink()
        assert not is_whole(place, hashes=True), change

"""A look at a model's folder: each way in which weights are missing, cut short or of another kind is named, with the next step."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from variegate.config.resources import asset
from variegate.errors import UsageError
from variegate.model_folders import check_folder

WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "model"
    shutil.copytree(asset("nano-llama"), place)
    return place


def pointer(folder: Path) -> None:
    (folder / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 538090408\n")


def none(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


def pickled(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")


def shard(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "model-00001-of-00002.safetensors")
    named = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": named}))


def short(folder: Path) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])


def header(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:40])


def empty(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"")


def page(folder: Path) -> None:
    (folder / WEIGHTS).write_text("<!DOCTYPE html><title>404</title>" * 10)


def adapter(folder: Path) -> None:
    (folder / "config.json").rename(folder / "adapter_config.json")


def list_of(folder: Path) -> None:
    (folder / "config.json").write_text("[]")


def broken(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type":')


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (pointer, r"is a pointer of git-lfs, not the weights: run `git lfs pull`"),
        (none, r"holds no weights \(\*\.safetensors\)"),
        (pickled, r"pytorch_model\.bin is a pickle, .*: convert it"),
        (shard, r"model-00002-of-00002\.safetensors, which model\.safetensors\.index\.json names, is not there: the download is not whole"),
        (short, r"bytes where its header says [\d,]+: download it again"),
        (header, r"is no safetensors file, or was cut short"),
        (empty, r"is no safetensors file, or was cut short"),
        (page, r"is no safetensors file, or was cut short"),
        (adapter, r"is an adapter \(adapter_config\.json\), not a model: merge it"),
        (list_of, r"config\.json holds a list, expected a mapping"),
        (broken, r"config\.json cannot be read as JSON"),
    ],
)
def test_what_cannot_be_loaded_is_refused_with_the_next_step(folder: Path, change: Callable[[Path], None], words: str) -> None:
    check_folder(folder, "model 'm'")
    change(folder)
    with pytest.raises(UsageError, match=words) as caught:
        check_folder(folder, "model 'm'")
    assert str(caught.value).startswith("model 'm': ")


def test_whole_shards_pass_and_dummy_weights_need_none(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "model-00001-of-00001.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "model-00001-of-00001.safetensors"}}))
    check_folder(folder, "model 'm'")
    (folder / "model-00001-of-00001.safetensors").unlink()
    check_folder(folder, "model 'm'", weights=False)
    with pytest.raises(UsageError, match="is not there"):
        check_folder(folder, "model 'm'")

"""What a look at a model's folder tells before anything is loaded: whether its weights are there, whole, and of a kind that is read.

Reads names, sizes and headers; loads nothing. And what a loaded network says of itself.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from variegate.errors import UsageError

_POINTER = b"version https://git-lfs"
_AGAIN = "download it again"


def check_folder(folder: Path, whose: str, *, weights: bool = True) -> None:
    """Refuse a folder that no model can be loaded from.

    whose: what the message begins with (`model 'x'`). weights: False where none are needed (`load_format: dummy`).
    Raises UsageError.
    """
    config = folder / "config.json"
    if not config.is_file():
        if (folder / "adapter_config.json").is_file():
            raise UsageError(
                f"{whose}: {folder} is an adapter (adapter_config.json), not a model: merge it into its base model"
                " (PEFT's merge_and_unload, then save_pretrained) and give that folder"
            )
        raise UsageError(f"{whose}: {folder} holds no config.json: give the folder of a Hugging Face model")
    read_mapping(config, whose)
    if weights:
        check_weights(folder, whose)


def read_mapping(path: Path, whose: str) -> dict[str, Any]:
    """The JSON mapping in a file of a model. Raises UsageError."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{whose}: {path} cannot be read as JSON: {error}: {_AGAIN}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{whose}: {path} holds a {type(found).__name__}, expected a mapping: {_AGAIN}")
    return found


def check_weights(folder: Path, whose: str) -> None:
    """Every safetensors file there is, and every one that the index names, is whole. Raises UsageError."""
    files = sorted(folder.glob("*.safetensors"))
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = read_mapping(index, whose).get("weight_map")
        missing = [name for name in sorted(set(shards.values())) if not (folder / name).is_file()] if isinstance(shards, dict) else []
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise UsageError(f"{whose}: {folder / missing[0]}{more}, which {index.name} names, is not there: the download is not whole")
    if not files:
        refuse_pickles(folder.iterdir(), whose)
        raise UsageError(f"{whose}: {folder} holds no weights (*.safetensors): put them there, or set model.path to where they are")
    for path in files:
        check_file(path, whose)


def is_pickle(path: Path) -> bool:
    """Of weights, by its name."""
    return path.suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl") and path.name != "training_args.bin"


def refuse_pickles(paths: Iterable[Path], whose: str) -> None:
    """paths: of files with no safetensors beside them. Raises UsageError naming the first that is a pickle."""
    pickles = sorted(filter(is_pickle, paths))
    if pickles:
        raise UsageError(
            f"{whose}: {pickles[0]} is a pickle, which can run code when it is loaded, and no *.safetensors lies beside it: convert it"
            " (load it where you trust it, and save_pretrained), or take a model with safetensors weights"
        )


def check_file(path: Path, whose: str) -> None:
    """A safetensors file is as long as its header says. Raises UsageError."""
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(8)
        if (first + file.read(len(_POINTER) - 8)).startswith(_POINTER):
            raise UsageError(f"{whose}: {path} is a pointer of git-lfs, not the weights: run `git lfs pull` in its folder, or {_AGAIN}")
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else size
        file.seek(8)
        header = file.read(length) if length <= size - 8 else b""
    try:
        tensors = {name: each for name, each in json.loads(header).items() if name != "__metadata__"}
        end = max((each["data_offsets"][1] for each in tensors.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{whose}: {path} is no safetensors file, or was cut short: {_AGAIN}") from error
    if 8 + length + end != size:
        raise UsageError(f"{whose}: {path} has {size:,} bytes where its header says {8 + length + end:,}: {_AGAIN}")


def describe_missing(names: list[str], unused: list[str]) -> str:
    """Of tensors that a network wants and its weights lack: how many, the first few, and what stands there instead."""

    def some(found: list[str]) -> str:
        return ", ".join(sorted(found)[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")

    instead = f" The weights hold others: {some(unused)}." if unused else ""
    return f"its weights lack {len(names)} of the network's tensors ({some(names)}), which would be random numbers.{instead}"


def positions_of(network: Any) -> int | None:
    """How many tokens an encoder has positions for; None: it sets no limit. RoBERTa counts them from behind its padding's."""
    positions = getattr(network.config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions <= 0:
        return None
    embeddings = getattr(getattr(network.base_model, "embeddings", None), "position_embeddings", None)
    padding = getattr(embeddings, "padding_idx", None)
    return positions - (0 if padding is None else padding + 1)

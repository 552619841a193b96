"""A GGUF file to a folder of safetensors, configuration and tokenizer, whole or not at all."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from variegate.errors import UsageError, VariegateError
from variegate.store.files import new_folder, sha256_of

ABOUT = "prepared.json"  # beside the weights: what they were made of, and each file's hash
Say = Callable[[str], None]


def convert(source: Path, folder: Path, say: Say, *, sha256: str | None = None) -> None:
    """Write the model in `source` into `folder`, in float32.

    sha256: what `source` must hash to. Raises UsageError for a file that is no model, or not the one expected; VariegateError where a
    package is missing; StoreError when the disk does not take it.
    """
    if importlib.util.find_spec("gguf") is None:
        raise VariegateError(f"{source}: reading a GGUF file needs the package gguf: pip install gguf")
    if source.is_file() and source.open("rb").read(4) != b"GGUF":
        raise UsageError(f"{source}: is no GGUF file: it does not begin with the letters GGUF")
    found = sha256_of(source)
    if sha256 is not None and found != sha256:
        raise UsageError(f"{source}: its SHA-256 is {found[:12]}..., expected {sha256[:12]}...: it is damaged; install its package anew")
    with new_folder(folder) as place:
        say(f"reading {source.name}")
        model, tokenizer = _load(source)
        say(f"writing {folder}")
        model.save_pretrained(place)
        tokenizer.save_pretrained(place)
        files = {path.name: {"bytes": path.stat().st_size, "sha256": sha256_of(path)} for path in sorted(place.iterdir())}
        (place / ABOUT).write_text(json.dumps({"source": {"file": source.name, "sha256": found}, "files": files}, indent=1) + "\n")


def _load(source: Path) -> tuple[Any, Any]:
    """The model in float32, as one that never was quantized, and its tokenizer."""
    import torch
    import transformers

    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
        model = transformers.AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    except Exception as error:  # of three libraries; that of tokenizers is a plain Exception
        raise UsageError(
            f"{source}: Transformers {transformers.__version__} cannot read this model: {error}. It reads GGUF files of the Llama,"
            " Mistral, Qwen2 and some other architectures"
        ) from error
    model.config.__dict__.pop("quantization_config", None)
    model.hf_quantizer, model.is_quantized = None, False
    return model, tokenizer


def is_whole(folder: Path, *, hashes: bool = False) -> bool:
    """Whether all files are there with the size, and if asked for the hash, that they were written with."""
    try:
        files = json.loads((folder / ABOUT).read_text())["files"]
        return all(
            (folder / name).stat().st_size == each["bytes"] and (not hashes or sha256_of(folder / name) == each["sha256"])
            for name, each in files.items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False

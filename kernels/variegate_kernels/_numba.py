"""How the CPU kernels are compiled. Imports numba at once: import it only to compile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` as machine code that releases the GIL. Sums may be reordered; inputs must be finite.

    Kept on disk between processes where numba finds a folder it may write to, compiled anew (1 to 3 s) where not.
    """
    options = {"nogil": True, "fastmath": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # "cannot cache function: no locator available": a read-only install without a home folder
        return numba.njit(**options)(function)

"""Vectors as the measures take them: checked, of unit length where a distance wants it, equal rows found.

Knows nothing of texts, encoders or measures. Every error names the row.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from variegate.errors import UsageError
from variegate_kernels.rows import row_facts

_BLOCK_ELEMENTS = 1 << 20  # of a float64 block: 8 MiB, faster than 32 MiB by half
_UNIT_TOLERANCE = 3e-7  # float32 rounding of a normalised row leaves its length within 1e-7 of 1


def blocks(x: Float[Tensor, "n d"], elements: int = _BLOCK_ELEMENTS) -> Iterator[tuple[int, Tensor]]:
    """(first row, rows) in pieces small enough to be copied to float64."""
    size = max(1, elements // max(1, x.shape[1]))
    return ((start, x[start : start + size]) for start in range(0, len(x), size))


@dataclass(frozen=True, slots=True)
class Vectors:
    """A checked matrix with what one pass over it told."""

    name: str  # as errors call it
    rows: Float[Tensor, "n d"]
    norms: Float[Tensor, " n"]  # float64
    hashes: Int[Tensor, " n"]

    def check_directions(self) -> None:
        """Raises UsageError naming the first zero row: it has no direction."""
        if not bool(self.norms.min() > 0):
            raise UsageError(
                f"{self.name}: row {int(self.norms.argmin())} is a zero vector, which has no direction: leave it out, or use distance='euclidean'"
            )

    def units(self) -> Float[Tensor, "n d"]:
        """Rows of length 1: the rows themselves where they are so already, else a copy. Raises UsageError as `check_directions`."""
        self.check_directions()
        if bool((self.norms - 1).abs().max() <= _UNIT_TOLERANCE):
            return self.rows
        out = torch.empty_like(self.rows, memory_format=torch.contiguous_format)
        for start, block in blocks(self.rows):
            out[start : start + len(block)] = block.double() / self.norms[start : start + len(block), None]
        return out

    def distinct(self) -> Distinct:
        return find_distinct(self.rows, self.hashes)


def as_vectors(x: Any, name: str = "x") -> Float[Tensor, "n d"]:
    """`x` as a checked float32 or float64 tensor "n d"; see `prepare`."""
    return prepare(x, name).rows


def unit_rows(x: Any, name: str = "x") -> Float[Tensor, "n d"]:
    """Checked rows of length 1; see `prepare` and `Vectors.units`."""
    return prepare(x, name).units()


def prepare(x: Any, name: str = "x") -> Vectors:
    """Check `x`, an array or tensor "n d". Float32 and float64 stay, other types become float32; memory is shared where it can be.

    Raises UsageError when `x` is no matrix of numbers, has no row or no column, or holds NaN or infinity (names the row).
    Cost: one read of the matrix.
    """
    if isinstance(x, Vectors):
        return x
    rows = x.detach() if isinstance(x, Tensor) else _from_array(x, name)
    if rows.layout != torch.strided:
        raise UsageError(f"{name}: got a tensor of layout {rows.layout}, expected a dense one: call .to_dense()")
    if rows.ndim != 2:
        raise UsageError(f"{name}: got shape {list(rows.shape)}, expected [n, d]: one row a record, one column a dimension")
    if rows.shape[0] == 0 or rows.shape[1] == 0:
        raise UsageError(f"{name}: got shape {list(rows.shape)}: there is nothing to measure; give at least one vector of one dimension")
    if rows.is_complex():
        raise UsageError(f"{name}: got {rows.dtype}, expected real numbers")
    if rows.dtype not in (torch.float32, torch.float64):
        rows = rows.to(torch.float32)
    squares, hashes = row_facts(rows)
    bad = (~torch.isfinite(squares)).nonzero()
    if len(bad):
        raise UsageError(
            f"{name}: row {int(bad[0])} holds NaN, infinity or a number too large to square: leave the row out, or embed its text again"
        )
    return Vectors(name, rows, squares.sqrt_(), hashes)


def mean_row(x: Float[Tensor, "n d"]) -> Float[Tensor, " d"]:
    """The mean of the rows in float64. Blocks are summed by a product: ten times as fast as a sum over the first axis."""
    total = torch.zeros(x.shape[1], dtype=torch.float64, device=x.device)
    for _, block in blocks(x):
        total += torch.ones(len(block), dtype=torch.float64, device=x.device) @ block.double()
    return total / len(x)


def _known(dtype: torch.dtype) -> torch.dtype:
    """numpy has no bfloat16."""
    return torch.float32 if dtype == torch.bfloat16 else dtype


def _from_array(x: Any, name: str) -> Tensor:
    if isinstance(x, list | tuple) and any(isinstance(each, Tensor) for each in x):
        x = [each.detach().cpu().to(_known(each.dtype)).numpy() if isinstance(each, Tensor) else each for each in x]
    try:
        array = np.asarray(x)
    except ValueError as error:  # rows of several lengths
        raise UsageError(f"{name}: not a matrix of numbers: {error}. Give rows of one width") from error
    if array.dtype.kind not in "fiub":
        raise UsageError(f"{name}: got {array.dtype}, expected numbers, as an array or tensor [n, d]")
    if array.dtype.kind != "f" or array.dtype.itemsize < 8:
        array = array.astype(np.float32, copy=False)
    else:
        array = array.astype(np.float64, copy=False)
    if any(stride < 0 or stride % array.itemsize for stride in array.strides):
        array = array.copy()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable.*")  # a memory map; nothing here writes
        return torch.from_numpy(array)


def check_same_width(a: Vectors, b: Vectors) -> None:
    """Raises UsageError when two sets have vectors of different width."""
    if a.rows.shape[1] != b.rows.shape[1]:
        raise UsageError(
            f"{a.name} has vectors of width {a.rows.shape[1]}, {b.name} of width {b.rows.shape[1]}: they come from different encoders. Embed both with one"
        )


@dataclass(frozen=True, slots=True)
class Distinct:
    """Which rows are equal, bit for bit (0 and -0 are equal)."""

    first: Int[Tensor, " u"]  # the first row of each kind, ascending
    kind: Int[Tensor, " n"]  # row -> its place in `first`
    counts: Int[Tensor, " u"]

    @property
    def num_duplicates(self) -> int:
        return len(self.kind) - len(self.first)


def find_distinct(x: Float[Tensor, "n d"], hashes: Int[Tensor, " n"]) -> Distinct:
    """Equal rows by their hashes (see `row_facts`), each hit compared. O(n log n) time, O(n) memory."""
    if _all_differ(hashes):
        rows = torch.arange(len(x), device=x.device)
        return Distinct(rows, rows, torch.ones_like(rows))
    order = torch.argsort(hashes, stable=True)
    ranked = hashes[order]
    starts = torch.ones(len(x), dtype=torch.bool, device=x.device)
    starts[1:] = ranked[1:] != ranked[:-1]
    group = starts.cumsum(0) - 1
    leader = order[starts][group]  # stable: the lowest row of each hash
    later = (~starts).nonzero().squeeze(1)
    for start in range(0, len(later), 65536):
        part = later[start : start + 65536]
        if not bool((x[order[part]] == x[leader[part]]).all()):
            return _find_distinct_by_sorting(x)
    kind_of_leader = torch.empty(len(x), dtype=torch.int64, device=x.device)
    first = order[starts].sort().values
    kind_of_leader[first] = torch.arange(len(first), device=x.device)
    kind = torch.empty(len(x), dtype=torch.int64, device=x.device)
    kind[order] = kind_of_leader[leader]
    return Distinct(first, kind, torch.bincount(kind, minlength=len(first)))


def _all_differ(hashes: Int[Tensor, " n"]) -> bool:
    """Sorting values is ten times as fast as sorting places, and most sets need no more."""
    ranked = torch.from_numpy(np.sort(hashes.numpy())) if hashes.device.type == "cpu" else hashes.sort().values
    return not bool((ranked[1:] == ranked[:-1]).any())


def _find_distinct_by_sorting(x: Float[Tensor, "n d"]) -> Distinct:
    """For the case that two different rows share a hash."""
    _, first, kind, counts = np.unique(x.cpu().numpy() + 0.0, axis=0, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return Distinct(*(torch.from_numpy(each).to(x.device) for each in (first[order], place[kind.reshape(-1)], counts[order])))

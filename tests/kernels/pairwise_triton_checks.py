"""What `test_pairwise_triton` runs: the fused GPU sweeps against float64 brute force, on a device of its choice.

As a script: every check with Triton's interpreter (TRITON_INTERPRET=1, read when Triton is imported), then every planted fault,
and the outcomes as JSON.

Tolerances follow from fp16's rounding, 2^-12 of an entry: a distance is off by at most 2^-11 of the longest (centred) row, and
by what float32 leaves of its square, which matters most where two rows nearly meet.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import math
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

SIZES = [(1, 3), (2, 3), (3, 64), (127, 64), (128, 100), (129, 3), (300, 384)]  # n, d
SMALL = (32, 64, 32, 4, 2)  # tiles that a small n fills; the ones of a GPU come by default
TALL = (64, 32, 16, 4, 2)
PRECISIONS = ("fp16", "fp16x3")


def make_rows(n: int, d: int, kind: str, device: str) -> tuple[Tensor, Tensor]:
    """Rows, and copies of each."""
    generator = torch.Generator().manual_seed(n * 1009 + d)
    x = torch.randn(n, d, generator=generator)
    if kind == "unit":
        x = torch.nn.functional.normalize(x, dim=1)
    if kind == "offset":  # lengths of about 3000 * sqrt(d), distances of about 2 * sqrt(d)
        x = x * torch.linspace(0.5, 2, n)[:, None] + 3000
    if kind == "near":  # pairs of unit rows 1e-3 apart
        x = torch.nn.functional.normalize(x, dim=1)
        x[1::2] = x[: 2 * (n // 2) : 2] + 1e-3 * torch.nn.functional.normalize(torch.randn(n // 2, d, generator=generator), dim=1)
    return x.to(device), torch.randint(1, 4, (n,), generator=generator).float().to(device)


def brute_force(a: Tensor, b: Tensor, function: str, *, itself: bool) -> tuple[Tensor, Tensor]:
    """Distances (the own one infinite), and what is summed (of the own one 0), in float64 by differences."""
    difference = torch.stack([(row.double() - b.double()).square().sum(1).sqrt() for row in a])
    summed = 2 * torch.asin((difference / 2).clamp(max=1)) / math.pi if function == "angular" else difference.clone()
    if itself:
        summed.fill_diagonal_(0.0)
        difference.fill_diagonal_(math.inf)
    return difference, summed


def assert_parts(parts: Any, a: Tensor, b: Tensor, weights: Tensor, function: str, precision: str, *, itself: bool) -> None:
    """(nearest, distance_sq, sums, total) of rows of `a` among those of `b` against brute force."""
    nearest, distance_sq, sums, total = parts
    distances, summed = brute_force(a, b, function, itself=itself)
    centre = b.double().mean(0)
    longest = float(torch.cat([a, b]).double().sub(centre).norm(dim=1).max())
    rounding = longest * (2**-11 if precision == "fp16" else 2**-21)
    error_sq = longest**2 * 2**-20  # of float32: 16 roundings of the largest square
    allowed = rounding + torch.minimum(error_sq / distances.clamp(min=1e-30), torch.tensor(math.sqrt(error_sq), device=a.device))
    rows = torch.arange(len(a), device=a.device)
    if itself and len(a) == 1:
        assert nearest.tolist() == [-1]
        assert distance_sq.tolist() == [math.inf]
    else:
        assert not itself or bool((nearest != rows).all()), "a row is its own neighbour"
        chosen, least = distances[rows, nearest], distances.min(1).values
        assert bool((chosen - least <= 2 * allowed.gather(1, distances.argmin(1)[:, None])[:, 0]).all()), "not the nearest"
        error = (distance_sq.double().sqrt() - chosen).abs()
        assert bool((error <= allowed[rows, nearest]).all()), f"distance off by {float(error.max())}"
    if sums is not None:
        expected = summed @ weights.double()
        own = weights.double() if itself else torch.ones(len(a), dtype=torch.float64, device=a.device)
        error = (sums - expected).abs() / weights.double().sum()
        most = (allowed @ weights.double()) / weights.double().sum() * (3 if function == "angular" else 1)  # d angle / d distance
        assert bool((error <= most).all()), f"sum off by {float(error.max())} a pair, {float(most.min())} allowed"
        assert total == pytest.approx(float((own * expected).sum()), rel=3e-4 if precision == "fp16" else 1e-6)
        assert total == pytest.approx(float((own * sums).sum()), rel=5e-7)  # the same distances, added by rows and by columns


def run_sweep(n: int, d: int, kind: str, function: str, precision: str, device: str, tiling: Any = None) -> None:
    from variegate_kernels._pairwise_triton import Tiling, launch_sweep

    x, weights = make_rows(n, d, kind, device)
    parts = launch_sweep(
        x, weights, nearest=True, sum=function, row_sums=True, precision=precision, tiling=tiling and Tiling(*tiling)
    )  # fmt: skip
    assert_parts(parts, x, x, weights, function, precision, itself=True)


# -- what holds on the interpreter and on a GPU alike ------------------------------------------------------------------


def check_sizes(device: str) -> None:
    for n, d in SIZES:
        for precision in PRECISIONS:
            run_sweep(n, d, "unit", "euclidean", precision, device)


def check_small_tiles(device: str) -> None:
    """Many tiles, whole and cut, on and off the diagonal, with wide and tall shapes."""
    for tiling in (SMALL, TALL):
        for n, d in ((1, 3), (63, 64), (129, 100), (256, 17)):
            run_sweep(n, d, "unit", "euclidean", "fp16", device, tiling)
    run_sweep(200, 40, "unit", "euclidean", "fp16x3", device, SMALL)


def check_strips(device: str) -> None:
    """Several tiles to a unit and several groups of row blocks, which only many rows have otherwise."""
    from variegate_kernels import _pairwise_triton

    before = _pairwise_triton._ENOUGH_UNITS, _pairwise_triton._GROUP_BLOCKS
    try:
        for _pairwise_triton._ENOUGH_UNITS, _pairwise_triton._GROUP_BLOCKS in ((8, 3), (20, 2), (4096, 4)):
            for tiling in (SMALL, TALL):
                run_sweep(333, 24, "unit", "euclidean", "fp16", device, tiling)
    finally:
        _pairwise_triton._ENOUGH_UNITS, _pairwise_triton._GROUP_BLOCKS = before


def check_angles(device: str) -> None:
    for precision in PRECISIONS:
        run_sweep(129, 64, "unit", "angular", precision, device)
    run_sweep(100, 3, "unit", "angular", "fp16x3", device, SMALL)  # at width 3 angles go from 0 to pi


def check_lengths(device: str) -> None:
    """Rows far from the origin, of many lengths; rows that nearly meet; rows of very small and very large numbers."""
    for precision in PRECISIONS:
        run_sweep(129, 64, "offset", "euclidean", precision, device, SMALL)
        run_sweep(128, 64, "near", "euclidean", precision, device, SMALL)
    from variegate_kernels._pairwise_triton import launch_sweep

    x, weights = make_rows(40, 20, "unit", device)
    for scale in (2.0**-60, 2.0**60):
        nearest, distance_sq, _, total = launch_sweep(x * scale, weights, nearest=True, sum="euclidean", row_sums=False, precision="fp16")
        expected = launch_sweep(x, weights, nearest=True, sum="euclidean", row_sums=False, precision="fp16")
        assert torch.equal(nearest, expected[0])
        assert torch.equal(distance_sq.double(), expected[1].double() * scale**2)
        assert total == expected[3] * scale


def check_ties(device: str) -> None:
    """Whole numbers about the origin are exact in fp16: the lowest index among equals, copies of a row found, never itself."""
    from variegate_kernels._pairwise_triton import Tiling, launch_sweep

    half = torch.randint(-2, 3, (70, 4), generator=torch.Generator().manual_seed(5)).float()
    x = torch.cat([half, -half]).to(device)  # the mean is 0; 140 rows among 625 places: copies and ties
    distances = brute_force(x, x, "euclidean", itself=True)[0]
    lowest = torch.stack([(row == row.min()).nonzero()[0, 0] for row in distances])
    assert int((distances.min(1).values == 0).sum()) > 20
    for precision in PRECISIONS:
        for tiling in (None, SMALL, TALL):
            nearest, distance_sq, sums, _ = launch_sweep(
                x, torch.ones(140, device=device), nearest=True, sum="none", row_sums=True, precision=precision, tiling=tiling and Tiling(*tiling)
            )  # fmt: skip
            assert torch.equal(nearest, lowest)
            assert torch.equal(distance_sq.double(), distances.min(1).values.square().round())
            assert sums is None
    same = torch.full((67, 5), 0.3, device=device)  # all rows equal: row 0, and for row 0 row 1
    nearest, distance_sq, sums, total = launch_sweep(
        same, torch.ones(67, device=device), nearest=True, sum="euclidean", row_sums=True, precision="fp16", tiling=Tiling(*SMALL)
    )  # fmt: skip
    assert nearest.tolist() == [1] + [0] * 66
    assert float(distance_sq.max()) == float(sums.max()) == total == 0.0


def check_parts_left_out(device: str) -> None:
    from variegate_kernels._pairwise_triton import Tiling, launch_sweep

    x, weights = make_rows(150, 30, "unit", device)
    options = {"precision": "fp16", "tiling": Tiling(*SMALL)}
    whole = launch_sweep(x, weights, nearest=True, sum="euclidean", row_sums=True, **options)
    alone = launch_sweep(x, weights, nearest=True, sum="none", row_sums=False, **options)
    total = launch_sweep(x, weights, nearest=False, sum="euclidean", row_sums=False, **options)
    assert torch.equal(alone[0], whole[0])
    assert torch.equal(alone[1], whole[1])
    assert alone[2:] == (None, None)
    assert bool((total[0] == -1).all())
    assert bool(total[1].isinf().all())
    assert total[2] is None
    assert total[3] == whole[3]


def check_cross(device: str) -> None:
    from variegate_kernels._pairwise_triton import Tiling, launch_cross_sweep

    for n, m, d in ((1, 1, 3), (130, 300, 64), (50, 257, 17), (600, 64, 100)):
        for tiling in (None, SMALL):
            a, b = make_rows(n, d, "unit", device)[0], make_rows(m, d + 1, "unit", device)[0][:, :d].contiguous()
            weights = make_rows(m, 7, "unit", device)[1]
            for precision in PRECISIONS:
                parts = launch_cross_sweep(
                    a, b, weights, nearest=True, sum="euclidean", row_sums=True, precision=precision, tiling=tiling and Tiling(*tiling)
                )  # fmt: skip
                assert_parts(parts, a, b, weights, "euclidean", precision, itself=False)


def check_top_k(device: str) -> None:
    from variegate_kernels._pairwise_triton import Tiling, launch_top_k

    for n, m, k, d in ((1, 1, 1, 3), (5, 32, 32, 40), (4, 700, 5, 150), (2, 1000, 32, 16), (33, 65, 1, 384)):
        for precision, tiling in (("fp16", None), ("fp16x3", Tiling(*SMALL))):
            a, b = make_rows(n, d, "unit", device)[0], make_rows(m, d + 1, "plain", device)[0][:, :d].contiguous()
            values, found = launch_top_k(a, b, k, precision=precision, tiling=tiling)
            exact = a.double() @ b.double().T
            assert values.dtype == torch.float32
            torch.testing.assert_close(values.double(), exact.topk(k, dim=1).values, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(values.double(), exact.gather(1, found), rtol=1e-5, atol=1e-5)
            assert all(len(set(row)) == k for row in found.tolist())
    b = torch.randint(-2, 3, (300, 3), generator=torch.Generator().manual_seed(1)).float().to(device)  # exact: many ties
    values, found = launch_top_k(b[:10], b, 9, precision="fp16", tiling=Tiling(*SMALL))
    expected = (b[:10].double() @ b.double().T).sort(dim=1, descending=True, stable=True)
    assert torch.equal(values.double(), expected.values[:, :9])
    assert torch.equal(found, expected.indices[:, :9])


def check_same_bits(device: str) -> None:
    from variegate_kernels import _pairwise_triton
    from variegate_kernels._pairwise_triton import Tiling, launch_sweep

    x, weights = make_rows(170, 24, "unit", device)

    def once() -> Any:
        return launch_sweep(x, weights, nearest=True, sum="euclidean", row_sums=True, precision="fp16", tiling=Tiling(*SMALL))

    first, second = once(), once()
    assert all(torch.equal(a, b) for a, b in zip(first[:3], second[:3], strict=True))
    assert first[3] == second[3]
    before = _pairwise_triton._MAX_PROGRAMS
    _pairwise_triton._MAX_PROGRAMS = 5  # many launches in place of one
    try:
        third = once()
    finally:
        _pairwise_triton._MAX_PROGRAMS = before
    assert all(torch.equal(a, b) for a, b in zip(first[:3], third[:3], strict=True))
    assert third[3] == pytest.approx(first[3], rel=1e-14)


def check_merging(device: str) -> None:
    from variegate_kernels._pairwise_triton import Tiling, count_units, launch_sweep, merge_sweeps

    x, weights = make_rows(170, 24, "unit", device)
    options: Any = {"nearest": True, "sum": "euclidean", "row_sums": True, "precision": "fp16", "tiling": Tiling(*SMALL)}
    whole = launch_sweep(x, weights, **options)
    count = count_units(x, precision="fp16", tiling=Tiling(*SMALL))
    for cuts in ([0, count // 2, count], [0, 1, 2, count - 1, count], [0, count, count]):
        parts = [launch_sweep(x, weights, **options, tile_range=(start, stop)) for start, stop in itertools.pairwise(cuts)]
        for order in (parts, parts[::-1]):
            merged = merge_sweeps(order)
            assert torch.equal(merged[0], whole[0])
            assert torch.equal(merged[1], whole[1])
            torch.testing.assert_close(merged[2], whole[2], rtol=1e-12, atol=0)
            assert merged[3] == pytest.approx(whole[3], rel=1e-12)
    with pytest.raises(ValueError, match="tile_range"):
        launch_sweep(x, weights, **options, tile_range=(0, count + 1))


def check_the_public_functions(device: str) -> None:
    from variegate_kernels.pairwise import cross_sweep, sweep

    x, weights = make_rows(90, 40, "unit", device)
    for precision in PRECISIONS:
        got, expected = (
            sweep(x, weights, function="euclidean", impl="triton", precision=precision),
            sweep(x, weights, function="euclidean", impl="torch"),
        )
        assert float((got.distance_sq - expected.distance_sq).abs().max()) <= got.error  # rows of length 1
        assert got.total == pytest.approx(expected.total, rel=1e-4)
        crossed, wanted = cross_sweep(x[:30], x[30:], impl="triton", precision=precision), cross_sweep(x[:30], x[30:], impl="torch")
        assert float((crossed.distance_sq - wanted.distance_sq).abs().max()) <= crossed.error


def check_arccos(device: str) -> None:
    """A row of squared distances from 0 to 4 against the exact angle."""
    from variegate_kernels._pairwise_triton import launch_cross_sweep

    turn = torch.linspace(0, math.pi, 257, dtype=torch.float64)
    b = torch.stack([turn.cos(), turn.sin()], 1)
    a = torch.tensor([[1.0, 0.0]])
    for index in range(0, 257, 16):
        one = torch.zeros(257)
        one[index] = 1
        sums = launch_cross_sweep(
            a.to(device), b.float().to(device), one.to(device), nearest=False, sum="angular", row_sums=True, precision="fp16x3"
        )[2]  # fmt: skip
        assert float(sums[0]) == pytest.approx(index / 256, abs=3e-4 if index in (0, 256) else 2e-6)


CHECKS = {name: check for name, check in globals().items() if name.startswith("check_")}

# Each must be found by the check beside it: (what stands in the kernels, what is put there, check).
FAULTS = [
    ("rows[:, None] < columns[None, :]", "rows[:, None] <= columns[None, :]", check_small_tiles),  # a row meets itself
    ("rows[:, None] < columns[None, :]", "rows[:, None] > columns[None, :]", check_small_tiles),  # the other half of the diagonal
    ("columns[None, :] < num_columns", "columns[None, :] <= num_columns", check_small_tiles),  # one row of padding counts
    ("if improved >= 65536", "if improved >= 3 * 65536", check_small_tiles),  # a single better column is passed over
    ("mask=column_least <= column_best", "mask=column_least < column_best", check_ties),  # a tie at a lower index is passed over
    ("j = tl.where(j < clear, j, num_whole)", "j = tl.where(j < clear, j, clear)", check_small_tiles),  # the ragged tile is not seen
    ("begin = tl.maximum(begin, clear)", "begin = tl.maximum(begin, clear + 1)", check_strips),
    ("from_rows = distances * row_weight[:, None]", "from_rows = distances", check_small_tiles),
    ("(-columns + LAST)", "columns", check_top_k),
]  # fmt: skip


def find_faults() -> dict[str, str]:
    """What each planted fault ended in: the check's own complaint, or "not found"."""
    from variegate_kernels import _pairwise_kernels, _pairwise_triton

    source = Path(_pairwise_kernels.__file__).read_text()
    kernels = ("sweep_strip", "group_maxima", "group_products")
    right = {name: getattr(_pairwise_triton, name) for name in kernels}
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for place, (old, new, check) in enumerate(FAULTS):
            assert old in source, f"no longer in the kernels: {old}"
            path = Path(folder) / f"faulty_{place}.py"
            path.write_text(source.replace(old, new))
            spec = importlib.util.spec_from_file_location(path.stem, path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            for name in kernels:
                setattr(_pairwise_triton, name, getattr(module, name))
            try:
                check("cpu")
                found[new] = "not found"
            except (AssertionError, RuntimeError, IndexError) as error:  # an index of padding fails in torch
                found[new] = f"found: {error}"
            finally:
                for name in kernels:
                    setattr(_pairwise_triton, name, right[name])
    return found


def run_all(checks: dict[str, Callable[[str], None]]) -> dict[str, str]:
    outcome = {}
    for name, check in checks.items():
        try:
            check("cpu")
            outcome[name] = "ok"
        except Exception:
            outcome[name] = traceback.format_exc(limit=-4)
    return outcome


if __name__ == "__main__":
    print(json.dumps({**run_all(CHECKS), **find_faults()}))

"""The float64 reference against scipy, and the CPU tiles against both; the Triton form is in test_pairwise_triton."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from variegate_kernels import _pairwise_tiles
from variegate_kernels.pairwise import Sweep, cross_sweep, sweep

IMPLS = ("torch", "tiles")
# One tile on the diagonal; its cut in two; a tile and one row; two tiles; more than three.
SIZES = [1, 2, 3, 111, 112, 113, 448, 449, 896, 1500]
SUMS = {"torch": 1e-12, "tiles": 1e-6}  # relative error of a sum; in tiles 448 float32 terms at a time
UNSEEN = 1e9  # a distance that never wins
LONGEST = 8.0  # more than any row of normal numbers here is long


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def random(n: int, d: int, seed: int = 0, *, unit: bool = False) -> torch.Tensor:
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (x / x.norm(dim=1, keepdim=True) if unit else x).float()


def whole(n: int, d: int, seed: int, largest: int = 2) -> torch.Tensor:
    """Small whole numbers, whose products are exact in float32, with their negatives, so that the mean is exactly 0."""
    half = np.random.default_rng(seed).integers(-largest, largest + 1, (n, d))
    return torch.from_numpy(np.concatenate([half, -half]).astype(np.float32))


def brute(a: torch.Tensor, b: torch.Tensor | None = None) -> np.ndarray:
    """All distances in float64 by differences; UNSEEN on the diagonal of a set with itself."""
    out = cdist(a.double().numpy(), (a if b is None else b).double().numpy())
    if b is None:
        np.fill_diagonal(out, UNSEEN)
    return out


def transformed(distances: np.ndarray, function: str) -> np.ndarray:
    kept = np.where(distances == UNSEEN, 0, distances)
    return kept if function == "euclidean" else 2 * np.arcsin(np.clip(kept / 2, 0, 1)) / np.pi


def assert_nearest(found: Sweep, distances: np.ndarray) -> None:
    """`nearest` names a row as near as the nearest, up to the error that `error` admits for rows of lengths up to LONGEST."""
    index = found.nearest.numpy()
    if distances.shape[1] == 1 and distances[0, 0] == UNSEEN:
        assert index.tolist() == [-1]
        assert found.distance_sq.tolist() == [math.inf]
        return
    reached = distances[np.arange(len(index)), index]
    assert (reached < UNSEEN).all()  # never the row itself
    assert (reached**2 <= distances.min(1) ** 2 + 2 * found.error * LONGEST**2).all()
    assert np.abs(found.distance_sq.double().numpy() - reached**2).max() <= found.error * LONGEST**2


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("n", SIZES)
def test_nearest_and_sums_of_one_set(n: int, impl: str) -> None:
    x = random(n, 24, seed=n)
    found = sweep(x, function="euclidean", impl=impl)
    distances = brute(x)
    assert_nearest(found, distances)
    sums = transformed(distances, "euclidean").sum(1)
    np.testing.assert_allclose(found.sums.numpy(), sums, rtol=SUMS[impl])
    assert found.total == pytest.approx(sums.sum(), rel=SUMS[impl] / 10)
    assert found.sums.dtype == torch.float64
    assert found.impl == impl
    assert found.precision == {"torch": "float64", "tiles": "fp32"}[impl]


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 500), (500, 1), (449, 900), (1000, 300)])
def test_nearest_and_sums_across_two_sets(n: int, m: int, impl: str) -> None:
    a, b = random(n, 24, seed=1), random(m, 24, seed=2)
    weights = torch.randint(1, 9, (m,), generator=torch.Generator().manual_seed(0))
    found = cross_sweep(a, b, weights, function="euclidean", impl=impl)
    distances = brute(a, b)
    assert_nearest(found, distances)
    sums = distances @ weights.numpy()
    np.testing.assert_allclose(found.sums.numpy(), sums, rtol=SUMS[impl])
    assert found.total == pytest.approx(sums.sum(), rel=SUMS[impl])  # every row of `a` once


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("function", ["euclidean", "angular"])
@pytest.mark.parametrize("d", [1, 2, 3, 384])
def test_functions_with_weights(function: str, d: int, impl: str) -> None:
    x = random(600, d, unit=True)
    weights = torch.randint(1, 9, (600,), generator=torch.Generator().manual_seed(0))
    found = sweep(x, weights, function=function, impl=impl)
    sums = transformed(brute(x), function) @ weights.numpy()
    # d = 1 holds 1 and -1 only: each distance is 0 or 2, and float32's 0 comes exactly.
    np.testing.assert_allclose(found.sums.numpy(), sums, rtol=5 * SUMS[impl])
    assert found.total == pytest.approx(float(sums @ weights.numpy()), rel=2 * SUMS[impl])


def test_the_angle_is_right_from_end_to_end() -> None:
    """Pairs at 0 to 180 degrees in float32: the polynomial is good to 3e-8, the cosine near 0 and 180 degrees to 1e-7."""
    angles = torch.linspace(0, math.pi, 400, dtype=torch.float64)
    x = torch.stack([angles.cos(), angles.sin()], dim=1).float()
    got = cross_sweep(x[:1], x, function="angular", impl="tiles", weights=torch.ones(400))
    assert got.total == pytest.approx(200, rel=1e-6)
    for k in range(1, 400, 7):
        one = cross_sweep(x[:1], x[k : k + 1], function="angular", impl="tiles").total
        assert one == pytest.approx(k / 399, abs=3e-7 if 20 < k < 380 else 2e-4)


@pytest.mark.parametrize("impl", IMPLS)
def test_without_a_function_there_are_no_sums(impl: str) -> None:
    found = sweep(random(50, 4), impl=impl)
    assert found.sums is None
    assert found.total is None


@pytest.mark.parametrize("impl", IMPLS)
def test_without_row_sums_the_total_stays(impl: str) -> None:
    x = random(50, 4)
    found = sweep(x, function="euclidean", row_sums=False, impl=impl)
    assert found.sums is None
    assert found.total == sweep(x, function="euclidean", impl=impl).total


@pytest.mark.parametrize("impl", IMPLS)
@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 520), d=st.integers(1, 5), largest=st.integers(1, 3), seed=st.integers(0, 2**31))
def test_equal_distances_go_to_the_lowest_index(impl: str, n: int, d: int, largest: int, seed: int) -> None:
    x = whole(n, d, seed, largest)
    distances = brute(x)
    found = sweep(x, impl=impl)
    assert found.nearest.tolist() == distances.round(9).argmin(1).tolist()
    np.testing.assert_allclose(found.distance_sq.numpy(), distances.min(1) ** 2, rtol=1e-9, atol=1e-9)
    other = whole(1 + n // 2, d, seed + 1, largest)
    across = cross_sweep(x, other, impl=impl)
    assert across.nearest.tolist() == brute(x, other).round(9).argmin(1).tolist()


@pytest.mark.parametrize("impl", IMPLS)
def test_equal_rows_are_found_and_a_row_is_not_its_own_neighbour(impl: str) -> None:
    x = random(1000, 8)
    copies = [5, 300, 700, 999]
    x[copies] = x[300].clone()
    found = sweep(x, impl=impl)
    assert all(index in copies and index != row for row, index in zip(copies, found.nearest[copies].tolist(), strict=True))
    assert found.distance_sq[copies].max() <= found.error * LONGEST**2
    same = sweep(torch.ones(500, 3), function="euclidean", impl=impl)
    assert same.nearest.tolist() == [1] + [0] * 499
    assert same.total == 0
    assert same.distance_sq.max() == 0


def test_tiles_give_the_same_bits_with_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pairwise_tiles, "_usable_cores", lambda: 4)
    a, b = random(2100, 16, unit=True), random(700, 16, seed=3, unit=True)
    weights = torch.randint(1, 9, (2100,), generator=torch.Generator().manual_seed(0))
    seen = []
    for threads in (1, 2, 4, 4):
        torch.set_num_threads(threads)
        for function in ("euclidean", "angular"):
            seen.append([sweep(a, weights, function=function, impl="tiles"), cross_sweep(b, a, weights, function=function, impl="tiles")])
    for one, two in zip(seen[:2] * 3, seen[2:], strict=True):
        for first, second in zip(one, two, strict=True):
            assert torch.equal(first.nearest, second.nearest)
            assert torch.equal(first.distance_sq, second.distance_sq)
            assert torch.equal(first.sums, second.sums)
            assert first.total == second.total


def test_ties_across_threads_go_to_the_lowest_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles finish in any order, and each of many equal neighbours is seen by another thread."""
    monkeypatch.setattr(_pairwise_tiles, "_usable_cores", lambda: 4)
    torch.set_num_threads(4)
    x = whole(448 * 5, 2, seed=0, largest=40)
    expected = np.concatenate([brute(x[start : start + 448], x) for start in range(0, len(x), 448)]).round(9)
    np.fill_diagonal(expected, UNSEEN)
    for _ in range(5):
        assert sweep(x, impl="tiles").nearest.tolist() == expected.argmin(1).tolist()


def test_sums_stay_exact_for_many_copies() -> None:
    """Fixed-point sums must neither overflow nor lose the small terms: 10^7 copies of one row, distances of 1e-6 and of 1e6."""
    for scale in (1e-6, 1.0, 1e6):
        x = random(300, 8) * scale
        weights = torch.ones(300)
        weights[0] = 1e7
        found = sweep(x, weights, function="euclidean", impl="tiles")
        expected = transformed(brute(x), "euclidean") @ weights.double().numpy()
        np.testing.assert_allclose(found.sums.numpy(), expected, rtol=1e-5)  # one float32 distance, 10^7 times


# -- threads that stop -----------------------------------------------------------------------------------------


def test_progress_counts_up_to_the_number_of_tiles() -> None:
    seen: list[tuple[int, int]] = []
    sweep(random(448 * 20, 2), impl="tiles", progress=lambda done, whole: seen.append((done, whole)))
    assert seen[-1] == (seen[0][1], seen[0][1])
    assert len(seen) > 3
    assert all(0 <= done <= whole == seen[0][1] for done, whole in seen)


@pytest.mark.parametrize("place", [0, 1], ids=["first", "second"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_a_failure_in_any_thread_stops_the_others_at_once(error: type[BaseException], place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # An engine of vLLM in this process turns set_num_threads into nothing, and a worker of pytest-xdist may have one core.
    given: list[int] = []
    monkeypatch.setattr(_pairwise_tiles, "_usable_cores", lambda: 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    x = random(448 * 60, 2)
    since: list[int] = []
    names: list[str] = []
    both = threading.Barrier(2)

    def fail(done: int, whole: int) -> None:
        name = threading.current_thread().name
        if since:
            since.append(done)
            return
        if name not in names:
            names.append(name)
            both.wait(timeout=60)  # else one thread may be done before the other has begun
        if name.endswith(f"_{place}"):
            since.append(done)
            raise error

    with pytest.raises(error):
        sweep(x, function="angular", impl="tiles", progress=fail)
    assert len(since) <= 3  # one call for each 64 of the 1,860 tiles
    assert given == [1, 1, 2]  # each of the two threads its own, and what there was before


@pytest.mark.slow
def test_ctrl_c_ends_a_long_sweep_promptly() -> None:
    code = (
        "import torch\nfrom variegate_kernels.pairwise import sweep\nsweep(torch.randn(600, 4), function='angular', impl='tiles')\n"
        "x = torch.randn(400_000, 16)\nprint('ready', flush=True)\nsweep(x, function='angular', impl='tiles')"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.3)
        assert child.poll() is None
        child.send_signal(signal.SIGINT)
        start = time.monotonic()
        _, errors = child.communicate(timeout=20)
    finally:
        child.kill()
    assert time.monotonic() - start < 8  # the sweep takes minutes
    assert errors.rstrip().endswith("KeyboardInterrupt")


# -- arguments ---------------------------------------------------------------------------------


def test_auto_is_tiles_for_float32_and_the_reference_for_float64() -> None:
    assert sweep(random(5, 2)).impl == "tiles"
    assert sweep(random(5, 2).double()).impl == "torch"


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (torch.zeros(4), {}, r"a: got torch.float32 \[4\]"),
        (torch.zeros(0, 4), {}, "expected float32 or float64"),
        (torch.zeros(4, 0), {}, "expected float32 or float64"),
        (torch.zeros(4, 2).half(), {}, "torch.float16"),
        (torch.zeros(4, 2), {"impl": "fast"}, "impl: got 'fast'"),
        (torch.zeros(4, 2), {"function": "cosine"}, "function: got 'cosine'"),
        (torch.zeros(4, 2).double(), {"impl": "tiles"}, "takes float32"),
        (torch.zeros(4, 2), {"weights": torch.ones(3)}, r"weights: got \[3\], expected \[4\]"),
        (torch.zeros(4, 2), {"impl": "tiles", "precision": "fp8"}, "precision"),
        (torch.zeros(4, 2), {"impl": "torch", "precision": "fp16"}, "precision"),
    ],
)
def test_bad_arguments(x: torch.Tensor, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sweep(x, **options)  # type: ignore[arg-type]


def test_sets_of_two_widths_or_types() -> None:
    with pytest.raises(ValueError, match="widths, types and devices must agree"):
        cross_sweep(torch.zeros(3, 2), torch.zeros(3, 4))
    with pytest.raises(ValueError, match="widths, types and devices must agree"):
        cross_sweep(torch.zeros(3, 2), torch.zeros(3, 2).double())

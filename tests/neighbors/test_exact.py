"""Every exact implementation on the same data, against scipy in float64; near-duplicates, far and huge vectors, memory."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from variegate.errors import UsageError
from variegate.neighbors import Neighbors, exact, nearest_in, nearest_in_others, nearest_other, top_k

IMPLEMENTATIONS = ("dense", "tiles", "faiss")
# Error of the mean distance as a share of the largest: over many pairs far smaller than one float32 distance has. "dense" is
# float64, but rows far from the origin or of extreme length are moved and scaled in their own type first.
TOTAL = {"dense": 1e-8, "tiles": 1e-7, "faiss": 1e-7}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Many small problems: threads would only wait for one another. Tests of threads set their own number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def clustered(n: int, d: int = 24, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (2 * rng.standard_normal((12, d))[rng.integers(0, 12, n)] + rng.standard_normal((n, d))).astype(np.float32)


def far(n: int, seed: int = 0) -> np.ndarray:
    """A spread of 1 at a distance of 1000 in each column: |x|^2 is a million times the distances' squares."""
    return clustered(n, seed=seed) + np.float32(1000)


DATA: dict[str, Callable[[int, int], np.ndarray]] = {
    "clustered": lambda n, seed: clustered(n, seed=seed),
    "float64": lambda n, seed: clustered(n, seed=seed).astype(np.float64) * (1 + 1e-9),
    "far": lambda n, seed: far(n, seed),
    "far float64": lambda n, seed: far(n, seed).astype(np.float64) + 1e5,
    "huge": lambda n, seed: clustered(n, seed=seed) * np.float32(1e18),
    "tiny": lambda n, seed: clustered(n, seed=seed) * np.float32(1e-18),
    "huge float64": lambda n, seed: clustered(n, seed=seed).astype(np.float64) * 1e120,
    "one column": lambda n, seed: clustered(n, d=1, seed=seed),
    "fortran": lambda n, seed: np.asfortranarray(clustered(n, seed=seed)),
}


def truth(a: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    scale = 2.0 ** round(math.log2(np.abs(a).max()))  # a power of two: the squares of 1e120 leave float64
    out = cdist(a.astype(np.float64) / scale, (a if b is None else b).astype(np.float64) / scale) * scale
    if b is None:
        np.fill_diagonal(out, np.inf)
    return out


def assert_agrees(found: Neighbors, distances: np.ndarray, implementation: str) -> None:
    """Each distance is that of the row named, and its square within 2e-6 of the nearest one's, relative to the largest."""
    kept = np.where(np.isinf(distances), 0, distances)
    largest = kept.max()
    index = found.index.numpy()
    np.testing.assert_allclose(found.distances.numpy(), distances[np.arange(len(index)), index], rtol=1e-11)
    assert ((found.distances.numpy() / largest) ** 2 <= (distances.min(1) / largest) ** 2 + 2e-6).all()
    assert found.distances.mean().item() == pytest.approx(distances.min(1).mean(), rel=1e-5)
    if found.total is not None:
        assert found.total / kept.size == pytest.approx(kept.sum() / kept.size, abs=TOTAL[implementation] * largest)
        np.testing.assert_allclose(found.sums.numpy(), kept.sum(1), rtol=20 * TOTAL[implementation])


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", DATA)
def test_one_set(name: str, implementation: str) -> None:
    x = DATA[name](500, 0)
    found = nearest_other(torch.from_numpy(x), implementation=implementation, function="euclidean")
    assert_agrees(found, truth(x), implementation)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", DATA)
def test_two_sets(name: str, implementation: str) -> None:
    a, b = DATA[name](300, 1), DATA[name](500, 2)
    found = nearest_in(torch.from_numpy(a), torch.from_numpy(b), implementation=implementation, function="euclidean")
    assert_agrees(found, truth(a, b), implementation)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("n", [2, 3, 30])
def test_small_sets(n: int, implementation: str) -> None:
    x = clustered(n)
    assert_agrees(nearest_other(torch.from_numpy(x), implementation=implementation, function="euclidean"), truth(x), implementation)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_one_row_has_no_neighbour(implementation: str) -> None:
    found = nearest_other(torch.ones(1, 3), implementation=implementation, function="euclidean")
    assert found.index.tolist() == [-1]
    assert found.distances.tolist() == [math.inf]
    assert found.total == 0


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("a_scale", "b_scale"), [(1e18, 1.0), (1.0, 1e18), (1e19, 1.0), (1.0, 1e19), (1e-18, 1.0), (1e-18, 1e18)])
def test_two_sets_of_very_different_lengths(a_scale: float, b_scale: float, implementation: str) -> None:
    """Squares of 1e19 leave float32, in whichever set they are."""
    a, b = clustered(60) * np.float32(a_scale), clustered(90, seed=1) * np.float32(b_scale)
    found = nearest_in(torch.from_numpy(a), torch.from_numpy(b), implementation=implementation, function="euclidean")
    distances = truth(a, b)
    assert found.total == pytest.approx(distances.sum(), rel=1e-6)
    assert (found.distances.numpy() <= distances.min(1) * (1 + 1e-6)).all()


def test_float64_is_measured_in_float64_by_dense() -> None:
    x = clustered(300).astype(np.float64)
    found = nearest_other(torch.from_numpy(x), implementation="dense", function="euclidean")
    assert found.precision == "float64"
    np.testing.assert_allclose(found.sums.numpy(), cdist(x, x).sum(1), rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "implementation"), [(600, "dense"), (600, "tiles"), (600, "faiss"), (8300, "tiles")])
def test_one_row_far_out_disturbs_no_other(n: int, implementation: str) -> None:
    """Its square leaves float32, and among 8,300 rows its length is in no sample of every second one."""
    x = clustered(n, d=2)
    x[1] *= np.float32(1e19)
    found = nearest_other(torch.from_numpy(x), implementation=implementation)
    assert not (found.index == torch.arange(n)).any()
    rows = np.arange(0, n, n // 60)
    distances = cdist(x[rows].astype(np.float64), x.astype(np.float64))
    distances[np.arange(len(rows)), rows] = np.inf
    np.testing.assert_allclose(found.distances.numpy()[rows], distances.min(1), rtol=1e-6)


@pytest.mark.parametrize("implementation", ["tiles", "faiss"])
def test_one_long_row_does_not_send_all_others_to_be_looked_up_again(implementation: str) -> None:
    """The error of a product is a share of its own two lengths, not of the longest in the set."""
    x = clustered(1000)
    x[1] *= 3000
    found = nearest_other(torch.from_numpy(x), implementation=implementation)
    np.testing.assert_allclose(found.distances.numpy(), truth(x).min(1), rtol=1e-6)
    assert found.num_looked_up_again < 100


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("function", ["euclidean", "angular"])
@pytest.mark.parametrize("shifted", [False, True], ids=["around the origin", "one direction"])
def test_weighted_sums(shifted: bool, function: str, implementation: str) -> None:
    x = clustered(600).astype(np.float64) + (5 if shifted else 0)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    weights = torch.from_numpy(np.random.default_rng(0).integers(1, 9, 600)).float()
    found = nearest_other(torch.from_numpy(x).float(), implementation=implementation, weights=weights, function=function)
    distances = cdist(x, x) if function == "euclidean" else 2 * np.arcsin(np.clip(cdist(x, x) / 2, 0, 1)) / np.pi
    sums = distances @ weights.numpy().astype(np.float64)
    np.testing.assert_allclose(found.sums.numpy(), sums, rtol=2e-6)
    assert found.total == pytest.approx(float(sums @ weights.numpy()), rel=5e-7)


# -- near-duplicates -------------------------------------------------------------------------------------------


def pairs_apart(distances: list[float], d: int = 384, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of length about 1, each followed by one as far away as told; and the distances as float32 holds them."""
    rng = np.random.default_rng(seed)
    first = rng.standard_normal((len(distances), d))
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    step = rng.standard_normal((len(distances), d))
    second = first + step / np.linalg.norm(step, axis=1, keepdims=True) * np.array(distances)[:, None]
    x = np.stack([first, second], axis=1).reshape(-1, d).astype(np.float32)
    return x, np.linalg.norm(x[::2].astype(np.float64) - x[1::2], axis=1)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("shift", [0.0, 1.0], ids=["around the origin", "far from it"])
@pytest.mark.parametrize("apart", [0.0, 1e-5, 1e-4, 3e-4, 1e-3, 1e-2, 1e-1])
def test_near_duplicates_are_right_to_1e_7(apart: float, shift: float, implementation: str) -> None:
    """Products of float32 rows tell distances of 2e-4 to 1e-3 from 0 by chance alone."""
    x = pairs_apart([apart] * 50)[0] + np.float32(shift)
    exact = np.linalg.norm(x[::2].astype(np.float64) - x[1::2], axis=1)
    found = nearest_other(torch.from_numpy(x), implementation=implementation)
    assert found.index.tolist() == [row ^ 1 for row in range(100)]
    assert np.abs(found.distances.numpy() - np.repeat(exact, 2)).max() <= 1e-7
    if apart == 0:
        assert found.distances.max() == 0
    across = nearest_in(torch.from_numpy(x[::2]), torch.from_numpy(x[1::2]), implementation=implementation)
    assert across.index.tolist() == list(range(50))
    assert np.abs(across.distances.numpy() - exact).max() <= 1e-7


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("near", "rival"), [(0.0, 1e-4), (1e-5, 4e-4), (1e-5, 2e-5), (1e-4, 1.2e-4), (3e-4, 9e-4), (1e-3, 1.1e-3)])
def test_a_near_duplicate_beats_a_rival_that_is_nearly_as_near(near: float, rival: float, implementation: str) -> None:
    """In the products both are equally far; the rival even comes first."""
    d, rng = 384, np.random.default_rng(0)
    centre = rng.standard_normal((60, d))
    centre /= np.linalg.norm(centre, axis=1, keepdims=True)
    steps = rng.standard_normal((2, 60, d))
    steps /= np.linalg.norm(steps, axis=2, keepdims=True)
    x = np.concatenate([centre + rival * steps[0], centre, centre + near * steps[1]]).astype(np.float32)
    found = nearest_other(torch.from_numpy(x), implementation=implementation)
    distances = truth(x)
    np.testing.assert_allclose(found.distances.numpy(), distances.min(1), rtol=0, atol=1e-7)
    assert found.index[60:120].tolist() == list(range(120, 180))
    assert found.index[120:].tolist() == list(range(60, 120))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_any_pair_is_right_to_its_share_of_float32(implementation: str) -> None:
    """Distances of all sizes at once. A rival wins wrongly only by the error of a squared distance, 1e-6 as a bound."""
    x, _ = pairs_apart(list(np.geomspace(1e-6, 1, 500)), d=64)
    x = np.concatenate([x, x[::2] + np.float32(1e-3)])
    found = nearest_other(torch.from_numpy(x), implementation=implementation).distances.numpy()
    least = truth(x).min(1)
    np.testing.assert_array_less(found**2 - least**2, 2e-6)
    np.testing.assert_array_less(least - found, 1e-12)
    assert found[least < 1e-3] == pytest.approx(least[least < 1e-3], abs=1e-7)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_two_tight_clusters(implementation: str) -> None:
    """Everything lies nearer to something else than products can tell, and the mean is of no help."""
    rng = np.random.default_rng(0)
    x = 1e-5 * rng.standard_normal((400, 32))
    x[:, 0] = np.repeat([1, -1], 200)
    x = x.astype(np.float32)
    found = nearest_other(torch.from_numpy(x), implementation=implementation)
    np.testing.assert_allclose(found.distances.numpy(), truth(x).min(1), rtol=0, atol=1e-12)
    assert found.num_looked_up_again == (0 if implementation == "dense" else 400)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 60), st.integers(1, 6), st.integers(0, 2**31), st.sampled_from([1e-3, 1.0, 1e3]), st.sampled_from([0.0, 1.0, 100.0]))
def test_all_implementations_agree(n: int, d: int, seed: int, scale: float, shift: float) -> None:
    x = (np.random.default_rng(seed).standard_normal((n, d)) * scale + shift * scale).astype(np.float32)
    distances = truth(x)
    for implementation in IMPLEMENTATIONS:
        found = nearest_other(torch.from_numpy(x), implementation=implementation, function="euclidean")
        assert np.abs(found.distances.numpy() - distances.min(1)).max() <= 1e-6 * scale
        assert found.total == pytest.approx(np.where(np.isinf(distances), 0, distances).sum(), rel=1e-5)


# -- the rest --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_top_k(implementation: str) -> None:
    a, b = clustered(50), clustered(80, seed=1)
    values, rows = top_k(torch.from_numpy(a), torch.from_numpy(b), 7, implementation=implementation)
    products = a.astype(np.float64) @ b.T.astype(np.float64)
    np.testing.assert_allclose(values.double().numpy(), -np.sort(-products)[:, :7], rtol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(products, rows.numpy(), 1), values.double().numpy(), rtol=1e-5)


def near_copies(n: int, *, apart: float) -> torch.Tensor:
    """Half of them near copies of the other half. apart: in each column; at 0.02 fp16's products cannot tell, and float32's can."""
    x = torch.from_numpy(clustered(n // 2, d=64)).repeat(2, 1)
    x[n // 2 :] += apart * torch.randn(n // 2, 64, generator=torch.Generator().manual_seed(1))
    return x


def test_rows_are_looked_up_again_in_any_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    x = near_copies(240, apart=1e-4)
    whole = nearest_other(x, implementation="tiles")
    assert whole.num_looked_up_again == 240
    monkeypatch.setattr(exact, "_AT_ONCE", {"cpu": 700})
    pieces = nearest_other(x, implementation="tiles")
    assert torch.equal(whole.index, pieces.index)
    assert torch.equal(whole.distances, pieces.distances)


def test_where_a_gpus_kernel_is_asked_for_all_is_done_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    x = torch.ones(2, 2)
    assert [exact._device(name, x).type for name in ("tiles", "faiss", "triton", "triton_fp16x3")] == ["cpu", "cpu", "cuda", "cuda"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("implementation", ["triton", "triton_fp16x3"])
def test_near_copies_on_a_gpu(implementation: str) -> None:
    """Thousands are looked up again after a sweep in fp16, and the answer is on the device of the question."""
    x = near_copies(6000, apart=0.02)
    got, known = nearest_other(x, implementation=implementation), nearest_other(x, implementation="tiles")
    assert got.index.device == x.device
    assert (got.num_looked_up_again > 5000) == (implementation == "triton")
    assert torch.equal(got.index, known.index)
    np.testing.assert_allclose(got.distances.numpy(), known.distances.numpy(), rtol=1e-9)


def test_nearest_in_others_asks_for_some_rows_only() -> None:
    x = clustered(300)
    x[7] = x[200]
    places = torch.tensor([0, 7, 200, 299])
    got = nearest_in_others(torch.from_numpy(x), places)
    np.testing.assert_allclose(got.numpy(), truth(x).min(1)[places], rtol=1e-6)
    assert got[1] == got[2] == 0
    assert len(nearest_in_others(torch.from_numpy(x), places[:0])) == 0


@pytest.mark.parametrize("shape", ["far", "near-duplicates"])
def test_nearest_in_others_is_exact(shape: str) -> None:
    """It corrects the inverted index, so it may not err itself."""
    rng = np.random.default_rng(0)
    if shape == "far":
        x = rng.standard_normal((600, 384)).astype(np.float32) + np.float32(1000)
    else:
        x = pairs_apart([1e-5] * 250)[0]
        x = np.concatenate([x, x[::2] + np.float32(1e-5)])  # 2e-4 away
    got = nearest_in_others(torch.from_numpy(x), torch.arange(len(x)))
    np.testing.assert_allclose(got.numpy(), truth(x).min(1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", DATA)
def test_the_input_is_left_as_it_was(name: str) -> None:
    x = torch.from_numpy(DATA[name](200, 0))
    before = x.clone()
    for implementation in IMPLEMENTATIONS:
        nearest_other(x, implementation=implementation, function="euclidean")
        nearest_in(x, x, implementation=implementation, function="euclidean")
    assert torch.equal(x, before)


def test_an_unknown_implementation() -> None:
    with pytest.raises(UsageError, match="implementation 'fast' is not known: expected one of dense, tiles"):
        nearest_other(torch.zeros(3, 2), implementation="fast")
    with pytest.raises(UsageError, match="implementation 'fast' is not known"):
        top_k(torch.zeros(3, 2), torch.zeros(3, 2), 1, implementation="fast")


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("implementation", ["triton", "triton_fp16x3"])
def test_triton_without_a_gpu(implementation: str) -> None:
    x = torch.rand(5, 2)
    for call in (
        lambda: nearest_other(x, implementation=implementation),
        lambda: nearest_in(x, x, implementation=implementation),
        lambda: top_k(x, x, 1, implementation=implementation),
    ):
        with pytest.raises(UsageError, match=f"implementation '{implementation}' needs a CUDA GPU"):
            call()


MEASURE = """
import sys, threading, psutil, torch
from variegate.neighbors import nearest_other
process = psutil.Process()

def grown(x, implementation):
    start, seen, done = process.memory_info().rss, [0], threading.Event()
    def watch():
        while not done.wait(0.002):
            seen.append(process.memory_info().rss - start)
    thread = threading.Thread(target=watch)
    thread.start()
    nearest_other(x, implementation=implementation, function='euclidean')
    done.set()
    thread.join()
    return max(seen) >> 20

nearest_other(torch.rand(900, 5), implementation=sys.argv[1], function='euclidean')  # compiles, loads
n, d, shift = map(int, sys.argv[2:])
print(grown(torch.rand(n, d) + shift - 0.5, sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("implementation", "n", "d", "shift", "mebibytes"),
    [
        ("tiles", 20_000, 16, 0, 40),  # the matrix of float32 distances would be 1,526 MiB
        ("faiss", 10_000, 16, 0, 300),  # 381 MiB
        ("tiles", 10_000, 1_200, 5, 46 + 60),  # far from the origin: one copy of 46 MiB, and blocks
    ],
)
def test_memory_grows_with_n_and_not_with_its_square(implementation: str, n: int, d: int, shift: int, mebibytes: int) -> None:
    arguments = [sys.executable, "-c", MEASURE, implementation, *map(str, (n, d, shift))]
    assert int(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout) < mebibytes

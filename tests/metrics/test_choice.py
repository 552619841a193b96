"""The rule that picks an implementation: its table, its words, and that the public functions obey it."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from variegate.errors import UsageError
from variegate.metrics import (
    MetricValue,
    chamfer,
    choice,
    coverage,
    cross_distance,
    diversity,
    nearest_reference,
    remote_clique,
    top_k_similarity,
)
from variegate.metrics.choice import CHOICES, choose, choose_exact


def rows(n: int) -> torch.Tensor:
    return torch.zeros(1, 1).expand(n, 1)


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((1,), "dense"),
        ((2_048,), "dense"),
        ((2_049,), "tiles"),
        ((200_000,), "tiles"),
        ((200_001,), "estimate"),
        ((10_000_000,), "estimate"),
        ((1, 4_194_304), "dense"),  # as many pairs as 2,048 rows have
        ((1, 4_194_305), "tiles"),
        ((1_000, 40_000_000), "tiles"),
        ((1_000, 40_000_001), "estimate"),
        ((400_000, 100_000), "tiles"),
    ],
)
def test_the_table_on_a_cpu(sizes: tuple[int, ...], expected: str) -> None:
    sets = [rows(n) for n in sizes]
    assert choose("auto", "chamfer", *sets) == expected
    assert choose("auto", "chamfer", *reversed(sets)) == expected
    assert choose("auto", "remote_clique", *sets, closed=True) == "closed_form"
    assert choose_exact("auto", "coverage", *sets) == ("tiles" if expected == "estimate" else expected)


@pytest.mark.usefixtures("no_gpu")
def test_without_faiss_neighbours_are_exact_at_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else can estimate them; means over all pairs it does not concern."""
    monkeypatch.setattr(choice, "has_faiss", lambda: False)
    assert choose("auto", "chamfer", rows(10_000_000), neighbours=True) == "tiles"
    assert choose("auto", "remote_clique", rows(10_000_000)) == "estimate"
    assert choose("auto", "chamfer", OnGpu(10_000_000), neighbours=True) == "triton"  # type: ignore[arg-type]


class OnGpu:
    """Stands for a tensor on a GPU, of which the rule reads only this."""

    is_cuda = True

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n


@pytest.mark.parametrize(("n", "expected"), [(2_048, "dense"), (2_049, "triton"), (4_000_000, "triton"), (4_000_001, "estimate")])
def test_the_table_on_a_gpu(n: int, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose("auto", "chamfer", OnGpu(n)) == expected  # type: ignore[arg-type]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_exact("auto", "chamfer", OnGpu(n)) == ("dense" if n == 2_048 else "triton")  # type: ignore[arg-type]


def test_a_gpu_at_hand_is_used_from_20_000_rows_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [choose("auto", "chamfer", rows(n)) for n in (19_999, 20_000, 1_000_000)] == ["tiles", "triton", "triton"]


@pytest.mark.parametrize("name", CHOICES)
def test_what_the_caller_names_is_never_overruled(name: str) -> None:
    if name not in ("auto", "closed_form"):
        assert choose(name, "chamfer", rows(5)) == choose(name, "chamfer", rows(10**7), closed=True) == name


def test_refusals() -> None:
    with pytest.raises(UsageError, match=r"implementation 'tile' is not known; did you mean 'tiles'\? Known: auto, closed_form"):
        choose("tile", "chamfer", rows(5))
    with pytest.raises(UsageError, match=r"implementation 'xyz' is not known\. Known: auto"):
        choose("xyz", "chamfer", rows(5))
    with pytest.raises(UsageError, match="chamfer has no closed form: use implementation='auto'"):
        choose("closed_form", "chamfer", rows(5))
    with pytest.raises(UsageError, match="coverage cannot be estimated"):
        choose_exact("estimate", "coverage", rows(5))
    with pytest.raises(UsageError, match="coverage has no closed form"):
        choose_exact("closed_form", "coverage", rows(5))


def measured(x: np.ndarray, y: np.ndarray) -> dict[str, MetricValue]:
    both = diversity(x, distance="euclidean")
    return {
        "remote_clique cosine": remote_clique(x),
        "remote_clique": remote_clique(x, distance="euclidean"),
        "chamfer": chamfer(x),
        "diversity chamfer": both.chamfer,
        "diversity remote_clique": both.remote_clique,
        "top_k": top_k_similarity(y, x, k=2),
        "cross": cross_distance(x, y, distance="euclidean"),
        "cross cosine": cross_distance(x, y),
        "coverage": coverage(y, x),
    }


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    ("dense_up_to", "exact_up_to", "expected"),
    [
        (100, 1000, {"remote_clique": "dense", "chamfer": "dense", "top_k": "dense", "cross": "dense", "coverage": "dense"}),
        (99, 100, {"remote_clique": "tiles", "chamfer": "tiles", "top_k": "faiss", "cross": "tiles", "coverage": "tiles"}),
        (
            10,
            99,
            {
                "remote_clique": "control_variates",
                "chamfer": "inverted_index",
                "top_k": "inverted_index",
                "cross": "control_variates",
                "coverage": "tiles",
            },
        ),
    ],
)
def test_the_result_says_which(dense_up_to: int, exact_up_to: int, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits are made small, so that 100 rows are many."""
    exact = measured(*(np.random.default_rng(seed).standard_normal((100, 4)) for seed in (0, 1)))
    monkeypatch.setattr(choice, "DENSE_UP_TO", dense_up_to)
    monkeypatch.setitem(choice.EXACT_UP_TO, "cpu", exact_up_to)
    values = measured(*(np.random.default_rng(seed).standard_normal((100, 4)) for seed in (0, 1)))
    expected = {
        **expected,
        "remote_clique cosine": "closed_form",
        "cross cosine": "closed_form",
        "diversity chamfer": expected["chamfer"],
        "diversity remote_clique": expected["remote_clique"],
    }
    assert {name: value.implementation for name, value in values.items()} == expected
    estimated = {"control_variates", "inverted_index"}
    assert {name for name, value in values.items() if value.interval} == {name for name in expected if expected[name] in estimated}
    for name, value in values.items():
        assert value.value == pytest.approx(exact[name].value, rel=1e-2), name


@pytest.mark.usefixtures("no_gpu")
def test_records_are_never_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "DENSE_UP_TO", 10)
    monkeypatch.setitem(choice.EXACT_UP_TO, "cpu", 20)
    x = np.random.default_rng(0).standard_normal((100, 4))
    assert nearest_reference(x, x).implementation == "tiles"
    with pytest.raises(UsageError, match="nearest_reference cannot be estimated"):
        nearest_reference(x, x, implementation="estimate")
    with pytest.raises(UsageError, match="coverage cannot be estimated"):
        coverage(x, x, implementation="estimate")


@pytest.mark.slow
def test_without_faiss_top_k_goes_by_torch() -> None:
    code = (
        "import sys\nsys.modules['faiss'] = None\nimport importlib.util, numpy as np\n"
        "find = importlib.util.find_spec\nimportlib.util.find_spec = lambda name, *rest: None if name == 'faiss' else find(name, *rest)\n"
        "from variegate.metrics import choice, top_k_similarity\nchoice.DENSE_UP_TO = 10\n"
        "x = np.random.default_rng(0).standard_normal((100, 4))\nprint(top_k_similarity(x, x, k=2).implementation)"
    )
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment).stdout
    assert out == "tiles\n"

"""apply_bias against a naive numpy loop, and the Triton kernel (interpreted here, on a GPU where there is one) against it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import jaxtyping
import numpy as np
import pytest
import torch

from variegate_kernels.suppression import apply_bias, apply_bias_torch, apply_bias_triton

SHAPES = [(1, 1, 1), (1, 5, 2), (3, 7, 4), (8, 64, 3), (5, 2048, 2), (4, 2049, 6), (17, 5003, 9)]  # b, v, g
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
# One rounding to the logits' type: half a unit in the last place, relative.
TOLERANCE = {torch.float32: 1e-6, torch.bfloat16: 2**-8, torch.float16: 2**-11}


def make_case(b: int, v: int, g: int, kind: str, dtype: torch.dtype, device: str = "cpu") -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(b * 7919 + v * 31 + g)
    logits = (torch.randn(b, v, generator=generator) * 4).to(dtype)
    table = -7.5 * torch.rand(g, v, generator=generator)
    table[0] = 0
    rows = {
        "mixed": torch.randint(0, g, (b,), generator=generator),
        "none": torch.zeros(b, dtype=torch.int64),
        "one": torch.full((b,), g - 1),
        "every": torch.randint(min(1, g - 1), g, (b,), generator=generator),
    }[kind]
    scale = torch.rand(b, generator=generator) * 2
    return logits.to(device), table.to(device), rows.to(device), scale.to(device)


def naive(logits: torch.Tensor, table: torch.Tensor, rows: torch.Tensor, scale: torch.Tensor | None) -> np.ndarray:
    out = logits.double().cpu().numpy().copy()
    for i in range(out.shape[0]):
        for t in range(out.shape[1]):
            weight = 1.0 if scale is None else float(scale[i])
            out[i, t] += weight * float(table[int(rows[i]), t])
    return out


def assert_close(got: torch.Tensor, expected: np.ndarray) -> None:
    tolerance = TOLERANCE[got.dtype]
    np.testing.assert_allclose(got.double().cpu().numpy(), expected, rtol=tolerance, atol=tolerance if got.dtype == torch.float32 else 1e-6)


@pytest.mark.parametrize("kind", ["mixed", "none", "one", "every"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES[:5])
@pytest.mark.parametrize("scaled", [False, True])
def test_torch_equals_the_naive_loop(shape: tuple[int, int, int], dtype: torch.dtype, kind: str, scaled: bool) -> None:
    logits, table, rows, scale = make_case(*shape, kind, dtype)
    expected = naive(logits, table, rows, scale if scaled else None)
    got = apply_bias(logits, table, rows.int(), scale if scaled else None)
    assert got is logits  # in place
    assert_close(got, expected)


def test_every_way_through_the_cpu_path_gives_the_same_bits() -> None:
    """A row's result must not depend on what else is in the batch."""
    logits, table, rows, scale = make_case(12, 301, 5, "mixed", torch.float32)
    together = apply_bias_torch(logits.clone(), table, rows, scale)
    for i in range(len(rows)):
        alone = apply_bias_torch(logits[i : i + 1].clone(), table, rows[i : i + 1], scale[i : i + 1])
        assert torch.equal(alone[0], together[i])


def test_row_zero_is_left_alone_even_where_a_sum_would_not_be() -> None:
    logits = torch.tensor([[float("nan"), float("-inf"), -0.0], [1.0, 2.0, 3.0]])
    table = torch.tensor([[0.0, 0.0, 0.0], [-1.0, -2.0, 0.0]])
    got = apply_bias_torch(logits, table, torch.tensor([0, 1]), torch.tensor([float("inf"), 1.0]))
    assert torch.isnan(got[0, 0])
    assert got[0, 1] == float("-inf")
    assert torch.signbit(got[0, 2])
    assert got[1].tolist() == [0.0, 0.0, 3.0]


def test_logits_that_are_a_view_are_changed_in_place() -> None:
    whole = torch.zeros(4, 10)
    table = torch.stack([torch.zeros(5), torch.full((5,), -1.0)])
    for rows in (torch.tensor([1, 1, 1, 1]), torch.tensor([0, 1, 0, 1])):
        whole.zero_()
        apply_bias_torch(whole[:, ::2], table, rows)
        assert torch.equal(whole[:, ::2], -rows[:, None].expand(4, 5).float())
        assert not whole[:, 1::2].any()


def test_an_empty_batch() -> None:
    assert apply_bias(torch.zeros(0, 4), torch.zeros(2, 4), torch.zeros(0, dtype=torch.int64)).shape == (0, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"table": torch.zeros(2, 5)}, "table: got 5 columns, logits have 4"),
        ({"table": torch.zeros(2, 4, dtype=torch.float64)}, "table: got float64"),
        ({"table": torch.zeros(0, 4)}, "g >= 1"),
        ({"rows": torch.zeros(2, dtype=torch.int64)}, r"rows: got int64 \[2\], expected int32 or int64 \[3\]"),
        ({"rows": torch.zeros(3)}, "rows: got float32"),
        ({"scale": torch.ones(2)}, r"scale: got float32 \[2\]"),
        ({"logits": torch.zeros(3, 4, dtype=torch.int64)}, "logits: got int64"),
        ({"logits": torch.zeros(4)}, "logits: got"),
        ({"impl": "cuda"}, "impl: got 'cuda'"),
    ],
)
def test_wrong_arguments_are_named(change: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # under its hook, ours would not be reached
    arguments = {"logits": torch.zeros(3, 4), "table": torch.zeros(2, 4), "rows": torch.zeros(3, dtype=torch.int64), "scale": None}
    with pytest.raises(ValueError, match=message):
        apply_bias(**{**arguments, **change})


def test_a_row_outside_the_table_is_an_error_on_the_cpu() -> None:
    with pytest.raises(IndexError):
        apply_bias(torch.zeros(2, 4), torch.zeros(2, 4), torch.tensor([1, 2]))


@pytest.mark.slow
def test_the_package_imports_without_triton() -> None:
    code = "import sys; sys.modules['triton'] = None; import variegate_kernels.suppression; assert 'vllm' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})


def check_triton(device: str) -> int:
    """The kernel against the torch reference; the number of cases."""
    num_cases = 0
    for shape in SHAPES:
        for dtype in DTYPES:
            for kind in ("mixed", "none", "one", "every"):
                for scaled in (False, True):
                    logits, table, rows, scale = make_case(*shape, kind, dtype, device)
                    chosen = scale if scaled else None
                    expected = apply_bias_torch(logits.clone(), table, rows, chosen)
                    got = apply_bias_triton(logits.clone(), table, rows.int(), chosen)
                    # A GPU may fuse the multiplication with the sum: up to one rounding apart.
                    torch.testing.assert_close(got, expected, rtol=2 * TOLERANCE[dtype], atol=1e-6)
                    assert torch.equal(got[rows == 0], logits[rows == 0])
                    num_cases += 1
    whole = torch.zeros(6, 20, device=device)
    table = torch.stack([torch.zeros(10), torch.full((10,), -1.0)]).to(device)
    apply_bias_triton(whole[::2, ::2], table, torch.tensor([1, 0, 1], device=device))  # strides of rows and columns
    assert whole[0, ::2].tolist() == whole[4, ::2].tolist() == [-1.0] * 10
    assert float(whole.sum()) == -20.0
    return num_cases + 1


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
def test_triton_interpreted_equals_torch() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}  # read when Triton is imported
    run = subprocess.run([sys.executable, __file__], capture_output=True, text=True, env=environment, timeout=300)
    assert run.returncode == 0, run.stderr[-4000:]
    assert run.stdout.split() == ["cases:", str(len(SHAPES) * len(DTYPES) * 4 * 2 + 1)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: the interpreted twin above runs the same cases")
def test_triton_on_a_gpu_equals_torch() -> None:
    assert check_triton("cuda") > 0
    logits, table, rows, scale = make_case(8, 64, 3, "mixed", torch.float32, "cuda")
    auto = apply_bias(logits.clone(), table, rows, scale)
    on_cpu = apply_bias(logits.cpu(), table.cpu(), rows.cpu(), scale.cpu())
    torch.testing.assert_close(auto.cpu(), on_cpu)


if __name__ == "__main__":
    print("cases:", check_triton("cpu"))

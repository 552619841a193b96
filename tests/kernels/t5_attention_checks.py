"""What `test_t5_attention` runs of every implementation: against a dense softmax in float64, request by request.

As a script: every check of the Triton kernels with Triton's interpreter (TRITON_INTERPRET=1, read when Triton is imported), then
every planted fault, and the outcomes as JSON.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from variegate_kernels.t5_attention import PagedStep, paged_attention

TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 2**-7, torch.float16: 2**-10}  # a rounding of the result, of size about 1
GARBAGE = (2**31 - 1, -(2**31), 10**9, -1)  # in the block table, past a request's blocks

Attend = Callable[..., None]  # (query, keys, values, bias, step, out, scale=...)


@dataclass
class Case:
    query: Tensor
    keys: Tensor
    values: Tensor
    bias: Tensor
    step: PagedStep

    def arguments(self) -> tuple[Any, ...]:
        return self.query, self.keys, self.values, self.bias, self.step

    def tensors(self) -> tuple[Tensor, ...]:
        return self.query, self.keys, self.values, self.bias, self.step.block_table, self.step.seq_lens, self.step.query_starts


def make_case(
    lengths: Sequence[int],
    counts: Sequence[int],
    device: str,
    *,
    heads: int = 2,
    width: int = 16,
    slots: int = 16,
    distances: int = 33,
    layout: str = "HND",
    dtype: torch.dtype = torch.float32,
    padding: int = 0,
) -> Case:
    """Requests with their blocks in no order, with NaN wherever no key lies. `padding`: rows after the last that a request owns."""
    generator = torch.Generator().manual_seed(1000 * sum(lengths) + sum(counts))
    needed = [-(-length // slots) for length in lengths]
    numbers = iter(torch.randperm(sum(needed) + 3, generator=generator).tolist())
    table = torch.tensor(GARBAGE, dtype=torch.int64).repeat(len(lengths), max(needed) // 4 + 1)[:, : max(needed) + 2]
    rows = sum(counts) + padding
    if layout == "HND":  # vLLM on the CPU
        cache = torch.full((sum(needed) + 3, heads, slots, 2 * width), torch.nan)
        keys, values = cache.transpose(1, 2).split(width, dim=-1)
    elif layout == "NHD":  # vLLM on the GPU
        cache = torch.full((sum(needed) + 3, slots, heads, 2 * width), torch.nan)
        keys, values = cache.split(width, dim=-1)
    else:
        keys, values = (torch.full((sum(needed) + 3, slots, heads, width), torch.nan) for _ in range(2))
    for i, length in enumerate(lengths):
        for place in range(needed[i]):
            block = next(numbers)
            table[i, place] = block
            held = min(slots, length - place * slots)
            for blocks in (keys, values):
                blocks[block, :held] = torch.randn(held, heads, width, generator=generator)
    query = torch.randn(rows, heads, 3 * width, generator=generator)[:, :, width : 2 * width]  # as cut out of a wider product
    bias = 2 * torch.randn(heads, distances, generator=generator)
    starts = [0, *itertools.accumulate(counts)]
    if layout == "two":
        keys, values = keys.to(dtype).to(device), values.to(dtype).to(device)
    else:
        cache = cache.to(dtype).to(device)
        keys, values = (cache.transpose(1, 2) if layout == "HND" else cache).split(width, dim=-1)
    step = PagedStep(*(torch.tensor(each, dtype=torch.int32).to(device) for each in (table.tolist(), lengths, starts)), max(counts))
    return Case(query.to(dtype).to(device), keys, values, bias.to(device), step)


def dense(case: Case, scale: float = 1.0) -> Tensor:
    """In float64, one request and head at a time; NaN for rows that attend to nothing."""
    out = torch.full(case.query.shape, torch.nan, dtype=torch.float64)
    query, keys, values, bias = (each.cpu().double() for each in (case.query, case.keys, case.values, case.bias))
    table, lengths, starts = case.step.block_table.tolist(), case.step.seq_lens.tolist(), case.step.query_starts.tolist()
    slots = keys.shape[1]
    for i, length in enumerate(lengths):
        count = starts[i + 1] - starts[i]
        if length == 0 or count == 0:
            continue
        places = [(table[i][p // slots], p % slots) for p in range(length)]
        for head in range(query.shape[1]):
            own_keys = torch.stack([keys[block, slot, head] for block, slot in places])
            own_values = torch.stack([values[block, slot, head] for block, slot in places])
            scores = scale * query[starts[i] : starts[i + 1], head] @ own_keys.T
            for j in range(count):
                position = length - count + j
                for p in range(length):
                    scores[j, p] += bias[head, min(position - p, bias.shape[1] - 1)] if p <= position else -torch.inf
            out[starts[i] : starts[i + 1], head] = torch.softmax(scores, dim=1) @ own_values
    return out


def check(attend: Attend, case: Case, *, scale: float = 1.0) -> Tensor:
    """Into an `out` of 7s, cut out of wider rows: what attends to nothing keeps them."""
    expected = dense(case, scale)
    wide = torch.full((*case.query.shape[:2], 2 * case.query.shape[2]), 7.0, dtype=case.query.dtype, device=case.query.device)
    out = wide[:, :, : case.query.shape[2]]
    attend(*case.arguments(), out, scale=scale)
    tolerance = TOLERANCE[case.query.dtype]
    torch.testing.assert_close(out.cpu().double(), expected.nan_to_num(7.0), rtol=tolerance, atol=tolerance)
    assert bool((wide[:, :, case.query.shape[2] :] == 7).all()), "written outside of out"
    return out


# -- what holds of every implementation --------------------------------------------------------------------------------


def check_one_row_each(attend: Attend, device: str) -> None:
    """One key, a block and its two neighbours, longer than the table of distances, longer than a tile of the kernel."""
    check(attend, make_case([1, 5, 15, 16, 17, 32, 33, 80], [1] * 8, device))


def check_several_rows(attend: Attend, device: str) -> None:
    """Some with earlier keys, some all new (a preempted request that comes back), and one of many."""
    check(attend, make_case([4, 20, 35, 17, 1], [4, 3, 1, 16, 1], device, heads=1))


def check_layouts(attend: Attend, device: str) -> None:
    for layout in ("NHD", "two"):
        check(attend, make_case([3, 16, 40], [1, 2, 1], device, heads=3, layout=layout))


def check_shapes(attend: Attend, device: str) -> None:
    """Widths and block sizes of other than powers of two, one head, one distance."""
    check(attend, make_case([1, 13, 30], [1, 1, 2], device, heads=1, width=24, slots=12, distances=1))
    check(attend, make_case([9, 2], [1, 2], device, heads=3, width=5, slots=1, distances=4))


def check_types(attend: Attend, device: str) -> None:
    for dtype in (torch.bfloat16, torch.float16):
        check(attend, make_case([1, 17, 50], [1, 2, 1], device, dtype=dtype))


def check_scale(attend: Attend, device: str) -> None:
    check(attend, make_case([5, 40], [1, 1], device), scale=0.25)


def check_padding(attend: Attend, device: str) -> None:
    """Rows that no request owns, requests without rows (first, amid, last) and a request with a row but no key stay untouched."""
    check(attend, make_case([0, 20, 0, 3, 9, 0], [0, 1, 0, 1, 2, 0], device, padding=3))
    check(attend, make_case([20, 0, 3, 0], [1, 1, 1, 1], device))  # as a CUDA graph pads
    case = make_case([18, 7], [1, 1], device)
    case.step.block_table[0] = -(2**31)  # a request of no rows is not looked up, whatever its length says
    case.step.query_starts.copy_(torch.tensor([0, 0, 1]))
    out = torch.full_like(case.query, 7.0)
    attend(*case.arguments(), out)
    assert bool((out[1] == 7).all())
    case.step.seq_lens[0] = 0
    torch.testing.assert_close(out[:1].cpu().double(), dense(case)[:1], rtol=2e-6, atol=2e-6)


def check_large_scores(attend: Attend, device: str) -> None:
    """Scores of hundreds, of either sign, growing and shrinking along the keys: the running maximum keeps all finite."""
    case = make_case([60, 60], [1, 1], device, distances=60)
    slope = torch.linspace(-300, 300, 60, device=device)
    case.bias.copy_(torch.stack([slope, -slope]))
    case.query.zero_()
    case.query[1] += 20  # and keys that weigh
    check(attend, case)


def check_bias_matters(attend: Attend, device: str) -> None:
    """The negative control of all others: without the bias the result is far off."""
    case = make_case([30, 80], [1, 1], device)
    with_bias = check(attend, case)
    without = torch.zeros_like(case.query)
    attend(case.query, case.keys, case.values, torch.zeros_like(case.bias), case.step, without)
    assert float((with_bias - without).abs().max()) > 0.1


CHECKS = {name: each for name, each in globals().items() if name.startswith("check_")}


# -- the Triton kernels ------------------------------------------------------------------------------------------------


def triton_with(splits: int, tile: int) -> Attend:
    from variegate_kernels._t5_attention_triton import launch_paged_attention

    def attend(*arguments: Any, scale: float = 1.0) -> None:
        *inputs, out = arguments
        launch_paged_attention(*inputs, scale, out, splits=splits, tile=tile)

    return attend


def of_impl(impl: Any) -> Attend:
    def attend(*arguments: Any, scale: float = 1.0) -> None:
        *inputs, out = arguments
        assert paged_attention(*inputs, scale=scale, out=out, impl=impl) is out

    return attend


# What stands in place of the implementation: as launched by default, in many tiles, and shared out among programs of which some
# find no tile left.
TRITON = {"default": lambda: of_impl("triton"), "small tiles": lambda: triton_with(1, 16), "4 splits": lambda: triton_with(4, 16)}

FAULTS = [  # (what stands in the kernels, what is put there): each must be found
    ("seen = position < num_keys", "seen = position <= num_keys"),
    ("other=0) - 1 - row", "other=0) - row"),  # a row attends to one key too few
    ("num_keys - 1 - position", "num_keys - position"),
    ("bias.shape[1] - 1, scale", "bias.shape[1] - 2, scale"),
    ("total = total * shrink +", "total = total +"),
    ("weight = tl.exp(largest - tl.max(largest, axis=0))", "weight = tl.exp(largest - largest)"),
    ("if num_keys > 0", "if num_keys > -1"),
    ("if whole > 0", "if whole > -1"),
]


def run_all() -> dict[str, str]:
    outcome = {}
    for (kind, make), (name, each) in itertools.product(TRITON.items(), CHECKS.items()):
        try:
            each(make(), "cpu")
            outcome[f"{name}, {kind}"] = "ok"
        except Exception:
            outcome[f"{name}, {kind}"] = traceback.format_exc(limit=-4)
    return outcome


def find_faults() -> dict[str, str]:
    """What each planted fault ended in: the first complaint of a check, or "not found"."""
    from variegate_kernels import _t5_attention_triton as right

    source = Path(right.__file__).read_text()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for place, (old, new) in enumerate(FAULTS):
            assert source.count(old) == 1, f"not once in the kernels: {old}"
            path = Path(folder) / f"faulty_{place}.py"
            path.write_text(source.replace(old, new))
            spec = importlib.util.spec_from_file_location(path.stem, path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)

            def attend(*arguments: Any, scale: float = 1.0, module: Any = module) -> None:
                *inputs, out = arguments
                for splits in (1, 4):
                    module.launch_paged_attention(*inputs, scale, out, splits=splits, tile=16)

            found[new] = "not found"
            for each in (check_padding, check_one_row_each):
                try:
                    each(attend, "cpu")
                except (AssertionError, RuntimeError, IndexError) as error:
                    found[new] = f"found: {error}"
                    break
    return found


if __name__ == "__main__":
    print(json.dumps({**run_all(), **find_faults()}))

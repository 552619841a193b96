"""paged_attention: torch and numba here; the Triton kernels interpreted in a process of their own, compiled, and run on a GPU where there is one."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jaxtyping
import pytest
import torch

from tests.support.cubin import spilled_bytes
from variegate_kernels import t5_attention
from variegate_kernels.t5_attention import PagedStep, paged_attention

SCRIPT = Path(__file__).with_name("t5_attention_checks.py")
checks = SimpleNamespace(**runpy.run_path(str(SCRIPT)))
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: the interpreted twin runs the same checks")


@pytest.mark.parametrize(
    ("name", "impl"),
    [(name, impl) for name in sorted(checks.CHECKS) for impl in ("torch", "numba", "auto") if (name, impl) != ("check_types", "numba")],
)
def test_on_the_cpu(name: str, impl: str) -> None:
    checks.CHECKS[name](checks.of_impl(impl), "cpu")


@pytest.mark.parametrize("impl", ["torch", "numba"])
def test_it_is_the_attention_of_transformers(impl: Any) -> None:
    """T5's own module on a whole sequence of 200 tokens, against all of them at once and against the last one alone."""
    from transformers import T5Config
    from transformers.models.t5.modeling_t5 import T5Attention

    torch.manual_seed(0)
    config = T5Config(d_model=24, d_kv=8, num_heads=3, is_decoder=True, dropout_rate=0.0)
    config._attn_implementation = "eager"
    module = T5Attention(config, has_relative_attention_bias=True, layer_idx=0).eval()
    length, slots, distances = 200, 16, 129
    hidden = torch.randn(1, length, 24)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.3)
        module.relative_attention_bias.weight.normal_()
        mask = torch.full((length, length), torch.finfo(torch.float32).min).triu(1)[None, None]
        expected = module(hidden, mask=mask)[0][0]
        query, keys, values = (project(hidden[0]).view(length, 3, 8) for project in (module.q, module.k, module.v))
        bias = module.compute_bias(1, distances, past_seen_tokens=distances - 1)[0, :, 0].flip(-1).contiguous()
        blocks = torch.randperm(13)
        paged_keys, paged_values = torch.zeros(13, slots, 3, 8), torch.zeros(13, slots, 3, 8)
        for place, block in enumerate(blocks.tolist()):
            part = slice(place * slots, min(length, (place + 1) * slots))
            paged_keys[block, : len(keys[part])], paged_values[block, : len(keys[part])] = keys[part], values[part]
        for count in (length, 1):
            step = PagedStep(blocks.int()[None], torch.tensor([length]).int(), torch.tensor([0, count]).int(), count)
            got = paged_attention(query[length - count :], paged_keys, paged_values, bias, step, impl=impl)
            torch.testing.assert_close(module.o(got.flatten(1)), expected[length - count :], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("impl", ["torch", "numba"])
def test_out_is_made_of_zeros(impl: Any) -> None:
    case = checks.make_case([3, 9], [1, 2], "cpu", padding=2)
    out = paged_attention(*case.arguments(), impl=impl)
    assert not out[3:].any()
    assert out[:3].any()


@pytest.mark.parametrize("impl", ["torch", "numba"])
def test_a_step_of_nothing(impl: Any) -> None:
    case = checks.make_case([3], [1], "cpu")
    nobody = PagedStep(torch.zeros(0, 4).int(), torch.zeros(0).int(), torch.zeros(1).int(), 0)
    assert not paged_attention(case.query, case.keys, case.values, case.bias, nobody, impl=impl).any()
    assert paged_attention(case.query[:0], case.keys, case.values, case.bias, nobody, impl=impl).shape == (0, 2, 16)


def test_many_parts_and_many_threads_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    case = checks.make_case([40, 17, 33], [1, 5, 33], "cpu", heads=3)
    whole = paged_attention(*case.arguments(), impl="torch")
    monkeypatch.setattr(t5_attention, "_CHUNK_ELEMENTS", 1)
    torch.testing.assert_close(paged_attention(*case.arguments(), impl="torch"), whole)
    from variegate_kernels import _t5_attention_numba

    alone = paged_attention(*case.arguments(), impl="numba")
    monkeypatch.setattr(_t5_attention_numba, "_SHARE_ELEMENTS", 1)
    for num_threads in (2, 5):
        monkeypatch.setattr(torch, "get_num_threads", lambda n=num_threads: n)
        assert torch.equal(paged_attention(*case.arguments(), impl="numba"), alone)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_threads_after_a_fork() -> None:
    """vLLM may fork its worker: the parent's threads are not there."""
    code = """
import os, sys, torch
from variegate_kernels import _t5_attention_numba
from variegate_kernels.t5_attention import PagedStep, paged_attention
_t5_attention_numba._SHARE_ELEMENTS = 1
torch.get_num_threads = lambda: 3
def once():
    step = PagedStep(torch.zeros(1, 1).int(), torch.tensor([4]).int(), torch.tensor([0, 1]).int(), 1)
    return paged_attention(torch.ones(1, 3, 8), torch.ones(1, 4, 3, 8), torch.ones(1, 4, 3, 8), torch.zeros(3, 4), step, impl="numba")
assert bool((once() == 1).all())
child = os.fork()
if child == 0:
    os._exit(0 if bool((once() == 1).all()) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=120)


def test_the_rows_of_a_step_are_found_once() -> None:
    case = checks.make_case([3, 9], [1, 1], "cpu")
    paged_attention(*case.arguments(), impl="torch")
    assert case.step.rows(16) is case.step.rows(16)
    case.step.seq_lens.fill_(1)  # not looked at again
    assert case.step.rows(16).num_keys.tolist() == [3, 9]


def make_arguments() -> dict[str, Any]:
    case = checks.make_case([3, 20], [1, 2], "cpu")
    return {"query": case.query, "keys": case.keys, "values": case.values, "bias": case.bias, "step": case.step}


def change_step(**change: Any) -> Any:
    return lambda arguments: {"step": replace(arguments["step"], **change)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: {"impl": "cuda"}, "impl: got 'cuda', expected 'auto', 'torch', 'triton' or 'numba'"),
        (lambda a: {"query": a["query"].long()}, r"query: got int64 \[3, 2, 16\], expected float32"),
        (lambda a: {"query": a["query"][0]}, r"query: got float32 \[2, 16\], expected .* \[t, h, d\]"),
        (lambda a: {"keys": a["keys"].half()}, r"keys: got float16 .*, expected float32 \[n_blocks, slots, 2, 16\]"),
        (lambda a: {"values": a["values"][:, :, :1]}, r"values: got .*, expected float32 \[n_blocks, slots, 2, 16\]"),
        (lambda a: {"values": a["values"][:, :5]}, r"values: got .*, expected the shape of keys, \[6, 16, 2, 16\]"),
        (lambda a: {"bias": a["bias"][:1]}, r"bias: got float32 \[1, 33\], expected float32 \[2, distances\]"),
        (lambda a: {"bias": a["bias"].double()}, "bias: got float64"),
        (lambda a: {"bias": a["bias"][:, ::2]}, r"bias: got strides \(33, 2\), expected 1 last"),
        (lambda a: {"out": torch.zeros(2, 2, 16)}, r"out: got float32 \[2, 2, 16\], expected float32 \[3, 2, 16\]"),
        (lambda a: {"query": a["query"].half(), "keys": a["keys"].half(), "values": a["values"].half(), "impl": "numba"}, "impl='numba'"),
        (lambda a: {"query": a["query"][:2]}, "query: got 2 rows, expected 3 or more"),
        (lambda a: {"keys": a["keys"][:2], "values": a["values"][:2]}, r"block_table: got block \d, keys have 2 blocks"),
        (lambda a: {"keys": a["keys"].to("meta")}, "keys: got a tensor on meta, expected cpu"),
        (change_step(seq_lens=torch.tensor([3, 20])), r"seq_lens: got int64 \[2\], expected int32 \[b\]"),
        (change_step(block_table=torch.zeros(3, 4).int()), r"block_table: got int32 \[3, 4\], expected int32 \[2, max_blocks\]"),
        (change_step(query_starts=torch.tensor([0, 1]).int()), r"query_starts: got int32 \[2\], expected int32 \[3\]"),
        (change_step(query_starts=torch.tensor([1, 2, 3]).int()), r"query_starts: got \[1, 2, 3\], expected 0 first"),
        (change_step(query_starts=torch.tensor([0, 3, 2]).int()), r"query_starts: got \[0, 3, 2\], .* below the one before"),
        (change_step(max_query_len=1), "max_query_len: got 1, but a request owns 2 rows"),
        (change_step(seq_lens=torch.tensor([3, 99]).int()), "seq_lens: got 99, expected 64 at most: block_table has 4 blocks of 16"),
        (change_step(block_table=torch.full((2, 4), -1).int()), "block_table: got -1 where a request has keys, expected the number"),
    ],
)
def test_wrong_arguments_are_named(change: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # under its hook, ours would not be reached
    arguments = make_arguments()
    with pytest.raises(ValueError, match=message):
        paged_attention(**{**arguments, **change(arguments)})


@pytest.mark.slow
def test_it_imports_without_triton_and_numba() -> None:
    code = "import sys; sys.modules['triton'] = sys.modules['numba'] = None; import variegate_kernels.t5_attention"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})


# -- Triton ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def interpreted() -> dict[str, str]:
    """Each check's outcome in one process with Triton's interpreter, which is chosen when Triton is imported."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, env=environment, timeout=600)
    assert run.returncode == 0, run.stderr[-4000:]
    return json.loads(run.stdout)


@needs_triton
@pytest.mark.parametrize("kind", checks.TRITON)
@pytest.mark.parametrize("name", sorted(checks.CHECKS))
def test_interpreted(name: str, kind: str, interpreted: dict[str, str]) -> None:
    assert interpreted[f"{name}, {kind}"] == "ok"


@needs_triton
@pytest.mark.parametrize("fault", [new for _, new in checks.FAULTS])
def test_a_planted_fault_is_found(fault: str, interpreted: dict[str, str]) -> None:
    assert interpreted[fault].startswith("found"), interpreted[fault]


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("kind", ["torch", *checks.TRITON])
@pytest.mark.parametrize("name", sorted(checks.CHECKS))
def test_on_a_gpu(name: str, kind: str) -> None:
    checks.CHECKS[name](checks.of_impl("torch") if kind == "torch" else checks.TRITON[kind](), "cuda")


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("splits", [1, 4])
def test_a_cuda_graph_follows_the_tensors(splits: int) -> None:
    """Captured once with padding, replayed with other lengths, blocks and numbers of requests."""
    attend = checks.triton_with(splits, 64)
    first = checks.make_case([5, 40, 1, 0], [1, 1, 1, 0], "cuda", padding=1)
    out = torch.full_like(first.query, 7.0)
    attend(*first.arguments(), out)  # compiles
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        attend(*first.arguments(), out)
    for lengths, counts in (([6, 40, 2, 0], [1, 1, 1, 0]), ([33, 3, 0, 0], [1, 1, 0, 0]), ([1, 1, 1, 30], [1, 1, 1, 1])):
        other = checks.make_case(lengths, counts, "cuda", padding=4 - sum(counts))  # of no more blocks than the first
        for captured, new in zip(first.tensors(), other.tensors(), strict=True):
            captured[tuple(slice(size) for size in new.shape)] = new
        out.fill_(7.0)
        graph.replay()
        torch.testing.assert_close(out.cpu().double(), checks.dense(other).nan_to_num(7.0), rtol=2e-6, atol=2e-6)


@needs_triton
@pytest.mark.parametrize(("chip", "kind", "splits"), [(80, "bf16", 1), (90, "bf16", 1), (90, "fp16", 4), (90, "fp32", 1)])
def test_it_compiles_for_the_gpus_it_is_meant_for(
    chip: int, kind: str, splits: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Triton's own compiler, which needs no GPU: keys and values come 16 bytes at a time, and all of a tile's are asked for before
    the first is waited for."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from variegate_kernels import _t5_attention_triton as kernels

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    tile, warps, width = kernels.TILE, kernels.WARPS, 64
    constants = {"num_heads": 32, "slots": 16, "width": width, "padded": width, "splits": splits, "tile": tile}
    floats, numbers = {"bias", "part_sums", "part_largest", "part_total"}, {"block_table", "seq_lens", "query_starts"}

    def type_of(name: str) -> str:
        if name in constants:
            return "constexpr"
        if name in numbers or name in floats:
            return "*i32" if name in numbers else "*fp32"
        if name in {"query", "keys", "values", "out"}:
            return f"*{kind}"
        return "fp32" if name == "scale" else "i32"

    def compile_kernel(kernel: Any, num_warps: int) -> Any:
        signature = {name: type_of(name) for name in kernel.arg_names}
        even = [
            place for place, name in enumerate(signature) if signature[name].startswith("*") or re.match("query_|key_|value_|out_", name)
        ]
        source = ASTSource(
            kernel,
            signature=signature,
            constexprs={name: constants[name] for name in signature if name in constants},
            attrs={(place,): [["tt.divisibility", 16]] for place in even},
        )
        return triton.compile(source, target=GPUTarget("cuda", chip, 32), options={"num_warps": num_warps, "enable_fp_fusion": True})

    compiled = compile_kernel(kernels.attend, warps)
    assert spilled_bytes(compiled, tmp_path) == 0
    ptx = compiled.asm["ptx"]
    loads = [match.start() for match in re.finditer(r"ld\.global\.v4\.b32", ptx)]
    size = 4 if kind == "fp32" else 2
    num_loads = 2 * tile * width * size // (16 * 32 * warps)  # keys and values of a tile, by one thread
    assert num_loads <= len(loads) <= num_loads + 4  # and the query
    assert "bar" not in ptx[loads[-num_loads] : loads[-1]]
    if splits > 1:
        assert "st.global" in compile_kernel(kernels.merge, 1).asm["ptx"]


@needs_triton
def test_every_number_of_splits_is_warmed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from variegate_kernels import _t5_attention_triton as kernels

    warmed: set[int] = set()
    monkeypatch.setattr(kernels, "launch_paged_attention", lambda *given, splits: warmed.add(splits))
    case = checks.make_case([4000, 9], [1, 1], "cpu")
    kernels.warm_up(case.query, case.keys, case.values, case.bias, case.step, 1.0)
    assert warmed == {1, 2, 4, 8}
    most = case.step.block_table.shape[1] * case.keys.shape[1]
    device = torch.device("cpu")
    assert warmed == {kernels.choose_splits(rows, keys, kernels.TILE, device) for rows in range(1, 20) for keys in range(1, most, 50)}


def test_what_was_checked_once_for_a_step_is_not_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers of a step share it; another shape, or another step, is looked at anew."""
    from variegate_kernels import t5_attention as module

    checked: list[int] = []
    real = module._check
    monkeypatch.setattr(module, "_check", lambda *given: (checked.append(1), real(*given)))
    case = checks.make_case([5, 9], [1, 1], "cpu")
    for _ in range(3):
        paged_attention(case.query, case.keys, case.values, case.bias, case.step)
    assert len(checked) == 1
    with pytest.raises(ValueError, match="bias: got"):
        paged_attention(case.query, case.keys, case.values, case.bias[:, :0], case.step)


# -- the benchmark's own parts -----------------------------------------------------------------------------------------


def test_the_benchmark_measures_what_it_says() -> None:
    from torch.nn.attention.flex_attention import flex_attention

    import gpu_t5_attention as benchmark

    shape = benchmark.Shape("tiny", heads=2, width=16, batch=3, length=50)
    case = benchmark.make_case(shape, layers=2, dtype=torch.float32, device="cpu")
    # 3 requests of 50 keys and values of 2 x 16 float32; query and out; 4 blocks of 16 and a length each; 2 x 129 biases
    assert benchmark.bytes_moved(shape, size=4) == 2 * 3 * 50 * 32 * 4 + 2 * 3 * 32 * 4 + 4 * (3 * 4 + 3) + 4 * 2 * 129
    for layer in range(2):
        expected = checks.dense(checks.Case(case.query, case.keys[layer], case.values[layer], case.bias, case.step))
        got = paged_attention(case.query, case.keys[layer], case.values[layer], case.bias, case.step)
        flex = benchmark.flex(flex_attention, case, benchmark.contiguous(case, layer))
        torch.testing.assert_close(got.double(), expected, rtol=2e-6, atol=2e-6)
        torch.testing.assert_close(flex.double(), expected, rtol=2e-6, atol=2e-6)


@pytest.mark.slow
def test_the_benchmark_says_that_it_needs_a_gpu() -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "gpu_t5_attention.py"
    run = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert run.returncode == 2
    assert run.stdout == ""
    assert "no CUDA device" in run.stderr

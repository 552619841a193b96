"""The fused GPU sweeps: interpreted here, in one process of its own, compiled for the GPUs they are meant for, and run on one where there is one."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.support.cubin import spilled_bytes

HAS_TRITON = importlib.util.find_spec("triton") is not None
SCRIPT = Path(__file__).with_name("pairwise_triton_checks.py")
checks = SimpleNamespace(**runpy.run_path(str(SCRIPT)))


@pytest.fixture(scope="module")
def interpreted() -> dict[str, str]:
    """Each check's outcome in one process with Triton's interpreter, which is chosen when Triton is imported."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, env=environment, timeout=600)
    assert run.returncode == 0, run.stderr[-4000:]
    return json.loads(run.stdout)


needs_triton = pytest.mark.skipif(not HAS_TRITON, reason="Triton is not installed")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: the interpreted twin runs the same checks")


@needs_triton
@pytest.mark.parametrize("name", sorted(checks.CHECKS))
def test_interpreted(name: str, interpreted: dict[str, str]) -> None:
    assert interpreted[name] == "ok"


@needs_triton
@pytest.mark.parametrize("fault", [new for _, new, _ in checks.FAULTS])
def test_a_planted_fault_is_found(fault: str, interpreted: dict[str, str]) -> None:
    assert interpreted[fault].startswith("found"), interpreted[fault]


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("name", sorted(checks.CHECKS))
def test_on_a_gpu(name: str) -> None:
    checks.CHECKS[name]("cuda")


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("precision", checks.PRECISIONS)
def test_many_rows_on_a_gpu(precision: str) -> None:
    """Strips of several tiles, many programs at once: values against float64, and the same bits twice."""
    from variegate_kernels._pairwise_triton import launch_sweep

    x, weights = checks.make_rows(70_001, 100, "unit", "cuda")

    def once() -> Any:
        return launch_sweep(x, weights, nearest=True, sum="euclidean", row_sums=True, precision=precision)  # type: ignore[arg-type]

    first, second = once(), once()
    assert all(torch.equal(a, b) for a, b in zip(first[:3], second[:3], strict=True))
    assert first[3] == second[3]
    some = torch.arange(0, 70_001, 997, device="cuda")
    distances = torch.cdist(x[some].double(), x.double(), compute_mode="donot_use_mm_for_euclid_dist")
    torch.testing.assert_close(first[2][some], distances @ weights.double(), rtol=1e-4 if precision == "fp16" else 1e-6, atol=0)
    distances[torch.arange(len(some), device="cuda"), some] = math.inf
    chosen = distances.gather(1, first[0][some, None])[:, 0]
    assert float((chosen - distances.min(1).values).max()) <= (1e-3 if precision == "fp16" else 2e-6)


# -- compiled without a GPU --------------------------------------------------------------------------------------------

SHARED_BYTES = {90: 232_448, 80: 166_912, 89: 101_376}  # of one program: H100 and H200, A100, Ada
ARGUMENTS = {
    "sweep_strip": "a_high *fp16 a_low *fp16 a_sq *fp32 a_weights *fp32 b_high *fp16 b_low *fp16 b_sq *fp32 b_weights *fp32 best *i64 sums *i64 "
    "partial *fp64 starts *i64 first i32 num_columns i32 num_whole i32 num_blocks i32 num_groups i32 num_strips i32 group i32 strip i32 unscale fp32 fixed fp32",
    "group_maxima": "a_high *fp16 a_low *fp16 b_high *fp16 b_low *fp16 keys *i64 num_columns i32 num_tiles i32 strip i32 num_groups i32",
}
SWEEP = {"num_starts": 128, "symmetric": True, "masked": False, "nearest": True, "function": 1, "row_sums": False, "weighted": False}
EVERYTHING = {**SWEEP, "masked": True, "function": 2, "row_sums": True, "weighted": True}


def compile_for(chip: int, kernel: str, precision: str, options: dict[str, Any]) -> tuple[Any, Any]:
    """(the kernel as compiled by Triton, which needs no GPU for it; the tiling that this chip gets)"""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from variegate_kernels import _pairwise_triton

    tilings = (_pairwise_triton.TOP_K_TILINGS if kernel == "group_maxima" else _pairwise_triton.TILINGS)[precision]
    tiling = next(each for each in tilings if each.shared_bytes(precision) <= SHARED_BYTES[chip])
    words = ARGUMENTS[kernel].split()
    signature = dict(zip(words[::2], words[1::2], strict=True))
    constants = {**options, "num_chunks": 384 // tiling.depth, "three": precision == "fp16x3"}
    constants |= {"tile_m": tiling.rows, "tile_n": tiling.columns, "tile_k": tiling.depth}
    aligned = {(place,): [["tt.divisibility", 16]] for place, kind in enumerate(signature.values()) if kind.startswith("*")}
    source = ASTSource(
        getattr(_pairwise_triton, kernel),
        signature={**signature, **dict.fromkeys(constants, "constexpr")},
        constexprs=constants,
        attrs=aligned,
    )
    chosen = {"num_warps": tiling.warps, "num_stages": tiling.stages, "enable_fp_fusion": True}
    return triton.compile(source, target=GPUTarget("cuda", chip, 32), options=chosen), tiling


@pytest.mark.slow
@needs_triton
@pytest.mark.parametrize(
    ("kernel", "chip", "precision", "options"),
    [
        ("sweep_strip", 90, "fp16", SWEEP),
        ("sweep_strip", 90, "fp16x3", EVERYTHING),
        ("sweep_strip", 80, "fp16", SWEEP),
        ("sweep_strip", 89, "fp16x3", SWEEP),
        ("group_maxima", 90, "fp16", {}),
    ],
)
def test_it_compiles_for_the_gpus_it_is_meant_for(
    kernel: str, chip: int, precision: str, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tile fits the shared memory, and on Hopper the products are asynchronous (`wgmma`), with one left running while the next
    chunk is asked for."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    compiled, tiling = compile_for(chip, kernel, precision, options)
    assert compiled.metadata.shared <= tiling.shared_bytes(precision) <= SHARED_BYTES[chip]
    assert "cp.async" in compiled.asm["ptx"]
    assert ("wgmma.mma_async" if chip == 90 else "mma.sync") in compiled.asm["ptx"]
    if chip == 90 and precision == "fp16":
        assert re.search(r"warp_group_dot_wait .*pendings = 1", compiled.asm["ttgir"])


@pytest.mark.slow
@needs_triton
@pytest.mark.parametrize("precision", checks.PRECISIONS)
@pytest.mark.parametrize(
    ("kernel", "options", "most"),
    [
        ("sweep_strip", SWEEP, 0),
        ("sweep_strip", {**SWEEP, "function": 0}, 0),
        ("sweep_strip", {**SWEEP, "row_sums": True}, 0),
        ("sweep_strip", EVERYTHING, 128),  # its tiles are those on the diagonal: few
        ("group_maxima", {}, 0),
    ],
)
def test_hopper_spills_no_registers(
    kernel: str, options: dict[str, Any], most: int, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tile's sums and minima are as much work as its products are: in local memory they would take longer."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    assert spilled_bytes(compile_for(90, kernel, precision, options)[0], tmp_path) <= most

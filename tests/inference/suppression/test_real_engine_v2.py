"""Both of vLLM's model runners and Transformers, for real, on one tiny random Llama: the same greedy tokens from all three.

V2 needs Triton; on the CPU it runs with interpreted kernels behind a fake backend (fake_triton/). About 90 s on two cores.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.gpu import HAS_GPU, engine_environment

HERE = Path(__file__).resolve().parent
SCRIPT = HERE / "v2_engine_script.py"
ROOTS = [str(HERE.parents[2] / name) for name in ("engine", "kernels", ".")]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
    pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Model Runner V2 needs Triton; install it"),
]


def run(engine: str, model: Path, *, multiprocessing: bool = False) -> dict[str, Any]:
    v2 = engine == "v2"
    environment = engine_environment(
        v2=v2,
        PYTHONPATH=os.pathsep.join([str(HERE / "fake_triton")] * (v2 and not HAS_GPU) + ROOTS),
        VLLM_ENABLE_V1_MULTIPROCESSING=str(int(multiprocessing)),
    )
    done = subprocess.run(
        [sys.executable, str(SCRIPT), engine, str(model)], capture_output=True, text=True, env=environment, timeout=600, cwd=model.parent
    )  # fmt: skip
    results = [line.removeprefix("RESULT ") for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert (done.returncode, len(results)) == (0, 1), f"{engine}: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}"
    return json.loads(results[0])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engine") / "tiny-llama"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(ROOTS)}
    subprocess.run([sys.executable, str(SCRIPT), "make", str(folder)], check=True, env=environment, timeout=300)
    return folder


@pytest.fixture(scope="module")
def reference(model: Path) -> dict[str, Any]:
    return run("transformers", model)


def test_the_reference_probes_stop_and_choose(reference: dict[str, Any]) -> None:
    lengths = [len(each) for each in reference["probes"]]
    assert 4 in lengths
    assert min(lengths) < 4
    assert len({chosen for each in reference["probes"] for chosen, _ in each}) > 2


def test_the_reference_shows_suppression_at_work(reference: dict[str, Any]) -> None:
    plain, counted, forced = (reference["rounds"][name] for name in ("plain", "counted", "forced"))
    assert len(plain) == 8
    for i, tokens in enumerate(plain):
        if i % 3 == 0:  # no group: as if the tables were not there
            assert counted[i] == forced[i] == tokens
        else:
            assert counted[i] != tokens
            assert forced[i] == [{1: 100, 2: 200}[i % 3]] * len(tokens)


@pytest.mark.parametrize(("engine", "multiprocessing"), [("v1", False), ("v1", True), ("v2", False)])
def test_a_real_engine_says_the_same(engine: str, multiprocessing: bool, model: Path, reference: dict[str, Any]) -> None:
    result = run(engine, model, multiprocessing=multiprocessing)
    assert result["runner"] == engine
    assert result["rounds"] == reference["rounds"]
    for found, expected in zip(result["probes"], reference["probes"], strict=True):
        assert [chosen for chosen, _ in found] == [chosen for chosen, _ in expected]
        for (_, logprobs), (_, wanted) in zip(found, expected, strict=True):
            assert logprobs == pytest.approx(wanted, abs=1e-3)

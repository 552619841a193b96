"""The workers' end of `collective_rpc`, on stand-ins for the two model runners (test_real_engine_v2.py has the real ones)."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("vllm")

from vllm.v1.sample.logits_processor import LogitsProcessors
from vllm.v1.worker.cpu_worker import CPUWorker
from vllm.v1.worker.gpu_worker import Worker

from tests.support.suppression import as_dense, as_row
from variegate.inference.suppression import VLLM_PROCESSOR, VLLM_WORKER_EXTENSION
from variegate.inference.suppression.sparse import Pairs
from variegate.inference.suppression.vllm_either import ADAPTERS, Suppression
from variegate.inference.suppression.worker import SuppressionWorker

NUM_TOKENS = 4
CONFIG = SimpleNamespace(
    scheduler_config=SimpleNamespace(max_num_seqs=2), model_config=SimpleNamespace(get_vocab_size=lambda: NUM_TOKENS)
)  # fmt: skip


def make_worker(model_runner: Any) -> SuppressionWorker:
    worker = SuppressionWorker()
    worker.model_runner = model_runner
    return worker


def make_v1() -> Any:
    return Suppression(CONFIG, torch.device("cpu"), False)


def make_v2() -> Any:
    return Suppression(None, SimpleNamespace(device=torch.device("cpu"), max_num_reqs=2, vocab_size=NUM_TOKENS))


def v1_runner(*processors: Any) -> Any:
    return SimpleNamespace(sampler=torch.nn.Identity(), input_batch=SimpleNamespace(logitsprocs=LogitsProcessors(processors)))


def v2_runner(*processors: Any) -> Any:
    return SimpleNamespace(sampler=SimpleNamespace(logits_processors=["builtin", *processors]))


has_v2 = pytest.mark.skipif(len(ADAPTERS) == 1, reason="this vLLM has no V2 logits-processor interface")


@pytest.mark.parametrize(("make", "runner_of", "name"), [(make_v1, v1_runner, "v1"), pytest.param(make_v2, v2_runner, "v2", marks=has_v2)])
def test_the_table_arrives(make: Any, runner_of: Any, name: str) -> None:
    processor = make()
    worker = make_worker(runner_of(processor))
    assert worker.variegate_runner() == name
    expected = np.zeros((4, NUM_TOKENS), np.float32)
    for numbers in ((1, 2, 3), (2,), (3, 1)):
        rows = {number: as_row(-np.random.default_rng(number).random(NUM_TOKENS)) for number in numbers}
        assert worker.variegate_add_rows(*Pairs.of(rows).to_bytes()) == name
        for number, row in rows.items():
            expected[number] = as_dense(row, NUM_TOKENS)
        assert np.array_equal(processor.bias_rows.table.numpy(), expected)


def test_bytes_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="got 4, 4 and 8 bytes"):
        make_worker(v1_runner(make_v1())).variegate_add_rows(bytes(4), bytes(4), bytes(8))


def test_a_runner_that_keeps_its_processors_elsewhere_is_named() -> None:
    with pytest.raises(RuntimeError, match=r"sampler.logits_processors .* nor input_batch.logitsprocs.all"):
        make_worker(SimpleNamespace(sampler=None)).variegate_runner()


@pytest.mark.parametrize(("runner", "place"), [(v1_runner(), "input_batch.logitsprocs.all"), (v2_runner(), "sampler.logits_processors")])
def test_a_runner_without_our_processor_is_named(runner: Any, place: str) -> None:
    with pytest.raises(RuntimeError, match=f"model_runner.{place}: found .*, expected one of ours"):
        make_worker(runner).variegate_runner()


def test_a_pipeline_stage_that_does_not_sample_has_no_table() -> None:
    worker = make_worker(SimpleNamespace(sampler=None, is_last_pp_rank=False))
    assert worker.variegate_add_rows(b"", b"", b"") == "v2"


@pytest.mark.parametrize("worker_class", [Worker, CPUWorker])
def test_no_name_clashes_with_vllms_workers(worker_class: type) -> None:
    """vLLM asserts this when it mixes the class in."""
    ours = [name for name in dir(SuppressionWorker) if not name.startswith("__")]
    assert ours == ["variegate_add_rows", "variegate_runner"]
    its_own = [base for base in worker_class.__mro__ if base is not SuppressionWorker]  # an engine in this process has mixed ours in
    assert not any(name in vars(base) for base in its_own for name in ours)


def test_the_published_names_lead_to_the_classes_and_import_no_engine() -> None:
    module, _, name = VLLM_PROCESSOR.partition(":")
    assert (module, name) == (Suppression.__module__, Suppression.__qualname__)
    assert f"{SuppressionWorker.__module__}.{SuppressionWorker.__qualname__}" == VLLM_WORKER_EXTENSION
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}; import variegate.inference.suppression.table, variegate.inference.suppression.worker; "
        "assert not {'torch', 'vllm', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

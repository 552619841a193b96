"""SuppressionV2 with slots that are recycled without notice and rows in any order, compared with a dictionary."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("vllm.v1.worker.gpu.sample.logits_processor", reason="this vLLM has no V2 logits-processor interface")

from vllm import SamplingParams
from vllm.exceptions import VLLMValidationError
from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, build_custom_logits_processors_params_validator

from tests.support.suppression import as_pairs
from variegate.inference.suppression import ARGUMENT, VLLM_PROCESSOR
from variegate.inference.suppression.vllm_either import Suppression
from variegate.inference.suppression.vllm_v2 import SuppressionV2

NUM_SEATS, NUM_TOKENS, NUM_ROWS = 8, 13, 5
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"))]


def make_processor(device: str = "cpu") -> SuppressionV2:
    processor = Suppression(None, SimpleNamespace(device=torch.device(device), max_num_reqs=NUM_SEATS, vocab_size=NUM_TOKENS))
    assert type(processor) is SuppressionV2
    return processor


def make_bias_table(seed: int) -> np.ndarray:
    table = -7.5 * np.random.default_rng(seed).random((NUM_ROWS, NUM_TOKENS), dtype=np.float32)
    table[0] = 0
    return table


def make_context(slots: list[int], num_rows_each: list[int], device: str) -> LogitsContext:
    """`num_rows_each` > 1 as under speculative decoding. A field that the adapter has no use for is None."""
    idx_mapping = np.array(slots, dtype=np.int32)
    return LogitsContext(
        expanded_idx_mapping=torch.from_numpy(np.repeat(idx_mapping, num_rows_each)).to(device),
        idx_mapping=torch.from_numpy(idx_mapping).to(device),
        idx_mapping_np=idx_mapping,
        expanded_local_pos=None,
        input_ids=None,
        pos=None,
        seq_lens_upper_bound_np=None,
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("seed", range(8))
def test_recycled_and_reordered_slots(seed: int, device: str) -> None:
    rng = random.Random(seed)
    processor = make_processor(device)
    table = make_bias_table(seed)
    processor.bias_rows.add(as_pairs(table))
    wanted: dict[int, tuple[int, float]] = {}
    num_recycled, ever = 0, set()
    for step in range(150):
        if step == 75:  # a barrier: the old table's seats are stale
            wanted.clear()
            table = make_bias_table(seed + 100)
            processor.bias_rows.add(as_pairs(table))
        for slot in rng.sample(sorted(wanted), rng.randint(0, len(wanted))):
            del wanted[slot]  # V2 tells nobody
        free = sorted(set(range(NUM_SEATS)) - set(wanted))
        for slot in rng.sample(free, rng.randint(0, len(free))):
            row, scale = rng.choice([None, 0, 1, 2, 3, 4]), rng.choice([1.0, 1.0, 0.7])
            num_recycled += slot in ever
            ever.add(slot)
            params = SamplingParams(extra_args=None if row is None else {ARGUMENT: {"row": row, "scale": scale}})
            assert processor.add_request(slot, params) is bool(row)
            wanted[slot] = (row or 0, scale)
        processor.apply_staged_writes()
        slots = rng.sample(sorted(wanted), rng.randint(0, len(wanted)))  # a step may run a part of the requests, in any order
        num_rows_each = [rng.randint(1, 3) for _ in slots]
        logits = torch.zeros(sum(num_rows_each), NUM_TOKENS, device=device)
        assert processor.apply(logits, make_context(slots, num_rows_each, device)) is logits
        expected = [
            np.float32(wanted[slot][1]) * table[wanted[slot][0]] for slot, n in zip(slots, num_rows_each, strict=True) for _ in range(n)
        ]
        assert torch.equal(logits.cpu(), torch.from_numpy(np.reshape(expected, (-1, NUM_TOKENS)).astype(np.float32)))
    assert num_recycled > 100


def test_apply_before_the_flush_is_our_own_mistake() -> None:
    processor = make_processor()
    processor.add_request(0, SamplingParams())
    with pytest.raises(RuntimeError, match="after the last flush"):
        processor.apply(torch.zeros(1, NUM_TOKENS), make_context([0], [1], "cpu"))


def test_vllms_loader_takes_the_class_by_name_and_validates() -> None:
    validate = build_custom_logits_processors_params_validator([VLLM_PROCESSOR])
    validate(SamplingParams(extra_args={ARGUMENT: {"row": 1, "scale": 1.0}}))
    with pytest.raises(VLLMValidationError, match="row"):
        validate(SamplingParams(extra_args={ARGUMENT: {"row": -1, "scale": 1.0}}))

"""SuppressionV1 driven by vLLM's own InputBatch (add, remove, condense, swap), compared at every step with a dictionary."""

from __future__ import annotations

import inspect
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("vllm")

from vllm import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdateBuilder, LogitsProcessors, MoveDirectionality
from vllm.v1.sample.logits_processor.interface import BatchUpdate
from vllm.v1.worker.gpu_input_batch import CachedRequestState, InputBatch

from tests.support.suppression import as_pairs, as_row
from variegate.inference.suppression import ARGUMENT
from variegate.inference.suppression.sparse import Pairs
from variegate.inference.suppression.vllm_either import Suppression
from variegate.inference.suppression.vllm_v1 import SuppressionV1

NUM_SEATS, NUM_TOKENS, NUM_ROWS = 8, 13, 5
CONFIG = SimpleNamespace(
    scheduler_config=SimpleNamespace(max_num_seqs=NUM_SEATS), model_config=SimpleNamespace(get_vocab_size=lambda: NUM_TOKENS)
)


def make_bias_table(seed: int, num_rows: int = NUM_ROWS) -> np.ndarray:
    table = -7.5 * np.random.default_rng(seed).random((num_rows, NUM_TOKENS), dtype=np.float32)
    table[0] = 0
    return table


def make_processor() -> SuppressionV1:
    processor = Suppression(CONFIG, torch.device("cpu"), False)
    assert type(processor) is SuppressionV1
    return processor


def make_params(row: int | None, scale: float = 1.0) -> SamplingParams:
    return SamplingParams(extra_args=None if row is None else {ARGUMENT: {"row": row, "scale": scale}})


def expect(table: np.ndarray, seats: list[tuple[int, float]]) -> torch.Tensor:
    return torch.from_numpy(np.stack([np.float32(scale) * table[row] for row, scale in seats]))


@pytest.mark.parametrize("seed", range(8))
def test_a_shuffled_batch_of_vllms_own(seed: int) -> None:
    rng = random.Random(seed)
    processor = make_processor()
    table = make_bias_table(seed)
    processor.bias_rows.add(as_pairs(table))
    of_026 = {"kernel_block_sizes": [16]} if "kernel_block_sizes" in inspect.signature(InputBatch).parameters else {}
    batch = InputBatch(
        max_num_reqs=NUM_SEATS, max_model_len=16, max_num_batched_tokens=64, device=torch.device("cpu"), vocab_size=NUM_TOKENS,
        block_sizes=[16], max_num_blocks_per_req=[1], logitsprocs=LogitsProcessors([processor]), **of_026,
    )  # fmt: skip
    wanted: dict[str, tuple[int, float]] = {}
    num_seen = num_swaps = num_condensed = 0
    for _ in range(150):
        for name in rng.sample(sorted(wanted), rng.randint(0, min(3, len(wanted)))):  # the runner's order: finished, new, condense, swap
            batch.remove_request(name)
            del wanted[name]
        for _ in range(rng.randint(0, min(3, NUM_SEATS - len(wanted)))):
            name, row, scale = f"r{num_seen:04d}", rng.choice([None, 0, 1, 2, 3, 4]), rng.choice([1.0, 1.0, 0.7, 1.3])
            num_seen += 1
            wanted[name] = (row or 0, scale)
            batch.add_request(
                CachedRequestState(
                    req_id=name,
                    prompt_token_ids=[1, 2],
                    mm_features=[],
                    sampling_params=make_params(row, scale),
                    generator=None,
                    block_ids=([0],),
                    num_computed_tokens=0,
                    output_token_ids=[],
                )
            )
        before = list(batch.req_ids)
        batch.condense()
        num_condensed += before != list(batch.req_ids)
        for _ in range(rng.randint(0, 2)):
            if len(wanted) >= 2:
                batch.swap_states(*rng.sample(range(len(wanted)), 2))
                num_swaps += 1
        batch.refresh_metadata()
        if wanted:
            logits = torch.zeros(len(wanted), NUM_TOKENS)
            assert processor.apply(logits) is logits
            assert torch.equal(logits, expect(table, [wanted[name] for name in batch.req_ids]))
    assert num_seen > 80
    assert num_swaps > 30
    assert num_condensed > 10


def test_removed_then_added_then_moved_in_one_update() -> None:
    processor = make_processor()
    table = make_bias_table(0)
    processor.bias_rows.add(as_pairs(table))
    builder = BatchUpdateBuilder(added=[(i, make_params(row), None, []) for i, row in enumerate([1, 2, 3, 4])])
    processor.update_state(builder.get_and_reset(4))
    processor.update_state(None)
    # 0 and 2 leave, a new request takes 0, the last (3) moves to 2, then 0 and 1 change places.
    moved = [(3, 2, MoveDirectionality.UNIDIRECTIONAL), (0, 1, MoveDirectionality.SWAP)]
    processor.update_state(BatchUpdate(batch_size=3, removed=[2, 0], added=[(0, make_params(3, 0.5), None, [])], moved=moved))
    got = processor.apply(torch.zeros(3, NUM_TOKENS))
    assert torch.equal(got, expect(table, [(2, 1.0), (3, 0.5), (4, 1.0)]))


def test_without_a_table_nothing_changes() -> None:
    processor = make_processor()
    processor.update_state(BatchUpdate(batch_size=2, removed=[], added=[(i, make_params(None), None, []) for i in range(2)], moved=[]))
    logits = torch.randn(2, NUM_TOKENS)
    assert torch.equal(processor.apply(logits.clone()), logits)
    assert not processor.is_argmax_invariant()


def test_a_row_that_the_table_lacks_is_an_error() -> None:
    with pytest.raises(ValueError, match="row: got 3, which the suppression table does not hold: add it before"):
        make_processor().update_state(BatchUpdate(batch_size=1, removed=[], added=[(0, make_params(3), None, [])], moved=[]))


def test_rows_are_added_while_requests_run() -> None:
    """What a seat adds stays, through a table that grows; the row of a request that has gone may be written over."""
    processor = make_processor()
    table = make_bias_table(0)
    processor.bias_rows.add(as_pairs(table))
    processor.update_state(
        BatchUpdate(batch_size=2, removed=[], added=[(0, make_params(4), None, []), (1, make_params(1), None, [])], moved=[])
    )
    more = make_bias_table(1, 9)
    more[4] = table[4]
    before = processor.bias_rows.table
    processor.bias_rows.add(Pairs.of({number: as_row(more[number]) for number in (2, 3, 7, 8)}))
    assert processor.bias_rows.table is not before
    assert torch.equal(processor.apply(torch.zeros(2, NUM_TOKENS)), expect(table, [(4, 1.0), (1, 1.0)]))
    processor.update_state(BatchUpdate(batch_size=2, removed=[1], added=[(1, make_params(8), None, [])], moved=[]))
    processor.bias_rows.add(Pairs.of({1: as_row(more[1])}))
    assert torch.equal(processor.apply(torch.zeros(2, NUM_TOKENS)), expect(more, [(4, 1.0), (8, 1.0)]))


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ([1, 1.0], "expected {'row'"),
        ({"row": 1}, "expected {'row'"),
        ({"row": 1, "scale": 1.0, "group": "a"}, "expected {'row'"),
        ({"row": -1, "scale": 1.0}, r"\['row'\]: got -1"),
        ({"row": True, "scale": 1.0}, r"\['row'\]: got True"),
        ({"row": 1.0, "scale": 1.0}, r"\['row'\]: got 1.0"),
        ({"row": 1, "scale": float("inf")}, r"\['scale'\]: got inf"),
        ({"row": 1, "scale": "1"}, r"\['scale'\]: got '1'"),
    ],
)
def test_wrong_arguments_are_refused_at_admission(argument: object, message: str) -> None:
    from vllm.v1.sample.logits_processor import validate_logits_processors_parameters

    wrong = SamplingParams(extra_args={ARGUMENT: argument})
    with pytest.raises(ValueError, match=message):
        Suppression.validate_params(wrong)
    with pytest.raises(Exception, match=message):  # vLLM's own class, no ValueError since 0.32
        validate_logits_processors_parameters([Suppression], wrong)
    validate_logits_processors_parameters([Suppression], make_params(2, 0))
    validate_logits_processors_parameters([Suppression], SamplingParams(extra_args={"other": 1}))

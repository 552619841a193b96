"""Suppression for vLLM's Model Runner V1: the CPU build, and GPUs up to vLLM 0.30.

Knows V1's batch: row i of the logits belongs to the request at batch index i, and requests change places between steps.
V1 applies it before the built-in penalties (V2 after them) and before temperature, on float32 logits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vllm.v1.sample.logits_processor.interface import LogitsProcessor, MoveDirectionality

from variegate.inference.suppression.rows import BiasRows, parse_argument

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float
    from torch import Tensor
    from vllm import SamplingParams
    from vllm.config import VllmConfig
    from vllm.v1.sample.logits_processor.interface import BatchUpdate


class SuppressionV1(LogitsProcessor):  # type: ignore[misc]  # checked without vllm
    """Adds to each request's logits the row of the bias table that its `extra_args` name; row 0 without."""

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:
        num_seats = vllm_config.scheduler_config.max_num_seqs
        self.bias_rows = BiasRows(num_seats, vllm_config.model_config.get_vocab_size(), device, pin_memory=is_pin_memory)

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        parse_argument(sampling_params.extra_args)

    def is_argmax_invariant(self) -> bool:
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        if batch_update is None:
            return
        # Removed, added, moved: the order vLLM prescribes. An added or moved request replaces what its new index held.
        for index in batch_update.removed:
            self.bias_rows.clear(index)
        for index, params, *_ in batch_update.added:
            self.bias_rows.assign(index, *parse_argument(params.extra_args))
        for source, target, direction in batch_update.moved:
            if direction == MoveDirectionality.SWAP:
                self.bias_rows.swap(source, target)
            else:
                self.bias_rows.move(source, target)
        self.bias_rows.flush()

    def apply(self, logits: Float[Tensor, "b v"]) -> Float[Tensor, "b v"]:
        return self.bias_rows.apply(logits)

"""Suppression for vLLM's Model Runner V2: the default on GPUs since 0.31.

Knows V2's batch: a request keeps one slot, slots are recycled without notice, and `ctx.expanded_idx_mapping` gives each row
of the logits its slot. V2 applies it after the built-in penalties (V1 before them) and before temperature, on float32 logits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vllm.v1.worker.gpu.sample.logits_processor.interface import LogitsProcessor

from variegate.inference.suppression.rows import BiasRows, parse_argument

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor
    from vllm import SamplingParams
    from vllm.config import VllmConfig
    from vllm.v1.worker.gpu.sample.logits_processor.interface import LogitsContext, LogitsProcRequestState


class SuppressionV2(LogitsProcessor):  # type: ignore[misc]  # checked without vllm
    """Adds to each request's logits the row of the bias table that its `extra_args` name; row 0 without."""

    def __init__(self, vllm_config: VllmConfig, req_states: LogitsProcRequestState) -> None:
        device = req_states.device
        self.bias_rows = BiasRows(req_states.max_num_reqs, req_states.vocab_size, device, pin_memory=device.type == "cuda")

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        parse_argument(sampling_params.extra_args)

    def add_request(self, req_idx: int, sampling_params: SamplingParams) -> bool:
        row, scale = parse_argument(sampling_params.extra_args)
        self.bias_rows.assign(req_idx, row, scale)
        return row != 0

    def apply_staged_writes(self) -> None:
        self.bias_rows.flush()

    def apply(self, logits: Float[Tensor, "b v"], ctx: LogitsContext) -> Float[Tensor, "b v"]:
        return self.bias_rows.apply(logits, ctx.expanded_idx_mapping, host_seats=ctx.idx_mapping_np)

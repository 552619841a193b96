"""vLLM's Triton attention backend with T5's bias: cache, its writing, metadata and CUDA graphs are inherited, the kernel is ours."""

from __future__ import annotations

from typing import Any

from vllm.v1.attention.backends.triton_attn import TritonAttentionBackend, TritonAttentionImpl

from variegate.inference.t5.attention import BiasedForward
from variegate_kernels.t5_attention import PagedStep

_STEP = "variegate_step"


class BiasedTritonImpl(BiasedForward, TritonAttentionImpl):  # type: ignore[misc]
    def step_of(self, attn_metadata: Any) -> PagedStep:
        """Made by the first layer of a step, and kept with its metadata for the others."""
        step: PagedStep | None = getattr(attn_metadata, _STEP, None)
        if step is None or step.block_table is not attn_metadata.block_table:  # vLLM may copy metadata for another cache
            step = PagedStep(
                block_table=attn_metadata.block_table,
                seq_lens=attn_metadata.seq_lens,
                query_starts=attn_metadata.query_start_loc,
                max_query_len=attn_metadata.max_query_len,
                max_seq_len=attn_metadata.max_seq_len,
            )
            setattr(attn_metadata, _STEP, step)
        return step


class BiasedTritonBackend(TritonAttentionBackend):  # type: ignore[misc]
    @classmethod
    def supports_batch_invariance(cls) -> bool:
        return False  # how keys are shared out among programs depends on the batch

    @staticmethod
    def get_impl_cls() -> type[BiasedTritonImpl]:
        return BiasedTritonImpl

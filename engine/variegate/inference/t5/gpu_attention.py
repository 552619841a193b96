"""vLLM's Triton attention backend with T5's bias: cache, its writing, metadata and CUDA graphs are inherited, the kernel is ours."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor
from vllm.v1.attention.backends.triton_attn import TritonAttentionBackend, TritonAttentionImpl

from variegate_kernels.t5_attention import PagedStep, paged_attention


class BiasedTritonImpl(TritonAttentionImpl):  # type: ignore[misc]
    def fused_output_quant_supported(self, quant_key: Any) -> bool:
        return False  # the output is never quantized here

    def forward(
        self,
        layer: Any,
        query: Float[Tensor, "t h d"],
        key: Float[Tensor, "t h d"],
        value: Float[Tensor, "t h d"],
        kv_cache: Float[Tensor, "n_blocks h slots dd"],
        attn_metadata: Any,
        output: Float[Tensor, "t h d"],
        output_scale: Any = None,
        output_block_scale: Any = None,
    ) -> Float[Tensor, "t h d"]:
        if attn_metadata is None:  # the memory profile
            return output.fill_(0)
        cache = kv_cache.transpose(1, 2)  # [blocks, slots, heads, 2 * d]: key and value side by side
        keys, values = cache[..., : self.head_size], cache[..., self.head_size :]
        step = PagedStep(
            block_table=attn_metadata.block_table,
            seq_lens=attn_metadata.seq_lens,
            query_starts=attn_metadata.query_start_loc,
            max_query_len=attn_metadata.max_query_len,
            max_seq_len=attn_metadata.max_seq_len,
        )
        n = attn_metadata.num_actual_tokens
        paged_attention(query[:n], keys, values, layer.bias_table, step, scale=self.scale, out=output[:n])
        return output


class BiasedTritonBackend(TritonAttentionBackend):  # type: ignore[misc]
    @classmethod
    def supports_batch_invariance(cls) -> bool:
        return False  # how keys are shared out among programs depends on the batch

    @staticmethod
    def get_impl_cls() -> type[BiasedTritonImpl]:
        return BiasedTritonImpl

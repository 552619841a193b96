"""vLLM's Triton attention backend with T5's bias: cache, its writing, metadata and CUDA graphs are inherited, the kernel is ours."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor
from variegate_kernels.t5_attention import PagedStep, paged_attention
from vllm.v1.attention.backends.triton_attn import TritonAttentionBackend, TritonAttentionImpl


class BiasedTritonImpl(TritonAttentionImpl):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.kv_cache_dtype not in ("auto", "float16", "bfloat16", "float32"):
            raise ValueError(f"kv_cache_dtype: got {self.kv_cache_dtype!r}; T5 attention reads no quantized cache: leave it at auto")

    def forward(
        self,
        layer: Any,
        query: Float[Tensor, "t h d"],
        key: Float[Tensor, "t h d"],
        value: Float[Tensor, "t h d"],
        kv_cache: Tensor,
        attn_metadata: Any,
        output: Float[Tensor, "t h d"],
        output_scale: Any = None,
        output_block_scale: Any = None,
    ) -> Float[Tensor, "t h d"]:
        if attn_metadata is None:  # the memory profile
            return output.fill_(0)
        if kv_cache.ndim == 4:  # [blocks, heads, slots, 2 * d]
            cache = kv_cache.transpose(1, 2)
            keys, values = cache[..., : self.head_size], cache[..., self.head_size :]
        else:  # vLLM 0.26: [blocks, 2, slots, heads, d]
            keys, values = kv_cache.unbind(1)
        step = PagedStep(attn_metadata.block_table, attn_metadata.seq_lens, attn_metadata.query_start_loc, attn_metadata.max_query_len)
        n = attn_metadata.num_actual_tokens
        paged_attention(query[:n], keys, values, layer.bias_table, step, scale=self.scale, out=output[:n])
        return output


class BiasedTritonBackend(TritonAttentionBackend):  # type: ignore[misc]
    @staticmethod
    def get_impl_cls() -> type[BiasedTritonImpl]:
        return BiasedTritonImpl

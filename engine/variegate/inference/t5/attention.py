"""What T5's attention on CPU and GPU shares: the layer's bias, and vLLM's cache as keys and values. Imports nothing of vLLM."""

from __future__ import annotations

from typing import Any, Protocol

from jaxtyping import Float
from torch import Tensor

from variegate_kernels.t5_attention import PagedStep, paged_attention, warm_up


class Backend(Protocol):
    head_size: int
    scale: float

    def step_of(self, attn_metadata: Any) -> PagedStep: ...


class BiasedForward:
    """Mixed into an attention implementation of vLLM's, before it; the rest says how its metadata becomes a `PagedStep`."""

    def forward(
        self: Backend,
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
        """The new keys and values are in the cache already: key and value of a slot side by side."""
        if attn_metadata is None:  # the memory profile
            return output.fill_(0)
        cache = kv_cache.transpose(1, 2)
        keys, values = cache[..., : self.head_size], cache[..., self.head_size :]
        n, step = attn_metadata.num_actual_tokens, self.step_of(attn_metadata)
        warm_up(query[:n], keys, values, layer.bias_table, step, scale=self.scale)
        paged_attention(query[:n], keys, values, layer.bias_table, step, scale=self.scale, out=output[:n])
        return output

    def fused_output_quant_supported(self, quant_key: Any) -> bool:
        return False  # the output is never quantized here

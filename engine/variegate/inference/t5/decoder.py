"""T5's decoder over vLLM's paged caches: self-attention with the relative bias, and the stock cross-attention.

The bias lies on the attention layer and is read inside the attention op, which is opaque to torch.compile and CUDA graphs.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor, nn
from vllm.compilation.decorators import support_torch_compile
from vllm.config import VllmConfig
from vllm.distributed import get_tensor_model_parallel_rank, get_tensor_model_parallel_world_size
from vllm.model_executor.layers.attention import Attention, CrossAttention
from vllm.platforms import current_platform
from vllm.v1.attention.backend import AttentionType

from variegate.inference.t5.encoder import FeedForwardLayer
from variegate.inference.t5.layers import Norm, Projections
from variegate.inference.t5.relative_bias import RelativeBias


@lru_cache
def biased_backend() -> Any:
    """The attention backend of this platform that adds `layer.bias_table`."""
    if current_platform.is_cpu():
        from variegate.inference.t5.cpu_attention import BiasedCpuBackend

        return BiasedCpuBackend
    from variegate.inference.t5.gpu_attention import BiasedTritonBackend

    return BiasedTritonBackend


class BiasedAttention(Attention):  # type: ignore[misc]  # checked without vllm
    """vLLM's attention layer with a backend of our own, handed over as `CrossAttention` does: that passes by the choice of
    backend by platform, which knows none with this bias."""

    def __init__(self, relative_bias: RelativeBias, **options: Any) -> None:
        super().__init__(attn_backend=biased_backend(), **options)
        if self.kv_cache_torch_dtype != torch.get_default_dtype():  # vLLM builds under the model's dtype
            raise ValueError(
                f"kv_cache_dtype: got {self.kv_cache_dtype!r}; T5's attention reads a cache of the model's dtype: leave it at auto"
            )
        self._relative_bias = [relative_bias]  # in a list: it is the decoder's submodule, once
        table = torch.zeros(self.num_heads, relative_bias.max_distance + 1, dtype=torch.float32)
        self.register_buffer("bias_table", table, persistent=False)
        self.bias_table: Float32[Tensor, "h distances"]

    def process_weights_after_loading(self, act_dtype: torch.dtype) -> None:
        """Called by every loader, that of dummy weights too."""
        super().process_weights_after_loading(act_dtype)
        self.bias_table.copy_(self._relative_bias[0].table())


class SelfAttentionLayer(nn.Module):
    def __init__(self, config: Any, relative_bias: RelativeBias, cache_config: Any, quant_config: Any, prefix: str) -> None:
        super().__init__()
        self.SelfAttention = Projections(config, quant_config, f"{prefix}.layer.0.SelfAttention")
        self.attention = BiasedAttention(
            relative_bias,
            num_heads=self.SelfAttention.num_heads,
            head_size=config.d_kv,
            scale=1.0,
            cache_config=cache_config,
            quant_config=quant_config,
            prefix=f"{prefix}.self_attention",  # vLLM wants one number in it
        )
        self.layer_norm = Norm(config)

    def forward(self, x: Float[Tensor, "t d"]) -> Float[Tensor, "t d"]:
        qkv, _ = self.SelfAttention.qkv(self.layer_norm(x))
        query, key, value = qkv.chunk(3, dim=-1)
        return x + self.SelfAttention.o(self.attention(query, key, value))[0]


class CrossAttentionLayer(nn.Module):
    def __init__(self, config: Any, cache_config: Any, quant_config: Any, prefix: str) -> None:
        super().__init__()
        self.EncDecAttention = Projections(config, quant_config, f"{prefix}.layer.1.EncDecAttention", cross=True)
        self.attention = CrossAttention(
            num_heads=self.EncDecAttention.num_heads,
            head_size=config.d_kv,
            scale=1.0,
            cache_config=cache_config,
            attn_type=AttentionType.ENCODER_DECODER,
            quant_config=quant_config,
            prefix=f"{prefix}.cross_attention",
        )
        self.layer_norm = Norm(config)

    def forward(self, x: Float[Tensor, "t d"], encoded: Float[Tensor, "m d"] | None) -> Float[Tensor, "t d"]:
        """encoded: the encoder's output of the requests that start in this step, in their order; it is cached from then on."""
        query, _ = self.EncDecAttention.q(self.layer_norm(x))
        key = value = None
        if encoded is not None:
            key, value = self.EncDecAttention.kv(encoded)[0].chunk(2, dim=-1)
        return x + self.EncDecAttention.o(self.attention(query, key, value))[0]


class DecoderBlock(nn.Module):
    def __init__(self, config: Any, relative_bias: RelativeBias, cache_config: Any, quant_config: Any, prefix: str) -> None:
        super().__init__()
        self.layer = nn.ModuleList(
            [
                SelfAttentionLayer(config, relative_bias, cache_config, quant_config, prefix),
                CrossAttentionLayer(config, cache_config, quant_config, prefix),
                FeedForwardLayer(config, quant_config, f"{prefix}.layer.2"),
            ]
        )

    def forward(self, x: Float[Tensor, "t d"], encoded: Float[Tensor, "m d"] | None) -> Float[Tensor, "t d"]:
        return self.layer[2](self.layer[1](self.layer[0](x), encoded))


# vLLM runs a step in which encoder outputs come in uncompiled, and compiles the others.
@support_torch_compile(dynamic_arg_dims={"input_ids": 0, "positions": -1})  # type: ignore[untyped-decorator]
class Decoder(nn.Module):
    def __init__(self, *, vllm_config: VllmConfig, embed_tokens: nn.Module, prefix: str = "") -> None:
        super().__init__()
        config = vllm_config.model_config.hf_config
        self.embed_tokens = embed_tokens
        self.relative_attention_bias = RelativeBias(
            config, bidirectional=False, rank=get_tensor_model_parallel_rank(), world=get_tensor_model_parallel_world_size()
        )
        self.block = nn.ModuleList(
            DecoderBlock(
                config, self.relative_attention_bias, vllm_config.cache_config, vllm_config.quant_config, f"{prefix}.block.{index}"
            )
            for index in range(config.num_decoder_layers)
        )
        self.final_layer_norm = Norm(config)

    def forward(
        self,
        input_ids: Int[Tensor, " t"],
        positions: Int[Tensor, " t"],
        encoder_hidden_states: Float[Tensor, "m d"] | None = None,
    ) -> Float[Tensor, "t d"]:
        """positions are vLLM's; T5 has none but its bias, which the attention op finds by itself."""
        x = self.embed_tokens(input_ids)
        if x.dtype == torch.float16:
            x = x.float()  # see layers
        for block in self.block:
            x = block(x, encoder_hidden_states)
        return self.final_layer_norm(x)

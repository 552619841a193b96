"""What T5's encoder and decoder are both made of: norm, projections, feed-forward. Shards by heads and by columns.

Module names are those of the checkpoints (`SelfAttention`, `DenseReluDense`), so that weights find their place by name.

In float16 T5's residual stream overflows. As Transformers does, `wo` stays in float32 there, and with it the stream that
its outputs are added to; every sublayer's input is normalised back into float16.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from vllm.distributed import get_tensor_model_parallel_world_size
from vllm.model_executor.layers.linear import ColumnParallelLinear, MergedColumnParallelLinear, QKVParallelLinear, RowParallelLinear

Activation = Callable[[Tensor], Tensor]


class Norm(nn.Module):
    """Root-mean-square norm without mean or bias; float32 inside, out in the weight's dtype."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(config.d_model), requires_grad=False)
        self.epsilon = config.layer_norm_epsilon

    def forward(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        if x.dtype != self.weight.dtype:  # the float32 stream of a float16 model
            return functional.rms_norm(x, self.weight.shape, eps=self.epsilon).to(self.weight.dtype) * self.weight
        return functional.rms_norm(x, self.weight.shape, self.weight, self.epsilon)


def activation(name: str) -> Activation:
    """`dense_act_fn` of a T5 configuration."""
    known: dict[str, Activation] = {"relu": functional.relu, "gelu": functional.gelu, "silu": functional.silu}
    if name in ("gelu_new", "gelu_pytorch_tanh"):
        return lambda x: functional.gelu(x, approximate="tanh")
    if name not in known:
        raise ValueError(f"dense_act_fn: got {name!r}, expected gelu_new, gelu_pytorch_tanh or one of {', '.join(known)}")
    return known[name]


class FeedForward(nn.Module):
    """`wo(act(wi_0 x) * (wi_1 x))` where gated (v1.1, FLAN), `wo(act(wi x))` otherwise (v1.0)."""

    def __init__(self, config: Any, quant_config: Any, prefix: str) -> None:
        super().__init__()
        self.gated = bool(config.is_gated_act)
        self.activation = activation(config.dense_act_fn)
        width, inner = config.d_model, config.d_ff
        options: dict[str, Any] = {"bias": False, "quant_config": quant_config}
        self.wi: nn.Module
        if self.gated:
            self.wi = MergedColumnParallelLinear(width, [inner, inner], prefix=f"{prefix}.wi", **options)
        else:
            self.wi = ColumnParallelLinear(width, inner, prefix=f"{prefix}.wi", **options)
        self.out_dtype = torch.float32 if torch.get_default_dtype() == torch.float16 else None  # vLLM builds under the model's dtype
        self.wo = RowParallelLinear(inner, width, prefix=f"{prefix}.wo", params_dtype=self.out_dtype, **options)

    def forward(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        inner, _ = self.wi(x)
        if self.gated:
            gate, up = inner.chunk(2, dim=-1)
            inner = self.activation(gate) * up
        else:
            inner = self.activation(inner)
        return self.wo(inner if self.out_dtype is None else inner.to(self.out_dtype))[0]


class Projections(nn.Module):
    """Query, key, value and output of one attention, without biases. heads * d_kv need not equal d_model.

    cross: keys and values are of another sequence, so they have a product of their own (`kv`).
    """

    def __init__(self, config: Any, quant_config: Any, prefix: str, *, cross: bool = False) -> None:
        super().__init__()
        self.num_heads = config.num_heads // get_tensor_model_parallel_world_size()  # of this rank
        self.head_size = config.d_kv
        width, inner = config.d_model, config.num_heads * config.d_kv
        options: dict[str, Any] = {"bias": False, "quant_config": quant_config}
        if cross:
            self.q = ColumnParallelLinear(width, inner, prefix=f"{prefix}.q", **options)
            self.kv = MergedColumnParallelLinear(width, [inner, inner], prefix=f"{prefix}.kv", **options)
        else:
            self.qkv = QKVParallelLinear(width, config.d_kv, config.num_heads, config.num_heads, prefix=f"{prefix}.qkv", **options)
        self.o = RowParallelLinear(inner, width, prefix=f"{prefix}.o", **options)

"""T5's encoder: whole prompts at once, padded in groups of similar length. Knows nothing of caches or schedules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from vllm.distributed import get_tensor_model_parallel_rank, get_tensor_model_parallel_world_size

from variegate.inference.t5.layers import FeedForward, Norm, Projections
from variegate.inference.t5.relative_bias import RelativeBias

TOKENS_PER_GROUP = 16384  # padded
ALIGNMENT = {"cuda": 8}  # a group's length is a multiple of it: of another mask each layer would make a copy; 1 elsewhere
MASK_PER_GROUP = 1 << 28  # elements [b, h, t, t] of a padded group's mask: vLLM's memory profile, of equal lengths, sees none


class SelfAttentionLayer(nn.Module):
    def __init__(self, config: Any, quant_config: Any, prefix: str) -> None:
        super().__init__()
        self.SelfAttention = Projections(config, quant_config, f"{prefix}.SelfAttention")
        self.layer_norm = Norm(config)

    def forward(self, x: Float[Tensor, "b t d"], mask: Float[Tensor, "#b h #t t"]) -> Float[Tensor, "b t d"]:
        attention = self.SelfAttention
        qkv, _ = attention.qkv(self.layer_norm(x))
        query, key, value = qkv.unflatten(-1, (3, attention.num_heads, attention.head_size)).permute(2, 0, 3, 1, 4)
        out = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=1.0)  # T5 scales nothing
        return x + attention.o(out.transpose(1, 2).flatten(2))[0]


class FeedForwardLayer(nn.Module):
    def __init__(self, config: Any, quant_config: Any, prefix: str) -> None:
        super().__init__()
        self.DenseReluDense = FeedForward(config, quant_config, f"{prefix}.DenseReluDense")
        self.layer_norm = Norm(config)

    def forward(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        return x + self.DenseReluDense(self.layer_norm(x))


class EncoderBlock(nn.Module):
    def __init__(self, config: Any, quant_config: Any, prefix: str) -> None:
        super().__init__()
        self.layer = nn.ModuleList(
            [SelfAttentionLayer(config, quant_config, f"{prefix}.layer.0"), FeedForwardLayer(config, quant_config, f"{prefix}.layer.1")]
        )

    def forward(self, x: Float[Tensor, "b t d"], mask: Float[Tensor, "#b h #t t"]) -> Float[Tensor, "b t d"]:
        return self.layer[1](self.layer[0](x, mask))


class Encoder(nn.Module):
    def __init__(self, config: Any, quant_config: Any, prefix: str) -> None:
        super().__init__()
        self.num_heads = config.num_heads // get_tensor_model_parallel_world_size()  # of this rank
        self.block = nn.ModuleList(EncoderBlock(config, quant_config, f"{prefix}.block.{index}") for index in range(config.num_layers))
        self.final_layer_norm = Norm(config)
        self.relative_attention_bias = RelativeBias(
            config, bidirectional=True, rank=get_tensor_model_parallel_rank(), world=get_tensor_model_parallel_world_size()
        )

    def forward(self, embeddings: Sequence[Float[Tensor, "t d"]]) -> list[Float[Tensor, "t d"]]:
        """Each sequence on its own; lengths may differ."""
        out: list[Tensor] = [torch.empty(0)] * len(embeddings)
        for group in similar(list(map(len, embeddings)), self.num_heads):
            encoded = self._encode([embeddings[place] for place in group])
            for row, place in enumerate(group):
                out[place] = encoded[row, : len(embeddings[place])]
        return out

    def _encode(self, group: list[Float[Tensor, "t d"]]) -> Float[Tensor, "b longest d"]:
        x = nn.utils.rnn.pad_sequence(group, batch_first=True)
        x = nn.functional.pad(x, (0, 0, 0, -x.shape[1] % ALIGNMENT.get(x.device.type, 1)))
        dtype, longest = x.dtype, x.shape[1]
        mask = self.relative_attention_bias.square(longest)[None]
        lengths = [len(each) for each in group]
        if min(lengths) < longest:
            padding = torch.arange(longest, device=x.device) >= torch.tensor(lengths, device=x.device)[:, None]
            mask = mask.masked_fill(padding[:, None, None], torch.finfo(dtype).min)
        if dtype == torch.float16:
            x = x.float()  # see layers
        for block in self.block:
            x = block(x, mask)
        return self.final_layer_norm(x)


def similar(lengths: Sequence[int], num_heads: int) -> Iterator[list[int]]:
    """Places of sequences to be padded together: no more than half as long again, within the bounds of a group."""
    group: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        length, rows = lengths[place], len(group) + 1
        too_many = rows * length > TOKENS_PER_GROUP or rows * num_heads * length**2 > MASK_PER_GROUP
        if group and (too_many or length > 1.5 * lengths[group[0]] + 16):
            yield group
            group = []
        group.append(place)
    if group:
        yield group

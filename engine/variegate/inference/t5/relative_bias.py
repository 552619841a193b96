"""T5's relative position bias: a learnt number for each head and bucket of distances, added to attention scores.

Buckets are exact for short distances and logarithmic beyond; from `max_distance` on there is one. Their borders fall on exact
integers of a logarithm, so they come from Transformers' own function, on the CPU: another order of the same operations moves
some of them.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor, nn
from transformers.models.t5.modeling_t5 import T5Attention


def buckets(num_buckets: int, max_distance: int, *, bidirectional: bool) -> Int[Tensor, " distances"]:
    """Bucket of each relative position (key - query).

    bidirectional (encoder): of -max_distance to max_distance. Otherwise (decoder): of the distances 0 to max_distance
    backwards. Positions further away share the bucket at the end.
    """
    distances = torch.arange(-max_distance if bidirectional else 0, max_distance + 1)
    relative = distances if bidirectional else -distances
    return T5Attention._relative_position_bucket(relative, bidirectional, num_buckets, max_distance)


class RelativeBias(nn.Module):
    """The learnt table [num_buckets, heads] of one stack, shared by all its layers.

    weight holds all heads; `rank` of `world` tensor-parallel ranks reads its own.
    """

    def __init__(self, config: Any, *, bidirectional: bool, rank: int = 0, world: int = 1) -> None:
        super().__init__()
        self.max_distance = int(config.relative_attention_max_distance)
        num_buckets = int(config.relative_attention_num_buckets)
        self.weight = nn.Parameter(torch.zeros(num_buckets, config.num_heads), requires_grad=False)
        num_heads = config.num_heads // world
        self.heads = slice(rank * num_heads, (rank + 1) * num_heads)
        with torch.device("cpu"):
            places = buckets(num_buckets, self.max_distance, bidirectional=bidirectional)
        self.register_buffer("buckets", places.to(self.weight.device), persistent=False)
        self.buckets: Int[Tensor, " distances"]

    def table(self) -> Float32[Tensor, "h distances"]:
        """Bias by distance, in the order of `buckets`."""
        return self.weight[self.buckets, self.heads].float().t().contiguous()

    def square(self, length: int) -> Float[Tensor, "h t t"]:
        """Bias of every pair of positions [query, key] of a sequence, for a bidirectional stack; in the weights' dtype."""
        positions = torch.arange(length, device=self.weight.device)
        relative = (positions - positions[:, None]).clamp(-self.max_distance, self.max_distance)
        return self.weight[self.buckets, self.heads].t()[:, relative + self.max_distance]

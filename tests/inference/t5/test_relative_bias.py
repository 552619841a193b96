"""Bias tables against Transformers' own attention layer, which computes the bias of every pair."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from transformers import T5Config
from transformers.models.t5.modeling_t5 import T5Attention

from variegate.inference.t5.relative_bias import RelativeBias, buckets


def layer(num_buckets: int, max_distance: int, *, decoder: bool, heads: int = 4) -> T5Attention:
    config = T5Config(
        d_model=8, d_kv=4, num_heads=heads, relative_attention_num_buckets=num_buckets, relative_attention_max_distance=max_distance,
        is_decoder=decoder,
    )  # fmt: skip
    torch.manual_seed(0)
    return T5Attention(config, has_relative_attention_bias=True, layer_idx=0)


def ours(theirs: T5Attention, *, decoder: bool, rank: int = 0, world: int = 1) -> RelativeBias:
    config = SimpleNamespace(
        relative_attention_max_distance=theirs.relative_attention_max_distance,
        relative_attention_num_buckets=theirs.relative_attention_num_buckets,
        num_heads=theirs.n_heads,
    )
    bias = RelativeBias(config, bidirectional=not decoder, rank=rank, world=world)
    bias.weight.data.copy_(theirs.relative_attention_bias.weight)
    return bias


def theirs_of(layer: T5Attention, length: int) -> torch.Tensor:
    """[h, query, key]"""
    with torch.no_grad():
        return layer.compute_bias(length, length, device=torch.device("cpu"))[0]


@pytest.mark.parametrize(("num_buckets", "max_distance"), [(32, 128), (32, 64), (16, 128), (8, 20)])
def test_tables_hold_every_distance(num_buckets: int, max_distance: int) -> None:
    length = 3 * max_distance
    encoder = layer(num_buckets, max_distance, decoder=False)
    torch.testing.assert_close(ours(encoder, decoder=False).square(length), theirs_of(encoder, length), rtol=0, atol=0)
    decoder = layer(num_buckets, max_distance, decoder=True)
    table = ours(decoder, decoder=True).table()
    assert table.shape == (4, max_distance + 1)
    last_query = theirs_of(decoder, length)[:, -1].flip(1)  # by distance 0, 1, ...
    places = torch.arange(length).clamp(max=max_distance)
    torch.testing.assert_close(table[:, places], last_query, rtol=0, atol=0)


def test_far_positions_share_the_last_bucket() -> None:
    assert buckets(32, 128, bidirectional=False)[-1] == 31
    both = buckets(32, 128, bidirectional=True)
    assert len(both) == 257
    assert (both[0], both[128], both[-1]) == (15, 0, 31)


def test_a_rank_reads_its_own_heads() -> None:
    full = layer(32, 128, decoder=True)
    halves = [ours(full, decoder=True, rank=rank, world=2).table() for rank in (0, 1)]
    torch.testing.assert_close(torch.cat(halves), ours(full, decoder=True).table(), rtol=0, atol=0)
    encoder = layer(32, 128, decoder=False)
    squares = [ours(encoder, decoder=False, rank=rank, world=2).square(7) for rank in (0, 1)]
    torch.testing.assert_close(torch.cat(squares), theirs_of(encoder, 7), rtol=0, atol=0)

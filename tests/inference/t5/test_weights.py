"""Names of checkpoints, as Transformers writes them."""

from __future__ import annotations

import pytest

from variegate.inference.t5.weights import Target, target_of


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("shared.weight", Target("shared.weight")),
        ("encoder.embed_tokens.weight", Target("shared.weight")),
        ("decoder.embed_tokens.weight", Target("shared.weight")),
        ("lm_head.weight", Target("lm_head.weight")),
        ("encoder.final_layer_norm.weight", Target("encoder.final_layer_norm.weight")),
        ("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", Target("encoder.relative_attention_bias.weight")),
        ("decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", Target("decoder.relative_attention_bias.weight")),
        ("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight", None),  # in t5-small, read by no T5
        ("encoder.block.3.layer.0.SelfAttention.k.weight", Target("encoder.block.3.layer.0.SelfAttention.qkv.weight", "k")),
        ("decoder.block.3.layer.0.SelfAttention.o.weight", Target("decoder.block.3.layer.0.SelfAttention.o.weight")),
        ("decoder.block.11.layer.1.EncDecAttention.q.weight", Target("decoder.block.11.layer.1.EncDecAttention.q.weight")),
        ("decoder.block.11.layer.1.EncDecAttention.v.weight", Target("decoder.block.11.layer.1.EncDecAttention.kv.weight", 1)),
        ("decoder.block.1.layer.2.DenseReluDense.wi_1.weight", Target("decoder.block.1.layer.2.DenseReluDense.wi.weight", 1)),
        ("encoder.block.1.layer.1.DenseReluDense.wi.weight", Target("encoder.block.1.layer.1.DenseReluDense.wi.weight")),
        ("encoder.block.1.layer.1.layer_norm.weight", Target("encoder.block.1.layer.1.layer_norm.weight")),
    ],
)
def test_target(name: str, target: Target | None) -> None:
    assert target_of(name) == target

"""Where a T5 checkpoint's tensors go: names, and the products that are stored apart but run as one. Pure; knows no vLLM."""

from __future__ import annotations

from typing import NamedTuple

EMBEDDINGS = "shared.weight"
HEAD = "lm_head.weight"
# A checkpoint's part -> ours, and the part's place in it as vLLM's loaders of merged layers call it.
_MERGED: dict[str, tuple[str, str | int]] = {
    "SelfAttention.q.": ("SelfAttention.qkv.", "q"),
    "SelfAttention.k.": ("SelfAttention.qkv.", "k"),
    "SelfAttention.v.": ("SelfAttention.qkv.", "v"),
    "EncDecAttention.k.": ("EncDecAttention.kv.", 0),
    "EncDecAttention.v.": ("EncDecAttention.kv.", 1),
    "DenseReluDense.wi_0.": ("DenseReluDense.wi.", 0),
    "DenseReluDense.wi_1.": ("DenseReluDense.wi.", 1),
}


class Target(NamedTuple):
    name: str  # of our parameter
    shard: str | int | None = None  # its part; None: all of it


def target_of(name: str) -> Target | None:
    """Where the tensor `name` of a checkpoint goes; None for one that T5 does not use."""
    if name.endswith("embed_tokens.weight"):  # some checkpoints hold the shared table under its users' names
        return Target(EMBEDDINGS)
    if "relative_attention_bias" in name:
        if "EncDecAttention" in name:
            return None  # the first checkpoints have one; no T5 reads it
        stack = name.partition(".")[0]
        return Target(f"{stack}.relative_attention_bias.weight")
    for part, (ours, shard) in _MERGED.items():
        if part in name:
            return Target(name.replace(part, ours), shard)
    return Target(name)

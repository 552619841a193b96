"""vLLM's CPU attention backend with T5's bias: its C++ kernel has no place for one. Keys and values lie as we lay them.

The cache is [blocks, heads, slots, 2 * d]: key and value of a slot side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor
from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend, CPUAttentionBackendImpl, CPUAttentionMetadataBuilder

from variegate.inference.t5.attention import BiasedForward
from variegate_kernels.t5_attention import PagedStep


@dataclass
class BiasedCpuMetadata:
    num_actual_tokens: int
    slot_mapping: Int[Tensor, " t"]
    step: PagedStep  # shared by all layers, so that what it works out is worked out once


class BiasedCpuMetadataBuilder(CPUAttentionMetadataBuilder):  # type: ignore[misc]
    def build(self, common_prefix_len: int, common_attn_metadata: Any, fast_build: bool = False) -> BiasedCpuMetadata:
        common = common_attn_metadata
        step = PagedStep(
            block_table=common.block_table_tensor[: common.num_reqs],
            seq_lens=common.seq_lens[: common.num_reqs],
            query_starts=common.query_start_loc[: common.num_reqs + 1],
            max_query_len=common.max_query_len,
            max_seq_len=common.max_seq_len,
        )
        return BiasedCpuMetadata(common.num_actual_tokens, common.slot_mapping, step)


class BiasedCpuImpl(BiasedForward, CPUAttentionBackendImpl):  # type: ignore[misc]
    def do_kv_cache_update(
        self,
        layer: Any,
        key: Float[Tensor, "t h d"],
        value: Float[Tensor, "t h d"],
        kv_cache: Float[Tensor, "n_blocks h slots dd"],
        slot_mapping: Int[Tensor, " t"],
    ) -> None:
        """Slots below 0 are padding."""
        inside = slot_mapping >= 0
        if not bool(inside.all()):
            slot_mapping, key, value = slot_mapping[inside], key[: len(inside)][inside], value[: len(inside)][inside]
        num_slots = kv_cache.shape[2]
        block, slot = slot_mapping // num_slots, slot_mapping % num_slots
        kv_cache[block, :, slot, : self.head_size] = key[: len(block)].to(kv_cache.dtype)
        kv_cache[block, :, slot, self.head_size :] = value[: len(block)].to(kv_cache.dtype)

    def step_of(self, attn_metadata: BiasedCpuMetadata) -> PagedStep:
        return attn_metadata.step


class BiasedCpuBackend(CPUAttentionBackend):  # type: ignore[misc]
    @staticmethod
    def get_impl_cls() -> type[BiasedCpuImpl]:
        return BiasedCpuImpl

    @staticmethod
    def get_builder_cls() -> type[BiasedCpuMetadataBuilder]:
        return BiasedCpuMetadataBuilder

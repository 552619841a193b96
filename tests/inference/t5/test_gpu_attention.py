"""The GPU backend's own part, on CPU tensors: what it makes of vLLM's cache and metadata. The kernel: tests/kernels/test_t5_attention.py."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import pytest
import torch

from variegate_kernels.t5_attention import PagedStep, paged_attention

pytestmark = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")


def test_keys_and_values_are_found_in_the_cache() -> None:
    from variegate.inference.t5.gpu_attention import BiasedTritonImpl

    torch.manual_seed(0)
    heads, width, slots, blocks = 3, 8, 16, 5
    cache = torch.randn(blocks, heads, slots, 2 * width)  # vLLM's logical layout: blocks, heads, slots, key and value
    query, out = torch.randn(3, heads, width), torch.zeros(3, heads, width)
    layer = SimpleNamespace(bias_table=torch.randn(heads, 9))
    table = torch.tensor([[3, 1], [4, 0]], dtype=torch.int32)
    metadata = SimpleNamespace(
        block_table=table,
        seq_lens=torch.tensor([20, 5], dtype=torch.int32),
        query_start_loc=torch.tensor([0, 1, 2], dtype=torch.int32),
        max_query_len=1,
        max_seq_len=20,
        num_actual_tokens=2,  # the third row is padding
    )
    impl = BiasedTritonImpl.__new__(BiasedTritonImpl)
    impl.head_size, impl.scale = width, 1.0
    assert impl.forward(layer, query, query, query, cache, metadata, out) is out
    keys = cache[table[0].long(), :, :, :width].transpose(1, 2).reshape(-1, heads, width)[:20]
    values = cache[table[0].long(), :, :, width:].transpose(1, 2).reshape(-1, heads, width)[:20]
    distance = (19 - torch.arange(20)).clamp(max=8)
    weights = torch.softmax(torch.einsum("hd,khd->hk", query[0], keys) + layer.bias_table[:, distance], dim=-1)
    torch.testing.assert_close(out[0], torch.einsum("hk,khd->hd", weights, values))
    assert not out[2].any()
    step = PagedStep(table, metadata.seq_lens, metadata.query_start_loc, 1)
    expected = paged_attention(query[:2], *(part.transpose(1, 2) for part in cache.split(width, dim=-1)), layer.bias_table, step)
    torch.testing.assert_close(out[:2], expected)


def test_the_layers_of_a_step_share_what_is_made_and_checked_once() -> None:
    from variegate.inference.t5.gpu_attention import BiasedTritonImpl

    impl = BiasedTritonImpl.__new__(BiasedTritonImpl)
    table = torch.zeros(1, 1, dtype=torch.int32)
    metadata = SimpleNamespace(block_table=table, seq_lens=table[0] + 1, query_start_loc=None, max_query_len=1, max_seq_len=1)
    step = impl.step_of(metadata)
    assert impl.step_of(metadata) is step
    copied = SimpleNamespace(**vars(metadata) | {"block_table": table.clone()})
    assert impl.step_of(copied).block_table is copied.block_table


def test_what_the_kernel_does_not_do_is_not_inherited() -> None:
    from variegate.inference.t5.gpu_attention import BiasedTritonBackend, BiasedTritonImpl

    assert BiasedTritonBackend.get_impl_cls() is BiasedTritonImpl
    assert not BiasedTritonBackend.supports_batch_invariance()
    assert not BiasedTritonImpl.__new__(BiasedTritonImpl).fused_output_quant_supported(None)


def test_nothing_is_computed_while_memory_is_profiled() -> None:
    from variegate.inference.t5.gpu_attention import BiasedTritonImpl

    out = torch.ones(2, 3, 4)
    BiasedTritonImpl.__new__(BiasedTritonImpl).forward(None, out, out, out, out, None, out)
    assert not out.any()

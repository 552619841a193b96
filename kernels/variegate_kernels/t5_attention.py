"""T5's decoder self-attention of one step: each new token against the keys and values of its request, which lie in blocks.

Knows nothing of engines, layers, caches or buckets: keys and values come stored, those of this step included, and the relative
position bias comes as a table by distance.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float, Float32, Int, Int32
from torch import Tensor

_CHUNK_ELEMENTS = 1 << 24  # keys or values, gathered as float32, of the reference at a time
_WARM: set[object] = set()  # what the kernels of this process are compiled for


@dataclass(frozen=True, eq=False)
class PagedStep:
    """Where the keys of each token of one decoding step lie; the same for all layers of the step.

    Request i owns rows query_starts[i]:query_starts[i + 1] of the query, none for a request of padding; query_starts[0] is 0. Its row
    j of n_i sits at position seq_lens[i] - n_i + j. The key at position p of request i lies in block block_table[i, p // slots];
    entries past a request's last block are not read.
    "torch" and "numba" keep what they work out of the tensors: make a step anew rather than change its tensors.
    """

    block_table: Int32[Tensor, "b max_blocks"]
    seq_lens: Int32[Tensor, " b"]  # keys of each request, those of this step included
    query_starts: Int32[Tensor, " b+1"]
    max_query_len: int  # rows of one request at most
    max_seq_len: int | None = None  # keys of one request at most, a number known to the host; None: as many as block_table has room for
    _rows: dict[int, Rows] = field(default_factory=dict, init=False, repr=False)  # by the number of slots in a block
    _checked: set[object] = field(default_factory=set, init=False, repr=False)  # shapes and types that were found right with it

    def rows(self, slots: int) -> Rows:
        """Checked, and made once a step; waits for the device."""
        if slots not in self._rows:
            self._rows[slots] = _find_rows(self, slots)
        return self._rows[slots]


@dataclass(frozen=True, eq=False)
class Rows:
    """Of each row of the query that a request owns, in order."""

    request: Int[Tensor, " rows"]
    num_keys: Int[Tensor, " rows"]  # it attends to the first so many; 0: to none, and its output is left alone
    total_keys: int
    num_blocks: int  # one more than the highest block that is read


def paged_attention(
    query: Float[Tensor, "t h d"],
    keys: Float[Tensor, "n_blocks slots h d"],
    values: Float[Tensor, "n_blocks slots h d"],
    bias: Float32[Tensor, "h distances"],
    step: PagedStep,
    *,
    scale: float = 1.0,
    out: Float[Tensor, "t h d"] | None = None,
    impl: Literal["auto", "torch", "triton", "numba"] = "auto",
) -> Float[Tensor, "t h d"]:
    """sum_k softmax_k(scale * q . k + bias[head, min(position of q - position of k, distances - 1)]) v_k over keys k up to q itself.

    query, keys, values and out share one type (float32, bfloat16, float16) and device, and have any strides with the last one 1;
    `bias` is finite. Computed in float32, rounded once. Rows that no request owns, and rows of a request without keys (padding of a
    batch or of a CUDA graph), are left as they are in `out`, which is made of zeros where it is None.
    impl: "torch" is the reference; "numba" takes float32 on the CPU and uses torch.get_num_threads() threads; "triton" is safe
    to capture in a CUDA graph. "auto" is triton on CUDA, numba for float32 on the CPU, and torch otherwise.
    Cost: reads each key and value once for each row that attends to it.
    Reference: Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", JMLR 21 (2020),
    section 2.1 (T5 itself has scale 1); Kwon et al., "Efficient Memory Management for Large Language Model Serving with
    PagedAttention", SOSP 2023 (the blocks).
    """
    if impl not in ("auto", "torch", "triton", "numba"):
        raise ValueError(f"impl: got {impl!r}, expected 'auto', 'torch', 'triton' or 'numba'")
    given = (query.shape, query.dtype, keys.shape, keys.dtype, values.shape, bias.shape, None if out is None else out.shape, query.device)
    if given not in step._checked:  # once a step, not once a layer: it takes as long as a small layer does
        _check(query, keys, values, bias, step, out)
        step._checked.add(given)
    fits_numba = query.device.type == "cpu" and query.dtype == torch.float32
    if impl == "numba" and not fits_numba:
        raise ValueError(f"impl='numba' takes float32 on the CPU, got {query.dtype} on {query.device}: use impl='auto'")
    if impl == "auto":
        impl = "triton" if query.device.type == "cuda" else "numba" if fits_numba else "torch"
    if out is None:
        out = query.new_zeros(query.shape)
    if query.numel() == 0 or len(step.seq_lens) == 0:
        return out
    if impl == "triton":
        from variegate_kernels._t5_attention_triton import launch_paged_attention

        launch_paged_attention(query, keys, values, bias, step, scale, out)
        return out
    rows = step.rows(keys.shape[1])
    if len(rows.request) > len(query):
        raise ValueError(f"query: got {len(query)} rows, expected {len(rows.request)} or more, the last of query_starts")
    if rows.num_blocks > len(keys):
        raise ValueError(f"block_table: got block {rows.num_blocks - 1}, keys have {len(keys)} blocks")
    if impl == "torch":
        _attend_torch(query, keys, values, bias, step.block_table, rows, scale, out)
    else:
        from variegate_kernels._t5_attention_numba import attend

        attend(query, keys, values, bias, step.block_table, rows, scale, out)
    return out


def warm_up(
    query: Float[Tensor, "t h d"],
    keys: Float[Tensor, "n_blocks slots h d"],
    values: Float[Tensor, "n_blocks slots h d"],
    bias: Float32[Tensor, "h distances"],
    step: PagedStep,
    *,
    scale: float = 1.0,
) -> None:
    """Compile what `paged_attention` may run for such tensors on CUDA, once and now rather than in the middle of a run: a kernel for
    each of up to six ways to share out the keys, a second or two each. While a CUDA graph is captured, and elsewhere, nothing is done."""
    kind = (query.device, query.dtype, query.shape[1:], keys.shape[1:])
    if query.device.type != "cuda" or kind in _WARM or torch.cuda.is_current_stream_capturing():
        return
    from variegate_kernels import _t5_attention_triton

    _t5_attention_triton.warm_up(query, keys, values, bias, step, scale)
    _WARM.add(kind)


def _attend_torch(
    query: Tensor, keys: Tensor, values: Tensor, bias: Tensor, block_table: Tensor, rows: Rows, scale: float, out: Tensor
) -> None:
    """The reference: a ragged list of (row, block) pairs, and a softmax over all pairs of a row."""
    num_rows, slots, device = len(rows.request), keys.shape[1], query.device
    num_blocks = (rows.num_keys + slots - 1) // slots
    row = torch.arange(num_rows, device=device).repeat_interleave(num_blocks)
    place = torch.arange(len(row), device=device) - (num_blocks.cumsum(0) - num_blocks)[row]  # of the block in its request
    block = block_table[rows.request[row], place].long()
    distance = (rows.num_keys[row] - 1 - place * slots)[:, None] - torch.arange(slots, device=device)
    size = max(1, _CHUNK_ELEMENTS // keys[0].numel())
    parts = [slice(start, start + size) for start in range(0, len(row), size)]

    scores = bias[:, distance.clamp(0, bias.shape[1] - 1)].transpose(0, 1).contiguous()  # pairs, heads, slots
    for part in parts:
        wanted = query[row[part]].float() * scale
        scores[part] += (keys.transpose(1, 2)[block[part]].float() @ wanted[..., None])[..., 0]
    scores.masked_fill_(distance[:, None] < 0, float("-inf"))
    largest = torch.segment_reduce(scores.amax(2), "max", lengths=num_blocks)
    weights = scores.sub_(largest[row][..., None]).exp_()
    total = weights.new_zeros(num_rows, query.shape[1]).index_add_(0, row, weights.sum(2))
    sums = weights.new_zeros(num_rows, *query.shape[1:])
    for part in parts:  # slots that hold no key may hold anything, NaN too
        held = values.transpose(1, 2)[block[part]].float().masked_fill(distance[part, None, :, None] < 0, 0.0)
        sums.index_add_(0, row[part], (weights[part, :, None] @ held)[:, :, 0])
    attends = (rows.num_keys > 0).nonzero()[:, 0]
    out[attends] = (sums[attends] / total[attends][..., None]).to(out.dtype)


def _find_rows(step: PagedStep, slots: int) -> Rows:
    starts, lengths = step.query_starts.long(), step.seq_lens.long()
    counts = starts.diff()
    if int(starts[0]) != 0 or bool((counts < 0).any()):
        raise ValueError(f"query_starts: got {_short(starts)}, expected 0 first and no number below the one before")
    if len(counts) and int(counts.max()) > step.max_query_len:
        raise ValueError(f"max_query_len: got {step.max_query_len}, but a request owns {int(counts.max())} rows of query_starts")
    lengths = lengths.masked_fill(counts == 0, 0)
    most = step.block_table.shape[1] * slots
    if len(counts) and int(lengths.max()) > most:
        raise ValueError(f"seq_lens: got {int(lengths.max())}, expected {most} at most: block_table has {most // slots} blocks of {slots}")
    used = step.block_table[torch.arange(0, most, slots, device=lengths.device) < lengths[:, None]]
    if len(used) and int(used.min()) < 0:
        raise ValueError(f"block_table: got {int(used.min())} where a request has keys, expected the number of a block")
    request = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
    behind = starts[1:][request] - 1 - torch.arange(len(request), device=counts.device)  # rows of the same request that follow
    num_keys = (lengths[request] - behind).clamp_(min=0)
    return Rows(request, num_keys, int(num_keys.sum()), int(used.max()) + 1 if len(used) else 0)


def _check(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor, step: PagedStep, out: Tensor | None) -> None:
    if query.ndim != 3 or query.dtype not in (torch.float32, torch.bfloat16, torch.float16):
        raise ValueError(f"query: got {_describe(query)}, expected float32, bfloat16 or float16 [t, h, d]")
    num_heads, width = query.shape[1:]
    for name, blocks in (("keys", keys), ("values", values)):
        if blocks.dtype != query.dtype or blocks.ndim != 4 or blocks.shape[2:] != (num_heads, width):
            raise ValueError(f"{name}: got {_describe(blocks)}, expected {_name(query)} [n_blocks, slots, {num_heads}, {width}]")
    if keys.shape != values.shape:
        raise ValueError(f"values: got {_describe(values)}, expected the shape of keys, {list(keys.shape)}")
    if bias.dtype != torch.float32 or bias.ndim != 2 or bias.shape[0] != num_heads or bias.shape[1] == 0:
        raise ValueError(f"bias: got {_describe(bias)}, expected float32 [{num_heads}, distances], a row for each head")
    if out is not None and (out.shape != query.shape or out.dtype != query.dtype):
        raise ValueError(f"out: got {_describe(out)}, expected {_describe(query)}, as query")
    num_requests = len(step.seq_lens)
    table, lengths, starts = step.block_table, step.seq_lens, step.query_starts
    if lengths.dtype != torch.int32 or lengths.ndim != 1:
        raise ValueError(f"seq_lens: got {_describe(lengths)}, expected int32 [b]")
    if table.dtype != torch.int32 or table.ndim != 2 or len(table) != num_requests:
        raise ValueError(f"block_table: got {_describe(table)}, expected int32 [{num_requests}, max_blocks], a row for each of seq_lens")
    if starts.dtype != torch.int32 or starts.shape != (num_requests + 1,):
        raise ValueError(f"query_starts: got {_describe(starts)}, expected int32 [{num_requests + 1}], one more than seq_lens")
    given = {"keys": keys, "values": values, "bias": bias, "block_table": table, "seq_lens": lengths, "query_starts": starts}
    for name, tensor in {"query": query, **given, **({} if out is None else {"out": out})}.items():
        if tensor.device != query.device:
            raise ValueError(f"{name}: got a tensor on {tensor.device}, expected {query.device}, where query is")
        if tensor.stride(-1) != 1 and tensor.shape[-1] > 1:
            raise ValueError(f"{name}: got strides {tensor.stride()}, expected 1 last: call .contiguous() first")


def _name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _describe(tensor: Tensor) -> str:
    return f"{_name(tensor)} {list(tensor.shape)}"


def _short(numbers: Tensor) -> str:
    return str(numbers[:8].tolist())[:-1] + (", ...]" if len(numbers) > 8 else "]")

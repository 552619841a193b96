"""FAISS as one of the exact implementations, on CPU and GPU. All imports of FAISS's search functions are here and in `inverted`.

Torch is imported first: a FAISS built for another CUDA version crashes the process in the other order.
"""

from __future__ import annotations

import importlib
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from variegate.errors import VariegateError
from variegate_kernels.pairwise import Function, Sweep

_QUERIES = 2048  # in one call on the CPU: FAISS multiplies them with all rows
_BLOCK = 1 << 24  # elements of one block of distances


def load_faiss() -> Any:
    """The faiss module. Raises VariegateError when it is not installed."""
    try:
        import faiss
    except ImportError as error:
        raise VariegateError(
            "implementation 'faiss', and an estimate of neighbours, need FAISS: pip install 'variegate[cpu]' (faiss-cpu) or 'variegate[gpu]' (faiss-gpu), never both"
        ) from error
    return faiss


def has_faiss() -> bool:
    from importlib.util import find_spec

    return find_spec("faiss") is not None


def on_gpu(faiss: Any) -> bool:
    return hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0


def search(queries: Tensor, base: Tensor, k: int, *, inner_product: bool) -> tuple[Tensor, Tensor]:
    """(inner products descending or squared distances ascending, rows of base), exact in float32.

    On the CPU, blocks of queries go to threads that each keep FAISS single-threaded (see `_pairwise_tiles` for why); on
    several GPUs the rows of `base` are sharded.
    """
    faiss = load_faiss()
    left, right = (np.ascontiguousarray(each.cpu().float().numpy()) for each in (queries, base))
    metric = faiss.METRIC_INNER_PRODUCT if inner_product else faiss.METRIC_L2
    if on_gpu(faiss):
        values, rows = _search_gpus(faiss, left, right, k, inner_product)
    else:
        values, rows = np.empty((len(left), k), np.float32), np.empty((len(left), k), np.int64)

        def work(start: int) -> None:
            faiss.omp_set_num_threads(1)
            stop = start + _QUERIES
            values[start:stop], rows[start:stop] = faiss.knn(left[start:stop], right, k, metric=metric)

        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            list(pool.map(work, range(0, len(left), _QUERIES)))
    return torch.from_numpy(values).to(queries.device), torch.from_numpy(rows).to(queries.device)


def _search_gpus(faiss: Any, left: Any, right: Any, k: int, inner_product: bool) -> tuple[Any, Any]:
    if faiss.get_num_gpus() == 1:
        metric = faiss.METRIC_INNER_PRODUCT if inner_product else faiss.METRIC_L2
        return faiss.knn_gpu(faiss.StandardGpuResources(), left, right, k, metric=metric)
    options = faiss.GpuMultipleClonerOptions()
    options.shard = True
    flat = faiss.IndexFlatIP(right.shape[1]) if inner_product else faiss.IndexFlatL2(right.shape[1])
    index = faiss.index_cpu_to_all_gpus(flat, co=options)
    index.add(right)
    return index.search(left, k)


def sweep(a: Tensor, b: Tensor | None, weights: Tensor | None, function: Function) -> Sweep:
    """The same answer as `pairwise.sweep` (b None) and `pairwise.cross_sweep`, from FAISS's own distances."""
    right = a if b is None else b
    n, m = len(a), len(right)
    neighbours = min(m, 2 if b is None else 1)
    values, rows = search(a, right, neighbours, inner_product=False)
    if b is None:
        own = rows == torch.arange(n, device=rows.device)[:, None]
        place = own[:, 0].long().clamp(max=neighbours - 1)  # the first column that is not the row itself
        nearest = torch.where(own.all(1), -1, rows.gather(1, place[:, None]).squeeze(1))
        distance_sq = torch.where(nearest < 0, math.inf, values.gather(1, place[:, None]).squeeze(1))
    else:
        nearest, distance_sq = rows[:, 0], values[:, 0]
    sums = _sums(a, b, weights, function) if function != "none" else None
    own_weights = torch.ones(n, dtype=torch.float64) if b is not None or weights is None else weights.double().cpu()
    return Sweep(nearest, distance_sq, sums, None if sums is None else float((own_weights * sums).sum()), "fp32", "faiss", 1e-6)


def _sums(a: Tensor, b: Tensor | None, weights: Tensor | None, function: Function) -> Tensor:
    """sum_j w_j f(d_ij). FAISS has no such reduction: blocks of all distances, then their roots, then their sums, where FAISS is."""
    faiss = load_faiss()
    resources = None
    if on_gpu(faiss) and torch.cuda.is_available():
        importlib.import_module("faiss.contrib.torch_utils")  # its functions then take and give tensors
        resources = faiss.StandardGpuResources()
    device = "cpu" if resources is None else "cuda"
    left = a.to(device, torch.float32).contiguous()
    right = left if b is None else b.to(device, torch.float32).contiguous()
    counts = torch.ones(len(right), dtype=torch.float64, device=device) if weights is None else weights.to(device, torch.float64)
    sums = torch.empty(len(left), dtype=torch.float64, device=device)
    size = max(1, _BLOCK // len(right))
    for start in range(0, len(left), size):
        part = left[start : start + size]
        if resources is None:
            block = torch.from_numpy(faiss.pairwise_distances(part.numpy(), right.numpy()))
        else:
            block = faiss.pairwise_distance_gpu(resources, part, right)
        block.clamp_(min=0)
        if b is None:
            block[:, start : start + size].fill_diagonal_(0)
        if function == "euclidean":
            block.sqrt_()
        else:
            block = block.div_(-2).add_(1).clamp_(-1, 1).acos_().div_(math.pi)
        sums[start : start + size] = block.double() @ counts
    return sums.cpu()

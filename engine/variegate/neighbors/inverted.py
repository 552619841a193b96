"""FAISS's inverted file: nearest neighbours among 10^6 rows and more, some of them missed.

A missed neighbour can only make a distance larger, so a mean over its answers is biased; `metrics.estimates` corrects it.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from variegate.neighbors.faiss_search import load_faiss, on_gpu
from variegate_kernels.rows import row_facts

_TRAINING_ROWS_PER_LIST = 50
_BLOCK = 65536  # queries to a call


class InvertedIndex:
    """Rows of `base` in about sqrt(m) lists by k-means; a query looks into `num_probes` of them. Exact squared distances within, in float32."""

    def __init__(self, base: Float[Tensor, "m d"], *, seed: int, num_probes: int = 2) -> None:
        faiss = load_faiss()
        longest = float(row_facts(base)[0].max()) ** 0.5
        self._scale = 2.0 ** -math.floor(math.log2(longest)) if longest > 0 else 1.0  # to lengths about 1, whatever the unit
        rows = self._scaled(base)
        self.num_lists = max(1, min(2 ** round(math.log2(math.sqrt(len(rows)))), len(rows) // _TRAINING_ROWS_PER_LIST))
        index = faiss.IndexIVFFlat(faiss.IndexFlatL2(rows.shape[1]), rows.shape[1], self.num_lists, faiss.METRIC_L2)
        index.cp.seed, index.cp.niter, index.cp.min_points_per_centroid = seed % 2**31, 8, 1  # small sets may have few
        sample = np.random.default_rng(seed).choice(len(rows), min(len(rows), _TRAINING_ROWS_PER_LIST * self.num_lists), replace=False)
        index.train(rows[np.sort(sample)])  # on the CPU: a GPU's index has parameters of its own for it, and other lists come out
        space = faiss.ParameterSpace()
        if on_gpu(faiss):
            index, space = faiss.index_cpu_to_all_gpus(index), faiss.GpuParameterSpace()
        index.add(rows)
        space.set_index_parameter(index, "nprobe", num_probes)
        self._index = index
        self.num_probes = num_probes

    def search(self, queries: Float[Tensor, "n d"], k: int) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
        """(squared distances ascending, rows). A query whose lists hold fewer than k rows gets infinity and -1 for the rest."""
        values, rows = [], []
        for start in range(0, len(queries), _BLOCK):
            found = self._index.search(self._scaled(queries[start : start + _BLOCK]), k)
            values.append(torch.from_numpy(found[0]))
            rows.append(torch.from_numpy(found[1]))
        found_rows = torch.cat(rows)
        return torch.cat(values).div_(self._scale**2).masked_fill_(found_rows < 0, math.inf), found_rows

    def _scaled(self, x: Tensor) -> np.ndarray:
        return np.ascontiguousarray((x if self._scale == 1 else x * self._scale).cpu().float().numpy())

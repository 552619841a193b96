"""The CPU kernels behind `rows.row_facts` and `rows.pair_distances`. They check nothing; `rows` has done so."""

from __future__ import annotations

from typing import Any

import numpy as np

from variegate_kernels._numba import compiled
from variegate_kernels.rows import MIXER

_MIXER = np.int64(MIXER)


def _fill_row_facts(x: Any, bits: Any, odd: Any, squares: Any, hashes: Any) -> None:
    n, d = x.shape
    for i in range(n):
        total = 0.0
        for k in range(d):
            value = np.float64(x[i, k])
            total += value * value
        squares[i] = total
        mixed = np.int64(0)
        for k in range(d):
            word = bits[i, k]
            if word == np.int32(-2147483648):  # -0
                word = np.int32(0)
            long = np.int64(word) * _MIXER
            mixed += (long ^ (long >> np.int64(32))) * odd[k]
        hashes[i] = mixed


fill_row_facts = compiled(_fill_row_facts)


def _fill_pair_distances(a: Any, b: Any, index: Any, out: Any) -> None:
    n, d = a.shape
    for i in range(n):
        j = index[i]
        if j < 0:
            continue
        total = 0.0
        for k in range(d):
            difference = np.float64(a[i, k]) - np.float64(b[j, k])
            total += difference * difference
        out[i] = np.sqrt(total)


fill_pair_distances = compiled(_fill_pair_distances)

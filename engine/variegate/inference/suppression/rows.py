"""Which row of the table on a device each seat of a batch uses. Shared by both adapters to vLLM.

Knows nothing of tokens, groups or engines: an adapter says which request sits where. Seats are changed on the host and
reach the device in one copy, at the next `flush`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from variegate.inference.suppression import ARGUMENT
from variegate.inference.suppression.device_table import DeviceTable
from variegate_kernels.suppression import apply_bias, warm_up


def parse_argument(extra_args: Mapping[str, Any] | None) -> tuple[int, float]:
    """(row, scale) of a request's `SamplingParams.extra_args`; (0, 1.0), not suppressed, where the argument is absent.

    The bias is scale * table[row], added before the division by the temperature. So scale is 1.0, or the temperature itself
    for a bias that is to act after the division. ValueError where the argument is malformed.
    """
    argument = (extra_args or {}).get(ARGUMENT)
    if argument is None:
        return 0, 1.0
    if not isinstance(argument, Mapping) or set(argument) != {"row", "scale"}:
        raise ValueError(f"extra_args[{ARGUMENT!r}]: got {argument!r}, expected {{'row': int, 'scale': float}}")
    row, scale = argument["row"], argument["scale"]
    if isinstance(row, bool) or not isinstance(row, int) or row < 0:
        raise ValueError(f"extra_args[{ARGUMENT!r}]['row']: got {row!r}, expected an integer, at least 0 (0 is not suppressed)")
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not math.isfinite(scale):
        raise ValueError(f"extra_args[{ARGUMENT!r}]['scale']: got {scale!r}, expected a finite number")
    return row, float(scale)


class BiasRows(DeviceTable):
    """Seat i adds scale[i] * table[rows[i]]. All seats start at row 0: no effect.

    A seat keeps the row of the last request that sat there until the next one comes. It is not read before that, so rows may
    be written at any time.
    """

    def __init__(self, num_seats: int, num_tokens: int, device: torch.device, *, pin_memory: bool = False) -> None:
        super().__init__(num_tokens, device)
        self.rows: Int[Tensor, " max_b"] = torch.zeros(num_seats, dtype=torch.int32, device=device)
        self.scale: Float[Tensor, " max_b"] = torch.ones(num_seats, dtype=torch.float32, device=device)
        self._host_rows = np.zeros(num_seats, dtype=np.int32)
        self._host_scale = np.ones(num_seats, dtype=np.float32)
        self._pin_memory = pin_memory
        self._dirty = False
        warm_up(self.table)

    def assign(self, seat: int, row: int, scale: float = 1.0) -> None:
        """The request in `seat` uses table row `row`."""
        if not self.holds(row):
            raise ValueError(f"row: got {row}, which the suppression table does not hold: add it before sending the request")
        self._host_rows[seat] = row
        self._host_scale[seat] = scale
        self._dirty = True

    def clear(self, seat: int) -> None:
        self.assign(seat, 0)

    def move(self, source: int, target: int) -> None:
        """The request in `source` moves to `target`, over whatever sat there; `source` is left empty."""
        self.assign(target, int(self._host_rows[source]), float(self._host_scale[source]))
        if source != target:
            self.clear(source)

    def swap(self, a: int, b: int) -> None:
        for host in (self._host_rows, self._host_scale):
            host[[a, b]] = host[[b, a]]
        self._dirty = True

    def flush(self) -> None:
        """Bring the device's copy up to date, without waiting for the device."""
        if not self._dirty:
            return
        for device, host in ((self.rows, self._host_rows), (self.scale, self._host_scale)):
            staged = torch.from_numpy(host.copy())  # a copy: the host's may change before the device has read it
            device.copy_(staged.pin_memory() if self._pin_memory else staged, non_blocking=self._pin_memory)
        self._dirty = False

    def apply(
        self,
        logits: Float[Tensor, "b v"],
        seats: Int[Tensor, " b"] | None = None,
        *,
        host_seats: Int[np.ndarray, " n"] | None = None,
    ) -> Float[Tensor, "b v"]:
        """Add to each row of `logits`, in place, the bias of its seat; flush first.

        Row i belongs to seat `seats[i]`, or to seat i where `seats` is None. `host_seats` names the same seats on the host
        in any order, once or more; with it a batch in which nothing is suppressed costs nothing.
        """
        if self._dirty:
            raise RuntimeError("seats were changed after the last flush")
        b = logits.shape[0]
        occupied: Any = host_seats if host_seats is not None else slice(None) if seats is not None else slice(b)
        if not self._host_rows[occupied].any():
            return logits
        rows, scale = (self.rows[:b], self.scale[:b]) if seats is None else (self.rows[seats], self.scale[seats])
        return apply_bias(logits, self.table, rows, None if (self._host_scale[occupied] == 1.0).all() else scale)

"""Shares, differences and their intervals in writing, as the sections on curation, students and studies have them. Words only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from variegate.report.measured import finite, mapping, whole
from variegate.report.page import duration

_FARTHEST = 1e100


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over n repetitions with what JSON has of its spread; None where it has nothing."""

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    least: float | None
    most: float | None
    n: int | None


def drawable(value: Any) -> float | None:
    """A number that a plot can place; one beyond 1e100 is damage."""
    number = finite(value)
    return None if number is None or abs(number) > _FARTHEST else number


def read_mean(value: Any) -> Mean | None:
    data = mapping(value)
    mean = drawable(data.get("mean"))
    if mean is None:
        return None
    sd, low, high, least, most = (drawable(data.get(name)) for name in ("sd", "low", "high", "min", "max"))
    return Mean(mean, sd, low, high, least, most, whole(data.get("n")))


def pair_of(value: Any) -> tuple[float, float] | None:
    """The ends of an interval, in order."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    low, high = drawable(value[0]), drawable(value[1])
    return None if low is None or high is None or low > high else (low, high)


def write_share(share: float) -> str:
    return f"{100 * share:.1f} %"


def write_value(value: float, kind: str) -> str:
    """kind: "share" of 1, "count", "seconds"; else a score with three decimals."""
    if kind == "share":
        return write_share(value)
    if kind == "seconds":
        return duration(value)
    if kind == "count" or abs(value) >= 1000:
        return f"{value:,.0f}" if abs(value) < 1e15 else f"{value:.3g}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3f}" if abs(value) >= 0.001 or value == 0 else f"{value:.1e}"


def write_change(value: float, kind: str) -> str:
    """A difference with its sign, of shares in percentage points: `+4.1`, `−0.012`."""
    if kind == "share":
        written = f"{100 * abs(value):.1f}"
    elif kind == "seconds":
        written = duration(abs(value))
    else:
        written = write_value(abs(value), kind)
    if value and not any(digit in "123456789" for digit in written):
        written = f"{100 * abs(value) if kind == 'share' else abs(value):.1g}"  # however small, it has a sign
    return ("" if value == 0 else "−" if value < 0 else "+") + written


def write_range(low: float | None, high: float | None, kind: str, *, change: bool = False) -> str:
    """`80.1 to 86.0`, nothing where an end is missing. The unit stands at the last end only."""
    if low is None or high is None:
        return ""
    write = write_change if change else write_value
    return f"{write(low, kind).removesuffix(' %')} to {write(high, kind)}"


def write_p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"

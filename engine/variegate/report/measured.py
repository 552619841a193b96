"""One measured value out of measurement JSON, and how its number is written. Knows nothing of what a measure means.

Nothing of the JSON is taken for granted, since a file may be damaged or from another version: a part of another type than
expected reads as missing, a value that is no finite number is left out, and every string is made visible.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from variegate.report.svg import clip
from variegate.report.visible import visible

_LONGEST_WORDS = 80  # characters of a name or a detail


@dataclass(frozen=True, slots=True)
class Measured:
    """A value of `MetricValue.to_json()`; None where the JSON has none."""

    metric: str
    value: float
    n: int | None
    m: int | None
    k: int | None
    distance: str
    implementation: str
    precision: str
    encoder: str
    include_self: bool | None
    num_duplicates: int | None
    interval: tuple[float, float] | None
    details: Mapping[str, Any]

    @property
    def drawn_from(self) -> int | None:
        """Records that the n were drawn from, for a comparison at equal size."""
        return whole(self.details.get("drawn_from"))


def measured(values: Any) -> list[Measured]:
    """The readable ones of a list of values, in order."""
    return [each for each in map(_read, items(values)) if each is not None]


def _read(value: Any) -> Measured | None:
    data = mapping(value)
    number = finite(data.get("value"))
    if number is None:
        return None
    bounds = [finite(bound) for bound in items(data.get("interval"))]
    low, high = bounds if len(bounds) == 2 else (None, None)
    return Measured(
        metric=words(data.get("metric")),
        value=number,
        n=whole(data.get("n")),
        m=whole(data.get("m")),
        k=whole(data.get("k")),
        distance=words(data.get("distance")),
        implementation=words(data.get("implementation")).replace("_", " "),
        precision=words(data.get("precision")),
        encoder=words(data.get("encoder")),
        include_self=data["include_self"] if isinstance(data.get("include_self"), bool) else None,
        num_duplicates=whole(data.get("num_duplicates")),
        interval=None if low is None or high is None else (low, high),
        details=mapping(data.get("details")),
    )


# -- parts of a type -------------------------------------------------------------------------------------------


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def items(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number beyond 1e308
        return None
    return number if math.isfinite(number) else None


def whole(value: Any) -> int | None:
    return None if finite(value) is None or value != int(value) else int(value)


def text(value: Any) -> str:
    return visible(value) if isinstance(value, str) else ""


def words(value: Any) -> str:
    """A short text, cut where it is not."""
    return clip(text(value), _LONGEST_WORDS)


def scalar(value: Any) -> str:
    """A number, a short text, yes or no in words; nothing for anything else."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and finite(value) is not None:
        return f"{value:,}"
    return f"{value:.3g}" if isinstance(value, float) else words(value)


# -- numbers in writing ----------------------------------------------------------------------------------------


def written(each: Measured, kind: str = "", *, decimals: int = 4) -> str:
    """`0.8720`, `12.3 %`, `1,234`, `9.09`. kind: "share" of a part of 1, "count" of whole numbers, "number" of others; else a score."""
    return _written(each.value, kind, _enough(each, decimals))


def written_interval(each: Measured, kind: str = "", *, decimals: int = 4) -> str:
    """`0.8719 to 0.8721`; nothing for an exact value."""
    if each.interval is None:
        return ""
    low, high = (_written(bound, kind, _enough(each, decimals)) for bound in each.interval)
    return f"{low} to {high}"


def _enough(each: Measured, decimals: int) -> int:
    """`decimals`, or more where it takes more to show two digits of the interval's half width."""
    if each.interval is None or not (width := abs(each.interval[1] / 2 - each.interval[0] / 2)) > 0:
        return decimals
    return min(max(decimals, 1 - math.floor(math.log10(width))), 10)


def _written(value: float, kind: str, decimals: int) -> str:
    if kind == "share":
        return _percent(value)
    if kind == "count" or abs(value) >= 1000:
        return f"{value:,.0f}" if abs(value) < 1e15 else f"{value:.3g}"
    if kind == "number":
        return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    if abs(value) >= 10:
        return f"{value:.{max(1, decimals - 3)}f}"
    return f"{value:.{decimals}f}" if abs(value) >= 10.0 ** (1 - decimals) or value == 0 else f"{value:.1e}"


def _percent(share: float) -> str:
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return "> 99.9 %" if 0.9995 <= share < 1 else f"{100 * share:.4g} %" if abs(share) > 10 else f"{100 * share:.1f} %"

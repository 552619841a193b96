"""What all pages share: the Jinja environment, and values as people write them. Knows nothing of runs or measures."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from variegate.report.visible import visible


@cache
def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, percent=percent, duration=duration, visible=visible, token=token, breakable=breakable)
    return environment


def render_template(name: str, context: Mapping[str, Any]) -> str:
    """A template as HTML. Autoescape is on: whatever a model wrote is shown, never obeyed."""
    return _environment().get_template(name).render(context)


def number(value: Any) -> str:
    """`1,234`, `0.37`, `1,234` for 1234.5: three significant digits below a hundred; a dash where nothing is known."""
    if not isinstance(value, int | float):
        return "–"
    return f"{value:,.0f}" if isinstance(value, int) or abs(value) >= 100 else f"{value:.3g}"


def percent(share: float) -> str:
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return f"{100 * share:.0f} %" if share >= 0.0995 or share == 0 else f"{100 * share:.1f} %"


def duration(seconds: Any) -> str:
    if not isinstance(seconds, int | float):
        return "–"
    unit, size = next((unit, size) for unit, size in (("s", 1), ("min", 60), ("h", 3600)) if seconds < 120 * size or unit == "h")
    return f"{seconds / size:.3g} {unit}"


def token(text: str) -> str:
    """A token with its spaces and line ends visible."""
    return visible(text).replace("\n", "⏎").replace("\t", "⇥").replace(" ", "␣")


def breakable(text: str) -> Markup:
    """The text, escaped, with line breaks allowed behind its underscores."""
    return escape(text).replace("_", Markup("_<wbr>"))

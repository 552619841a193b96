"""HTML reports: of a run folder, of a study. They read what others made, and compute nothing but counts."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from variegate.report.render import write_report as write_report
    from variegate.report.study import write_study_report as write_study_report

_FROM = {"write_report": "render", "write_study_report": "study"}
__all__ = ["write_report", "write_study_report"]


def __getattr__(name: str) -> Any:
    """A page's writer is loaded when it is asked for: neither page needs the other's modules."""
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_FROM[name]}"), name)

"""The HTML report: reads a run folder, computes nothing but counts."""

from variegate.report.render import write_report

__all__ = ["write_report"]

"""The section on what each option changed: every number stands under its own heading, every change starts from its own base."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import combinations
from typing import Any

from variegate.report.page import render_template
from variegate.report.study import study_context
from variegate.report.study_effects import effects_section

Makers = dict[str, Callable[..., dict[str, Any]]]


class Tables(HTMLParser):
    """Every table of a page: its rows, each a list of the cells' texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self._cell: list[str] | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.tables.append([])
        elif tag == "tr" and self.tables:
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None:
            self.tables[-1][-1].append("".join(self._cell).strip())
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)


def table_with(study: dict[str, Any], *columns: str) -> list[list[str]]:
    """The rows of the one table of the page whose head names these columns; the head first."""
    html = render_template("study_page.html.j2", {"study": study_context(study)})
    (found,) = [each for each in Tables(html).tables if each and set(columns) <= set(each[0])]
    return found


def test_every_number_of_an_effect_stands_under_its_own_heading(study: dict[str, Any]) -> None:
    """Intervals and p-values in each other's columns would make a page that reads well and is wrong."""
    study["effects"] = [
        {
            "axis": "temperature",
            "from": "0.7",
            "to": "1.3",
            "measure": measure,
            "difference": 0.05,
            "low": low,
            "high": 0.081,
            "n": 7,
            "p": p,
        }
        for measure, low, p in (("student_accuracy", 0.012, 0.034), ("remote_clique", -0.011, 0.27))
    ]
    head, *found = table_with(study, "difference", "95 % interval", "p")
    rows = [dict(zip(head, row, strict=True)) for row in found]
    assert [(row["difference"], row["95 % interval"], row["pairs"], row["p"]) for row in rows] == [
        ("+5.0 points", "+1.2 to +8.1", "7", "0.034"),
        ("+0.050", "−0.011 to +0.081", "7", "0.27"),
    ]
    assert [(row["Measure"], row["Axis"], row["From"], row["To"]) for row in rows] == [
        ("Student accuracy", "temperature", "0.7", "1.3"),
        ("Remote-Clique", "temperature", "0.7", "1.3"),
    ]


def test_an_effects_interval_is_drawn_and_said_from_low_to_high(study: dict[str, Any]) -> None:
    study["effects"] = [
        {"axis": "a", "from": "x", "to": "y", "measure": "remote_clique", "difference": 0.5, "low": 0.25, "high": 0.75, "n": 3, "p": 0.9}
    ]
    section = effects_section(study)
    assert section is not None
    (shown,) = section["table"]
    assert (shown["low"], shown["high"], shown["interval"], shown["p"]) == (0.25, 0.75, "+0.250 to +0.750", "0.90")
    assert "+0.500 (+0.250 to +0.750)" in section["in_sight"][0]["plot"]


def test_a_regressions_numbers_stand_under_their_headings(study: dict[str, Any]) -> None:
    head, *rows = table_with(study, "Term", "inflation")
    assert head == ["Term", "coefficient", "95 % interval", "standardised", "95 % interval", "p", "inflation"]
    assert ["Remote-Clique", "+0.4", "+0.1 to +0.7", "+0.31", "+0.08 to +0.54", "0.011", "2.2"] in rows


def test_conditional_changes_start_from_the_axes_first_option(makers: Makers) -> None:
    """Its first option is the base, not the first by name nor that of some other change; in parentheses the diversity *there*."""
    axes = {"temperature": ["1.3", "0.7", "1.0"], "curation": ["none", "lr180"]}
    study = makers["study"](axes)
    study["conditional_effects"] = [
        {
            "axis": axis, "from": first, "to": second, "within": {other: option}, "measure": "student_accuracy",
            "difference": 0.01, "low": 0.0, "high": 0.02, "n": 3, "p": 0.2,
        }
        for axis, other in (("temperature", "curation"), ("curation", "temperature"))
        for first, second in reversed(list(combinations(axes[axis], 2)))  # 0.7 → 1.0 comes before those from 1.3
        for option in axes[other]
    ]  # fmt: skip
    section = effects_section(study)
    assert section is not None
    plots = {each["axis"]: each["plot"] for each in section["by_others"]}
    assert sorted(set(re.findall(r">([\d.]+ → [\d.]+)<", plots["temperature"]))) == ["1.3 → 0.7", "1.3 → 1.0"]
    assert set(re.findall(r">(\w+ → \w+)<", plots["curation"])) == {"none → lr180"}
    clique = {tuple(each["axes"].values()): f"{each['measures']['remote_clique']['mean']:.3f}" for each in study["summary"]}
    for change, said in zip(("1.3 → 1.0", "1.3 → 0.7"), _blocks(plots["temperature"], "→"), strict=True):
        assert set(re.findall(r">curation (\w+) \(([\d.]+)\)<", said)) == {
            ("none", clique["1.3", "none"]),
            ("lr180", clique["1.3", "lr180"]),
        }, change


def _blocks(plot: str, mark: str) -> list[str]:
    """What stands below each heading of a plot."""
    headings = [match.start() for match in re.finditer(rf">[^<>]+ {mark} [^<>]+<", plot)]
    return [plot[start:stop] for start, stop in zip(headings, [*headings[1:], len(plot)], strict=True)]

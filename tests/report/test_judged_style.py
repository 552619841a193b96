"""The style sheet of the new sections: no class of another plot, every class defined, contrasts in light and dark."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from variegate.report.matrix import LIGHT_TEXT_FROM
from variegate.report.page import render_template

TEMPLATES = Path(__file__).parents[2] / "engine/variegate/report/templates"
OWN = re.compile(r"^(flow|heat|whisk|trade|pair|judged)\b|^h[345]$")
SCHEMES = ("light", "dark")


def sheet(name: str) -> str:
    return render_template(name, {})


def variables(scheme: str) -> dict[str, str]:
    """--name -> colour, of one scheme."""
    found: dict[str, str] = {}
    for name in ("style.css.j2", "judged.css.j2"):
        light, dark = re.findall(r":root \{([^}]*)\}", sheet(name))[:2]
        for block in (light, dark) if scheme == "dark" else (light,):
            found |= dict(re.findall(r"--([\w-]+): (#\w+)", block))
    return found


def luminance(colour: tuple[float, float, float]) -> float:
    parts = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def rgb(colour: str) -> tuple[float, float, float]:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    red, green, blue = (int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4))
    return red, green, blue


def contrast(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    """WCAG 2.1: from 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def mixed(colour: str, paper: str, opacity: float) -> tuple[float, float, float]:
    red, green, blue = (opacity * a + (1 - opacity) * b for a, b in zip(rgb(colour), rgb(paper), strict=True))
    return red, green, blue


def test_every_rule_names_a_class_of_its_own() -> None:
    css = re.sub(r"@media[^{]*\{", "", sheet("judged.css.j2"))
    for selectors in re.findall(r"([^{}]+)\{", css):
        for selector in selectors.split(","):
            classes = re.findall(r"\.([a-z][\w-]*)", selector)
            words = selector.strip()
            assert not words or words == ":root" or any(OWN.search(each) for each in classes) or OWN.search(words.split(".")[0]), selector


def test_no_other_sheet_and_no_other_plot_has_its_classes() -> None:
    own = set(re.findall(r"\.((?:flow|heat|whisk|trade|pair|judged)-[\w-]+)", sheet("judged.css.j2")))
    assert len(own) > 40
    for name in ("style.css.j2", "measures.css.j2"):
        assert not own & set(re.findall(r"\.([a-z][\w-]*)", sheet(name)))


def test_every_class_of_the_templates_is_styled() -> None:
    css = sheet("style.css.j2") + sheet("measures.css.j2") + sheet("judged.css.j2")
    for name in ("curation.html.j2", "students.html.j2", "study_page.html.j2", "judged_macros.html.j2"):
        text = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "0", (TEMPLATES / name).read_text(encoding="utf-8"))
        for classes in re.findall(r'class="([^"]*)"', text):
            for each in classes.split():
                assert each == "0" or re.search(rf"\.{re.escape(each.rstrip('0'))}\d*\b", css) or each == "pair-0", f"{name}: {each}"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("cell", ["same", "moved"])
def test_numbers_in_cells_can_be_read_at_every_shade(scheme: str, cell: str) -> None:
    colours = variables(scheme)
    for percent in range(10, 101):
        opacity = percent / 100
        text = colours["dark-text" if opacity >= LIGHT_TEXT_FROM else "same-text"]
        assert contrast(rgb(text), mixed(colours[cell], colours["paper"], opacity)) >= 4.4, (opacity, text)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_parts_of_plots_stand_out_from_the_page(scheme: str) -> None:
    """WCAG 2.1, 1.4.11: 3 to 1 for what is drawn; small words 4.5."""
    colours = variables(scheme)
    drawn = [
        "kept",
        "changed",
        "accent",
        "front",
        "moved",
        "same",
        *(f"r{index}" for index in range(9, 14)),
        *(f"k{index}" for index in range(6)),
    ]
    for name in drawn:
        assert contrast(rgb(colours[name]), rgb(colours["paper"])) >= 3, name
    assert contrast(rgb(colours["soft"]), rgb(colours["paper"])) >= 4.5


def test_every_reason_has_a_colour() -> None:
    from variegate.report.flow import REASONS_IN_COLOUR

    css = sheet("judged.css.j2")
    for index in range(len(REASONS_IN_COLOUR)):
        assert f".flow-{index} {{ fill: var(--r{index}); }}" in css
        for scheme in SCHEMES:
            assert f"r{index}" in variables(scheme)
    assert f".flow-{len(REASONS_IN_COLOUR)} " not in css

"""The report in a real browser, where there is one."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.rows import TOTALS
from variegate.report import write_report, write_study_report
from variegate.report.measures import write_measures_report
from variegate.store.run_folder import MEASURES, RunFolder

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")]


def browse(page: Path, home: Path, *flags: str) -> str:
    command = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", f"--user-data-dir={home}",
        *flags, page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def pixels(path: Path) -> tuple[int, int, int]:
    """(width, height, number of different bytes in the image data) of a PNG."""
    data = path.read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    body, position = b"", 8
    while position < len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        if data[position + 4 : position + 8] == b"IDAT":
            body += data[position + 8 : position + 8 + length]
        position += length + 12
    return width, height, len(set(zlib.decompress(body)))


def test_it_renders(run_folder: RunFolder, tmp_path: Path) -> None:
    page = write_report(run_folder)
    dom = browse(page, tmp_path / "profile", "--dump-dom")
    for shown in (TOTALS, "I am so full of joy today, number 0", "</svg>", "␣so"):
        assert shown in dom


@pytest.mark.parametrize("flags", [(), ("--blink-settings=preferredColorScheme=0",)], ids=["light", "dark"])
def test_it_is_not_blank(run_folder: RunFolder, tmp_path: Path, flags: tuple[str, ...]) -> None:
    picture = tmp_path / "report.png"
    browse(write_report(run_folder), tmp_path / "profile", f"--screenshot={picture}", "--window-size=1000,2000", *flags)
    width, height, different = pixels(picture)
    assert (width, height) == (1000, 2000)
    assert different > 50


def test_measures_render(measurement: dict[str, Any], tmp_path: Path) -> None:
    page = write_measures_report(measurement, tmp_path / "measures.html")
    dom = browse(page, tmp_path / "profile", "--dump-dom")
    for shown in ("0.9393", "such a fine day", "</svg>", "3 of 1,200 records of the set"):
        assert shown in dom


@pytest.mark.parametrize("width", [360, 1200])
def test_measures_fit_a_screen(measurement: dict[str, Any], tmp_path: Path, width: int) -> None:
    """Nothing sticks out at the right: wide tables scroll in themselves."""
    measurement["labels"] = {f"a_rather_long_label_{index}": measurement["labels"]["joy"] for index in range(12)}
    page = write_measures_report(measurement, tmp_path / "measures.html")
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<iframe src="{page.name}" style="border:0;width:{width}px;height:900px"></iframe><p id="found"></p>'
        "<script>onload = () => { found.textContent = 'width ' + frames[0].document.documentElement.scrollWidth }</script>"
    )
    dom = browse(frame, tmp_path / "profile", "--dump-dom", "--allow-file-access-from-files")
    assert f"width {width}<" in dom


def test_measures_leave_the_other_plots_as_they_are(run_folder: RunFolder, measurement: dict[str, Any], tmp_path: Path) -> None:
    """Style rules for one section must not reach the SVG of another: every bar is as wide as it says."""
    (run_folder.path / MEASURES).write_text(json.dumps(measurement))
    page = write_report(run_folder)
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<iframe src="{os.path.relpath(page, tmp_path)}" style="width:1200px;height:900px"></iframe><p id="found"></p><script>onload = () => {{'
        " const bars = [...frames[0].document.querySelectorAll('svg rect.bar')];"
        " const wrong = bars.filter(bar => Math.abs(bar.getBBox().width - bar.getAttribute('width')) > 0.01"
        " || Math.abs(bar.getBBox().height - bar.getAttribute('height')) > 0.01);"
        " found.textContent = 'bars ' + (bars.length > 0) + ' wrong ' + wrong.length }</script>"
    )
    dom = browse(frame, tmp_path / "profile", "--dump-dom", "--allow-file-access-from-files")
    assert "bars true wrong 0<" in dom


# -- curations, students, studies ------------------------------------------------------------------------------

Makers = dict[str, Callable[..., dict[str, Any]]]
DRAWN = """
const d = frames[0].document, wrong = [];
let flows = 0, cells = 0, whiskers = 0, bars = 0;
const near = (a, b, slack, what) => { if (Math.abs(a - b) > slack) wrong.push(what + ' ' + a.toFixed(2) + ' for ' + b.toFixed(2)) };
const number = text => Number(text.replaceAll(',', ''));
for (const svg of d.querySelectorAll('svg.flow')) {  // every part is as wide as its count says, on the scale of the first
  const parts = [...svg.querySelectorAll('rect')], counts = parts.map(part => number(part.textContent.match(/: ([\\d,]+) of/)[1]));
  const scale = parts[0].getBoundingClientRect().width / counts[0];
  parts.forEach((part, i) => { flows++; near(part.getBoundingClientRect().width, counts[i] * scale, 0.05, 'flow') });
}
for (const cell of d.querySelectorAll('rect.heat-cell')) {
  cells++; near(cell.getBBox().width, cell.getAttribute('width'), 0.01, 'cell');
  const [, count, of] = cell.textContent.match(/: ([\\d,]+) of ([\\d,]+) /);
  near(Number(getComputedStyle(cell).fillOpacity), 0.1 + 0.9 * number(count) / number(of), 0.002, 'shade');
}
for (const line of d.querySelectorAll('.whisk-bar, .whisk-outer, .trade-whisker')) {
  const box = line.getBBox(), at = name => Number(line.getAttribute(name));
  whiskers++; near(box.width, Math.abs(at('x2') - at('x1')), 0.01, 'whisker'); near(box.height, Math.abs(at('y2') - at('y1')), 0.01, 'whisker');
}
for (const bar of d.querySelectorAll('.pair-bars > .pair-bar')) {
  const share = Number(bar.style.getPropertyValue('--share')), whole = bar.parentElement.getBoundingClientRect().width;
  bars++; near(bar.getBoundingClientRect().width, Math.max(share * whole, 1), bar.matches('.pair-first') ? 2.1 : 0.1, 'bar');
}
found.textContent = ['flows', flows, 'cells', cells, 'whiskers', whiskers, 'bars', bars, 'wrong', wrong.length, wrong[0]].join(' ') + ' end';
"""


@pytest.fixture
def judged_run(run_folder: RunFolder, makers: Makers, measurement: dict[str, Any]) -> RunFolder:
    """With two curations, one of them measured, and two students."""
    (run_folder.path / MEASURES).write_text(json.dumps(measurement))
    for name, seed in (("first", 0), ("second", 1)):
        (run_folder.path / "curations" / name).mkdir(parents=True)
        (run_folder.path / "curations" / name / "curation.json").write_text(json.dumps(makers["curation"](seed=seed)))
        (run_folder.path / "students" / name).mkdir(parents=True)
        (run_folder.path / "students" / name / "scores.json").write_text(json.dumps(makers["scores"](accuracy=0.7 + seed / 10)))
    (run_folder.path / "curations" / "first" / MEASURES).write_text(json.dumps(measurement))
    return run_folder


def look(page: Path, home: Path, script: str, width: int = 1200) -> str:
    """What `script` writes into #found, of the page in a frame with all its details open."""
    frame = home / "frame.html"
    frame.write_text(
        f'<iframe src="{os.path.relpath(page, home)}" style="border:0;width:{width}px;height:900px"></iframe><p id="found"></p><script>'
        f"onload = () => {{ for (const each of frames[0].document.querySelectorAll('details')) each.open = true; {script} }}</script>"
    )
    dom = browse(frame, home / "profile", "--dump-dom", "--allow-file-access-from-files")
    return dom.split('id="found">')[-1].split("</p>")[0]


def test_curations_and_students_are_drawn_as_large_as_their_numbers(judged_run: RunFolder, tmp_path: Path) -> None:
    found = look(write_report(judged_run), tmp_path, DRAWN)
    assert " wrong 0 " in found, found
    flows, cells, whiskers, bars = (int(found.split(f"{name} ")[1].split()[0]) for name in ("flows", "cells", "whiskers", "bars"))
    assert flows >= 2 * 10  # seven steps each, some of several parts
    assert cells == 2 * 9 + 2 * 9
    assert whiskers == 2 * 4 + 2 * 2 * 2  # label accuracies; two students, two scores, two bars
    assert bars >= 2 * (2 * 3) + 2 * 10


def test_a_study_is_drawn_as_large_as_its_numbers(study: dict[str, Any], tmp_path: Path) -> None:
    found = look(write_study_report(study, tmp_path / "study.html"), tmp_path, DRAWN)
    assert " wrong 0 " in found, found
    assert int(found.split("whiskers ")[1].split()[0]) == 18 + 12 + 3 + 16  # effects, by the others, terms, both ways of 8 points


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("num", [3, 77])
def test_they_fit_a_screen(judged_run: RunFolder, makers: Makers, study: dict[str, Any], tmp_path: Path, width: int, num: int) -> None:
    labels = [f"a_rather_long_label_{index}" for index in range(num)]
    (judged_run.path / "curations" / "first" / "curation.json").write_text(json.dumps(makers["curation"](labels)))
    (judged_run.path / "students" / "first" / "scores.json").write_text(json.dumps(makers["scores"](labels)))
    script = "found.textContent = 'width ' + frames[0].document.documentElement.scrollWidth + ' end'"
    pages = [write_report(judged_run)] + ([write_study_report(study, tmp_path / "study.html")] if num == 3 else [])
    for page in pages:
        assert look(page, tmp_path, script, width) == f"width {width} end"


@pytest.mark.parametrize("scheme", ["1", "0"], ids=["light", "dark"])
def test_words_on_plots_have_the_colours_of_the_page(judged_run: RunFolder, study: dict[str, Any], tmp_path: Path, scheme: str) -> None:
    """No text of a plot is left in the browser's black where the page is dark, but for numbers in cells."""
    script = (
        "const d = frames[0].document, ink = [getComputedStyle(d.body).color];"
        " const soft = d.createElement('span'); soft.className = 'note'; d.body.append(soft); ink.push(getComputedStyle(soft).color);"
        " const texts = [...d.querySelectorAll('svg text:not(.heat-light, .heat-dark, [class^=on-])')];"
        " const odd = texts.filter(text => !ink.includes(getComputedStyle(text).fill));"
        " found.textContent = (texts.length > 20) + ' odd ' + odd.length + ' ' + (odd[0]?.getAttribute('class')) + ' end'"
    )
    for page in (write_report(judged_run), write_study_report(study, tmp_path / "study.html")):
        frame_dom = look_in(page, tmp_path, script, scheme)
        assert frame_dom.startswith("true odd 0 "), frame_dom


def look_in(page: Path, home: Path, script: str, scheme: str) -> str:
    frame = home / "frame.html"
    frame.write_text(
        f'<meta name="color-scheme" content="light dark"><iframe src="{os.path.relpath(page, home)}" style="width:1200px;height:900px"></iframe>'
        f'<p id="found"></p><script>onload = () => {{ {script} }}</script>'
    )
    flags = ("--dump-dom", "--allow-file-access-from-files", f"--blink-settings=preferredColorScheme={scheme}")
    return browse(frame, home / "profile", *flags).split('id="found">')[-1].split("</p>")[0]

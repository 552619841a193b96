"""The report in a real browser, where there is one."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest

from variegate.report import write_report
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
    for shown in ("32 requested = 24 kept + 8 dropped", "I am so full of joy today, number 0", "</svg>", "␣so"):
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

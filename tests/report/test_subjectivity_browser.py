"""The page on subjectivity in a real browser, where there is one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from variegate.pipeline.subjectivity.annotations import Annotated
from variegate.pipeline.subjectivity.instances import StudentAnswers
from variegate.pipeline.subjectivity.measure import RankSettings, measure_subjectivity
from variegate.pipeline.subjectivity.predictions import Predicted
from variegate.pipeline.subjectivity.task_votes import TaskVotes
from variegate.report.subjectivity import write_subjectivity_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long names everywhere, many tasks and students."""
    labels = ("a_rather_long_label_without_a_space", "b")
    votes = tuple((labels[0], labels[place % 2], labels[place % 3 == 0]) for place in range(60))
    items = Annotated("x" * 100, "list", ("",) * 60, ("word " * 60,) * 60, votes, (labels[0],) * 60, "label", 3)
    names = ("synthetic", "real", "another_student_with_a_long_name")
    students = [StudentAnswers(name, "p.jsonl", "file", Predicted((labels[0], labels[1]) * 30, 60, 0, "label")) for name in names]
    tasks = tuple(f"a_task_with_a_long_name_{place}" for place in range(12))
    pairs = tuple((a, b) for place, a in enumerate(tasks) for b in tasks[place + 1 :])
    votes_on_tasks = TaskVotes(pairs, None, tasks, {"kind": "file", "name": "v.csv", "judges": None})
    found = measure_subjectivity(items, votes_on_tasks, students=students, name=tasks[3], ranking=RankSettings(draws=100))
    return write_subjectivity_report(found, tmp_path_factory.mktemp("page") / "page.html")


@pytest.mark.parametrize("width", [360, 1200])
def test_it_fits_a_screen(page: Path, tmp_path: Path, width: int) -> None:
    """Nothing sticks out at the right: wide tables and plots scroll in themselves. No bar or dot is restyled by another section."""
    frame = page.parent / f"frame-{width}.html"
    frame.write_text(
        f'<iframe src="{page.name}" style="border:0;width:{width}px;height:900px"></iframe><p id="found"></p><script>onload = () => {{'
        " const root = frames[0].document; const bars = [...root.querySelectorAll('svg rect.bar')];"
        " const wrong = bars.filter(bar => Math.abs(bar.getBBox().width - bar.getAttribute('width')) > 0.01);"
        " const band = root.querySelector('.curve-band polygon');"
        " found.textContent = 'width ' + root.documentElement.scrollWidth + ' bars ' + (bars.length > 0) + ' wrong ' + wrong.length"
        " + ' band ' + (frames[0].getComputedStyle(band).fill != 'rgb(0, 0, 0)') }</script>"
    )
    command = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--disable-background-networking",
        "--allow-file-access-from-files", f"--user-data-dir={tmp_path}", "--dump-dom", frame.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = done.stdout.split('id="found">')[1].split("<")[0]
    assert found == f"width {width} bars true wrong 0 band true"

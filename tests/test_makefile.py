"""What the Makefile gives to the commands it runs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


@pytest.mark.parametrize(
    ("beside", "before", "after"),
    [
        (False, None, "unset"),
        (False, "elsewhere", "elsewhere"),
        (True, None, "BESIDE"),
        (True, "", "BESIDE"),
        (True, "elsewhere", "elsewhere"),
    ],
)
def test_the_data_folder_is_exported_where_there_is_one(tmp_path: Path, beside: bool, before: str | None, after: str) -> None:
    """An empty VARIEGATE_DATA was read as the current folder."""
    (tmp_path / "checkout").mkdir()
    shutil.copy(ROOT / "Makefile", tmp_path / "checkout")
    if beside:
        (tmp_path / "shared" / "data").mkdir(parents=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "VARIEGATE_DATA"}
    if before is not None:
        environment["VARIEGATE_DATA"] = before
    command = ["make", "-s", "--eval", "shown: ; @echo $${VARIEGATE_DATA-unset}", "shown"]
    done = subprocess.run(command, cwd=tmp_path / "checkout", env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == after.replace("BESIDE", str(tmp_path / "shared" / "data"))

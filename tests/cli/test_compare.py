"""`variegate compare` as a user runs it: tables, JSON, exit codes, what lies in the folder."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from tests.support import chatter
from tests.support.processes import environment, kill_when
from variegate.cli.main import main
from variegate.embeddings import Encoder
from variegate.errors import BackendError
from variegate.pipeline.comparison import compare as compare_module

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encoder]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VARIEGATE_CACHE", str(tmp_path_factory.mktemp("vectors")))
        yield Encoder()


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch, encoder: Encoder) -> Any:
    """Sets the engine of `compare`: `scripted(backend)`."""
    original = compare_module.compare

    def use(backend: Any) -> None:
        monkeypatch.setattr(compare_module, "compare", partial(original, start=lambda _: backend, encoder=encoder))

    use(chatter.wordy_engine())
    return use


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    """Two temperatures, with and without label replacement, two replicates."""
    study = chatter.make_study(tmp_path)
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False))
    return path


def compare(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


@pytest.mark.slow
def test_a_study_is_shown_as_tables_and_kept(study_file: Path, scripted: Any) -> None:
    result = compare(study_file)
    assert result.exit_code == 0, result.output
    out = result.stdout
    for part in (
        "Study small: means over replicates with 95 % intervals, on 24 texts each, as many as every cell has",
        "The same student trained on all 90 real texts: accuracy 100.0 %; on 24 of them",
        "Accuracy without generated texts: the majority class 33.3 %, the same student on the 90 real examples 100.0 %.",
        "Oracle (logistic_regression, 90 real texts): accuracy 100.0 %.",
        "What each option changed: paired differences with 95 % intervals",
        "Student accuracy by least squares over 8 cells",
        "Best recipe: temperature 0.3",
        "  variegate generate ",
    ):
        assert part in out, part
    assert "temperature-2_r1+lr: 24 texts, Remote-Clique" in result.stderr
    folder = study_file.parent / "study"
    assert f"Study:  {folder / 'study.json'}" in out
    page = (folder / "report.html").read_text()
    assert "temperature" in page
    assert "<script" not in page or "http" not in page.split("<script")[1].split("</script>")[0]

    again = compare(folder, "--json")
    assert again.exit_code == 0
    found = json.loads(again.stdout)
    assert found == json.loads((folder / "study.json").read_bytes())
    assert again.stderr == ""  # nothing was made
    moved = folder.rename(study_file.parent / "archived")
    there = compare(moved, "--json")
    assert (there.exit_code, there.stderr, folder.exists()) == (0, "", False)
    assert json.loads(there.stdout)["cells"][0]["folder"].startswith(str(moved))


def test_the_list_of_cells(study_file: Path, scripted: Any) -> None:
    result = compare(study_file, "--dry-run", "-r", 1, "--set", "axes.temperature=[0.3]")
    assert result.exit_code == 0
    assert "Study small: 2 cells, 1 runs to generate, 0 of them there" in result.stdout
    assert not (study_file.parent / "study").exists()
    listed = json.loads(compare(study_file, "--dry-run", "--json", "-o", study_file.parent / "elsewhere").stdout)
    assert "Cells will be compared on at most 24 texts each, as many as every cell has." in result.stdout
    assert (listed["train_size"]["n"], listed["warnings"]) == (24, [])
    assert len(listed["cells"]) == 8
    assert {cell["run"] for cell in listed["cells"]} == {"new"}
    assert listed["cells"][0]["folder"].startswith(str(study_file.parent / "elsewhere"))


def test_failed_cells_are_named_at_the_end(study_file: Path, scripted: Any) -> None:
    scripted(chatter.wordy_engine(fail_for=2.0, error=BackendError("the engine broke")))
    result = compare(study_file, "-r", 1)
    assert result.exit_code == 1
    assert "Error: 2 of 4 cells failed: temperature-2_r0+none, temperature-2_r0+lr. The first: the engine broke." in result.stderr
    assert "temperature-2_r0: FAILED: the engine broke" in result.stderr
    assert "1 failed" in result.stdout
    assert "Best recipe: temperature 0.3" in result.stdout
    assert (study_file.parent / "study" / "report.html").is_file()


def test_overrides_of_the_study_and_of_its_run(study_file: Path, scripted: Any) -> None:
    options = ("--set", "axes={temperature: [0.3]}", "--set", "run.target.per_label=4", "--set", "run.seed=7", "-r", 1, "--json")
    found = json.loads(compare(study_file, *options).stdout)
    (cell,) = found["cells"]
    assert (cell["n"], cell["seed"], cell["axes"]) == (12, 7, {"temperature": "0.3"})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--set", "axes.temprature=[1]"), "unknown axis 'temprature'; did you mean 'temperature'?"),
        (("--set", "replicate=1"), "unknown key 'replicate'; did you mean 'replicates'?"),
        (("--set", "run.task.data.test=null"), "has no data.test, and the students' accuracy is measured on it"),
        (("--set", "run.task.data.test=null", "--dry-run"), "has no data.test, and the students' accuracy is measured on it"),
        (("--set", "axes.curation=[none, lrr]"), "unknown curation 'lrr'; did you mean 'lr'?"),
    ],
)
def test_wrong_input_exits_with_2(study_file: Path, scripted: Any, options: tuple[str, ...], says: str) -> None:
    result = compare(study_file, *options)
    assert result.exit_code == 2
    assert says in result.stderr
    assert not (study_file.parent / "study" / "runs").exists()


def test_a_study_that_is_not_there(tmp_path: Path) -> None:
    result = compare(tmp_path / "gone.yaml")
    assert result.exit_code == 2
    assert "gone.yaml': no such file, and no bundled study has this name" in result.stderr


@pytest.mark.slow
def test_with_a_real_engine_killed_and_gone_on_with(study_file: Path, tmp_path: Path) -> None:
    """The whole command in a process of its own, the engine in another; SIGKILL ends both, and the same command ends the study."""
    settings = {
        "axes": {"temperature": [0.7, 1.3], "curation": ["none", "lr"]},
        "run.task.text_type": "request to a voice assistant",
        "run.strategy": {"kind": "zero_shot", "form": "chung", "completions_per_call": 8},
        "run.decoding": {"temperature": 1.0, "max_tokens": 12},
        "run.keep_unfinished": True,
        "replicates": 1,
    }
    options = [part for key, value in settings.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    command = [sys.executable, "-m", "variegate.cli.main", "compare", str(study_file), *options, "--json"]
    env = environment(VARIEGATE_CACHE=str(tmp_path / "vectors"))
    folder = tmp_path / "study" / "runs"
    kill_when((folder / "temperature-0.7_r0" / "rounds" / "000000").is_dir, command, env=env)
    assert not (folder / "temperature-1.3_r0" / "manifest.json").exists()
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=env, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {cell["status"] for cell in found["cells"]} == {"done"}
    assert all(cell["cost"]["generated_tokens"] > 0 for cell in found["cells"])
    assert done.stderr.count("starting transformers on nano-llama") == 1

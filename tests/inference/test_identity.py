from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from variegate.config import ModelConfig
from variegate.config.model import EngineConfig
from variegate.inference import identity as module
from variegate.inference.identity import Fingerprint, fingerprint, identity


@pytest.fixture
def model(tmp_path: Path) -> ModelConfig:
    for name in ("config.json", "model.safetensors", "tokenizer.json", "README.md", "training.json"):
        (tmp_path / name).write_bytes(name.encode() * 10)
    return ModelConfig(name="m", path=str(tmp_path))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("config.json", (True, False)),
        ("generation_config.json", (True, False)),
        ("model.safetensors", (True, False)),
        ("model-00002-of-00002.safetensors", (True, False)),
        ("tokenizer.json", (False, True)),
        ("tokenizer_config.json", (False, True)),
        ("chat_template.jinja", (False, True)),
        ("README.md", (False, False)),
        ("training.json", (False, False)),
    ],
)
def test_each_file_changes_what_it_is_a_part_of(model: ModelConfig, name: str, changes: tuple[bool, bool]) -> None:
    before = fingerprint(model)
    (Path(model.path) / name).write_bytes(b"other")
    after = fingerprint(model)
    assert (before.model != after.model, before.tokenizer != after.tokenizer) == changes


def test_place_and_age_do_not_matter(model: ModelConfig, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(model.path, tmp_path / "copy")
    assert fingerprint(ModelConfig(name="n", path=str(tmp_path / "copy"))) == fingerprint(model)


def test_files_hashed_by_samples_are_named(model: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fingerprint(model).sampled == ()
    monkeypatch.setattr(module, "_WHOLE_FILE_LIMIT", 1 << 21)
    (Path(model.path) / "model.safetensors").write_bytes(bytes(1 << 22))
    assert fingerprint(model).sampled == ("model.safetensors",)
    assert "sampled" not in identity(model)  # it changes no key


def test_a_file_renamed_is_another_model(model: ModelConfig) -> None:
    before = fingerprint(model)
    (Path(model.path) / "model.safetensors").rename(Path(model.path) / "other.safetensors")
    assert fingerprint(model).model != before.model


def test_a_tokenizer_of_its_own(model: ModelConfig, tmp_path: Path) -> None:
    (tmp_path / "tok").mkdir()
    (tmp_path / "tok" / "tokenizer.json").write_text("{}")
    other = fingerprint(model.model_copy(update={"tokenizer": str(tmp_path / "tok")}))
    assert other.model == fingerprint(model).model
    assert other.tokenizer != fingerprint(model).tokenizer


def test_large_files_are_sampled_and_their_ends_count(model: ModelConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "_WHOLE_FILE_LIMIT", 1 << 20)
    path = Path(model.path) / "model.safetensors"
    data = bytearray(3 << 20)
    seen = set()
    for place in (None, 0, len(data) - 1, 1 << 20):
        changed = bytearray(data)
        if place is not None:
            changed[place] = 1
        path.write_bytes(changed)
        seen.add(fingerprint(model).model)
    assert len(seen) == 4


def test_a_hub_model_never_downloaded_is_named_by_id_and_revision(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    found = fingerprint(ModelConfig(name="m", path="nobody/never-there", revision="v1"))
    assert found.model == "hub:nobody/never-there@v1"
    assert found != fingerprint(ModelConfig(name="m", path="nobody/never-there"))


def test_the_neutral_identity_is_the_files_alone(model: ModelConfig) -> None:
    found = fingerprint(model)
    assert identity(model) == {"model": found.model, "tokenizer": found.tokenizer}
    assert identity(model, Fingerprint("m", "t")) == {"model": "m", "tokenizer": "t"}  # not hashed again


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("chat", True, {"chat": True}),
        ("engine.backend", "transformers", {"backend": "transformers"}),
        ("engine.dtype", "bfloat16", {"dtype": "bfloat16"}),
        ("engine.quantization", "awq", {"quantization": "awq"}),
        ("engine.load_format", "dummy", {"load_format": "dummy"}),
        ("engine.extra", {"hf_overrides": {"rope_theta": 1e6}}, {"extra": {"hf_overrides": {"rope_theta": 1e6}}}),
    ],
)
def test_what_changes_answers_is_in_the_identity(model: ModelConfig, field: str, value: Any, told: dict[str, Any]) -> None:
    head, _, rest = field.partition(".")
    settings = model.model_dump() | {head: {rest: value} if rest else value}
    assert identity(ModelConfig.model_validate(settings)) == identity(model) | told


def test_every_field_of_a_model_either_changes_answers_or_is_known_not_to(model: ModelConfig) -> None:
    """A field that is added must be put into one of the two."""
    rounding = {"tensor_parallel_size", "max_num_seqs", "max_num_batched_tokens", "enable_prefix_caching", "block_size", "enforce_eager"}
    room = {"max_model_len", "gpu_memory_utilization", "cpu_kv_cache_gib", "batch_size", "separate_process"}
    assert set(EngineConfig.model_fields) == rounding | room | set(module._NEUTRAL)
    by_content = {"path", "revision", "tokenizer", "engine", "chat", "chat_template", "chat_arguments", "trust_remote_code"}
    assert set(ModelConfig.model_fields) == by_content | {"name", "licence"}


def test_the_neutral_values_are_todays_defaults() -> None:
    """Else a model that says nothing would have a field in its keys."""
    assert {name: getattr(EngineConfig(), name) for name in module._NEUTRAL} == module._NEUTRAL

"""The committed JSON Schemas: up to date, valid, and true of every bundled file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from variegate.config.resources import bundled, config_folder
from variegate.config.schema import KINDS, json_schema

FOLDERS = {"task": "tasks", "model": "models", "run": "runs", "student": "students", "curation": "curations", "study": "studies"}
FILES = [(kind, path) for kind, folder in FOLDERS.items() for path in bundled(folder).values()]


def committed(kind: str) -> dict[str, Any]:
    return json.loads((config_folder() / "schema" / f"{kind}.schema.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_committed_schema_is_the_generated_one(kind: str) -> None:
    assert committed(kind) == json_schema(kind), f"run: variegate schema {kind} > configs/schema/{kind}.schema.json"
    jsonschema.Draft202012Validator.check_schema(committed(kind))
    assert committed(kind)["title"] == f"Variegate {kind} file"


@pytest.mark.parametrize(("kind", "path"), FILES, ids=[path.stem for _, path in FILES])
def test_every_bundled_file_keeps_its_schema(kind: str, path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    jsonschema.validate(yaml.safe_load(text), committed(kind))
    assert text.startswith(f"# yaml-language-server: $schema=../schema/{kind}.schema.json\n")


def test_the_run_schema_allows_names_and_whole_parts_and_refuses_unknown_keys() -> None:
    validator = jsonschema.Draft202012Validator(committed("run"))
    run = {"task": "trec6", "model": "nano-llama", "strategy": {"kind": "zero_shot", "form": "li"}}
    assert validator.is_valid(run)
    assert validator.is_valid({**run, "model": {"name": "a", "path": "b"}})
    wrong = (
        {"sed": 1},
        {"strategy": {"kind": "zero_shot", "seed_pool": 1}},
        {"model": {"name": "a"}},
        {"decoding": {"temperature": -1}},
        {"task": 3},
    )
    for parts in wrong:
        assert not validator.is_valid({**run, **parts})


def test_every_kind_has_a_folder_here() -> None:
    assert tuple(FOLDERS) == KINDS


def test_the_curation_schema_allows_names_and_refuses_unknown_keys() -> None:
    validator = jsonschema.Draft202012Validator(committed("curation"))
    stages = [{"kind": "relabel", "model": "nano-llama"}, {"kind": "label_replacement", "inspected": "all"}]
    for oracle in ("chung", {"kind": "linear_svc", "C": 1}):
        assert validator.is_valid({"stages": stages, "oracle": oracle})
    assert validator.is_valid({"stages": [{"kind": "relabel", "model": {"name": "a", "path": "b"}}]})
    wrong = (
        {"stages": []},
        {"stages": [{"kind": "relable"}]},
        {"stages": [{"kind": "scope", "weight": 1}]},
        {"stages": stages, "sed": 1},
        {},
    )
    for value in wrong:
        assert not validator.is_valid(value)

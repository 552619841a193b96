"""Packages are real ones: a folder on sys.path with a module and the .dist-info that an installer writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from variegate.errors import UsageError, VariegateError
from variegate.registry import Registry

GROUP = "variegate.test_registry"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Registry[object]:
    """A room with the members `first` and `second` and a helper. Its package has another name for each test."""
    room = f"room_{re.sub(r'[^a-z]', '_', request.node.name.lower())}"
    (tmp_path / room).mkdir()
    (tmp_path / room / "__init__.py").write_text("")
    (tmp_path / room / "helper.py").write_text("THING = 3")
    for name in ("second", "first"):
        (tmp_path / room / f"{name}.py").write_text(module(name))
    monkeypatch.syspath_prepend(str(tmp_path))
    return Registry(what="thing", room=room, constant="MEMBER", group=GROUP)


def module(name: str) -> str:
    return f"class Member:\n    name = {name!r}\nMEMBER = Member()\n"


def install(folder: Path, package: str, name: str, source: str, *, value: str | None = None) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{package}.py").write_text(source)
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {value or package}\n")


def test_the_rooms_modules_are_found_and_helpers_are_not(registry: Registry[object]) -> None:
    assert registry.names() == ["first", "second"]
    assert list(registry.builtin()) == ["first", "second"]
    assert registry.find("first") is registry.builtin()["first"]
    with pytest.raises(UsageError, match=r"^no thing 'helper'\. Known: first, second$"):
        registry.find("helper")
    with pytest.raises(UsageError, match=re.escape("no thing 'frist'; did you mean 'first'? Known: first, second")):
        registry.find("frist")


def test_a_package_adds_a_member(registry: Registry[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "site", "registry_good", "third", module("third"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert registry.names() == ["first", "second", "third"]
    assert list(registry.builtin()) == ["first", "second"]
    assert registry.find("third").name == "third"  # type: ignore[attr-defined]
    assert registry.find("third") is registry.find("third")


@pytest.mark.parametrize(
    ("package", "source", "value", "message"),
    [
        ("registry_raises", "1 / 0", None, "third.*package registry_raises.*ZeroDivisionError: division by zero"),
        ("registry_misnamed", module("other"), None, "third.*package registry_misnamed.*its MEMBER.name is 'other'"),
        ("registry_empty", "", None, "third.*expected an entry point that names a module with MEMBER"),
        ("registry_object", module("third"), "registry_object:MEMBER", "third.*expected an entry point that names a module with MEMBER"),
    ],
)
def test_a_package_that_does_not_work_is_named(
    registry: Registry[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, source: str, value: str | None, message: str
) -> None:
    install(tmp_path / "site", package, "third", source, value=value)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert registry.names() == ["first", "second", "third"]
    assert registry.find("second")  # the others are not touched
    with pytest.raises(VariegateError, match=message) as caught:
        registry.find("third")
    assert caught.value.exit_code == 1


def test_two_of_one_name_are_refused(registry: Registry[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "site", "registry_takes_first", "first", module("first"))
    install(tmp_path / "site", "registry_one", "third", module("third"))
    install(tmp_path / "site", "registry_two", "third", module("third"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(VariegateError, match=r"'first' is there 2 times: room_.*\.first \(built in\), registry_takes_first \(package"):
        registry.find("first")
    with pytest.raises(VariegateError, match="'third' is there 2 times"):
        registry.find("third")


def test_the_rooms_of_the_house() -> None:
    from variegate.kinds import KINDS, find_kind

    assert "classification" in KINDS.names()
    assert find_kind("classification").name == "classification"

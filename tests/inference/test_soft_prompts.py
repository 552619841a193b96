"""Soft prompts by reference: what is read, what is refused. That engines use them is in test_backends.py."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.soft import write_soft
from variegate.errors import BackendError
from variegate.inference import soft_prompts as module
from variegate.inference.soft_prompts import SoftPrompts
from variegate.records import Message, Request, Sampling

WIDTH = 8
TENSORS = {
    "calm": torch.arange(24.0).reshape(3, WIDTH),
    "short": torch.ones(1, WIDTH, dtype=torch.bfloat16),
    "half": torch.ones(2, WIDTH, dtype=torch.float16),
    "double": torch.ones(2, WIDTH, dtype=torch.float64),
}


def ask(soft: Mapping[str, str] | None, key: str = "k") -> Request:
    return Request((Message("user", "x"),), Sampling(), key=key, soft=soft)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "soft.safetensors"


@pytest.fixture
def references(file: Path) -> dict[str, dict[str, str]]:
    return write_soft(file, TENSORS)


def refusal(*requests: Request) -> str:
    with pytest.raises(BackendError) as error:
        SoftPrompts(requests, WIDTH)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_vectors_come_as_they_were_written(references: dict[str, dict[str, str]]) -> None:
    requests = {name: ask(soft) for name, soft in references.items()}
    soft = SoftPrompts([*requests.values(), ask(None), ask({})], WIDTH)
    for name, request in requests.items():
        found = soft.of(request)
        assert found is not None
        assert found.dtype == TENSORS[name].dtype
        assert torch.equal(found, TENSORS[name])
    assert soft.of(ask(None)) is soft.of(ask({})) is None


def test_a_file_is_read_once_wherever_it_lies(file: Path, references: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    other = file.with_name("other")
    other.write_bytes(file.read_bytes())
    opened: list[Path] = []
    plain = module.safe_open
    monkeypatch.setattr(module, "safe_open", lambda path, **named: opened.append(path) or plain(path, **named))
    requests = [ask(references["calm"]), ask({**references["calm"], "file": str(other)}), ask(references["short"])]
    soft = SoftPrompts(requests, WIDTH)
    first, same, _ = map(soft.of, requests)
    assert first is same
    assert opened == [file]


def test_vectors_are_held_as_long_as_somebody_holds_them(references: dict[str, Any]) -> None:
    soft = SoftPrompts([ask(references["calm"])], WIDTH)
    found = soft.of(ask(references["calm"]))
    assert len(soft._held) == 1
    del found
    gc.collect()
    assert len(soft._held) == 0
    assert soft.of(ask(references["calm"])) is not None


def test_what_was_checked_stays_whatever_takes_its_place(file: Path, references: dict[str, Any]) -> None:
    soft = SoftPrompts([ask(references["calm"])], WIDTH)
    write_soft(file.with_name("new"), {"calm": torch.zeros(3, WIDTH)})
    file.with_name("new").rename(file)
    found = soft.of(ask(references["calm"]))
    assert found is not None
    assert torch.equal(found, TENSORS["calm"])
    assert "SHA-256" in refusal(ask(references["calm"]))  # of the next call


def test_one_that_takes_its_place_while_it_is_hashed_is_not_read(
    file: Path, references: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_soft(file.with_name("new"), {"calm": torch.zeros(3, WIDTH)})
    plain = hashlib.file_digest

    def slowly(opened: Any, kind: str) -> Any:
        found = plain(opened, kind)
        file.with_name("new").rename(file)
        return found

    monkeypatch.setattr(hashlib, "file_digest", slowly)
    found = SoftPrompts([ask(references["calm"])], WIDTH).of(ask(references["calm"]))
    assert found is not None
    assert torch.equal(found, TENSORS["calm"])


def test_a_damaged_file_is_refused(file: Path, references: dict[str, Any]) -> None:
    good = ask(references["short"])
    whole = file.read_bytes()
    for damaged in (whole[:-1] + bytes([whole[-1] ^ 1]), whole.replace(b"calm", b"colm")):
        file.write_bytes(damaged)
        message = refusal(good)
        assert message.startswith(f"soft prompt of request k: {file} has SHA-256 {hashlib.sha256(damaged).hexdigest()}, expected ")
        assert good.soft is not None
        assert good.soft["sha256"] in message
    for damaged in (b"", whole[:20], whole[:-1], whole + b" "):
        file.write_bytes(damaged)
        assert refusal(good).startswith(f"soft prompt of request k: {file} cannot be read: ")


def test_a_file_that_is_not_there_or_no_file_is_refused(file: Path, references: dict[str, Any]) -> None:
    for place in (file.with_name("missing"), file.parent, Path("/dev/zero")):
        message = refusal(ask({**references["calm"], "file": str(place)}))
        assert message.startswith(f"soft prompt of request k: no file {place}: ")
    assert "got the relative path soft.safetensors, expected an absolute one" in refusal(ask({**references["calm"], "file": file.name}))


def test_a_file_that_holds_no_tensors_is_refused(file: Path) -> None:
    file.write_bytes(b"not a safetensors file")
    soft = {"file": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "tensor": "calm"}
    assert "expected a safetensors file" in refusal(ask(soft))


def test_a_reference_says_all_three(references: dict[str, Any]) -> None:
    soft = references["calm"]
    for wrong in ({"file": soft["file"], "sha256": soft["sha256"]}, {**soft, "scale": "2"}):
        assert f"got {sorted(wrong)}, expected ['file', 'sha256', 'tensor']" in refusal(ask(wrong))


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        (torch.zeros(4), "got [4] of F32, expected [p, 8]"),
        (torch.zeros(2, 9), "got [2, 9] of F32, expected [p, 8]"),
        (torch.zeros(0, 8), "got [0, 8] of F32, expected [p, 8] with p at least 1"),
        (torch.zeros(1, 2, 8), "got [1, 2, 8] of F32"),
        (torch.zeros(2, 8, dtype=torch.long), "got [2, 8] of I64"),
        (torch.tensor([[0.0] * 7 + [torch.nan]]), "1 of its 8 numbers are not finite"),
        (torch.tensor([[0.0] * 6 + [torch.inf, -torch.inf]], dtype=torch.bfloat16), "2 of its 8 numbers are not finite"),
    ],
)
def test_what_no_engine_could_use_is_refused(file: Path, tensor: Tensor, expected: str) -> None:
    """One wrong among good ones, and never before it is named."""
    references = write_soft(file, {**TENSORS, "wrong": tensor})
    good = [ask(references[name], name) for name in TENSORS]
    SoftPrompts(good, WIDTH)
    message = refusal(*good, ask(references["wrong"], "last"))
    assert message.startswith(f"soft prompt of request last: {file}: tensor 'wrong': ")
    assert expected in message


def test_a_tensor_that_the_file_does_not_hold_is_refused(file: Path, references: dict[str, Any]) -> None:
    missing = {**references["calm"], "tensor": "clam"}
    assert f"{file}: got tensor 'clam', expected one that it holds: calm, double, half, short: " in refusal(ask(missing))
    many = write_soft(file, {f"{number:02}": torch.zeros(1, WIDTH) for number in range(30)})
    assert "holds: 00, 01, 02, 03, 04, 05, 06, 07 and 22 more: " in refusal(ask({**many["00"], "tensor": "x"}))

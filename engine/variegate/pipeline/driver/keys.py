"""The recipe of a request's key: a hash of everything that changes its answer, by named fields.

A field at its neutral value is left out, so a field that is added later with a neutral default changes no key that is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from variegate.records import Request, Sampling
from variegate.seeding import derive_seed, digest

KEY_LENGTH = 20


def named(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without those at their neutral value: nothing, zero, empty."""
    return {name: value for name, value in values.items() if value}


def sampling_fields(sampling: Sampling) -> dict[str, Any]:
    """Those that differ from their default, which draws from the model's own distribution."""
    neutral = Sampling()
    found = {each.name: getattr(sampling, each.name) for each in fields(Sampling)}
    return {name: value for name, value in found.items() if value != getattr(neutral, name)}


def shared_fields(run: str, request: Request) -> dict[str, Any]:
    """Of all requests that differ in their slot alone. run: hash of what all requests of the run share."""
    soft = {name: request.soft[name] for name in ("sha256", "tensor")} if request.soft else None  # wherever the file lies
    return named(
        {
            "run": run,
            "prompt": [[message.role, message.content] for message in request.messages],
            "sampling": sampling_fields(request.sampling),
            "labels": list(request.target.labels),
            "given": dict(request.target.given),
            "bias": request.bias,
            "soft": soft,
            "note": request.note,
        }
    )


def sealed(run: str, requests: Iterable[Request]) -> list[Request]:
    """The requests with their keys, and the seeds that derive from them."""
    out: list[Request] = []
    last: Request | None = None
    shared = ""
    for request in requests:
        if last is None or not _alike(request, last):
            shared, last = digest(shared_fields(run, request), length=32), request
        key = digest({"shared": shared, "slot": request.slot}, length=KEY_LENGTH)
        out.append(replace(request, key=key, seed=derive_seed(key)))
    return out


def _alike(a: Request, b: Request) -> bool:
    """Whether they differ in their slot alone, seen at a glance: the very same prompt and target."""
    same = a.messages is b.messages and a.target is b.target and a.sampling is b.sampling and a.soft is b.soft
    return same and a.bias == b.bias and a.note == b.note

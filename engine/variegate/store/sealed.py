"""Files that end with the hash of all the rest of them: one changed, missing or added byte is noticed. Knows nothing of what they say."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson


def seal(value: Mapping[str, Any], field: str) -> bytes:
    """`value`, which is not empty, as indented JSON, with one more field at its end: the SHA-256 of the bytes before that.

    Numpy numbers and arrays become plain ones.
    """
    plain = orjson.loads(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY))
    head = orjson.dumps(plain, option=orjson.OPT_INDENT_2)[: -len(b"\n}")]
    return head + _tail(head, field)


def unseal(data: bytes, field: str) -> dict[str, Any]:
    """What was sealed, without its hash. Raises ValueError, saying what is wrong, where `data` is not what `seal` gave, to the byte."""
    head = data[: -len(_tail(b"", field))]
    if data != head + _tail(head, field):
        raise ValueError(f"is not what its own {field} states")
    value: dict[str, Any] = orjson.loads(data)
    del value[field]
    return value


def _tail(head: bytes, field: str) -> bytes:
    return f',\n  "{field}": "{hashlib.sha256(head).hexdigest()}"\n}}\n'.encode()


def seal_text(text: str) -> bytes:
    """Lines, each with its end, and a comment with the SHA-256 of them: for YAML."""
    return text.encode() + _comment(text.encode())


def is_sealed_text(data: bytes) -> bool:
    """Whether `data` is what `seal_text` gave, to the byte."""
    text = data[: -len(_comment(b""))]
    return data == text + _comment(text)


def _comment(text: bytes) -> bytes:
    return f"# sha256: {hashlib.sha256(text).hexdigest()}\n".encode()

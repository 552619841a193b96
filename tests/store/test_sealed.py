"""Sealed JSON: what comes back, and that no byte of it can change unseen."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import yaml

from variegate.store.sealed import is_sealed_text, seal, seal_text, unseal

VALUE = {"name": "a", "counts": {"b": 1, "c": [1.5, None, True], "d": {}}, "text": "☃ \n", "huge": 1e16}


def test_what_is_sealed_comes_back_and_states_its_hash() -> None:
    data = seal(VALUE, "sha256")
    assert unseal(data, "sha256") == VALUE
    stated = json.loads(data)
    assert list(stated) == [*VALUE, "sha256"]
    assert stated["sha256"] == hashlib.sha256(data[: data.rindex(b',\n  "sha256"')]).hexdigest()


def test_numpy_values_become_plain_ones() -> None:
    value = {"f": np.float32(1e20), "a": np.arange(2), "i": np.int64(3)}
    assert unseal(seal(value, "x"), "x") == {"f": 1e20, "a": [0, 1], "i": 3}


def test_every_flipped_bit_and_every_cut_is_noticed() -> None:
    data = seal(VALUE, "sha256")
    wrong = [data[:length] for length in range(len(data))]
    for place in range(len(data) * 8):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        wrong.append(bytes(changed))
    wrong += [data + b"\n", b" " + data, data + data, data.replace(b'"name"', b'"name":"x","name"'), data.replace(b"\n", b"\r\n")]
    for each in wrong:
        with pytest.raises(ValueError, match="is not what its own sha256 states"):
            unseal(each, "sha256")


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"null", seal(VALUE, "sha")])
def test_other_json_is_not_sealed(data: bytes) -> None:
    with pytest.raises(ValueError, match="is not what its own sha256 states"):
        unseal(data, "sha256")


def test_text_is_sealed_by_a_comment() -> None:
    data = seal_text("stages: []\nseed: 0\n")
    assert yaml.safe_load(data) == {"stages": [], "seed": 0}
    assert is_sealed_text(data)
    for place in range(len(data) * 8):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        assert not is_sealed_text(bytes(changed))
    assert not any(is_sealed_text(data[:length]) for length in range(len(data)))
    assert not is_sealed_text(data + data)

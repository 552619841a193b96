"""Texts are checked, made distinct and hashed."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from variegate.embeddings.texts import find_distinct, hash_texts
from variegate.errors import UsageError

words = st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip)


@given(st.lists(words, min_size=1))
def test_distinct_texts_and_places_give_the_texts_back(texts: list[str]) -> None:
    distinct, inverse = find_distinct(texts)
    assert [distinct[i] for i in inverse] == texts
    assert len(set(distinct)) == len(distinct)
    assert distinct == sorted(distinct, key=texts.index)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([], "at least one text"),
        ("one text", "expected a list of texts, got one text"),
        (["good", None], r"texts\[1\]: expected a text, got NoneType"),
        (["good", "fine", 3.5], r"texts\[2\]: expected a text, got float"),
        (["good", ""], r"texts\[1\] is empty"),
        (["good", " \t\n"], r"texts\[1\] is empty or white space"),
        (["good", "half a pair \ud83d"], r"texts\[1\] is not valid Unicode \(surrogates not allowed at character 12\)"),
    ],
)
def test_bad_texts_are_named(texts: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        find_distinct(texts)


def test_hashes_are_blake2b_of_the_text() -> None:
    keys = hash_texts(["héllo", "b"])
    assert keys.shape == (2, 2)
    assert keys[0].astype("<u8").tobytes() == hashlib.blake2b("héllo".encode(), digest_size=16).digest()
    assert len(np.unique(hash_texts([str(i) for i in range(1000)]), axis=0)) == 1000

"""Batches without padding hold every text once, as the tokenizer gives it alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from variegate.embeddings.batching import Sizes, batch_by_length, cut_windows
from variegate.errors import UsageError

texts = st.lists(st.lists(st.integers(3, 9), min_size=1, max_size=12).map(lambda ids: "".join(map(str, ids))), min_size=1, max_size=600)


def tokenizer(side: str) -> Any:
    """A digit is a token; rows are padded with 0."""

    def tokenize(some: list[str]) -> dict[str, Any]:
        width = max(map(len, some))
        rows = [[int(digit) for digit in text] for text in some]
        pads = [[0] * (width - len(row)) for row in rows]
        ids = torch.tensor([row + pad if side == "right" else pad + row for row, pad in zip(rows, pads, strict=True)])
        return {"input_ids": ids, "attention_mask": (ids > 0).long(), "modality": "text"}

    return tokenize


@pytest.mark.parametrize("side", ["right", "left"])
@given(texts=texts, batch_tokens=st.integers(1, 40))
def test_every_text_once_and_nothing_padded(side: str, texts: list[str], batch_tokens: int) -> None:
    batches = batch_by_length(texts, tokenizer(side), batch_tokens)
    seen = []
    for batch in batches:
        ids = batch.features["input_ids"]
        assert ids.shape == batch.features["attention_mask"].shape == (len(batch.rows), batch.num_tokens)
        assert batch.features["attention_mask"].all()
        assert batch.features["modality"] == "text"
        assert len(batch.rows) == 1 or len(batch.rows) * batch.num_tokens <= batch_tokens
        for row, tokens in zip(batch.rows.tolist(), ids.tolist(), strict=True):
            assert "".join(map(str, tokens)) == texts[row]
            seen.append(row)
    assert sorted(seen) == list(range(len(texts)))
    lengths = [batch.num_tokens for batch in batches]
    assert lengths == sorted(lengths, reverse=True)


@given(st.lists(st.text("ab", max_size=9), min_size=1), st.integers(1, 5), st.integers(1, 12))
def test_windows_follow_each_other_and_keep_both_limits(texts: list[str], window_texts: int, window_chars: int) -> None:
    windows = list(cut_windows(texts, Sizes(window_texts, window_chars, 1)))
    assert [text for window in windows for text in texts[window]] == texts
    for window in windows:
        assert 1 <= window.stop - window.start <= window_texts
        assert window.stop - window.start == 1 or sum(map(len, texts[window])) <= window_chars


@pytest.mark.parametrize(
    "features",
    [{"input_ids": torch.ones(7), "offsets": torch.ones(2)}, {"attention_mask": torch.ones(2, 3), "pixels": torch.ones(2, 3, 4)}],
)
def test_what_is_no_table_of_tokens_is_refused(features: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="table of tokens"):
        batch_by_length(["a", "b"], lambda some: features, 8)


def test_the_tiny_tokenizer_of_these_tests(bert: Path) -> None:
    """What the encoder tests stand on: words are tokens, [CLS] and [SEP] around them, 24 at most."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(bert)
    assert tokenizer("the cat sings")["input_ids"] == [2, 5, 11, 16, 3]
    assert len(tokenizer(" ".join(["cat"] * 30), truncation=True)["input_ids"]) == 24

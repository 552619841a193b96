"""What an encoder may be given, and what is said of the rest. The parser alone, without an engine."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")


class Tokenizer:
    """Letters, and T5's end."""

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text] + [1]


def parse(data: Any, *, longest: int = 20) -> Any:
    from variegate.inference.t5.inputs import EncoderParser

    config = SimpleNamespace(vocab_size=200, d_model=4)
    info = SimpleNamespace(get_tokenizer=Tokenizer, get_hf_config=lambda: config, max_length=longest)
    return EncoderParser(info).parse_mm_data({"text": data})["text"]  # type: ignore[arg-type]


@pytest.mark.parametrize("data", [[104, 105, 1], torch.tensor([104, 105, 1]), "hi", {"token_ids": [104, 105, 1]}, {"text": "hi"}, ["hi"]])
def test_tokens_come_in_several_forms(data: Any) -> None:
    (item,) = parse(data).get_all()
    assert item.tokens.tolist() == [104, 105, 1]
    assert item.prefix.shape == (0, 4)
    assert len(item) == 3


def test_a_soft_prompt_stands_before_the_tokens() -> None:
    soft = torch.randn(2, 4, requires_grad=True)
    items = parse({"token_ids": [9, 1], "prefix_embeds": soft})
    passed = items.get_passthrough_data()
    assert items.get_processor_data() == {}
    assert [each.tolist() for each in passed["encoder_token_ids"]] == [[9, 1]]
    assert torch.equal(passed["encoder_prefix"][0], soft)
    assert not passed["encoder_prefix"][0].requires_grad
    assert len(items.get(0)) == 4


def test_a_soft_prompt_needs_no_tokens() -> None:
    assert len(parse({"token_ids": [], "prefix_embeds": torch.zeros(3, 4)}).get(0)) == 3


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([], "got 0 positions .* expected 1 to 20"),
        ([5] * 21, "got 21 positions .* larger max_model_len"),
        ({"token_ids": [5] * 18, "prefix_embeds": torch.zeros(3, 4)}, r"got 21 positions \(3 of a soft prompt\)"),
        ([3, 200], "token ids from 3 to 200, expected 0 to 199"),
        ([-1], "token ids from -1"),
        (torch.zeros(2, 2, dtype=torch.long), "one sequence"),
        ({"token_ids": [1], "prefix_embeds": torch.zeros(3, 5)}, r"shape \(3, 5\), expected .* shape \(p, 4\)"),
        ({"token_ids": [1], "prefix_embeds": torch.zeros(3, 4, dtype=torch.long)}, "torch.int64"),
        ({"token_ids": [1], "prefix_embeds": [[0.0] * 4]}, "got list"),
        ({"token_ids": [1], "prefix": torch.zeros(3, 4)}, r"got keys \['prefix', 'token_ids'\]"),
        ({"token_ids": [1], "text": "hi"}, "got keys"),
    ],
)
def test_what_is_refused(data: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(data)

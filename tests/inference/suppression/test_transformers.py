"""SuppressionProcessor inside Hugging Face's own `generate`."""

from __future__ import annotations

import jaxtyping
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, LogitsProcessorList

from variegate.inference.suppression.transformers import SuppressionProcessor


def test_each_row_gets_its_bias_and_the_scores_stay() -> None:
    scores = torch.randn(3, 4)
    table = torch.tensor([[0.0, 0, 0, 0], [-1, -2, 0, 0]])
    before = scores.clone()
    got = SuppressionProcessor(table, torch.tensor([1, 0, 1]), torch.tensor([1.0, 1.0, 0.5]))(torch.zeros(3, 1, dtype=torch.int64), scores)
    assert torch.equal(scores, before)
    expected = before + torch.tensor([[-1.0, -2, 0, 0], [0, 0, 0, 0], [-0.5, -1, 0, 0]])
    assert torch.equal(got, expected)


def test_in_generate_rows_do_not_touch_each_other_and_raw_logits_stay_raw() -> None:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
        max_position_embeddings=32, initializer_range=0.2,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    ids = torch.tensor([[3, 4], [3, 4], [3, 4]])
    table = torch.full((3, 50), -100.0)
    table[0] = 0
    table[1, 7] = 0
    table[2, 9] = 0
    arguments = {
        "attention_mask": torch.ones_like(ids), "do_sample": False, "max_new_tokens": 5, "eos_token_id": None, "pad_token_id": 0,
        "output_logits": True, "output_scores": True, "return_dict_in_generate": True,
    }  # fmt: skip
    plain = model.generate(ids, **arguments)
    got = model.generate(ids, **arguments, logits_processor=LogitsProcessorList([SuppressionProcessor(table, torch.tensor([2, 0, 1]))]))
    assert got.sequences[:, 2:].tolist() == [[9] * 5, plain.sequences[1, 2:].tolist(), [7] * 5]
    torch.testing.assert_close(got.logits[0], plain.logits[0])
    torch.testing.assert_close(got.scores[0] - got.logits[0], table[[2, 0, 1]])


@pytest.mark.parametrize(
    ("table", "rows", "message"),
    [
        (torch.ones(2, 4), [0], "row 0"),
        (torch.zeros(0, 4), [0], "row 0"),
        (torch.zeros(2, 4), [0, 2], "rows: got 0 to 2"),
        (torch.zeros(2, 4), [-1], "rows: got -1"),
    ],
)
def test_wrong_arguments_are_named(table: torch.Tensor, rows: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SuppressionProcessor(table, torch.tensor(rows))


def test_another_batch_size_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # under its hook, ours would not be reached
    with pytest.raises(ValueError, match=r"rows: got int64 \[2\], expected .* \[3\]"):
        SuppressionProcessor(torch.zeros(2, 4), torch.tensor([0, 1]))(torch.zeros(3, 1, dtype=torch.int64), torch.zeros(3, 4))

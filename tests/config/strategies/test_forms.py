"""Settings of zero_shot and few_shot: defaults, and options that would do nothing."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from variegate.config.strategies import STRATEGY_CONFIGS
from variegate.config.strategies.few_shot import FewShotConfig
from variegate.config.strategies.zero_shot import ZeroShotConfig


def test_defaults_are_the_papers() -> None:
    few = FewShotConfig(kind="few_shot")
    assert (few.form, few.completions_per_call, few.seed_pool, few.grow_pool, few.num_examples) == ("chung", 20, 18, True, None)
    assert (few.history, few.chats_per_label, few.num_seeds(3)) == (None, None, 18)
    zero = ZeroShotConfig(kind="zero_shot")
    assert (zero.form, zero.history, zero.chats_per_label, zero.num_seeds(3)) == ("li", 4, 20, 0)
    assert FewShotConfig(kind="few_shot", form="li").history == 0


def test_a_pool_that_stays_empty_is_refused() -> None:
    with pytest.raises(ValidationError, match="leaves no examples"):
        FewShotConfig(kind="few_shot", seed_pool=0, grow_pool=False)
    FewShotConfig(kind="few_shot", seed_pool=0, grow_pool=True)
    FewShotConfig(kind="few_shot", seed_pool=1, grow_pool=False)


@pytest.mark.parametrize("fields", [{"completions_per_call": 0}, {"history": -1}, {"form": "wang"}, {"templates": {"cue": 3}}])
def test_out_of_range(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ZeroShotConfig.model_validate({"kind": "zero_shot", **fields})


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("zero_shot", {"form": "chung", "history": 4}, "history: belongs to form `li`, and the form is `chung`: leave it out"),
        ("few_shot", {"history": 2}, "history: belongs to form `li`"),
        ("few_shot", {"form": "chung", "chats_per_label": 3}, "chats_per_label: belongs to form `li`"),
        ("zero_shot", {"history": 0, "chats_per_label": 3}, "chats_per_label: chats need a history, and `history` is 0: leave it out"),
        ("zero_shot", {"form": "chung", "templates": {"li_generate": "x"}}, "chung_block, given, li_context, chung_chat, chat_text"),
        ("zero_shot", {"templates": {"li_examples": "x"}}, "templates.li_examples: zero_shot with these settings has no such template"),
        ("few_shot", {"templates": {"mix": "x"}}, "It uses: chung_block, given, li_context, chung_chat, chat_text"),
        ("zero_shot", {"history": 0, "templates": {"li_history": "x"}}, "no such template"),
    ],
)
def test_what_would_do_nothing_is_refused_by_name(kind: str, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        STRATEGY_CONFIGS.find(kind).model_validate({"kind": kind, **fields})
    assert said in str(caught.value)


@pytest.mark.parametrize("fields", [{"form": "chung"}, {"form": "li"}, {"form": "li", "history": 0}, {"form": "li", "history": 2}])
@pytest.mark.parametrize("kind", ["zero_shot", "few_shot"])
def test_what_was_resolved_reads_back_as_itself(kind: str, fields: dict[str, Any]) -> None:
    config = STRATEGY_CONFIGS.find(kind).model_validate({"kind": kind, **fields})
    assert type(config).model_validate(config.model_dump(mode="json")) == config
    assert config.words()
    assert config.citation().endswith("2023.")

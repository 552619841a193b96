from __future__ import annotations

import pytest
from pydantic import ValidationError

from variegate.config import FewShotConfig, ZeroShotConfig


def test_defaults_are_the_papers() -> None:
    few = FewShotConfig(kind="few_shot")
    assert (few.form, few.completions_per_call, few.seed_pool, few.grow_pool, few.num_examples) == ("chung", 20, 18, True, None)
    assert ZeroShotConfig(kind="zero_shot").form == "li"


def test_a_pool_that_stays_empty_is_refused() -> None:
    with pytest.raises(ValidationError, match="leaves no examples"):
        FewShotConfig(kind="few_shot", seed_pool=0, grow_pool=False)
    FewShotConfig(kind="few_shot", seed_pool=0, grow_pool=True)
    FewShotConfig(kind="few_shot", seed_pool=1, grow_pool=False)


@pytest.mark.parametrize("fields", [{"completions_per_call": 0}, {"history": -1}, {"form": "wang"}, {"templates": {"cue": 3}}])
def test_out_of_range(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ZeroShotConfig.model_validate({"kind": "zero_shot", **fields})

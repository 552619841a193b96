from __future__ import annotations

import pytest
from pydantic import ValidationError

from variegate.config.curation import CurationConfig
from variegate.config.run import RunConfig
from variegate.config.stages import SECTIONS, CurateConfig, RunFile, TrainConfig


def test_the_sections_are_no_fields_of_a_run() -> None:
    assert SECTIONS == ("curate", "measure", "train", "evaluate")
    assert not set(SECTIONS) & set(RunConfig.model_fields)
    assert set(RunFile.model_fields) == {*RunConfig.model_fields, *SECTIONS}


def test_a_curation_is_one_without_its_name() -> None:
    stages = [{"kind": "duplicates", "near": None}]
    named = CurateConfig.model_validate({"name": "mine", "stages": stages, "seed": 3})
    assert named.curation == CurationConfig.model_validate({"stages": stages, "seed": 3})


def test_seeds_that_change_nothing_are_refused() -> None:
    assert TrainConfig.model_validate({"student": {"kind": "linear_svc"}, "seeds": 2}).seeds == 2
    with pytest.raises(ValidationError, match="logistic_regression depends on no seed"):
        TrainConfig.model_validate({"seeds": 2})

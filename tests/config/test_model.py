from __future__ import annotations

import pytest
from pydantic import ValidationError

from variegate.config import ModelConfig
from variegate.config.model import ONLINE_QUANTIZATION


def test_engine_extra_may_not_take_a_field_of_its_own() -> None:
    assert ModelConfig.model_validate({"name": "m", "path": "p", "engine": {"extra": {"swap_space": 4}}}).engine.extra == {"swap_space": 4}
    for taken in ("seed", "max_model_len", "logits_processors"):
        with pytest.raises(ValidationError, match=f"engine.extra may not set {taken}"):
            ModelConfig.model_validate({"name": "m", "path": "p", "engine": {"extra": {taken: 1}}})


@pytest.mark.parametrize(
    "engine",
    [
        {"gpu_memory_utilization": 1.2},
        {"gpu_memory_utilization": float("nan")},
        {"tensor_parallel_size": 0},
        {"dtype": "int8"},
        {"backend": "llama.cpp"},
        {"batch_size": 0},
        {"max_model_len": 3},
    ],
)
def test_engine_arguments_out_of_range(engine: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ModelConfig.model_validate({"name": "m", "path": "p", "engine": engine})


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        ({"quantization": "bitsandbytes"}, "not served by vLLM: use fp8_per_tensor or int8_per_channel_weight_only"),
        ({"quantization": "bitsandbytes", "load_format": "dummy", "backend": "transformers"}, "load_format: dummy loads none"),
    ],
)
def test_quantization_that_would_fail_or_do_nothing_is_refused(engine: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ModelConfig.model_validate({"name": "m", "path": "p", "engine": engine})


def test_the_quantization_that_is_advised_is_vllms_own() -> None:
    pytest.importorskip("vllm")
    from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS

    assert set(ONLINE_QUANTIZATION.split(" or ")) <= set(QUANTIZATION_METHODS)


def test_frozen() -> None:
    model = ModelConfig(name="m", path="p")
    with pytest.raises(ValidationError, match="frozen"):
        model.chat = True  # type: ignore[misc]

"""The places where the plugin takes hold of vLLM: a vLLM that moved one fails here, and says which."""

from __future__ import annotations

import importlib.util
from importlib import metadata
from types import SimpleNamespace
from typing import Any

import pytest

from variegate.inference.t5 import ARCHITECTURES, hooks

has_vllm = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")


@has_vllm
def test_the_installed_vllm_has_every_hook() -> None:
    missing = hooks.missing_hooks()
    assert not missing, "this vLLM moved what T5 needs; adapt variegate/inference/t5:\n" + "\n".join(missing)


def test_a_moved_hook_is_named_with_its_purpose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "HOOKS", {"json:loads": "to read", "json:gone.loads": "to jump", "no_such_module:x": "to be"})
    assert hooks.missing_hooks() == [
        "json:gone.loads (needed to jump): module 'json' has no attribute 'gone'",
        "no_such_module:x (needed to be): No module named 'no_such_module'",
    ]
    with pytest.raises(RuntimeError, match=r"lacks hooks that Variegate needs[\s\S]*json:gone.loads \(needed to jump\)"):
        hooks.install()


def test_the_plugin_is_an_entry_point() -> None:
    (found,) = [each for each in metadata.entry_points(group="vllm.general_plugins") if each.name == "variegate_t5"]
    from variegate.inference import t5

    assert found.load() is t5.register


@has_vllm
def test_registering_twice_is_harmless() -> None:
    from vllm.model_executor.models.config import MODELS_CONFIG_MAP
    from vllm.model_executor.models.registry import ModelRegistry

    for _ in range(2):
        hooks.register()
    assert set(ARCHITECTURES) <= set(ModelRegistry.get_supported_archs())
    assert set(ARCHITECTURES) <= set(MODELS_CONFIG_MAP)


@has_vllm
@pytest.mark.parametrize(("cpu", "own", "taken"), [(True, None, None), (False, None, hooks.SCHEDULER), (False, "theirs", "theirs")])
def test_a_gpu_takes_new_requests_in_groups(cpu: bool, own: str | None, taken: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    from vllm.platforms import current_platform

    monkeypatch.setattr(type(current_platform), "is_cpu", lambda self: cpu)
    config = SimpleNamespace(
        cache_config=SimpleNamespace(enable_prefix_caching=True),
        model_config=SimpleNamespace(hf_config=SimpleNamespace(), max_model_len=77),
        scheduler_config=SimpleNamespace(scheduler_cls=own),
    )
    hooks._configuration_class().verify_and_update_config(config)
    assert (config.cache_config.enable_prefix_caching, config.model_config.hf_config.max_source_positions) == (False, 77)
    assert config.scheduler_config.scheduler_cls == taken


@has_vllm
def test_wrapping_twice_wraps_once() -> None:
    hooks.install()
    once = [getattr(*hooks.find(hook)) for hook in (hooks.RUNNER, hooks.RENDERER)]
    hooks.install()
    assert [getattr(*hooks.find(hook)) for hook in (hooks.RUNNER, hooks.RENDERER)] == once


def runner(*, encoder_decoder: bool) -> Any:
    return SimpleNamespace(
        model_config=SimpleNamespace(is_encoder_decoder=encoder_decoder),
        input_batch=SimpleNamespace(req_id_to_index={"a": 2, "b": 0, "c": 1}),
    )


@pytest.mark.parametrize(("encoder_decoder", "order"), [(True, ["b", "c", "a"]), (False, ["a", "b", "c"])])
def test_encoder_inputs_come_in_the_batchs_order(encoder_decoder: bool, order: list[str]) -> None:
    execute = hooks._in_batch_order(lambda _, scheduler_output: list(scheduler_output.scheduled_encoder_inputs))
    scheduled = SimpleNamespace(scheduled_encoder_inputs={"a": [0], "b": [0], "c": [0]})
    assert execute(runner(encoder_decoder=encoder_decoder), scheduled) == order


def test_a_plain_prompt_is_read_by_the_encoder() -> None:
    plain = {"encoder_prompt": {"prompt_token_ids": [5, 6, 1], "prompt": "text"}, "decoder_prompt": None}
    assert hooks.with_encoder_input(plain) == {
        "encoder_prompt": {"prompt_token_ids": [], "prompt": "text", "multi_modal_data": {"text": {"token_ids": [5, 6, 1]}}},
        "decoder_prompt": {"prompt_token_ids": []},
    }
    whole = {"encoder_prompt": {"prompt_token_ids": [], "multi_modal_data": {"text": "x"}}, "decoder_prompt": {"prompt_token_ids": [0, 7]}}
    assert hooks.with_encoder_input(whole) == whole
    assert hooks.with_encoder_input({**plain, "decoder_prompt": {"prompt_token_ids": [0, 7]}})["decoder_prompt"] == {
        "prompt_token_ids": [0, 7]
    }


@pytest.mark.parametrize(("architecture", "wrapped"), [("T5ForConditionalGeneration", True), ("WhisperForConditionalGeneration", False)])
def test_other_models_prompts_are_left_alone(architecture: str, wrapped: bool) -> None:
    process = hooks._to_the_encoder(lambda self, prompt, **_: prompt)
    plain = {"encoder_prompt": {"prompt_token_ids": [5]}, "decoder_prompt": None}
    renderer = SimpleNamespace(model_config=SimpleNamespace(architectures=[architecture]))
    assert (process(renderer, plain, skip_mm_cache=True) is not plain) == wrapped

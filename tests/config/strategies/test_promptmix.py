from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.food import make_config
from variegate.config.load import build_run
from variegate.config.strategies.promptmix import VARIANTS, PromptMixConfig
from variegate.errors import ConfigError


def make(**fields: Any) -> PromptMixConfig:
    return PromptMixConfig.model_validate({"kind": "promptmix", **fields})


def test_defaults_are_the_papers() -> None:
    """METHODS 2.1."""
    config = make()
    assert (config.variant, config.group_size, config.num_shown, config.requests_per_cycle, config.utterances) == ("mix", 4, 2, 10, 3)
    assert (config.alphas, config.faithful) == (None, False)
    assert config.num_seeds(6) == 12
    assert make(shots=0).num_seeds(6) == make(variant="mix_descriptions").num_seeds(6) == 0
    assert config.citation().endswith("EMNLP 2023.")


def test_the_papers_six_variants_beside_its_method() -> None:
    assert set(VARIANTS) - {"mix"} == {"mix_descriptions", "descriptions", "examples", "pairs", "one_class", "one_class_examples"}
    assert len({make(variant=variant).words() for variant in VARIANTS}) == len(set(VARIANTS.values())) == 7


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_was_resolved_reads_back_as_itself(variant: str) -> None:
    config = make(variant=variant)
    assert PromptMixConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"group_size": 1}, "group_size"),
        ({"alphas": []}, "alphas"),
        ({"alphas": [0.875]}, "0.875: not a whole percentage"),
        ({"alphas": [0.4]}, "greater than or equal to 0.5"),
        ({"alphas": [1.05]}, "less than or equal to 1"),
        ({"utterances": 0}, "utterances"),
        ({"requests_per_cycle": 0}, "requests_per_cycle"),
        ({"shots": -1}, "shots"),
        ({"variant": "descriptions", "shots": 2}, "shots: the variant `descriptions` shows no examples: leave it out"),
        ({"variant": "one_class", "alphas": [0.8]}, "alphas: the variant `one_class` mixes nothing: leave it out"),
        ({"variant": "pairs", "shots": 0}, "leaves the variant `pairs` without a word on its classes"),
        ({"utterances": 1, "faithful": True}, "asks for no more"),
        ({"form": "li"}, "form"),
        ({"templates": {"li_generate": "x"}}, "It uses: li_context, promptmix_classes, promptmix_ask"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        make(**fields)
    assert said in str(caught.value)


def test_a_run_decodes_as_the_paper_where_its_file_says_nothing(tmp_path: Path) -> None:
    strategy = {"kind": "promptmix", "shots": 0}
    config = make_config(tmp_path, strategy=strategy)
    assert (config.decoding.temperature, config.decoding.max_tokens) == (1.0, 256)
    own = make_config(tmp_path, strategy=strategy, decoding={"temperature": 0.7, "max_tokens": 100})
    assert (own.decoding.temperature, own.decoding.max_tokens) == (0.7, 100)
    again = build_run(config.model_dump(mode="json"), tmp_path, [], where="run.yaml", output="x")
    assert again == config
    assert make_config(tmp_path).decoding.max_tokens == 100


def test_a_task_of_one_class_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"promptmix mixes two classes, and task 'food' has one label, apple: add another"):
        make_config(tmp_path, labels=["apple"], strategy={"kind": "promptmix", "shots": 0})


def test_examples_need_a_train_file(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"takes 6 real examples, but the task has no data\.train: .* promptmix: strategy\.shots: 0"):
        make_config(tmp_path, strategy={"kind": "promptmix"})


def test_a_class_without_a_description_is_named() -> None:
    value = {
        "task": {
            "kind": "classification", "name": "t", "text_type": "text", "context": "You write.",
            "labels": {"a": {"phrase": "of a", "description": "Is a."}, "b": {"phrase": "of b"}},
        },
        "model": "nano-llama",
        "strategy": {"kind": "promptmix", "shots": 0},
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"task\.labels\.b\.description"):
        build_run(value, Path(), [], where="run.yaml", output="x")


def test_pairs_are_not_served(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="promptmix does not serve tasks of kind 'pair'"):
        make_config(tmp_path, task={"kind": "pair", "first": "premise", "second": "hypothesis", "written": "hypothesis",
                                    "data": {"train": "x.jsonl"}}, strategy={"kind": "promptmix"})  # fmt: skip

"""Every combination once, each the run that its options say; what cannot be compared is refused."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from variegate.config.study import StudyConfig
from variegate.config.study_cells import cells_of, named
from variegate.errors import ConfigError

Value = Callable[..., dict[str, Any]]
FEW_SHOT = {"kind": "few_shot", "form": "li", "seed_pool": 0, "completions_per_call": 3}
DATA = {"data": {"train": "/data/train.jsonl"}}


@pytest.fixture
def study(value: Value) -> Callable[..., StudyConfig]:
    """`study(axes={...}, run={parts of the run}, ...)`"""

    def make(run: dict[str, Any] | None = None, **parts: Any) -> StudyConfig:
        whole = value(**{name: part for name, part in (run or {}).items() if name != "task"})
        whole["task"] = {**whole["task"], **(run or {}).get("task", {})}
        return StudyConfig.model_validate({"name": "s", "run": whole, "output": "o", "replicates": 1, **parts})

    return make


Make = Callable[..., StudyConfig]


def test_every_combination_and_replicate_once(study: Make) -> None:
    axes = {"temperature": [0.3, 1], "suppression": ["off", "run"], "curation": ["none", "a"]}
    cells = cells_of(study(axes=axes, replicates=3, curations={"a": {"stages": [{"kind": "audit"}], "seed": 5}}, run={"seed": 11}))
    expected = list(product(("0.3", "1"), ("off", "run"), ("none", "a"), range(3)))
    assert [(*cell.axes.values(), cell.replicate) for cell in cells] == expected
    assert {cell.run.seed - cell.replicate for cell in cells} == {11}
    for cell in cells:
        assert f"{cell.run.decoding.temperature:g}" == cell.axes["temperature"]
        suppression = cell.run.decoding.suppression
        assert (suppression.group if suppression else "off") == cell.axes["suppression"]
        assert cell.curation == (None if cell.axes["curation"] == "none" else "a")
        if cell.curation_config is not None:
            assert cell.curation_config.seed == 5 + cell.replicate
        assert list(cell.generation) == ["temperature", "suppression"]


def test_what_a_student_learns_from_changes_no_run(study: Make) -> None:
    cells = cells_of(
        study(axes={"curation": ["none", "a"], "examples": ["without", "with"]}, curations={"a": {"stages": [{"kind": "audit"}]}})
    )
    assert [(cell.curation, cell.with_examples) for cell in cells] == [(None, False), (None, True), ("a", False), ("a", True)]
    assert len({cell.run.model_dump_json() for cell in cells}) == 1
    assert {str(cell.generation) for cell in cells} == {"{}"}


def test_without_axes_there_is_the_run_itself(study: Make) -> None:
    (cell,) = cells_of(study(axes={}))
    assert (dict(cell.axes), cell.run.seed, named(cell.axes)) == ({}, 0, "the run itself")


@pytest.mark.parametrize(
    ("own", "option", "expected"),
    [
        ({"group": "run", "top_k": None, "scale": -3.0}, "label", {"group": "label", "top_k": None, "scale": -3.0, "faithful": False}),
        ({"faithful": True}, "label", {"group": "label", "top_k": 100, "exempt_terminators": True, "faithful": False}),
        ({"top_k": 5}, "faithful", {"group": "run", "top_k": 100, "exempt_terminators": False, "faithful": True}),
        (None, "run", {"group": "run", "top_k": 100}),
    ],
)
def test_suppression_keeps_the_runs_other_settings(study: Make, own: Any, option: str, expected: dict[str, Any]) -> None:
    (cell,) = cells_of(study(axes={"suppression": [option]}, run={"decoding": {"suppression": own}}))
    found = cell.run.decoding.suppression
    assert found is not None
    assert {name: getattr(found, name) for name in expected} == expected


def test_strategies_by_kind_take_form_and_calls_of_the_run_and_named_ones_nothing(study: Make) -> None:
    own = {"mine": {"kind": "few_shot", "form": "chung", "seed_pool": 0}}
    cells = cells_of(study(axes={"strategy": ["zero_shot", "few_shot", "mine"]}, strategies=own, run={"strategy": FEW_SHOT, "task": DATA}))
    zero, few, mine = (cell.run.strategy for cell in cells)
    assert (zero.kind, zero.form, zero.completions_per_call) == ("zero_shot", "li", 3)
    assert few.model_dump() == {**few.model_dump(), **FEW_SHOT}
    assert (mine.kind, mine.form, mine.completions_per_call) == ("few_shot", "chung", 20)


def test_seeding_is_the_pool_of_few_shot_runs(study: Make) -> None:
    cells = cells_of(study(axes={"seeding": [0, 18]}, run={"strategy": FEW_SHOT, "task": DATA}))
    assert [getattr(cell.run.strategy, "seed_pool", None) for cell in cells] == [0, 18]


def test_a_zero_shot_run_has_no_seeds(study: Make) -> None:
    axes = {"strategy": ["zero_shot", "few_shot"], "seeding": [0, 18]}
    run = {"strategy": FEW_SHOT, "task": DATA}
    with pytest.raises(ConfigError, match=r"strategy zero_shot, seeding 18: strategy zero_shot has no pool.*seeding: 18}\]"):
        cells_of(study(axes=axes, run=run))
    cells = cells_of(study(axes=axes, run=run, exclude=[{"strategy": "zero_shot", "seeding": 18}]))
    assert [dict(cell.axes) for cell in cells] == [
        {"strategy": "zero_shot", "seeding": "0"},
        {"strategy": "few_shot", "seeding": "0"},
        {"strategy": "few_shot", "seeding": "18"},
    ]
    with pytest.raises(ConfigError, match=r"the task has no data\.train"):
        cells_of(study(axes={"seeding": [18]}, run={"strategy": FEW_SHOT}))


@pytest.mark.parametrize(
    ("exclude", "says"),
    [
        ([{"temprature": 0.7}], "no axis 'temprature'; did you mean 'temperature'?"),
        ([{"suppression": "lable"}], "axis 'suppression' has no option 'lable'; did you mean 'label'?"),
        ([{"temperature": 0.8}], "Options: 0.7, 1.3"),
        ([{"temperature": 0.7}, {"temperature": 0.7, "suppression": False}], None),
        ([{}], "an empty combination would leave everything out"),
        ([{"temperature": 0.7}, {"temperature": 1.3}], "`exclude` leaves no combination"),
        ([{"temperature": 0.7, "suppression": "off"}], None),
    ],
)
def test_exclude(study: Make, exclude: list[dict[str, Any]], says: str | None) -> None:
    made = study(axes={"temperature": [0.7, 1.3], "suppression": ["off", "label"]}, exclude=exclude)
    if says is None:
        left = [tuple(cell.axes.values()) for cell in cells_of(made)]
        assert ("0.7", "off") not in left
        assert ("1.3", "off") in left
        return
    with pytest.raises(ConfigError) as caught:
        cells_of(made)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("axes", "parts", "says"),
    [
        ({"mine": {"a": {}, "b": {"decoding.temperature": 1.0}}}, {}, "(mine a) and (mine b) are the same"),
        ({"curation": ["a", "b"]}, {"curations": {name: {"stages": [{"kind": "audit"}]} for name in "ab"}}, "(curation a) and (curation b) are the same"),
        ({"temperature": [0.7], "mine": {"a": {"decoding.temperature": 1}}}, {}, "axes 'temperature' and 'mine' both set decoding.temperature"),
        ({"suppression": ["off"], "mine": {"a": {"decoding.suppression.top_k": 1}}}, {}, "axes 'suppression' and 'mine' both set decoding.suppression.top_k"),
        ({"suppression": ["off", "run"], "mine": {"a": {"decoding.repetition_penalty": 1.2}}}, {}, "suppression run, mine a: decoding: repetition_penalty and suppression"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared(study: Make, axes: dict[str, Any], parts: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cells_of(study(axes=axes, **parts))
    assert says in str(caught.value)


def test_a_part_and_a_field_of_it_may_come_from_two_axes(study: Make) -> None:
    own = {"a": {"kind": "few_shot", "form": "chung", "seed_pool": 0}, "b": {"kind": "few_shot", "form": "li", "seed_pool": 0}}
    axes = {"strategy": ["a", "b"], "shots": {"one": {"strategy.num_examples": 1}, "two": {"strategy.num_examples": 2}}}
    cells = cells_of(study(axes=axes, strategies=own))
    found = [(cell.run.strategy.form, getattr(cell.run.strategy, "num_examples", None)) for cell in cells]
    assert found == [("chung", 1), ("chung", 2), ("li", 1), ("li", 2)]

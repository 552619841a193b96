"""The bundled students: they load, and the published ones have the published settings (METHODS 1.4, 2.1, 4.3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from variegate.config.load import load_student
from variegate.config.resources import bundled
from variegate.config.student import FinetunedStudentConfig, LinearStudentConfig, SpanStudentConfig
from variegate.errors import ConfigError

PUBLISHED: dict[str, dict[str, Any]] = {
    "chung": {"model": "bert-base-uncased", "learning_rate": 3e-5, "warmup": 3, "patience": 5},
    "li_bert": {"model": "bert-base-uncased", "best_by": "macro_f1"},
    "li_roberta": {"model": "roberta-base", "best_by": "macro_f1"},
    "promptmix": {"max_tokens": 50, "batch_size": 8, "epochs": 5, "warmup": 0.1, "learning_rate": 4e-5, "weight_decay": 0.01, "patience": None},
    "promptmix_banking77": {"max_tokens": 50, "batch_size": 8, "epochs": 5, "warmup": 0.1, "learning_rate": 6e-5, "weight_decay": 0.001},
    "s3_imdb": {"batch_size": 8, "learning_rate": 5e-6, "weight_decay": 2e-8, "epochs": 6, "warmup_steps": 100, "max_tokens": 512},
    "s3_qnli": {"batch_size": 32, "learning_rate": 5e-6, "weight_decay": 2e-8, "epochs": 10, "warmup_steps": 300},
    "s3_rte": {"batch_size": 16, "learning_rate": 1e-5, "weight_decay": 1e-2, "epochs": 20, "warmup_steps": 100},
    "minilm": {"model": "minilm"},
}  # fmt: skip


@pytest.mark.parametrize("name", bundled("students"))
def test_every_bundled_student_loads_and_says_what_it_is(name: str) -> None:
    config = load_student(name)
    if name in ("logistic_regression", "linear_svc"):
        assert isinstance(config, LinearStudentConfig)
        assert config.kind == name
    elif name == "span_qa":
        assert isinstance(config, SpanStudentConfig)
    else:
        assert isinstance(config, FinetunedStudentConfig)
        assert {field: getattr(config, field) for field in PUBLISHED[name]} == PUBLISHED[name]
    assert bundled("students")[name].read_text().startswith("# ")


def test_the_students_the_issue_asks_for() -> None:
    assert {*PUBLISHED, "logistic_regression", "linear_svc", "span_qa"} == set(bundled("students"))


def test_what_a_paper_does_not_say_is_said() -> None:
    text = {name: path.read_text() for name, path in bundled("students").items()}
    assert "does not give: batch size, length" in text["chung"]
    assert "not known to us" in text["li_bert"]
    assert "not known to us" in text["li_roberta"]


def test_overrides_and_files(tmp_path: Path) -> None:
    assert load_student("chung", ["patience=null", "epochs=4"]).model_dump()["patience"] is None
    (tmp_path / "mine.yaml").write_text("kind: linear_svc\nC: 0.5\n")
    assert load_student("mine.yaml", base=tmp_path).model_dump()["C"] == 0.5


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("learning_rat=1", "unknown key 'learning_rat'; did you mean 'learning_rate'"),
        ("best_by=f1", "best_by: Input should be 'accuracy', 'macro_f1' or 'loss' (got 'f1')"),
        ("warmup=9", "warmup: 9 epochs of warm-up, and only 5 epochs"),
        ("patience=0", "patience"),
        ("kind=svm", "kind"),
    ],
)
def test_mistakes(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_student("promptmix", [assignment])
    assert message in str(caught.value)


def test_a_warm_up_is_said_once_and_fits(tmp_path: Path) -> None:
    steps = FinetunedStudentConfig.model_validate({"kind": "finetune", "warmup_steps": 7})
    assert (steps.warmup, steps.warmup_steps) == (None, 7)
    assert FinetunedStudentConfig(kind="finetune").warmup == 0.1
    for name in bundled("students"):  # as a saved student holds it
        config = load_student(name)
        assert type(config).model_validate(config.model_dump(mode="json")) == config
    for fields in ({"warmup": 0.1, "warmup_steps": 5}, {"warmup": None}):
        with pytest.raises(ValidationError, match="warmup and warmup_steps: expected one of them"):
            FinetunedStudentConfig.model_validate({"kind": "finetune", **fields})

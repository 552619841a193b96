"""What every kind of student refuses, and students on real data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import transformers
from planted import planted, split

from variegate.config.load import load_student
from variegate.config.student import FinetunedStudentConfig, LinearStudentConfig
from variegate.embeddings import Encoder
from variegate.embeddings.models import find_model
from variegate.errors import UsageError
from variegate.store.texts import read_texts
from variegate.students import LabelledTexts, depends_on_seed, evaluate, train_student, without_overlap
from variegate.students.finetuned import tokenize


@pytest.fixture(params=["logistic_regression", "linear_svc", "finetune"])
def config(request: pytest.FixtureRequest, bert: Path) -> Any:
    if request.param == "finetune":
        return FinetunedStudentConfig(kind="finetune", model=str(bert), epochs=1, max_tokens=32)
    return LinearStudentConfig(kind=request.param, encoder=str(bert))


def given(config: Any, encoder: Encoder) -> dict[str, Any]:
    return {} if config.kind == "finetune" else {"encoder": encoder}


def test_one_label_or_none(config: Any) -> None:
    with pytest.raises(UsageError, match="planted: all 9 texts have one label, 'cat': a classifier needs two at least"):
        train_student(config, planted(9, labels=("cat",)))
    with pytest.raises(UsageError, match="all 9 texts have one label"):  # also where more are known
        train_student(config, planted(9, labels=("cat",)), labels=("cat", "dog"))
    with pytest.raises(UsageError, match="planted: no text is left to train on"):
        train_student(config, planted(9).take([]))


def test_unknown_labels(config: Any) -> None:
    with pytest.raises(UsageError, match=r"label 'dog' .* is not one of the task's 2; did you mean 'dogs'"):
        train_student(config, planted(9, labels=("bird", "dog")), labels=("bird", "dogs"))


def test_dev_data_that_do_not_fit(config: Any) -> None:
    train, dev = split(planted(40), 30, 10)
    with pytest.raises(UsageError, match="stands in the dev data too"):
        train_student(config, train, train.take([3]))
    with pytest.raises(UsageError, match="the dev data holds no text"):
        train_student(config, train, dev.take([]))
    with pytest.raises(UsageError, match=r"label 'bird' .* is not one of the student's 2"):
        train_student(config, train.without_labels({"bird"}), dev)
    pairs = LabelledTexts(tuple((str(text), "x") for text in dev.texts), dev.labels, dev.ids, "dev.jsonl")
    with pytest.raises(UsageError, match=r"dev\.jsonl holds text pairs and planted single texts"):
        train_student(config, train, pairs)


def test_dev_data_are_scored(config: Any, encoder: Encoder) -> None:
    train, dev = split(planted(150), 100, 50)
    made = train_student(config, train, dev, seed=4, **given(config, encoder))
    found = evaluate(made.predict(dev.texts), dev)
    assert made.facts["dev"] == {"source": "planted", "n": 50, "accuracy": found["accuracy"], "macro_f1": found["macro_f1"]}
    assert (made.facts["n"], made.facts["seed"], made.facts["labels_absent"]) == (100, 4, [])


def test_an_encoder_is_for_linear_students(bert: Path, encoder: Encoder) -> None:
    with pytest.raises(UsageError, match="brings its own model: leave the encoder out"):
        train_student(FinetunedStudentConfig(kind="finetune", model=str(bert), max_tokens=32), planted(30), encoder=encoder)


def test_which_depend_on_the_seed(config: Any) -> None:
    assert depends_on_seed(config) == (config.kind != "logistic_regression")


# -- real data -------------------------------------------------------------------------------------------------


def real(folder: Path, name: str, most: int) -> tuple[LabelledTexts, LabelledTexts]:
    train, test = (LabelledTexts.of(read_texts(folder / name / f"{part}.jsonl")) for part in ("train", "test"))
    train, _ = without_overlap(train, test)
    return train.take(range(0, len(train), max(1, len(train) // most))), test


@pytest.fixture(scope="module")
def minilm() -> Encoder:
    return Encoder()


@pytest.mark.parametrize(
    ("kind", "name", "most", "least"),
    [("logistic_regression", "trec6", 400, 0.78), ("linear_svc", "trec6", 400, 0.78), ("logistic_regression", "sms_spam", 300, 0.92)],
)
def test_linear_students_on_real_data(data_folder: Path, minilm: Encoder, kind: str, name: str, most: int, least: float) -> None:
    train, test = real(data_folder, name, most)
    made = train_student(load_student(kind), train, encoder=minilm)
    found = evaluate(made.predict(test.texts[:300]), test.take(range(300)))
    assert found["accuracy"] > least
    assert found["calibration_error"] < 0.2


def test_rte_is_read_as_pairs(data_folder: Path) -> None:
    train, test = real(data_folder, "rte", 10**9)
    assert train.pairs
    assert test.pairs
    tokenizer = transformers.AutoTokenizer.from_pretrained(find_model("all-MiniLM-L6-v2").path)
    encoded, _ = tokenize(tokenizer, train.texts, 512, pairs=True, source="rte")
    for text, each in list(zip(train.texts, encoded, strict=True))[::50]:
        first, second = text
        assert each["input_ids"] == tokenizer(first, second)["input_ids"]
        assert sum(each["token_type_ids"]) == len(tokenizer(second)["input_ids"]) - 1


@pytest.mark.slow
def test_minilm_is_fine_tuned_on_real_data(data_folder: Path) -> None:
    train, test = real(data_folder, "sms_spam", 96)
    made = train_student(load_student("minilm", ["epochs=3", "batch_size=8", "max_tokens=32"]), train)
    some = test.take(range(150))
    assert evaluate(made.predict(some.texts), some)["accuracy"] > 0.93  # 0.87 have one label
    assert made.facts["num_truncated"] > 0

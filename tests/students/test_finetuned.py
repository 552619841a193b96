"""A saved fine-tuned student is an ordinary Hugging Face folder: what plain Transformers makes of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from planted import planted, split
from safetensors.torch import load_file

from variegate.config.student import FinetunedStudentConfig
from variegate.errors import StoreError, UsageError, VariegateError
from variegate.overlap import text_hash
from variegate.students import LabelledTexts, evaluate, load, train_student
from variegate.students.finetuned import FinetunedStudent, tokenize


@pytest.fixture(scope="module")
def sets() -> list[LabelledTexts]:
    return split(planted(280), 180, 100)


def paired(texts: LabelledTexts) -> LabelledTexts:
    """Each text with another behind it."""
    others = texts.texts[1:] + texts.texts[:1]
    return LabelledTexts(tuple((str(a), str(b)) for a, b in zip(texts.texts, others, strict=True)), texts.labels, texts.ids, "pairs.jsonl")


@pytest.fixture(scope="module")
def made(bert: Path, sets: list[LabelledTexts]) -> FinetunedStudent:
    plan = FinetunedStudentConfig(kind="finetune", model=str(bert), epochs=6, learning_rate=3e-3, batch_size=16, max_tokens=30)
    found = train_student(plan, sets[0], labels=("zebra", "bird", "cat", "dog"))
    assert isinstance(found, FinetunedStudent)
    return found


@pytest.fixture(scope="module")
def folder(made: FinetunedStudent, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("saved") / "student"
    made.save(place)
    return place


@pytest.fixture
def pipeline(folder: Path) -> Iterator[Any]:
    said = transformers.utils.logging
    level = said.get_verbosity()
    said.set_verbosity_error()
    yield transformers.pipeline("text-classification", str(folder), device="cpu")
    said.set_verbosity(level)


def test_the_pipeline_gives_the_same_labels_and_probabilities(made: FinetunedStudent, pipeline: Any, sets: list[LabelledTexts]) -> None:
    found = made.predict(sets[1].texts)
    theirs = pipeline(list(sets[1].texts))
    assert tuple(each["label"] for each in theirs) == found.labels
    assert found.confidence == pytest.approx([each["score"] for each in theirs], abs=1e-5)
    assert evaluate(found, sets[1])["accuracy"] > 0.9


def test_what_lies_in_the_folder(folder: Path, made: FinetunedStudent, sets: list[LabelledTexts]) -> None:
    names = {each.name for each in folder.iterdir()}
    assert {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "student.json",
        "trained_on.txt",
        "hashes.json",
    } == names
    settings = json.loads((folder / "config.json").read_text())
    assert settings["id2label"] == {"0": "bird", "1": "cat", "2": "dog", "3": "zebra"}
    assert settings["label2id"] == {"bird": 0, "cat": 1, "dog": 2, "zebra": 3}
    assert {tensor.dtype for tensor in load_file(folder / "model.safetensors").values()} == {torch.float32}
    assert set((folder / "trained_on.txt").read_text().split()) == {text_hash(text) for text in sets[0].texts}


def test_loaded_again_it_says_the_same(folder: Path, made: FinetunedStudent, sets: list[LabelledTexts]) -> None:
    again = load(folder)
    assert (again.labels, again.pairs, again.facts, again.trained_on) == (made.labels, False, made.facts, made.trained_on)
    assert (again.predict(sets[1].texts).scores == made.predict(sets[1].texts).scores).all()


def test_the_order_of_texts_and_their_neighbours_do_not_matter(made: FinetunedStudent) -> None:
    texts = planted(300, seed=4, words=(1, 25)).texts
    whole = made.predict(texts).scores
    assert made.predict(texts[::-1]).scores[::-1] == pytest.approx(whole, abs=1e-4)
    for place in (0, 17, 299):
        assert made.predict([texts[place]]).scores[0] == pytest.approx(whole[place], abs=1e-4)
    assert made.predict([]).labels == ()


def test_scores_that_are_no_numbers_are_an_error(made: FinetunedStudent, folder: Path) -> None:
    broken = load(folder)
    assert isinstance(broken, FinetunedStudent)
    with torch.no_grad():
        broken.model.classifier.bias[0] = float("nan")
    with pytest.raises(VariegateError, match="scores for the text 'the cat' are no numbers"):
        broken.predict(["the cat"])


def test_pairs_are_tokenised_as_pairs(bert: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert)
    found, cut = tokenize(tokenizer, [("the cat sings", "the dog"), ("a dog", "red")], 32, pairs=True, source="x")
    assert found[0]["input_ids"] == tokenizer("the cat sings", "the dog")["input_ids"]
    assert found[0]["token_type_ids"] == [0, 0, 0, 0, 0, 1, 1, 1]  # [CLS] the cat sings [SEP] | the dog [SEP]
    assert cut == 0
    (found,), cut = tokenize(tokenizer, [("red " * 20, "the dog")], 10, pairs=True, source="x")
    assert (len(found["input_ids"]), sum(found["token_type_ids"]), cut) == (10, 3, 1)  # the longer part is cut
    with pytest.raises(UsageError, match=r"x: 'alone' is no pair, and this student reads pairs"):
        tokenize(tokenizer, ["alone"], 10, pairs=True, source="x")
    with pytest.raises(UsageError, match=r"x: 'a\\nb' is a pair, and this student reads single texts"):
        tokenize(tokenizer, [("a", "b")], 10, pairs=False, source="x")


@pytest.mark.slow
def test_a_student_of_pairs_and_the_pipeline(bert: Path, sets: list[LabelledTexts], tmp_path: Path) -> None:
    train, test = (paired(each) for each in sets)
    plan = FinetunedStudentConfig(kind="finetune", model=str(bert), epochs=4, learning_rate=3e-3, batch_size=16, max_tokens=32)
    made = train_student(plan, train)
    assert made.pairs
    found = made.predict(test.texts)
    made.save(tmp_path / "s")
    pipe = transformers.pipeline("text-classification", str(tmp_path / "s"), device="cpu")
    parts = [dict(zip(("text", "text_pair"), text, strict=True)) for text in test.texts]
    assert tuple(each["label"] for each in pipe(parts, truncation=True, max_length=32)) == found.labels
    assert load(tmp_path / "s").pairs
    with pytest.raises(UsageError, match="reads pairs"):
        made.predict(["alone"])


def test_anothers_model_is_read_with_its_labels_sorted(
    folder: Path, made: FinetunedStudent, sets: list[LabelledTexts], tmp_path: Path
) -> None:
    """The same network with the outputs in another order, as another tool may write it."""
    other = load(folder)
    assert isinstance(other, FinetunedStudent)
    order = [3, 0, 2, 1]
    with torch.no_grad():
        other.model.classifier.weight[:] = other.model.classifier.weight[order]
        other.model.classifier.bias[:] = other.model.classifier.bias[order]
    other.model.config.id2label = {place: made.labels[each] for place, each in enumerate(order)}
    other.model.config.label2id = {label: place for place, label in other.model.config.id2label.items()}
    other.model.save_pretrained(tmp_path / "foreign")
    other.tokenizer.save_pretrained(tmp_path / "foreign")
    foreign = load(tmp_path / "foreign")
    found, ours = foreign.predict(sets[1].texts), made.predict(sets[1].texts)
    assert (foreign.labels, foreign.trained_on, found.labels) == (made.labels, frozenset(), ours.labels)
    assert found.scores == pytest.approx(ours.scores, abs=1e-4)
    assert load(tmp_path / "foreign", pairs=True).pairs


def test_damaged_folders(folder: Path, tmp_path: Path) -> None:
    import shutil

    place = tmp_path / "s"
    shutil.copytree(folder, place)
    for name in ("student.json", "trained_on.txt", "hashes.json"):  # nor does it then pass for another tool's model
        (place / name).unlink()
        if name != "hashes.json":
            with pytest.raises(StoreError, match=f"{name}: cannot be read: No such file or directory: it was damaged"):
                load(place)
            shutil.copy(folder / name, place)
    with pytest.raises(StoreError, match=r"hashes\.json: cannot be read: No such file or directory: train the student again"):
        load(place)
    (place / "student.json").unlink()
    (place / "trained_on.txt").unlink()
    assert load(place).trained_on == frozenset()
    (place / "config.json").write_text("{")
    with pytest.raises(UsageError, match=r"config\.json cannot be read as JSON"):
        load(place)
    shutil.copy(folder / "config.json", place)
    (place / "model.safetensors").unlink()
    with pytest.raises(UsageError, match=r"holds no weights"):
        load(place)


@pytest.fixture
def foreign(folder: Path, tmp_path: Path) -> Path:
    """The student's network as another tool would have saved it."""
    import shutil

    shutil.copytree(folder, tmp_path / "foreign")
    for name in ("student.json", "trained_on.txt", "hashes.json"):
        (tmp_path / "foreign" / name).unlink()
    return tmp_path / "foreign"


def settings(place: Path, **changes: Any) -> None:
    whole = json.loads((place / "config.json").read_text()) | changes
    (place / "config.json").write_text(json.dumps({name: value for name, value in whole.items() if value is not None}))


def test_id2label_names_the_columns(foreign: Path) -> None:
    labels = load(foreign).labels
    named = json.loads((foreign / "config.json").read_text())["id2label"]
    settings(foreign, label2id=None)
    assert load(foreign).labels == labels
    first, second, *_ = named.values()
    swapped = {label: int(column) for column, label in named.items()} | {first: 1, second: 0}
    settings(foreign, label2id=swapped)
    with pytest.raises(UsageError, match=r"id2label has '.*' as column \d, label2id as \d: make them agree"):
        load(foreign)


def test_a_network_without_a_trained_head_is_not_judged(foreign: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(foreign / "model.safetensors")
    save_file({name: each for name, each in weights.items() if not name.startswith("classifier")}, foreign / "model.safetensors")
    with pytest.raises(
        UsageError, match=r"weights lack 2 of the network's tensors \(classifier\.bias, classifier\.weight\).*Was it ever trained"
    ):
        load(foreign)


def test_a_full_disk_leaves_no_half_student(made: FinetunedStudent, tiny_disk: Path, fill_disk: Any) -> None:
    fill_disk()
    with pytest.raises(StoreError):
        made.save(tiny_disk / "s")
    assert not [each for each in tiny_disk.iterdir() if each.name != "filler"]


def test_nothing_is_said_on_loading(folder: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    with caplog.at_level(logging.WARNING):
        load(folder)
    out, err = capfd.readouterr()
    assert (out, err, caplog.records) == ("", "", [])
    assert np.isfinite(load(folder).predict(["the cat"]).scores).all()

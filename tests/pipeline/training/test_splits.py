"""The sets a student is trained and judged on: where they come from, and that no text stands in two."""

from __future__ import annotations

import json
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "students"))
from planted import planted, split, write_jsonl, write_planted_run

from variegate.errors import UsageError
from variegate.pipeline.training.splits import Source, Splits, read_one, read_splits
from variegate.students import LabelledTexts, check_disjoint


class Files:
    """train 60, dev 20, test 30, and where they lie."""

    def __init__(self, folder: Path) -> None:
        self.train, self.dev, self.test = split(planted(110), 60, 20, 30)
        self.paths = {name: write_jsonl(folder / f"{name}.jsonl", getattr(self, name)) for name in ("train", "dev", "test")}

    def read(self, **options: Any) -> Splits:
        train = options.pop("train", Source(str(self.paths["train"])))
        test = options.pop("test", Source(str(self.paths["test"])))
        return read_splits(train, test, options.pop("dev", None), **{"wants_dev": False, **options})

    def put(self, name: str, rows: list[tuple[str, str]]) -> None:
        """More rows at the end of a file."""
        with self.paths[name].open("a") as file:
            file.writelines(
                json.dumps({"id": f"more {number}", "text": text, "label": label}) + "\n" for number, (text, label) in enumerate(rows)
            )


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def same(one: LabelledTexts | None, other: LabelledTexts) -> bool:
    return one is not None and (one.texts, one.labels, one.ids) == (other.texts, other.labels, other.ids)


def test_three_files(files: Files) -> None:
    found = files.read(dev=Source(str(files.paths["dev"])))
    assert same(found.train, files.train)
    assert same(found.dev, files.dev)
    assert same(found.test, files.test)
    assert found.labels is None
    assert found.known == ("bird", "cat", "dog")
    assert found.overlap_dropped == {"train": 0, "dev": 0}
    assert found.warnings == ()
    assert files.read().dev is None


def test_fields_and_splits_of_each(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text("".join(json.dumps({"utterance": text, "what": label}) + "\n" for text, label in zip(files.test.texts, files.test.labels, strict=True)))  # fmt: skip
    assert files.read(test=Source(str(path), "utterance", "what")).test.labels == files.test.labels
    with pytest.raises(UsageError, match="holds no labels"):
        files.read(test=Source(str(path)))


# -- overlap ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("into", "of", "message"),
    [("train", "test", "test data too"), ("train", "dev", "dev data too"), ("dev", "test", "test data too")],
)
def test_an_overlap_is_an_error_that_names_the_text(files: Files, into: str, of: str, message: str) -> None:
    text = getattr(files, of).texts[4]
    files.put(into, [(f"  {text.upper()} ", "bird"), ("quite new", "cat")])
    with pytest.raises(UsageError) as caught:
        files.read(dev=Source(str(files.paths["dev"])))
    assert f"{files.paths[into]}: more 0: '  {text.upper()} ' stands in the {message} ({files.paths[of]}: line" in str(caught.value)


def test_overlaps_are_dropped_from_the_earlier_set(files: Files) -> None:
    files.put("train", [(files.test.texts[0], "cat"), (files.test.texts[1], "cat"), (files.dev.texts[0], "cat"), ("new", "dog")])
    files.put("dev", [(files.test.texts[5], "bird")])
    found = files.read(dev=Source(str(files.paths["dev"])), drop_overlap=True)
    assert found.overlap_dropped == {"train": 3, "dev": 1}
    assert (len(found.train), len(found.dev or ()), len(found.test)) == (61, 20, 30)
    assert same(found.test, files.test)
    assert found.dev is not None
    for one, other in ((found.train, found.dev), (found.train, found.test), (found.dev, found.test)):
        check_disjoint(one, other, "other")


def test_a_set_that_is_all_overlap(files: Files) -> None:
    with pytest.raises(UsageError, match=r"test\.jsonl: every text of the training data stands in the test or dev data too"):
        files.read(train=Source(str(files.paths["test"])), drop_overlap=True)


def test_a_share_of_the_training_data_as_dev(files: Files) -> None:
    files.put("train", [(files.test.texts[0], "cat")])
    found = files.read(dev_share=0.2, drop_overlap=True, seed=3)
    assert found.dev is not None
    assert (len(found.train), len(found.dev)) == (48, 12)
    assert sorted(found.train.texts + found.dev.texts) == sorted(files.train.texts)
    assert files.read(dev_share=0.2, drop_overlap=True, seed=4).dev != found.dev
    with pytest.raises(UsageError, match="--dev and --dev-share both say"):
        files.read(dev_share=0.2, dev=Source(str(files.paths["dev"])))


# -- labels ----------------------------------------------------------------------------------------------------


def test_labels_the_student_does_not_know(files: Files) -> None:
    files.put("test", [("something else", "brid"), ("more of it", "brid")])
    with pytest.raises(UsageError, match=r"label 'brid' \(2 texts\) is not one of the training data's 3; did you mean 'bird'"):
        files.read()
    found = files.read(leave_out=("brid",))
    assert same(found.test, files.test)
    assert found.warnings == ("test: 2 texts with the label 'brid' were left out",)
    with pytest.raises(UsageError, match=r"--leave-out 'bridd': no text has this label; did you mean 'brid'. Labels: 'bird', 'brid'"):
        files.read(leave_out=("bridd",))


def test_a_label_left_out_of_all(files: Files) -> None:
    found = files.read(leave_out=("dog", "cat"))
    assert set(found.train.labels) == set(found.test.labels) == {"bird"}
    assert len(found.warnings) == 4
    with pytest.raises(UsageError, match=r"train\.jsonl: no text is left for the train data"):
        files.read(leave_out=("dog", "cat", "bird"))


# -- run folders -----------------------------------------------------------------------------------------------


@pytest.fixture
def run(files: Files, tmp_path: Path, build_run: Any, row: Any) -> Any:
    def make(texts: LabelledTexts = files.train, **data: Any) -> Source:
        named = data if data else {"dev": str(files.paths["dev"]), "test": str(files.paths["test"])}
        return Source(str(write_planted_run(build_run, row, tmp_path / f"run{next(numbers)}", texts, **named)))

    numbers = count()
    return make


def test_a_runs_own_test_and_dev_data(files: Files, run: Any) -> None:
    source = run()
    found = files.read(train=source, test=None, wants_dev=True)
    assert same(found.test, files.test)
    assert same(found.dev, files.dev)
    assert found.labels == ("bird", "cat", "dog")
    assert files.read(train=source, test=None).dev is None  # no early stopping: nothing to use it for
    other = files.read(train=source, test=Source(str(files.paths["dev"])))
    assert same(other.test, files.dev)
    assert len(files.read(train=source, test=None, wants_dev=True, dev_share=0.2).dev or ()) == 12


def test_a_class_without_texts_is_named(files: Files, run: Any) -> None:
    found = files.read(train=run(files.train.without_labels({"dog"})), test=None)
    assert found.known == ("bird", "cat", "dog")
    (warning,) = found.warnings
    number = files.test.label_counts["dog"]
    assert warning == f"no training text has the label 'dog': the student never learns it, and {number} of 30 test texts have it"


def test_the_out_of_scope_label_is_left_out_and_counted(files: Files, run: Any) -> None:
    files.put("test", [("who am I", "oos"), ("where am I", "oos")])
    found = files.read(train=run(test=str(files.paths["test"]), out_of_scope_label="oos"), test=None)
    assert same(found.test, files.test)
    assert found.warnings == ("test: 2 texts with the label 'oos' were left out: it is out of scope",)


def test_labels_that_the_task_does_not_know(files: Files, run: Any) -> None:
    files.put("test", [("who am I", "oos")])
    with pytest.raises(UsageError, match=r"label 'oos' .* is not one of the task's 3"):
        files.read(train=run(), test=None)


def test_no_test_data(files: Files, run: Any, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"train\.jsonl: is no run folder, whose task would name test data, .* whether the data helps: name .* with --test"
    ):
        files.read(test=None)
    source = run(train=str(files.paths["train"]))
    with pytest.raises(UsageError, match=r"its task names no data\.test, .*: name"):
        files.read(train=source, test=None)
    gone = run(test=str(tmp_path / "gone.jsonl"))
    with pytest.raises(UsageError, match=r"gone\.jsonl: no such file"):
        files.read(train=gone, test=None)


# -- forms -----------------------------------------------------------------------------------------------------


def test_two_fields_make_pairs_of_all(files: Files, tmp_path: Path) -> None:
    for name in ("train", "test"):
        texts = getattr(files, name)
        rows = [
            {"premise": text, "hypothesis": f"{text} never", "label": label} for text, label in zip(texts.texts, texts.labels, strict=True)
        ]
        (tmp_path / f"{name}-pairs.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    found = files.read(train=Source(str(tmp_path / "train-pairs.jsonl")), test=Source(str(tmp_path / "test-pairs.jsonl")))
    assert found.train.pairs
    assert found.test.pairs
    with pytest.raises(
        UsageError, match=r"test-pairs\.jsonl holds text pairs and .*train\.jsonl single texts: name two fields of the latter"
    ):
        files.read(test=Source(str(tmp_path / "test-pairs.jsonl")))


def test_bad_rows(files: Files) -> None:
    with files.paths["train"].open("a") as file:
        file.write('{"text": " ", "label": "cat"}\n')
    with pytest.raises(UsageError, match="is empty"):
        files.read()
    assert files.read(strict=False).warnings == (f"{files.paths['train']}: rows left out: 1 (empty text)",)


def test_one_standard_input() -> None:
    with pytest.raises(UsageError, match="only one can come from standard input"):
        read_splits(Source("-"), Source("-"), None, wants_dev=False)


def test_one_set_alone(files: Files) -> None:
    texts, warnings = read_one(Source(str(files.paths["test"])), leave_out=("dog",))
    assert same(texts, files.test.without_labels({"dog"}))
    assert warnings == [f"test: {files.test.label_counts['dog']} texts with the label 'dog' were left out"]

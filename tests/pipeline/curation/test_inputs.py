"""What stages read: real splits and the oracle, held-out texts, judgements, seeds of items."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from variegate.config.curation import CurationConfig
from variegate.config.load import load_run
from variegate.curation.judging import Items
from variegate.errors import UsageError
from variegate.pipeline.curation.inputs import NUM_CLASS_EXAMPLES, Inputs
from variegate.pipeline.curation.label_files import Given
from variegate.progress import Silent
from variegate.records import Record

ORACLE_STAGE = {"kind": "label_replacement", "labels": "oracle"}
SCOPE_STAGE = {"kind": "scope", "labels": "oracle"}


def inputs_of(run: Any, *stages: dict[str, Any], encoder: Any = None, **config: Any) -> Inputs:
    settings = CurationConfig.model_validate({"stages": stages or [{"kind": "duplicates"}], **config})
    return Inputs(
        run.folder, load_run(run.folder.path / "run.yaml"), settings, list(run.folder.records()), encoder=encoder, progress=Silent()
    )


def items_of(records: list[Record]) -> Items:
    return Items(
        tuple(record.id for record in records),
        tuple(record.fields["text"] for record in records),
        tuple(record.label for record in records),
        tuple(tuple(record.origin["parents"]) for record in records),
    )


def edit_run(run: Any, change: Callable[[dict[str, Any]], object]) -> None:
    path = run.folder.path / "run.yaml"
    settings = yaml.safe_load(path.read_text())
    change(settings)
    path.write_text(yaml.safe_dump(settings))


# -- real data -------------------------------------------------------------------------------------------------


def test_splits_are_read_with_their_out_of_scope_rows(curable_run: Callable[..., Any], tmp_path: Path) -> None:
    run = curable_run(tmp_path / "run", out=4)
    found = inputs_of(run).split("train")
    assert set(found.labels) == {"joy", "anger", "fear", "oos"}
    assert len(found) == len(run.train.read_text().splitlines())


@pytest.mark.parametrize(
    ("change", "split", "words"),
    [
        (lambda run: run["task"].update(data=None), "train", "task 'feelings': has no data.train"),
        (lambda run: None, "dev", "task 'feelings': has no data.dev"),
        (lambda run: run["task"]["data"].update(train="gone.jsonl"), "train", r"data.train gone.jsonl: no such file: set VARIEGATE_DATA"),
    ],
)  # fmt: skip
def test_a_split_that_is_not_there(curable_run: Callable[..., Any], tmp_path: Path, change: Any, split: str, words: str) -> None:
    run = curable_run(tmp_path / "run")
    edit_run(run, change)
    with pytest.raises(UsageError, match=words):
        inputs_of(run).split(split)


def test_an_unknown_label_in_real_data_is_named(curable_run: Callable[..., Any], tmp_path: Path) -> None:
    run = curable_run(tmp_path / "run")
    run.train.write_text(run.train.read_text() + '{"text": "x", "label": "joyy"}\n')
    with pytest.raises(UsageError, match=r"run-train.jsonl: line 37: label 'joyy' is not one of task 'feelings'; did you mean 'joy'\?"):
        inputs_of(run).split("train")


def test_class_examples_are_drawn_by_the_seed_and_capped(curable_run: Callable[..., Any], tmp_path: Path) -> None:
    run = curable_run(tmp_path / "run", out=2)
    rows = [{"text": f"Some joy {number}", "label": "joy"} for number in range(3 * NUM_CLASS_EXAMPLES)]
    run.train.write_text(run.train.read_text() + "".join(json.dumps(row) + "\n" for row in rows))
    first, again, other = (inputs_of(run, seed=seed).class_examples() for seed in (0, 0, 1))
    assert first == again != other
    counts = {label: sum(each == label for _, each in first) for label in ("joy", "anger", "fear", "oos")}
    assert counts == {"joy": NUM_CLASS_EXAMPLES, "anger": 6, "fear": 6, "oos": 0}  # at most half of the 12: calibration needs some too


def test_calibration_examples_are_no_class_examples(curable_run: Callable[..., Any], tmp_path: Path) -> None:
    run = curable_run(tmp_path / "run")
    rows = [{"text": f"Some {label} {number}", "label": label} for label in ("joy", "anger", "fear") for number in range(40)]
    run.train.write_text("".join(json.dumps(row) + "\n" for row in rows))
    inputs = inputs_of(run)
    assert len(inputs.calibration_examples()) == 30
    assert not set(inputs.calibration_examples()) & set(inputs.class_examples())
    edit_run(run, lambda settings: settings["task"].update(data=None))
    assert inputs_of(run).calibration_examples() == inputs_of(run).class_examples() == []


def test_what_a_run_drew_comes_before_other_real_examples(curable_run: Callable[..., Any], tmp_path: Path) -> None:
    """PromptMix's class vectors are of its seeds; none of them is calibrated on."""
    from variegate.pipeline.seeds import seeds_of

    run = curable_run(tmp_path / "run", per_label=2)
    assert inputs_of(run).seed_examples() == inputs_of(run).class_examples() != []
    edit_run(run, lambda settings: settings["strategy"].update(seed_pool=6))
    drawn = [(example.fields["text"], example.label) for example in seeds_of(run.folder, inputs_of(run).run)]
    inputs = inputs_of(run)
    assert inputs.seed_examples() == drawn
    assert len(drawn) == 6
    edit_run(run, lambda settings: settings["task"]["data"].pop("dev", None))
    assert not set(inputs_of(run).calibration_examples()) & set(drawn)


def test_held_out_texts_of_splits_and_files(curable_run: Callable[..., Any], tmp_path: Path) -> None:
    run = curable_run(tmp_path / "run")
    (tmp_path / "mine.txt").write_text("One\nTwo\n")
    found = inputs_of(run).held_out(["test", str(tmp_path / "mine.txt")])
    assert [name for name, _ in found] == ["test", "mine.txt"]
    assert found[1][1] == ("One", "Two")
    with pytest.raises(UsageError, match=r"against 'tset': no such file, and none of train, dev, test; did you mean 'test'\?"):
        inputs_of(run).held_out(["tset"])
    np.save(tmp_path / "vectors.npy", np.ones((2, 3)))
    with pytest.raises(UsageError, match="holds vectors without texts"):
        inputs_of(run).held_out([str(tmp_path / "vectors.npy")])


# -- the oracle ------------------------------------------------------------------------------------------------


def test_the_oracle_is_trained_on_real_data_and_once(curable_run: Callable[..., Any], tmp_path: Path, encoder: Any) -> None:
    run = curable_run(tmp_path / "run")
    inputs = inputs_of(run, ORACLE_STAGE, encoder=encoder)
    records = list(run.folder.records())
    assert inputs.oracle_labels([record.fields["text"] for record in records]) == [run.truth[record.id] for record in records]
    assert inputs.oracle is inputs.oracle
    assert inputs.oracle.labels == ("anger", "fear", "joy")


def test_with_a_scope_stage_it_knows_what_is_outside_and_still_names_a_label(
    curable_run: Callable[..., Any], tmp_path: Path, encoder: Any
) -> None:
    run = curable_run(tmp_path / "run", out=12)
    inputs = inputs_of(run, SCOPE_STAGE, encoder=encoder)
    assert "oos" in inputs.oracle.labels
    records = list(run.folder.records())
    texts = [record.fields["text"] for record in records]
    assert inputs.oracle_in_scope(texts) == [run.truth[record.id] != "oos" for record in records]
    named = inputs.oracle_labels(texts)
    assert set(named) <= {"anger", "fear", "joy"}
    assert all(label == run.truth[record.id] for label, record in zip(named, records, strict=True) if run.truth[record.id] != "oos")


def test_its_key_changes_with_data_config_and_classes_only(curable_run: Callable[..., Any], tmp_path: Path) -> None:
    run = curable_run(tmp_path / "run", out=4)
    key = inputs_of(run, ORACLE_STAGE).oracle_key
    assert key == inputs_of(run, ORACLE_STAGE, encoder=object()).oracle_key
    assert key != inputs_of(run, SCOPE_STAGE).oracle_key
    assert key != inputs_of(run, ORACLE_STAGE, oracle={"kind": "linear_svc"}).oracle_key
    run.train.write_text(run.train.read_text().replace("day 3", "day three", 1))
    assert key != inputs_of(run, ORACLE_STAGE).oracle_key


def test_training_texts_that_stand_in_held_out_data_are_left_out(curable_run: Callable[..., Any], tmp_path: Path) -> None:
    run = curable_run(tmp_path / "run")
    before, _ = inputs_of(run, ORACLE_STAGE)._oracle_data
    run.train.write_text(run.train.read_text() + run.test.read_text())
    after, _ = inputs_of(run, ORACLE_STAGE)._oracle_data
    assert after.texts == before.texts


@pytest.mark.parametrize(
    ("change", "stage", "words"),
    [
        (lambda run: run["task"]["data"].update(out_of_scope_label=None), SCOPE_STAGE, "task 'feelings' has no data.out_of_scope_label"),
        (lambda run: run["task"]["data"].update(out_of_scope_label="nowhere"), SCOPE_STAGE, "has no row of 'nowhere'"),
        (lambda run: run["task"].update(data=None), ORACLE_STAGE, "has no data.train"),
    ],
)
def test_an_oracle_that_cannot_be(curable_run: Callable[..., Any], tmp_path: Path, change: Any, stage: dict[str, Any], words: str) -> None:
    run = curable_run(tmp_path / "run")
    edit_run(run, change)
    with pytest.raises(UsageError, match=words):
        inputs_of(run, stage).check_oracle()


# -- judgements ------------------------------------------------------------------------------------------------


def test_a_persons_judgements(curable_run: Callable[..., Any], tmp_path: Path) -> None:
    run = curable_run(tmp_path / "run")
    with pytest.raises(UsageError, match=r"scope: labels: inspected: nobody has judged records of this run yet: .*variegate inspect"):
        inputs_of(run).judged("inspected", "scope")
    ids = [record.id for record in run.folder.records()]
    lines = [
        {"id": ids[0], "label": "joy", "scope": "in", "at": "2026-01-01T00:00:00+00:00"},
        {"id": ids[1], "label": None, "scope": "out", "at": "2026-01-01T00:00:00+00:00"},
        {"id": ids[0], "label": "fear", "scope": "in", "at": "2026-01-01T00:00:01+00:00"},
    ]
    (run.folder.path / "inspected.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = inputs_of(run).judged("inspected", "scope")
    assert found.by_id == {ids[0]: Given("fear", True), ids[1]: Given(None, False)}
    assert found.facts == {"source": "inspected", "judged": 2}


def test_a_source_that_is_no_file(curable_run: Callable[..., Any], tmp_path: Path) -> None:
    run = curable_run(tmp_path / "run")
    with pytest.raises(UsageError, match=r"labels: 'inspcted': no such file, and neither oracle nor inspected; did you mean 'inspected'\?"):
        inputs_of(run).judged("inspcted", "scope")


# -- seeds -----------------------------------------------------------------------------------------------------


def test_seeds_are_parents_then_real_examples_then_the_label(curable_run: Callable[..., Any], tmp_path: Path, encoder: Any) -> None:
    run = curable_run(tmp_path / "run", per_label=4)
    records = list(run.folder.records())
    items = items_of(records)
    texts = {record.id: record.fields["text"] for record in records}
    parents = [(records[1].id, records[2].id), (records[3].id, "unknown"), *[()] * (len(records) - 2)]
    items = Items(items.ids, items.texts, items.labels, tuple(parents))
    inputs = inputs_of(run, encoder=encoder)
    seeds, served = inputs.seed_vectors(items)
    assert served == {"parents": 2, "real_examples_of_the_label": 10, "items_of_the_label": 0}
    vectors = encoder.encode([records[1].fields["text"], records[2].fields["text"], records[3].fields["text"]]).vectors
    np.testing.assert_allclose(seeds[0], vectors[:2].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(seeds[1], vectors[2], atol=1e-6)
    real = [json.loads(line) for line in run.train.read_text().splitlines()]
    assert {text for text, _ in inputs.class_examples()} < {row["text"] for row in real}
    own = encoder.encode([text for text, label in inputs.class_examples() if label == records[5].label]).vectors
    np.testing.assert_allclose(seeds[5], own.mean(axis=0), atol=1e-6)
    assert inputs.parent_texts(items) == {each: texts[each] for each in (records[1].id, records[2].id, records[3].id)}

    edit_run(run, lambda settings: settings["task"].update(data=None))
    seeds, served = inputs_of(run, encoder=encoder).seed_vectors(items)
    assert served == {"parents": 2, "real_examples_of_the_label": 0, "items_of_the_label": 10}
    alike = [record.fields["text"] for record in records if record.label == records[5].label]
    np.testing.assert_allclose(seeds[5], encoder.encode(alike).vectors.mean(axis=0), atol=1e-6)


def test_real_examples_in_the_pool_are_found_by_their_number(curable_run: Callable[..., Any], tmp_path: Path) -> None:
    """Those that the run drew, as they stand in its folder: the data may have changed since."""
    from variegate.pipeline.seeds import seeds_of

    run = curable_run(tmp_path / "run", per_label=2)
    edit_run(run, lambda settings: settings["strategy"].update(seed_pool=6))
    inputs = inputs_of(run)
    drawn = {example.id: example.fields["text"] for example in seeds_of(run.folder, inputs.run)}
    run.train.write_text('{"text": "Another text", "label": "joy"}\n')
    items = items_of(list(run.folder.records()))
    items = Items(items.ids, items.texts, items.labels, (("seed:4", "seed:0"), *[()] * (len(items) - 1)))
    assert inputs.parent_texts(items) == {each: drawn[each] for each in ("seed:4", "seed:0")}


def test_vectors_are_made_once_and_sliced(curable_run: Callable[..., Any], tmp_path: Path, encoder: Any) -> None:
    run = curable_run(tmp_path / "run")
    calls = []

    class Counting:
        fingerprint = encoder.fingerprint

        def encode(self, texts: Any, progress: Any = None) -> Any:
            calls.append(len(texts))
            return encoder.encode(texts)

    inputs = inputs_of(run, encoder=Counting())
    records = list(run.folder.records())
    some = items_of(records[10:20])
    np.testing.assert_array_equal(inputs.vectors(some), encoder.encode(list(some.texts)).vectors)
    inputs.vectors(items_of(records))
    assert calls == [len(records)]

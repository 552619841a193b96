"""Exports, read back by the tools they are meant for: csv, pyarrow, datasets."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet
import pytest
import yaml

from tests.support.rows import TOTALS
from variegate.errors import StoreError, UsageError
from variegate.kinds.classification import Classification
from variegate.store.export import FORMATS, columns_of, export, flatten, guarded
from variegate.store.kind import kind_of_run
from variegate.store.rows import Row, stored_items
from variegate.store.run_folder import RunFolder
from variegate.store.verdicts import CurationFolder, input_digest

Make = Callable[..., Row]
DANGEROUS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1"]


def texts(folder: RunFolder) -> list[str]:
    return [record.fields["text"] for record in folder.records()]


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_jsonl_is_records_jsonl(run_folder: RunFolder, tmp_path: Path) -> None:
    path = export(run_folder, "jsonl", tmp_path / "deep" / "out.jsonl")
    assert path.read_bytes() == (run_folder.path / "records.jsonl").read_bytes()


def test_parquet_has_typed_columns(run_folder: RunFolder, tmp_path: Path) -> None:
    table = pyarrow.parquet.read_table(export(run_folder, "parquet", tmp_path / "out.parquet"))
    assert table.column_names == list(columns_of(kind_of_run(run_folder), curated=False))
    assert table.column("text").to_pylist() == texts(run_folder)
    assert {str(table.schema.field(name).type) for name in ("round", "slot", "seed", "num_tokens")} == {"int64"}
    assert str(table.schema.field("parents").type).startswith("list<")
    assert str(table.schema.field("bias").type) == "string"  # all null here, and still typed
    assert table.to_pylist()[1]["parents"] == ["0123456789abcdef"]


def test_parquet_streams_over_many_chunks(tmp_path: Path, build_run: Callable[..., RunFolder], row: Make) -> None:
    folder = build_run(tmp_path / "run", [[row(slot=1000 * part + slot) for slot in range(1000)] for part in range(3)])
    path = export(folder, "parquet", tmp_path / "out.parquet")
    assert pyarrow.parquet.ParquetFile(path).num_row_groups == 3  # 1024 records each
    assert pyarrow.parquet.read_table(path).column("slot").to_pylist() == list(range(3000))


def test_the_label_of_a_curation_is_its_final_one_in_every_format(run_folder: RunFolder, tmp_path: Path) -> None:
    """Written by hand: the first record goes, the second gets another label, the others stay."""
    records = list(run_folder.records())
    other = {"joy": "anger", "anger": "fear", "fear": "joy"}
    final = [other[records[1].label], *(each.label for each in records[2:])]
    rows = [
        {"id": each.id, "text": each.fields["text"], "label": label, "given_label": each.label, "confidence": 0.5, "reasons": [], "origin": dict(each.origin)}
        for each, label in zip(records[1:], final, strict=True)
    ]  # fmt: skip
    source = input_digest((each.id, each.fields["text"], each.label) for each in records)
    stages = [{"kind": "denoise", "index": 0, "input": {"n": len(records), "sha256": source}}]
    summary = {"name": "mine", "records": len(records), "kept": len(rows), "dropped": {"noisy": 1}, "changed": 1, "stages": stages}
    CurationFolder(run_folder, "mine").write_results(rows, {**summary, "labels": {}})

    out = {format: export(run_folder, format, tmp_path / f"out.{format}", curation="mine") for format in FORMATS}
    found = {
        "jsonl": [json.loads(line) for line in out["jsonl"].read_bytes().splitlines()],
        "csv": read_csv(out["csv"]),
        "parquet": pyarrow.parquet.read_table(out["parquet"]).to_pylist(),
        "hf": pyarrow.parquet.read_table(out["hf"] / "data" / "train.parquet").to_pylist(),
    }
    assert set(found) == set(FORMATS)
    for format, got in found.items():
        assert [row["label"] for row in got] == final, format
        assert [row["given_label"] for row in got] == [each.label for each in records[1:]], format
        assert [row["id"] for row in got] == [each.id for each in records[1:]], format


def test_csv_survives_a_spreadsheet_and_a_parser(tmp_path: Path, build_run: Callable[..., RunFolder], row: Make) -> None:
    nasty = ['comma, "quote"', "two\nlines", "naïve 😀", "plain - not = formula"]
    folder = build_run(tmp_path / "run", [[row(slot=slot, text=text) for slot, text in enumerate([*nasty, *DANGEROUS])]])
    rows = read_csv(export(folder, "csv", tmp_path / "out.csv"))
    assert [each["text"] for each in rows] == nasty + [f"'{text}" for text in DANGEROUS]
    assert rows[0]["logprob"] == "-12.5"  # a number is no formula
    assert json.loads(rows[1]["parents"]) == ["0123456789abcdef"]
    plain = read_csv(export(folder, "csv", tmp_path / "plain.csv", formula_guard=False))
    assert [each["text"] for each in plain] == nasty + DANGEROUS


def test_guard_touches_texts_only() -> None:
    assert [guarded(cell) for cell in (-1.5, None, "", "a=b", "=a")] == [-1.5, None, "", "a=b", "'=a"]


def test_unknown_origin_fields_are_kept(row: Make) -> None:
    (item,) = stored_items(row().to_json())
    record = replace(item, origin={**item.origin, "mixer": "attention"}).to_record()
    assert json.loads(flatten(record.to_json(), columns_of(Classification.of({}), curated=False))["extra"]) == {"mixer": "attention"}


@pytest.mark.slow
def test_hf_folder_loads_offline(tmp_path: Path, build_run: Callable[..., RunFolder], row: Make) -> None:
    labels = ["yes", "no", "1", 'odd: "label" | x']
    folder = build_run(tmp_path / "run", [[row(label, slot) for slot in range(3) for label in labels]], labels=labels)
    target = export(folder, "hf", tmp_path / "set")
    code = (
        "import json, sys; from datasets import load_dataset\n"
        "data = load_dataset(sys.argv[1], split='train')\n"
        "names = data.features['label'].names\n"
        "print(json.dumps([names, [names[each] for each in data['label']], list(data['text']), str(data.features['parents'])]))"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run([sys.executable, "-c", code, target], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "malformed" not in done.stderr
    names, loaded, loaded_texts, _ = json.loads(done.stdout.splitlines()[-1])
    assert names == sorted(labels)
    assert loaded == labels * 3
    assert loaded_texts == texts(folder)


def card(folder: RunFolder, tmp_path: Path) -> tuple[dict[str, Any], str]:
    _, front, body = (export(folder, "hf", tmp_path / "card") / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(front), body


def test_the_card_says_what_the_set_is(run_folder: RunFolder, tmp_path: Path) -> None:
    front, body = card(run_folder, tmp_path)
    assert front["configs"][0]["data_files"] == [{"split": "train", "path": "data/train.parquet"}]
    for said in (
        "labels are unverified", TOTALS, "temperature 0.7", "logit suppression over the whole run",
        "few-shot", "Chung", "licence: Apache-2.0", "licence: CC-BY 4.0", "The writer feels joy.",
    ):  # fmt: skip
        assert said in body
    assert "had not ended" not in body


def test_the_card_of_an_unfinished_run_says_so(unfinished_run_folder: RunFolder, tmp_path: Path) -> None:
    assert "had not ended" in card(unfinished_run_folder, tmp_path)[1]


@pytest.mark.parametrize("format", ["jsonl", "parquet", "csv", "hf"])
def test_nothing_is_overwritten_unless_asked(run_folder: RunFolder, tmp_path: Path, format: str) -> None:
    target = tmp_path / "out"
    export(run_folder, format, target)
    with pytest.raises(UsageError, match=r"exists already.*--overwrite"):
        export(run_folder, format, target)
    export(run_folder, format, target, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]  # no temporary left


def test_overwrite_spares_folders_that_are_no_export(run_folder: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match=r"holds 'thesis.tex'"):
        export(run_folder, "hf", tmp_path / "home", overwrite=True)
    with pytest.raises(UsageError, match="is a folder"):
        export(run_folder, "csv", tmp_path / "home", overwrite=True)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file"):
        export(run_folder, "hf", tmp_path / "file", overwrite=True)
    assert (tmp_path / "home" / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize(
    "name", ["", "records.jsonl", "manifest.json", "rounds", "rounds/000000/x", "run.yaml", "report.html", "inspected.jsonl", "curations/a"]
)
def test_the_run_itself_is_never_a_target(run_folder: RunFolder, name: str) -> None:
    before = orjson.dumps(list(run_folder.rows()))
    with pytest.raises(UsageError, match="belongs to the run"):
        export(run_folder, "jsonl", run_folder.path / name, overwrite=True)
    assert orjson.dumps(list(run_folder.rows())) == before


def test_a_target_inside_the_run_folder_is_allowed(run_folder: RunFolder) -> None:
    assert export(run_folder, "csv", run_folder.path / "data.csv").is_file()


def test_unknown_format(run_folder: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"format 'parket' is not known; did you mean 'parquet'\?"):
        export(run_folder, "parket", tmp_path / "x")


def test_nothing_kept(tmp_path: Path, build_run: Callable[..., RunFolder], row: Make) -> None:
    folder = build_run(tmp_path / "run", [[row(outcome="empty")]])
    with pytest.raises(StoreError, match="no kept record"):
        export(folder, "csv", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_disk_full_leaves_no_half_file(run_folder: RunFolder, tiny_disk: Path, row: Make) -> None:
    run_folder.commit_round(2, [row(slot=1000 + slot, text="word " * 2000) for slot in range(60)], {"round": 2})
    for format in ("jsonl", "csv"):
        with pytest.raises(StoreError, match="disk is full"):
            export(run_folder, format, tiny_disk / "out")
    assert list(tiny_disk.iterdir()) == []

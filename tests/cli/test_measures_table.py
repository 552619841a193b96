"""The measurement as tables: everything is there, whole lines for a pipe, and texts are shown, never obeyed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from variegate.cli.measures_table import how, number, one_line, print_measurement, shown, title
from variegate.pipeline.measure import MeasureSettings, measure
from variegate.store.texts import TextSet

HOSTILE = "[bold]x[/bold] [/nothing] [link=http://x]y[/link] :smile: \x1b[31mred\x1b[0m \x9b1m \u202eback <script>alert(1)</script>"
SHOWN = "[bold]x[/bold] [/nothing] [link=http://x]y[/link] :smile: ␛[31mred␛[0m \ufffd1m \ufffdback <script>alert(1)</script>"


def text_set(n: int, seed: int, *, labels: str = "abc", text: str = "text", source: str = "set.jsonl", label: str = "") -> TextSet:
    rng = np.random.default_rng(seed)
    texts = tuple(f"{text} {number} of {seed}" for number in range(n))
    chosen = tuple(label + labels[number % len(labels)] for number in range(n)) if labels else None
    return TextSet(source, texts, chosen, tuple(map(str, range(n))), rng.normal(size=(n, 4)))


def tables(capsys: pytest.CaptureFixture[str], measurement: Mapping[str, Any], *, wide: bool = True) -> str:
    print_measurement(measurement, wide=wide)
    out, err = capsys.readouterr()
    assert err == ""
    return out


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split("[│┃]", line)[1:-1]]


@pytest.fixture(scope="module")
def measurement() -> dict[str, Any]:
    return measure(text_set(12, 1), text_set(20, 2, labels="abcd", source="real.csv"), MeasureSettings(distance="euclidean"))


def test_every_pooled_value_stands_in_the_table(capsys: pytest.CaptureFixture[str], measurement: dict[str, Any]) -> None:
    lines, others = (each.splitlines() for each in tables(capsys, measurement).split("Beside real texts: ", 1))
    assert others[0] == "10 texts of the set, and as many of the reference, against the same 10 others of it"
    beside = {cells(line)[0]: cells(line) for line in others if line.startswith("│")}
    for row in measurement["real_against_real"]["values"]:
        assert beside[title(row["set"])][1:] == [number(row[which]["value"]) for which in ("set", "real")]
    rows = {cells(line)[0]: cells(line) for line in lines if line.startswith("│")}
    for place, side in enumerate(("set", "reference", "pair"), 1):
        for value in measurement["pooled"][side]:
            assert rows[title(value)][place] == number(value["value"])
    (drawn,) = [value for value in measurement["pooled"]["reference"] if value["metric"] == "chamfer" and "drawn_from" in value["details"]]
    assert rows["chamfer (equal size)"][1:3] == ["", number(drawn["value"])]
    assert rows["chamfer"][4] == "euclidean, dense"
    assert "self counted" in rows["vendi_score (q = 1)"][4]
    order = [cells(line)[0] for line in lines if line.startswith("│")]
    assert order.index("chamfer (equal size)") == order.index("chamfer") + 1
    assert lines[:3] == [
        "set: set.jsonl: 12 records, 3 labels, 12 distinct",
        "reference: real.csv: 20 records, 4 labels, 20 distinct",
        "encoder: given vectors, 4 dimensions, as given",
    ]


def test_labels_and_nearest_pairs(capsys: pytest.CaptureFixture[str], measurement: dict[str, Any]) -> None:
    lines = tables(capsys, measurement).splitlines()
    rows = {cells(line)[0]: cells(line) for line in lines if line.startswith("│")}
    values = {(value["metric"], side): value for side in ("set", "reference", "pair") for value in measurement["labels"]["b"][side]}
    names = [("remote_clique", "set"), ("remote_clique", "reference"), ("chamfer", "set"), ("chamfer", "reference")]
    assert rows["b"][1:5] == [number(values[name]["value"]) for name in names]
    assert rows["d"][1] == ""  # the set has none
    pairs = [cells(line) for line in lines if " near " in line]
    assert [pair[2:] for pair in pairs] == [[each["text"], each["reference_text"]] for each in measurement["nearest_pairs"][:5]]
    assert pairs[0][0] == f"{measurement['nearest_pairs'][0]['similarity']:.3f}"
    assert "note: the set has no record of 1 label: d" in lines


def test_one_set_alone(capsys: pytest.CaptureFixture[str]) -> None:
    out = tables(capsys, measure(text_set(12, 1, labels=""), None, MeasureSettings()))
    assert "reference:" not in out
    assert "By label" not in out
    assert "Nearest" not in out
    out = tables(capsys, measure(text_set(12, 1), None, MeasureSettings()))
    (header,) = [line for line in out.splitlines() if "┃ label" in line]
    assert cells(header) == ["label", "remote_clique set", "chamfer set"]
    assert "By label\n" in re.sub(" +\n", "\n", out)


def test_labels_without_any_value_make_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    out = tables(capsys, measure(text_set(3, 1), None, MeasureSettings()))
    assert "By label" not in out
    assert "note: labels with one record, and so without diversity: a, b, c" in out


def test_many_labels_are_cut_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    out = tables(capsys, measure(text_set(66, 1, labels="".join(map(chr, range(0x41, 0x41 + 33)))), None, MeasureSettings()))
    assert "13 more labels: see --json or the report" in out


# -- texts are shown, never obeyed -------------------------------------------------------------------------------


def test_hostile_texts_labels_and_names(capsys: pytest.CaptureFixture[str]) -> None:
    made = text_set(12, 1, text=HOSTILE, label=HOSTILE, source=HOSTILE)
    real = text_set(20, 2, text=HOSTILE, labels="d", label=HOSTILE, source=HOSTILE)
    measurement = measure(made, real, MeasureSettings())
    measurement["encoder"] = {**measurement["encoder"], "name": HOSTILE}
    for wide in (True, False):
        out = tables(capsys, measurement, wide=wide)
        assert "\x1b" not in out
        assert "\x9b" not in out
        assert "\u202e" not in out
    lines = tables(capsys, measurement).splitlines()
    assert lines[0] == f"set: {SHOWN}: 12 records, 3 labels, 12 distinct"
    assert lines[2] == f"encoder: {SHOWN}, 4 dimensions, as given"
    assert f"{SHOWN}a" in {cells(line)[0] for line in lines if line.startswith("│")}
    pair = next(cells(line) for line in lines if " near " in line)
    assert pair[2].startswith(f"{SHOWN} ")
    assert pair[3].startswith(f"{SHOWN} ")
    assert any(line.startswith("note: the reference has no record of 3 labels: ") and SHOWN in line for line in lines)


def test_a_text_of_several_lines_stays_one_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert one_line("premise\nhypothesis\r\nmore\rold") == "premise␊hypothesis␊more␍old"
    out = tables(capsys, measure(text_set(12, 1, text="one\ntwo"), text_set(20, 2), MeasureSettings()))
    assert sum("one␊two" in line for line in out.splitlines()) == 5


# -- pipes and terminals -----------------------------------------------------------------------------------------


def test_a_pipe_gets_whole_lines_without_colour(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    text = "word " * 500
    measurement = measure(text_set(12, 1, text=text), text_set(20, 2, text=text), MeasureSettings())
    out = tables(capsys, measurement)
    assert "\x1b" not in out
    lines = out.splitlines()
    for pair in measurement["nearest_pairs"][:5]:
        (row,) = [line for line in lines if pair["text"] in line]
        assert pair["reference_text"] in row
    (note,) = [line for line in lines if line.startswith("note: the set has 12 records")]
    assert note.endswith("compare the values at equal size")


@pytest.mark.parametrize("columns", [1, 2, 10, 25, 80])
def test_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, measurement: dict[str, Any], columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    out = tables(capsys, measurement, wide=False)
    assert max(map(len, out.splitlines())) <= columns


def test_a_narrow_terminal_folds_names_and_cuts_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, measurement: dict[str, Any]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    out = tables(capsys, measurement, wide=False)
    assert "…" not in out
    names = "".join(cells(line)[0] for line in out.splitlines() if line.startswith("│") and len(cells(line)) == 5)
    for value in measurement["pooled"]["set"] + measurement["pooled"]["pair"]:
        assert title(value).replace(" ", "") in names.replace(" ", "")


# -- cells -----------------------------------------------------------------------------------------------------


def value(metric: str, number: float, **more: Any) -> dict[str, Any]:
    blank = {"distance": None, "k": None, "include_self": None, "implementation": "counts", "interval": None, "details": {}}
    return {"metric": metric, "value": number, **blank, **more}


def test_titles() -> None:
    assert title(value("chamfer", 1)) == "chamfer"
    assert title(value("vendi_score", 1, details={"q": 0.5})) == "vendi_score (q = 0.5)"
    assert title(value("vendi_score", 1, details={"q": 2.0})) == "vendi_score (q = 2)"
    assert title(value("vendi_score", 1, details={"q": "inf"})) == "vendi_score (q = inf)"
    assert title(value("top_k_similarity", 1, k=5, details={"drawn_from": 9})) == "top_k_similarity (k = 5, equal size)"


@pytest.mark.parametrize(
    ("number_", "expected"),
    [
        (0.0, "0.0000"),
        (1.0, "1.0000"),
        (0.12345, "0.1235"),
        (-0.5, "-0.5000"),
        (0.00012345, "1.234e-04"),
        (526.0, "526"),
        (2040.0, "2,040"),
        (2040.26, "2,040.3"),
        (125.61712, "125.6171"),
    ],
)
def test_numbers(number_: float, expected: str) -> None:
    assert number(number_) == expected
    assert shown(value("x", number_)) == expected


def test_an_estimate_shows_its_interval() -> None:
    assert shown(value("chamfer", 0.5, interval=[0.49, 0.51])) == "0.5000 [0.4900, 0.5100]"
    assert shown(value("remote_clique", 1234.56, interval=[1234.5, 1234.6])) == "1,234.6 [1,234.5, 1,234.6]"
    assert shown(None) == ""


def test_how_a_value_was_made() -> None:
    first = value("coverage", 1, distance="cosine", implementation="dense", details={"radius": 0.41287})
    assert how([first]) == "cosine, dense, radius 0.413"
    assert how([first, {**first, "implementation": "tiles"}]) == "cosine, dense / tiles, radius 0.413"
    assert how([value("vendi_score", 1, distance="cosine", include_self=True)]) == "cosine, counts, self counted"
    assert how([value("leakage_near", 1, details={"threshold": 0.95})]) == "counts, threshold 0.95"

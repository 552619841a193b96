"""The measures' page: what it says, what it never does, and that no JSON breaks it."""

from __future__ import annotations

import copy
import json
import math
import random
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.rows import TOTALS
from variegate.errors import StoreError
from variegate.report.measures import measures_context, read_measures, write_measures_report
from variegate.report.page import render_template
from variegate.report.render import render, write_report
from variegate.store.run_folder import RunFolder

ReadPage = Callable[[str], Any]
EVIL = '</title><script>alert(1)</script><img src=x onerror="alert(1)"> {{ 7 * 7 }} \x1b[31m \u202e \ud800 & \'"'


def page_of(measurement: Any) -> str:
    return render_template("measures_page.html.j2", {"measures": measures_context(measurement), "measures_note": None})


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to every node below `data`."""
    inside = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [place for key, each in inside for place in [(*path, key), *places(each, (*path, key))]]


def test_it_says_what_was_measured(measurement: dict[str, Any], read_page: ReadPage) -> None:
    text = read_page(page_of(measurement)).text
    for said in (
        "runs/feelings", "1,200 records with 3 labels , 1,190 of them distinct", "feelings/train.jsonl", "Remote-Clique", "0.9393", "0.8817",
        "n = 300 of 1,200", "closed form, exact", "self left out", "95 %: 0.773968 to 0.774012", "inverted index, estimated",
        "compare it at equal n", "call this number a similarity; it is a distance", "250 of 700", "one record in the set: too few",
        "3 of 1,200 records of the set and 2 of 300 records of the reference", "keeps 8.4 % (across) and 3.2 % (up)",
        "loses most of the distances", "such a fine day", "what a fine day", "0.9346", "equal when folded", "another label",
        "46.2 %", "radius 0.07", "q = ∞", "109.6", "Self-repetition", "3,282", "median 8, 90 % within 4 to 16",
        "10 of 1,200 records of the set equal an earlier one", "17 texts are longer", "3 (no text)", "384 dimensions", "at most 256 tokens",
        "17 cut there", "bfloat16: largest error 8.6e-05", "embed 12.5 s", "num words 11,213",
    ):  # fmt: skip
        assert said.replace(" , ", ", ") in text.replace(" , ", ", ").replace(" :", ":"), said


def test_one_set_alone(measurement: dict[str, Any], read_page: ReadPage) -> None:
    measurement |= {"reference": None, "nearest_pairs": [], "warnings": [], "duplicates": []}
    measurement["pooled"] |= {"reference": [], "pair": []}
    measurement["labels"] = {"joy": {"set": measurement["labels"]["joy"]["set"]}}
    measurement["map"]["reference"] = None
    page = read_page(page_of(measurement))
    assert "There is no reference" in page.text
    assert "Before comparing" not in page.text
    assert "Nearest pairs" not in page.text
    assert "Coverage" not in page.text
    assert ("class", "gauge reference") not in page.attributes


def test_what_a_model_wrote_is_shown_and_never_obeyed(measurement: dict[str, Any], read_page: ReadPage) -> None:
    def poison(data: Any) -> Any:
        if isinstance(data, dict):
            return {
                **{key: poison(value) for key, value in data.items()},
                **({EVIL: poison(data["joy"])} if "joy" in data else {}),
                **({EVIL: 1} if "q" in data else {}),
            }
        return [poison(each) for each in data] if isinstance(data, list) else EVIL if isinstance(data, str) else data

    evil = poison(measurement)
    for side in evil["pooled"]:  # keep the metrics' own names as well, so that every section is there
        evil["pooled"][side] += [{**poison(each), "metric": each["metric"]} for each in measurement["pooled"][side]]
    html = page_of(evil)
    page = read_page(html)
    assert not {"script", "img", "iframe", "object"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert not {"\x1b", "\u202e", "\ud800"} & set(html)


def test_it_needs_nothing_from_elsewhere(measurement: dict[str, Any], read_page: ReadPage) -> None:
    html = page_of(measurement)
    page = read_page(html)
    links = [value for name, value in page.attributes if name in ("src", "href", "xlink:href", "action", "data", "srcset")]
    ids = {value for name, value in page.attributes if name == "id"}
    assert all(link == "data:," or link.removeprefix("#") in ids for link in links)
    assert not re.search(r"url\(|@import|javascript:", html)
    assert "default-src 'none'" in html


def test_colour_is_never_the_only_sign(measurement: dict[str, Any], read_page: ReadPage) -> None:
    """Bars of the reference are hatched, its dots are rings; bars have their values beside them, dots and bars have titles."""
    html = page_of(measurement)
    assert re.search(r"\.gauge\.reference \{[^}]*repeating-linear-gradient", html)
    assert re.search(r"\.reference circle \{ fill: none", html)
    attributes = read_page(html).attributes
    assert {("title", "set"), ("title", "reference"), ("title", "set against reference")} <= set(attributes)
    bars = [(before[1], style) for before, (name, style) in pairwise(attributes) if name == "style" and before[1].startswith("gauge ")]
    assert bars[:2] == [("gauge set", "--share: 1.0000"), ("gauge reference", "--share: 0.7500")]  # joy's Remote-Clique: 0.8 and 0.6


@pytest.mark.slow
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    seed=st.integers(0, 2**32), junk=st.sampled_from([None, 3, -1, 1.5, 1e300, math.nan, 10**400, True, "", "x", [], {}, [[]], {"a": {}}])
)
def test_no_part_of_another_type_breaks_it(measurement: dict[str, Any], read_page: ReadPage, seed: int, junk: Any) -> None:
    damaged = copy.deepcopy(measurement)
    for place in random.Random(seed).sample(places(damaged), 3):
        node = damaged
        try:
            for key in place[:-1]:
                node = node[key]
            node[place[-1]] = junk
        except (TypeError, KeyError, IndexError):
            continue  # an earlier one took this place away
    read_page(page_of(damaged))


def test_missing_parts_leave_gaps(measurement: dict[str, Any], read_page: ReadPage) -> None:
    for name in measurement:
        read_page(page_of({key: value for key, value in measurement.items() if key != name}))
        read_page(page_of({**measurement, name: None}))
    assert "Not measured." in read_page(page_of({})).text


def test_long_texts_are_cut_and_it_says_so(measurement: dict[str, Any], read_page: ReadPage) -> None:
    measurement["nearest_pairs"][0]["text"] = "word " * 2000
    html = page_of(measurement)
    assert "cut here" in html
    assert html.count("word ") < 200


def test_many_labels_and_dots_stay_small(measurement: dict[str, Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f"an_intent_with_a_long_name_{index}" for index in range(77)]
    dots = {side: rng.standard_normal((2000, 2)).round(5) for side in ("set", "reference")}
    measurement |= {
        "labels": dict.fromkeys(names, measurement["labels"]["joy"]),
        "nearest_pairs": [{**measurement["nearest_pairs"][0], "text": f"{index} " + "long text " * 50} for index in range(30)],
        "map": {
            "method": "tsne", "explained": None, "labels": names, "shown": {"set": 2000, "reference": 2000},
            **{side: {"x": xy[:, 0].tolist(), "y": xy[:, 1].tolist(), "label": rng.integers(0, 77, 2000).tolist()} for side, xy in dots.items()},
        },
    }  # fmt: skip
    path = write_measures_report(measurement, tmp_path / "measures.html")
    assert path.read_text(encoding="utf-8").count("<circle") == 4000
    assert path.stat().st_size < 1_500_000


def test_what_the_pipeline_measures_is_shown(tmp_path: Path, read_page: ReadPage) -> None:
    """Real measurements in, so that the page and the pipeline cannot drift apart."""
    from variegate.pipeline.measure import MeasureSettings, measure
    from variegate.store.texts import TextSet

    rng = np.random.default_rng(3)

    def texts(name: str, n: int) -> TextSet:
        words = tuple(f"a {('red', 'green')[index % 2]} bird sings number {index % 9}" for index in range(n))
        labels = tuple(("red", "green")[index % 2] for index in range(n))
        return TextSet(name, words, labels, tuple(f"line {index}" for index in range(n)), rng.standard_normal((n, 8)).astype(np.float32))

    measurement = measure(texts("made", 40), texts("real", 30), MeasureSettings(distance="euclidean", k=3))
    page = read_page(write_measures_report(measurement, tmp_path / "page.html").read_text(encoding="utf-8"))
    for value in measurement["pooled"]["set"][:2]:
        assert f"{value['value']:.4f}" in page.text
    for said in (
        "Top-3 similarity",
        "euclidean distance",
        "n = 30 of 40",
        "given vectors",
        "Vendi score",
        "Coverage",
        "Words a text",
        "15 of 20",
    ):
        assert said in page.text, said
    assert "Other measures" not in page.text  # every one has its place


def test_disk_full_keeps_the_old_page(tiny_disk: Path, fill_disk: Callable[[], None], measurement: dict[str, Any]) -> None:
    path = write_measures_report(measurement, tiny_disk / "page.html")
    before = path.read_bytes()
    fill_disk()
    with pytest.raises(StoreError, match="disk is full"):
        write_measures_report(measurement, path)
    assert path.read_bytes() == before


# -- in a run's report -----------------------------------------------------------------------------------------


def test_a_run_that_was_measured_shows_it(run_folder: RunFolder, measurement: dict[str, Any], read_page: ReadPage) -> None:
    assert 'href="#measures"' not in render(run_folder)
    measurement["set"]["n"] = 24
    (run_folder.path / "measures.json").write_text(json.dumps(measurement))
    page = read_page(write_report(run_folder).read_text(encoding="utf-8"))
    assert ("href", "#measures") in page.attributes
    assert "0.9393" in page.text
    assert "measure it again" not in page.text
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_measures_of_other_texts_are_marked(run_folder: RunFolder, measurement: dict[str, Any], read_page: ReadPage) -> None:
    (run_folder.path / "measures.json").write_text(json.dumps(measurement))
    assert "the measures of 1,200 records, but the run has kept 24: measure it again" in read_page(render(run_folder)).text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"pooled": {"set": [', "measures.json is damaged"),
        (b"\xff\xfe", "measures.json is damaged"),
        (b"[" * 5000, "measures.json is damaged"),
        (b"", "measures.json is damaged"),
        (b"[1, 2]", "measures.json holds no measurement"),
        (b"null", "measures.json holds no measurement"),
        (b'{"pooled": {"set": [{"metric": "chamfer", "value": null}]}}', "measures.json holds no measurement"),
    ],
)
def test_a_damaged_or_foreign_file_leaves_a_note(run_folder: RunFolder, read_page: ReadPage, content: bytes, said: str) -> None:
    (run_folder.path / "measures.json").write_bytes(content)
    text = read_page(render(run_folder)).text
    assert said in text
    assert "variegate measure" in text
    assert TOTALS in text


def test_a_folder_in_its_place_leaves_a_note(run_folder: RunFolder, read_page: ReadPage) -> None:
    (run_folder.path / "measures.json").mkdir()
    assert "measures.json cannot be read" in read_page(render(run_folder)).text
    assert read_measures(run_folder.path / "nothing.json") == (None, None)

"""The study's page: what it says by hand, that costs add up, and that no JSON breaks it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from variegate.errors import StoreError
from variegate.report import write_study_report
from variegate.report.page import render_template
from variegate.report.study import study_context

ReadPage = Callable[[str], Any]
Makers = dict[str, Callable[..., dict[str, Any]]]
EVIL = '</title><script>alert(1)</script><img src=x onerror="alert(1)"> {{ 7 * 7 }} \x1b[31m \u202e \ud800 & \'"'
JUNK = [None, 3, -1, 1.5, 1e300, 10**400, True, "", "x", [], {}, [[]], {"a": {}}]


def page_of(study: dict[str, Any]) -> str:
    return render_template("study_page.html.j2", {"study": study_context(study)})


def test_it_says_what_came_out(study: dict[str, Any], read_page: ReadPage) -> None:
    page = read_page(page_of(study))
    mean = study["summary"][0]["measures"]["student_accuracy"]
    for said in (
        "heat-and-repair", "24 cells, 3 replicates", "cell 004 has 12 texts fewer", "The oracle (5,452)", "91.4 % accuracy (95 %: 88.6 to 93.5 %)",
        "The oracle (5,452)", "The same student, trained on all real texts (5,452)", "The same student, trained on as many real texts (600)", "The same student, trained on the real examples alone (18)", "The majority class", "For comparison with the similarities below: 600 real texts against 4,852 other real texts: top-5 similarity 0.612, coverage 47.0 %.", f"{100 * mean['mean']:.1f} %",
        f"{100 * mean['low']:.1f} to {100 * mean['high']:.1f} %", "Top-5 similarity", "temperature, by the other options",
        "Student accuracy on Label accuracy, Remote-Clique, Top-5 similarity", "+0.62", "+0.43 to +0.81", "< 0.001", "fewer than 10 for each",
        "variegate generate studies/heat-and-repair/best/run.yaml", "The highest mean accuracy within 40,000 generated tokens",
        "24 cells rest on 12 runs",
    ):  # fmt: skip
        assert said in page.text, said


def test_it_needs_nothing_from_elsewhere_and_its_links_lead_somewhere(study: dict[str, Any], read_page: ReadPage) -> None:
    html = page_of(study)
    page = read_page(html)
    links = [value for name, value in page.attributes if name in ("src", "href", "xlink:href", "action", "data", "srcset")]
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert all(link == "data:," or link.removeprefix("#") in ids for link in links)
    assert not re.search(r"url\(|@import|javascript:", html)
    assert "script" not in page.tags


def test_the_table_by_hand(makers: Makers) -> None:
    study = makers["study"]({"temperature": ["0.7", "1.3"], "suppression": ["off"]})
    study["pareto"] = [1]
    table = study_context(study)["table"]
    assert table["axes"] == ["temperature"]  # what does not vary tells nothing
    assert [column["title"] for column in table["columns"]] == ["Student accuracy", "Label accuracy", "Remote-Clique", "Top-5 similarity"]
    assert [column["title"] for column in table["others"]["columns"]] == ["Distinct-2", "Coverage"]
    assert [(row["number"], row["n"], row["texts"], row["front"]) for row in table["rows"]] == [(1, 3, 600, False), (2, 3, 600, True)]
    assert [row["cells"][1]["best"] for row in table["rows"]] == [True, False]  # heat costs labels


def test_costs_count_a_shared_run_once(study: dict[str, Any]) -> None:
    for cell in study["cells"]:
        if cell["curation"] is not None:
            cell["cost"]["generated_tokens"] += 100  # asked of the model while curating
    costs = study_context(study)["costs"]
    assert (costs["num_cells"], costs["num_runs"]) == (24, 12)
    titles = dict(zip(costs["columns"], costs["totals"], strict=True))
    assert titles == {
        "Prompt tokens": f"{12 * 24_000:,}", "Generated tokens": f"{12 * 12_345 + 12 * 100:,}", "Generating": "4.3 min", "Curating": "54 s",
        "Training": "30 s",
    }  # fmt: skip
    assert [row["num_cells"] for row in costs["rows"]] == [3] * 8
    assert costs["rows"][1]["values"][1] == f"{3 * 12_445:,}"


def test_effects_are_drawn_as_long_as_they_are(study: dict[str, Any]) -> None:
    """In each plot the bars of one scale: low to high is 4 points everywhere, and zero lies where the values say."""
    effects = study_context(study)["effects"]
    plots = [*effects["in_sight"], *effects["folded"]]
    assert [plot["title"] for plot in plots] == [
        "Student accuracy",
        "Label accuracy",
        "Remote-Clique",
        "Top-5 similarity",
        "Distinct-2",
        "Coverage",
    ]
    for plot, measure in zip(
        plots, ("student_accuracy", "label_accuracy", "remote_clique", "top_5", "distinct_2", "coverage"), strict=True
    ):
        root = ET.fromstring(plot["plot"])
        zero = next(float(line.attrib["x1"]) for line in root.iter("line") if line.attrib["class"] == "whisk-zero")
        bars = [(float(e.attrib["x1"]), float(e.attrib["x2"])) for e in root.iter("line") if e.attrib["class"] == "whisk-bar"]
        own = [each for each in study["effects"] if each["measure"] == measure]
        assert len(bars) == len(own) == 3
        scale = (bars[0][1] - bars[0][0]) / 0.04
        for (low, high), each in zip(bars, own, strict=True):
            assert low == pytest.approx(zero + scale * each["low"], abs=0.05)
            assert high == pytest.approx(zero + scale * each["high"], abs=0.05)


def test_changes_by_the_other_options_stand_in_the_order_of_diversity(study: dict[str, Any]) -> None:
    study["conditional_effects"].reverse()
    plots = {each["axis"]: each["plot"] for each in study_context(study)["effects"]["by_others"]}
    said = re.findall(r"\((0\.\d{3})\)</text>", plots["curation"])
    assert len(said) == 4
    assert said == sorted(said)
    expected = sorted(f"{each['measures']['remote_clique']['mean']:.3f}" for each in study["summary"] if each["axes"]["curation"] == "none")
    assert said == expected


def test_the_front_is_as_told_and_its_points_are_filled(study: dict[str, Any]) -> None:
    study["pareto"] = [0, 7]
    context = study_context(study)["trade_off"]
    filled = [each for each in ET.fromstring(context["plot"]).iter("path") if "trade-on" in each.attrib["class"]]
    assert sorted((each[0].text or "").split(":")[0] for each in filled) == ["1", "8"]
    assert [each["number"] for each in context["front"]] == [1, 8]
    assert context["axis"] == "curation"


def test_no_interval_of_a_share_is_drawn_beyond_100_percent(study: dict[str, Any]) -> None:
    for group in study["summary"]:
        group["measures"]["student_accuracy"] |= {"mean": 0.97, "low": 0.9, "high": 1.0}
    plot = study_context(study)["trade_off"]["plot"]
    ticks = [float(each[:-2]) for each in re.findall(r">([\d.]+ %)</text>", plot)]
    assert max(ticks) == 100


def test_failed_cells_are_red_and_named(study: dict[str, Any], read_page: ReadPage) -> None:
    study["cells"][3] |= {"status": "failed", "error": "all 12 texts have one label", "student": None, "diversity": {}, "cost": {}}
    html = page_of(study)
    assert 'class="banner red"' in html
    text = read_page(html).text
    assert "1 of 24 cells failed." in text
    assert "003 : all 12 texts have one label" in text


def test_one_replicate_has_no_intervals(makers: Makers, read_page: ReadPage) -> None:
    study = makers["study"](replicates=1)
    assert all(cell["interval"] == "" for row in study_context(study)["table"]["rows"] for cell in row["cells"])
    assert "trade-whisker" not in study_context(study)["trade_off"]["plot"]
    read_page(page_of(study))


def test_what_stands_in_the_json_is_shown_and_never_obeyed(study: dict[str, Any], read_page: ReadPage) -> None:
    def poison(data: Any) -> Any:
        if isinstance(data, dict):
            return {
                **{key: poison(value) for key, value in data.items()},
                **({EVIL: poison(data["curation"])} if "temperature" in data and "curation" in data else {}),
            }
        return [poison(each) for each in data] if isinstance(data, list) else EVIL if isinstance(data, str) else data

    evil = poison(study)
    evil["effects"] += [{**poison(each), "measure": each["measure"]} for each in study["effects"]]
    evil["summary"][0]["measures"][EVIL] = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 3}
    html = page_of(evil)
    page = read_page(html)
    assert not {"script", "img", "iframe", "object"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert not {"\x1b", "\u202e", "\ud800"} & set(html)


@pytest.mark.slow
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(seed=st.integers(0, 2**32), junk=st.sampled_from(JUNK))
def test_no_part_of_another_type_breaks_it(study: dict[str, Any], damage: Any, read_page: ReadPage, seed: int, junk: Any) -> None:
    read_page(page_of(damage(study, seed, junk, 6)))


def test_missing_parts_leave_gaps(study: dict[str, Any], read_page: ReadPage) -> None:
    for name in study:
        read_page(page_of({key: value for key, value in study.items() if key != name}))
        read_page(page_of({name: study[name]}))
    assert "0 cells" in read_page(page_of({})).text


def test_many_cells_stay_readable(makers: Makers, tmp_path: Path, read_page: ReadPage) -> None:
    axes = {
        "temperature": ["0.3", "0.7", "1", "1.3"],
        "suppression": ["off", "run", "label"],
        "seeding": ["0", "18"],
        "curation": ["none", "a", "b", "c"],
    }
    path = write_study_report(makers["study"](axes), tmp_path / "study.html")
    page = read_page(path.read_text(encoding="utf-8"))
    assert "Of so many, only those on the front" in page.text
    assert path.stat().st_size < 600_000


def test_it_is_the_same_each_time(study: dict[str, Any], tmp_path: Path) -> None:
    first, second = (write_study_report(study, tmp_path / name).read_bytes() for name in ("a.html", "b.html"))
    assert first == second


def test_disk_full_keeps_the_old_page(tiny_disk: Path, fill_disk: Callable[[], None], study: dict[str, Any]) -> None:
    path = write_study_report(study, tiny_disk / "page.html")
    before = path.read_bytes()
    fill_disk()
    with pytest.raises(StoreError, match="disk is full"):
        write_study_report(study, path)
    assert path.read_bytes() == before


def test_what_compare_computes_is_shown(study: dict[str, Any], read_page: ReadPage) -> None:
    """Real summaries, effects, front and regression of the cells by hand, so that the page and the pipeline cannot drift apart."""
    from variegate.pipeline.comparison.summary import conditional_effects_of, effects_of, front_of, regression_of, summarise_cells

    cells, axes = study["cells"], study["axes"]
    for cell in cells:
        cell["similarity"]["cross_distance"] = 0.9 - cell["diversity"]["remote_clique"] / 10 + cell["seed"] / 100
    summary = summarise_cells(cells)
    real = {
        **study, "summary": summary, "effects": effects_of(axes, cells), "conditional_effects": conditional_effects_of(axes, cells),
        "pareto": front_of(summary), "regression": regression_of(cells, "top_5")[0], "regression_cross": regression_of(cells, "cross_similarity")[0],
    }  # fmt: skip
    context = study_context(real)
    for place, row in enumerate(context["table"]["rows"]):
        assert row["n"] == 3
        assert row["texts"] == 600
        assert row["cells"][0]["value"] == f"{100 * summary[place]['measures']['student_accuracy']['mean']:.1f} %"
        assert row["cells"][0]["interval"].startswith(f"{100 * summary[place]['measures']['student_accuracy']['low']:.1f} to ")
    assert {row["number"] - 1 for row in context["table"]["rows"] if row["front"]} == set(real["pareto"])
    curation = next(each for each in real["effects"] if each["axis"] == "curation" and each["measure"] == "student_accuracy")
    shown = next(each for each in context["effects"]["table"] if each["axis"] == "curation" and each["measure"] == "student_accuracy")
    assert shown["written"] == f"{100 * curation['difference']:+.1f} points".replace("-", "−")
    assert shown["n"] == 12
    assert [each["terms"][-1] for each in context["regressions"]] == ["Top-5 similarity", "Cross-set similarity"]
    assert len(context["effects"]["by_others"]) == 3
    read_page(page_of(real))


def test_the_plot_takes_the_studys_diversity_measure(study: dict[str, Any]) -> None:
    study["diversity_measure"] = "chamfer"
    for group in study["summary"]:
        group["measures"]["chamfer"] = {"mean": 0.25, "sd": None, "low": None, "high": None, "n": 1}
    found = study_context(study)["trade_off"]
    assert "Chamfer" in found["plot"]
    assert "Chamfer distance of the training texts" in found["plot"] or "Chamfer of the training texts" in found["plot"]
    study["diversity_measure"] = ["?"]
    assert "Remote-Clique of the training texts" in study_context(study)["trade_off"]["plot"]

"""The report as HTML: what it says, and that nothing in it is obeyed instead of shown."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.rows import TOTALS
from variegate.errors import StoreError
from variegate.report.render import render, write_report
from variegate.store.rows import Row
from variegate.store.run_folder import RunFolder

Make = Callable[..., Row]
Build = Callable[..., RunFolder]
ReadPage = Callable[[str], Any]


def test_it_says_what_the_run_did(run_folder: RunFolder, read_page: ReadPage) -> None:
    text = read_page(render(run_folder)).text
    for said in (
        "feelings", "3 labels of the text type emotional tweet , written by nano-llama", TOTALS,
        "temperature 0.7", "logit suppression over the whole run", "few-shot", "CPU (2 cores)", "vllm 0.32.0", "4,322", "tokens/s",
        "prompt_too_long".replace("_", " "), "raise decoding.max_tokens", "I am so full of joy today, number 0", "i am so",
        "␣so", "-7.50", "a" * 64, "torch 2.13.0", "longest",
    ):  # fmt: skip
        assert said in text, said


def test_every_reason_is_explained_with_a_text(run_folder: RunFolder, read_page: ReadPage) -> None:
    from variegate.store.ledger import REASONS

    text = read_page(render(run_folder)).text
    assert all(" ".join(meaning.split()) in text for meaning in REASONS.values())


def test_what_a_model_wrote_is_shown_and_never_obeyed(tmp_path: Path, build_run: Build, row: Make, read_page: ReadPage) -> None:
    evil = '</title><script>alert(1)</script><img src=x onerror="alert(1)"> {{ 7 * 7 }} \x1b[31m \u202e & \'"'
    labels = ['"><img src=x onerror=alert(1)>', "<b>bold</b>"]
    folder = build_run(tmp_path / "run", [[row(label, slot, text=evil) for label in labels for slot in range(3)]], labels=labels)
    page = read_page(render(folder))
    assert not {"script", "img", "iframe", "object"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "\x1b" not in page.text
    assert "\u202e" not in page.text
    assert '"><img src=x onerror=alert(1)>' in page.text


def test_it_needs_nothing_from_elsewhere(run_folder: RunFolder, read_page: ReadPage) -> None:
    html = render(run_folder)
    links = [value for name, value in read_page(html).attributes if name in ("src", "href", "xlink:href", "action", "data", "srcset")]
    assert links
    assert all(link.startswith(("#", "data:,")) for link in links)
    assert not re.search(r"url\(|@import|javascript:", html)
    assert "default-src 'none'" in html


def test_a_shortfall_is_red_and_named(tmp_path: Path, build_run: Build, row: Make, read_page: ReadPage) -> None:
    folder = build_run(tmp_path / "run", [[row()]], shortfall={"anger": 10, "joy": 9, "fear": 10})
    html = render(folder)
    assert 'class="banner red"' in html
    assert "29 texts fewer than the target of 10 a label. Lacking: anger (10), fear (10), joy (9)." in read_page(html).text


def test_a_complete_run_has_no_banner(tmp_path: Path, build_run: Build, row: Make) -> None:
    folder = build_run(tmp_path / "run", [[row(label, slot) for label in ("joy", "anger", "fear") for slot in range(2)]], per_label=2)
    assert 'class="banner' not in render(folder)


def test_an_unfinished_run_says_so_and_shows_its_rounds(unfinished_run_folder: RunFolder, read_page: ReadPage) -> None:
    text = read_page(render(unfinished_run_folder)).text
    assert "This run has not ended. The report shows the 2 rounds" in text
    assert TOTALS in text
    assert "The table is written when the run ends." in text


def test_a_run_without_a_round(tmp_path: Path, build_run: Build, read_page: ReadPage) -> None:
    assert "No round is finished yet." in read_page(render(build_run(tmp_path / "run", [], finished=False))).text


def test_nothing_kept_at_all(tmp_path: Path, build_run: Build, row: Make, read_page: ReadPage) -> None:
    text = read_page(render(build_run(tmp_path / "run", [[row(outcome="empty")]]))).text
    assert "1 requested = 0 kept + 1 dropped" in text
    assert "No text was kept." in text


def test_a_manifest_with_gaps_only_leaves_gaps(run_folder: RunFolder, read_page: ReadPage) -> None:
    path = run_folder.path / "manifest.json"
    whole = json.loads(path.read_text())
    for name in [*whole, None]:
        path.write_text(json.dumps({key: value for key, value in whole.items() if name is not None and key != name}))
        read_page(render(run_folder))
    path.write_text(json.dumps({**whole, "engine": None, "suppression": None, "tokens_per_second": None, "records_per_second": None}))
    read_page(render(run_folder))


def test_a_round_that_was_only_reused_says_nothing_of_speed(run_folder: RunFolder, read_page: ReadPage) -> None:
    entry = run_folder.shelf.get("rounds/000000")
    assert entry is not None
    run_folder.shelf.put(entry.name, entry.key, entry.rows(), {**entry.facts, "num_generated_tokens": 0, "seconds": 0.001, "reused": 23})
    text = read_page(render(run_folder)).text
    assert "23 rows were reused" in text


def test_suppression_by_label_shows_every_group(run_folder: RunFolder, read_page: ReadPage) -> None:
    path = run_folder.path / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["suppression"] = {label: [{"token": f" {label}\n", "share_percent": 1.0, "bias": -7.5}] for label in ("joy", "anger")}
    path.write_text(json.dumps(manifest))
    text = read_page(render(run_folder)).text
    assert "␣joy⏎" in text
    assert "␣anger⏎" in text


def test_150_labels_stay_small(tmp_path: Path, build_run: Build, row: Make) -> None:
    labels = [f"intent_{index:03d}" for index in range(150)]
    rows = [row(label, slot, text=f"{label} {slot} " + "long text " * 200) for label in labels for slot in range(8)]
    path = write_report(build_run(tmp_path / "run", [rows], labels=labels))
    assert path.stat().st_size < 3_000_000


def test_it_is_the_same_each_time(run_folder: RunFolder) -> None:
    assert render(run_folder) == render(run_folder)


def test_disk_full_keeps_the_old_report(tiny_disk: Path, fill_disk: Callable[[], None], build_run: Build, row: Make) -> None:
    folder = build_run(tiny_disk / "run", [[row()]], finished=False)
    before = write_report(folder).read_bytes()
    fill_disk()
    with pytest.raises(StoreError, match="disk is full"):
        write_report(folder)
    assert (folder.path / "report.html").read_bytes() == before

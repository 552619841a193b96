"""`variegate inspect` with lines for keys: what is shown, stored, counted and refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from variegate.cli.main import main
from variegate.config.student import LinearStudentConfig
from variegate.pipeline.inspection.draw import margins
from variegate.store.inspected import INSPECTED, open_inspected, read_inspected
from variegate.store.kind import kind_of_run
from variegate.store.rows import Row
from variegate.store.run_folder import RunFolder
from variegate.store.verdicts import CurationFolder, input_digest

Make = Callable[..., Row]
Build = Callable[..., RunFolder]


def inspect(folder: RunFolder, *arguments: object, keys: str = "") -> Result:
    return CliRunner().invoke(main, ["inspect", str(folder.path), *map(str, arguments)], input=keys)


def shown(result: Result) -> list[str]:
    """The texts, in the order in which they were shown."""
    lines = result.stdout.splitlines()
    return [lines[place + 1].strip() for place, line in enumerate(lines) if " of " in line and line[:1].isdigit()]


def stored(folder: RunFolder) -> list[tuple[str, object]]:
    """(text, label) or (text, "undone"), as the file has them."""
    texts = {record.id: record.fields["text"] for record in folder.records()}
    rows = [json.loads(line) for line in (folder.path / INSPECTED).read_text().splitlines()]
    return [(texts[row["id"]], "undone" if "undone" in row else row["label"]) for row in rows]


def test_a_session_by_lines(run_folder: RunFolder) -> None:
    result = inspect(run_folder, "-n", 5, keys="\nfear\no\nu\n3\ns\nJOY\n")
    assert result.exit_code == 0, result.output
    texts = shown(result)
    assert [texts.index(text) for text in texts] == [0, 1, 2, 3, 2, 3, 6]  # the third came again after the undo
    given = {record.fields["text"]: record.label for record in run_folder.records()}
    assert stored(run_folder) == [
        (texts[0], given[texts[0]]), (texts[1], "fear"), (texts[2], None), (texts[2], "undone"), (texts[2], "joy"), (texts[6], "joy"),
    ]  # fmt: skip
    agree = 1 + (given[texts[1]] == "fear") + (given[texts[2]] == "joy") + (given[texts[6]] == "joy")
    assert "This session: 4 judged, 1 skipped." in result.stdout
    assert f"In all: 4 of 24 records judged: {agree} as generated, {4 - agree} changed, 0 out of scope." in result.stdout
    assert result.stderr == f"Next: variegate curate {run_folder.path} label_replacement\n"


def test_it_goes_on_where_it_was_left(run_folder: RunFolder) -> None:
    whole = shown(inspect(run_folder, "-n", 6, keys="\n" * 6))
    (run_folder.path / INSPECTED).unlink()
    first, second, third = (inspect(run_folder, "-n", 6, keys=keys) for keys in ("\n\n", "s\n\nq\n", "\n" * 9))
    assert shown(first) == whole[:3]
    assert shown(second) == [whole[2], whole[3], whole[4]]
    assert shown(third) == [whole[2], whole[4], whole[5]]  # what was skipped comes again
    assert "2 of 6" not in second.stdout
    assert "In all: 6 of 24" in third.stdout
    over = inspect(run_folder, "-n", 6)
    assert over.exit_code == 2
    assert "all 6 items of this draw are judged already: draw more with --number, others with another --seed" in over.stderr
    assert shown(inspect(run_folder, "-n", 7))[0] not in whole  # a larger draw begins with the smaller
    assert shown(inspect(run_folder, "-n", 6, "--seed", 1)) != []


def test_again_shows_what_was_said_before(run_folder: RunFolder) -> None:
    texts = shown(inspect(run_folder, "-n", 3, keys="fear\no\n"))
    result = inspect(run_folder, "-n", 3, "--again", keys="joy\nanger\nu\n")
    assert shown(result) == [*texts, texts[1]]
    assert "judged before: fear" in result.stdout
    assert "judged before: out of scope" in result.stdout
    assert {each.label for each in read_inspected(run_folder).values()} == {"joy", None}


def test_undo_reaches_into_earlier_sessions_and_draws(run_folder: RunFolder) -> None:
    first = shown(inspect(run_folder, "-n", 1, keys="fear\n"))
    result = inspect(run_folder, "-n", 3, "--seed", 5, keys="u\njoy\nu\nu\nq\n")
    assert stored(run_folder) == [(first[0], "fear"), (first[0], "undone"), (first[0], "joy"), (first[0], "undone")]
    assert result.stdout.count("of an earlier draw") == 2
    assert "nothing was judged yet, so there is nothing to undo" in result.stdout
    assert "This session: 0 judged, 0 skipped, 1 of earlier sessions taken back." in result.stdout
    assert result.stderr == ""  # nothing is judged, so there is no next step


def test_help_and_keys_on_the_screen(run_folder: RunFolder) -> None:
    result = inspect(run_folder, keys="?\n/?\n")
    assert result.stdout.count("  3  joy: The writer feels joy.") == 2
    assert "1 anger   2 fear   3 joy" in result.stdout
    assert "Enter it is right   u undo   s skip   o out of scope   ? help   q quit" in result.stdout
    assert "generated for" in result.stdout


def test_many_labels_by_name_or_title(tmp_path: Path, build_run: Build, row: Make) -> None:
    labels = [f"{first}_{second}" for first in ("card", "cash", "top_up", "transfer") for second in "abcdefghij"]
    folder = build_run(tmp_path / "run", [[row(label) for label in labels]], labels=labels)
    result = inspect(folder, keys="top_up_c\nTransfer D\n/s\n/u\n/o\n")
    assert result.exit_code == 0, result.output
    assert [label for _, label in stored(folder)] == ["top_up_c", "transfer_d", None]
    assert "type a label   Enter it is right   /u undo   /s skip   /o out of scope   /? help   /q quit" in result.stdout
    result = inspect(folder, keys="top up\n")
    assert result.exit_code == 2
    assert "standard input:1: 'top up' is no label of the task; did you mean 'top up " in result.stderr


def test_a_wrong_line_is_named_and_what_was_before_it_is_kept(run_folder: RunFolder) -> None:
    result = inspect(run_folder, keys="\nangr\n\n")
    assert result.exit_code == 2
    assert "standard input:2: 'angr' is no label of the task; did you mean 'anger'?" in result.stderr
    assert len(stored(run_folder)) == 1


def test_labels_and_turns(run_folder: RunFolder) -> None:
    assert all("anger" in text for text in shown(inspect(run_folder, "-l", "anger", keys="\n" * 30)))
    (run_folder.path / INSPECTED).unlink()
    texts = shown(inspect(run_folder, "--choose", "label", "-n", 6, keys="\n" * 6))
    assert [text.split()[5] for text in texts] == ["anger", "fear", "joy"] * 2
    (run_folder.path / INSPECTED).unlink()
    both = shown(inspect(run_folder, "-l", "anger", "-l", "joy", keys="\n" * 30))
    assert len(both) == 16
    assert not any("fear" in text for text in both)


def test_nothing_a_text_or_a_label_holds_acts(tmp_path: Path, build_run: Build, row: Make) -> None:
    label = "[red]a[/red]\x1b[2J"
    text = "[bold]x[/bold] :smile: \x1b[31m\x9b2J\x07\r\x08\x7f\u202e end"
    folder = build_run(tmp_path / "run", [[row(label, text=text)]], labels=[label, "b"])
    result = inspect(folder, keys="?\n1\nq\n")
    assert "[bold]x[/bold] :smile: ␛[31m�2J␇␍␈␡� end" in result.stdout
    assert "generated for [red]a[/red]␛[2J" in result.stdout
    assert not {char for char in result.stdout if ord(char) < 32 or 127 <= ord(char) < 160} - {"\n"}
    wrong = inspect(folder, "--again", keys="\x1b[2J\n")
    assert "'␛[2J' is no label" in wrong.stderr


# -- uncertain -------------------------------------------------------------------------------------------------


def curate(folder: RunFolder, confidence: dict[str, float | None]) -> None:
    """A curation that keeps these records, as `variegate curate` stores one."""
    records = {record.id: record for record in folder.records()}
    curation = CurationFolder(folder, "first")
    rows = [
        {**records[id].to_json(), "given_label": records[id].label, "confidence": value, "reasons": []} for id, value in confidence.items()
    ]
    digest = input_digest((record.id, record.fields["text"], record.label) for record in records.values())
    curation.write_results(rows, {"stages": [{"input": {"sha256": digest}}]})


def test_where_a_curation_is_least_confident(run_folder: RunFolder) -> None:
    records = list(run_folder.records())
    confidence: dict[str, float | None] = {record.id: 1 - place / 100 for place, record in enumerate(records[:10])}
    confidence[records[9].id] = None
    curate(run_folder, confidence)
    texts = shown(inspect(run_folder, "--choose", "uncertain", "--curation", "first", keys="\n" * 30))
    assert texts == [record.fields["text"] for record in [*records[8::-1], records[9]]]


def test_a_curation_without_confidences(run_folder: RunFolder) -> None:
    curate(run_folder, {record.id: None for record in run_folder.records()})
    result = inspect(run_folder, "--choose", "uncertain", "--curation", "first")
    assert result.exit_code == 2
    assert "--curation first: none of its stages gives confidences" in result.stderr


def test_where_a_classifier_is_least_sure(tmp_path: Path, build_run: Build, row: Make) -> None:
    cats = ["The cat sleeps.", "My cat eats fish.", "A kitten plays.", "Cats purr softly.", "The kitten drinks milk.", "Our cat climbs."]
    cars = [
        "The car is fast.",
        "A truck on the road.",
        "She drives a van.",
        "The engine broke.",
        "New tyres for the car.",
        "He parked the car.",
    ]
    rows = [row("anger", place, text=text) for place, text in enumerate(cats)]
    rows += [row("fear", place, text=text) for place, text in enumerate(cars)]
    folder = build_run(tmp_path / "run", [rows])
    result = inspect(folder, "--choose", "uncertain", "-n", 10, keys="\n" * 10)
    assert result.exit_code == 0, result.output
    found = margins(kind_of_run(folder), list(folder.records()), LinearStudentConfig(kind="logistic_regression"), seed=0)
    texts = {record.id: record.fields["text"] for record in folder.records()}
    assert shown(result) == [texts[id] for id in sorted(found, key=found.__getitem__)][:10]


# -- refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--label", "angr"], "--label 'angr': the task has no such label; did you mean 'anger'? Its labels: anger, fear, joy"),
        (["--curation", "first"], "--curation is about --choose uncertain, and this is --choose random: leave it out"),
        (["--encoder", "x"], "--encoder is about --choose uncertain"),
        (["--choose", "uncertain", "--curation", "nil"], "no curation 'nil'"),
        (["--choose", "uncertain", "--encoder", "no/such/folder"], "no/such/folder"),
        (["--number", "0"], "0 is not in the range"),
        (["--choose", "best"], "'best' is not one of"),
    ],
)
def test_options_that_are_wrong(run_folder: RunFolder, arguments: list[str], words: str) -> None:
    result = inspect(run_folder, *arguments)
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert not (run_folder.path / INSPECTED).exists() or "no/such/folder" in words  # an encoder is looked for late


def test_encoder_beside_a_curation(run_folder: RunFolder) -> None:
    curate(run_folder, {record.id: 0.5 for record in run_folder.records()})
    result = inspect(run_folder, "--choose", "uncertain", "--curation", "first", "--encoder", "x")
    assert result.exit_code == 2
    assert "--encoder is for a classifier" in result.stderr


def test_a_label_without_records(tmp_path: Path, build_run: Build, row: Make) -> None:
    result = inspect(build_run(tmp_path / "run", [[row("joy")]]), "-l", "fear")
    assert result.exit_code == 2
    assert "no record was generated for fear: choose another --label" in result.stderr


def test_no_run_and_no_records(tmp_path: Path, build_run: Build) -> None:
    result = inspect(RunFolder(tmp_path))
    assert result.exit_code == 2
    assert "not a run folder" in result.stderr
    empty = build_run(tmp_path / "run", [], finished=False)
    result = inspect(empty)
    assert result.exit_code == 1
    assert "no kept record to judge" in result.stderr
    assert not (empty.path / INSPECTED).exists()


def test_a_damaged_file(run_folder: RunFolder) -> None:
    (run_folder.path / INSPECTED).write_text('{"id": \n{}\n')
    result = inspect(run_folder)
    assert result.exit_code == 1
    assert f"{INSPECTED}:1: not valid JSON" in result.stderr


def test_a_torn_line_is_told(run_folder: RunFolder) -> None:
    inspect(run_folder, keys="\n\n")
    path = run_folder.path / INSPECTED
    path.write_bytes(path.read_bytes()[:-9])
    result = inspect(run_folder, keys="\n")
    assert "its last line was cut short by a kill, and is left out" in result.stderr
    assert "In all: 2 of 24" in result.stdout
    assert len(stored(run_folder)) == 2


def test_a_second_session_is_refused(run_folder: RunFolder) -> None:
    with open_inspected(run_folder):
        result = inspect(run_folder)
    assert result.exit_code == 1
    assert "is open in another `variegate inspect`" in result.stderr


def test_a_run_that_goes_on_can_be_judged(run_folder: RunFolder) -> None:
    with run_folder.lock():
        assert inspect(run_folder, keys="\n").exit_code == 0


def test_records_are_untouched(run_folder: RunFolder) -> None:
    def content() -> dict[Path, Any]:
        return {path: path.read_bytes() for path in run_folder.path.rglob("*") if path.is_file() and path.name != INSPECTED}

    before = content()
    inspect(run_folder, keys="\nfear\no\nu\n")
    assert content() == before

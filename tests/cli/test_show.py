"""`variegate show`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner, Result

from variegate.cli.main import main
from variegate.store.rows import Row
from variegate.store.run_folder import RunFolder


def show(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["show", *map(str, arguments)])


def slots(output: str) -> list[int]:
    return [json.loads(line)["origin"]["slot"] for line in output.splitlines()]


def test_some_of_every_label(run_folder: RunFolder) -> None:
    result = show(run_folder.path, "-n", 2)
    assert result.exit_code == 0
    assert [line.split("  ")[0] for line in result.stdout.splitlines() if line and not line.startswith(" ")] == ["anger", "fear", "joy"]
    assert result.stdout.count("I am so full of joy today") == 2


def test_texts_are_picked_at_even_distances(run_folder: RunFolder) -> None:
    assert slots(show(run_folder.path, "-l", "joy", "-n", 3, "--json").stdout) == [0, 4, 7]
    assert slots(show(run_folder.path, "-l", "joy", "-n", 1, "--json").stdout) == [0]
    assert slots(show(run_folder.path, "-l", "joy", "-n", 100, "--json").stdout) == list(range(8))


def test_a_seed_picks_at_random_and_repeatably(run_folder: RunFolder) -> None:
    picks = {tuple(slots(show(run_folder.path, "-l", "joy", "-n", 4, "--json", "--seed", seed).stdout)) for seed in (1, 1, 2, 3, 4)}
    assert 2 <= len(picks) <= 4
    assert all(list(pick) == sorted(set(pick)) and len(pick) == 4 for pick in picks)


def test_json_lines_are_records(run_folder: RunFolder) -> None:
    lines = show(run_folder.path, "-n", 100, "--json").stdout.splitlines()
    stored = {json.loads(line)["id"]: json.loads(line) for line in (run_folder.path / "records.jsonl").read_text().splitlines()}
    assert {json.loads(line)["id"]: json.loads(line) for line in lines} == stored


def test_labels_can_be_named(run_folder: RunFolder) -> None:
    result = show(run_folder.path, "--label", "joy", "--label", "fear")
    assert "joy" in result.stdout
    assert "fear" in result.stdout
    assert "anger" not in result.stdout


def test_an_unknown_label(run_folder: RunFolder) -> None:
    result = show(run_folder.path, "--label", "angr")
    assert result.exit_code == 2
    assert "did you mean 'anger'?" in result.stderr
    assert result.stdout == ""


def test_dropped_ones_with_their_reasons(run_folder: RunFolder) -> None:
    result = show(run_folder.path, "--dropped")
    assert result.exit_code == 0
    assert "near_duplicate  1 dropped: word-trigram Jaccard" in result.stdout
    assert "no text: engine_error" in result.stdout
    one = show(run_folder.path, "--dropped", "echo", "--json")
    assert [json.loads(line)["reason"] for line in one.stdout.splitlines()] == ["echo"]


def test_an_unknown_reason(run_folder: RunFolder) -> None:
    result = show(run_folder.path, "--dropped", "ecco")
    assert result.exit_code == 2
    assert "did you mean 'echo'?" in result.stderr


def test_markup_and_escape_sequences_are_shown_not_obeyed(
    tmp_path: Path, build_run: Callable[..., RunFolder], row: Callable[..., Row]
) -> None:
    text = "[bold]not bold[/bold] [link=http://x]y[/link] :smile: \x1b[31mred\x07"
    folder = build_run(tmp_path / "run", [[row("[red]a[/red]", text=text)]], labels=["[red]a[/red]"])
    result = show(folder.path)
    assert "[red]a[/red]  1 kept" in result.stdout
    assert "[bold]not bold[/bold] [link=http://x]y[/link] :smile: ␛[31mred␇" in result.stdout
    assert "\x1b" not in result.stdout


def test_a_long_text_stays_one_line_in_a_pipe(tmp_path: Path, build_run: Callable[..., RunFolder], row: Callable[..., Row]) -> None:
    folder = build_run(tmp_path / "run", [[row(text="word " * 500)]])
    assert max(map(len, show(folder.path).stdout.splitlines())) > 2400


def test_nothing_to_show(tmp_path: Path, build_run: Callable[..., RunFolder]) -> None:
    result = show(build_run(tmp_path / "run", [], finished=False).path)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Nothing to show" in result.stderr


def test_no_run_folder(tmp_path: Path) -> None:
    result = show(tmp_path)
    assert result.exit_code == 2
    assert "not a run folder" in result.stderr


def test_damage_is_an_error_without_traceback(run_folder: RunFolder) -> None:
    (run_folder.path / "rounds" / "000000" / "rows.jsonl").write_text("{")
    result = show(run_folder.path)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "000000/rows.jsonl: is not what entry.json states" in result.stderr

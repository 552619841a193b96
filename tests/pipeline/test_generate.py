"""Whole runs on a scripted backend: they end, their ledger sums, and an interrupted one ends as an uninterrupted one."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import run_script
from tests.support.progress import Heard
from variegate.errors import Interrupted, StoreError, UsageError
from variegate.records import Completion, Fault, Request
from variegate.store.run_folder import RunFolder
from variegate.store.verify import verify

Run = Callable[..., Any]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def results(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "records.jsonl").read_bytes(), (folder / "dropped.jsonl").read_bytes()


def test_a_run_reaches_its_target_and_its_ledger_sums(config_of: Run, run: Run, variant: dict[str, Any], tmp_path: Path) -> None:
    summary, backend = run(config_of(tmp_path / "r", **variant))
    records, dropped = lines(tmp_path / "r" / "records.jsonl"), lines(tmp_path / "r" / "dropped.jsonl")
    assert Counter(record["label"] for record in records) == {"apple": 12, "bread": 12, "cheese": 12}
    assert summary.kept == 36
    assert summary.requested == len(records) + len(dropped) == len(backend.asked)
    assert summary.dropped == Counter(row["reason"] for row in dropped)
    assert len(set(summary.dropped) & {"empty", "unfinished", "engine_error", "duplicate"}) >= 2
    assert summary.shortfall == {}
    assert {row["id"] for row in records + dropped} == {request.key for request in backend.asked}
    assert len({record["text"].casefold() for record in records}) == 36
    assert (summary.report, summary.changes) == (None, [])


@pytest.mark.slow
def test_interrupted_after_any_round_it_ends_as_an_uninterrupted_run(
    config_of: Run, run: Run, variant: dict[str, Any], tmp_path: Path
) -> None:
    """Of an engine whose texts depend on their batch mates: what it is given at once does not depend on when it was stopped."""
    _, whole = run(config_of(tmp_path / "whole", **variant), batch_dependent=True)
    expected = results(tmp_path / "whole")
    for stop in range(1, len(whole.calls) + 1):
        config = config_of(tmp_path / f"{stop}", **variant)
        error, said = ((RuntimeError, RuntimeError), (KeyboardInterrupt, Interrupted))[stop % 2]
        with pytest.raises(said):
            run(config, fail_at=stop, error=error, batch_dependent=True)
        assert not (tmp_path / f"{stop}" / "manifest.json").exists()
        summary, rest = run(config, batch_dependent=True)
        assert results(tmp_path / f"{stop}") == expected
        assert len(rest.calls) == len(whole.calls) - stop + 1  # finished rounds are not made again
        assert (summary.reused, summary.changes) == (0, [])


@pytest.mark.slow
def test_interrupted_at_every_round_in_turn(config_of: Run, run: Run, variant: dict[str, Any], tmp_path: Path) -> None:
    _, whole = run(config_of(tmp_path / "whole", **variant))
    config = config_of(tmp_path / "r", **variant)
    for _ in range(len(whole.calls) - 1):
        with pytest.raises(Interrupted, match="Run the same command again"):
            run(config, fail_at=2)  # one round more, each time
    run(config, fail_at=2)
    assert results(tmp_path / "r") == results(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("variant_name", ["history", "zero_shot"])
def test_killed_at_every_file_operation(tmp_path: Path, variant_name: str) -> None:
    """kill -9 before each file operation of a run; see crash_script.py."""
    found = run_script(Path(__file__).with_name("crash_script.py"), tmp_path, variant_name)
    assert found["killed"] >= 10
    assert found["different"] == []


def test_the_same_seed_gives_the_same_run_and_another_seed_another(config_of: Run, run: Run, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(config_of(tmp_path / name, seed=seed))
    assert results(tmp_path / "a") == results(tmp_path / "b") != results(tmp_path / "c")


def test_a_finished_run_is_not_generated_again(config_of: Run, run: Run, variant: dict[str, Any], tmp_path: Path) -> None:
    config = config_of(tmp_path / "r", **variant)
    first, _ = run(config)
    before = results(tmp_path / "r")
    manifest = json.loads((tmp_path / "r" / "manifest.json").read_bytes())
    again, backend = run(config)
    assert backend.calls == []
    assert results(tmp_path / "r") == before
    assert (again.kept, again.requested, again.dropped) == (first.kept, first.requested, first.dropped)
    assert json.loads((tmp_path / "r" / "manifest.json").read_bytes())["engine"] == manifest["engine"] is not None


def test_prompts_carry_the_chats_own_last_texts(config_of: Run, run: Run, tmp_path: Path) -> None:
    """Worked out from the requests alone: the place in its block is the chat; its last 2 kept texts stand in the prompt."""
    _, backend = run(config_of(tmp_path / "r", strategy={"form": "li", "history": 2, "chats_per_label": 4}))
    kept = {record["id"]: record["text"] for record in lines(tmp_path / "r" / "records.jsonl")}
    first = {}  # (label, block) -> its first slot
    for request in backend.asked:
        first.setdefault((request.target.name, request.block), request.slot)
    of_block: dict[tuple[str, int], dict[int, str]] = {}  # (label, block) -> chat -> id of what it kept
    carried = 0
    for request in backend.asked:
        name, chat = request.target.name, request.slot - first[request.target.name, request.block]
        before = [of_block.get((name, block), {}).get(chat) for block in range(request.block)]
        last = [id for id in before if id][-2:]
        assert list(request.parents) == last
        assert all(f"- {kept[key]}\n" in request.prompt for key in last)
        carried += len(last)
        if request.key in kept:
            of_block.setdefault((name, request.block), {})[chat] = request.key
    assert carried > 20


def test_the_bias_of_a_block_is_worked_out_from_what_came_before_it(config_of: Run, run: Run, tmp_path: Path) -> None:
    """max(-7.5, -7.5 p) by hand from the stored token ids; dropped texts count too. Refills keep the row of their block."""
    suppression = {"group": "label", "top_k": None, "exempt_terminators": False, "min_tokens": 0}
    _, backend = run(config_of(tmp_path / "r", decoding={"suppression": suppression}, rounds={"first": 2}))
    produced: dict[str, Counter[int]] = {}
    expected: dict[tuple[str, int], Any] = {}
    rows = {digest: row for each in backend.rows for digest, row in each.items()}
    under = 0
    for entry in RunFolder(tmp_path / "r").entries():
        for row in entry.rows():
            block, counts = (row["name"], row["origin"]["block"]), produced.get(row["name"], Counter())
            if block not in expected:
                expected[block] = {token: max(-7.5, -7.5 * 100 * count / counts.total()) for token, count in counts.items()}
            if row["origin"]["bias"] is None:
                assert expected[block] == {}
            else:
                made_under = rows[row["origin"]["bias"]]
                assert dict(zip(made_under.token_ids.tolist(), made_under.biases.tolist(), strict=True)) == pytest.approx(
                    expected[block], rel=1e-6
                )
                under += 1
        for row in entry.rows():
            produced.setdefault(row["name"], Counter()).update(row["token_ids"])
    assert under > 20
    assert max(block for _, block in expected) >= 3


def test_every_record_says_what_it_was_really_made_under(config_of: Run, run: Run, tmp_path: Path) -> None:
    decoding = {"suppression": {"group": "label"}}
    summary, _ = run(config_of(tmp_path / "r", decoding=decoding, rounds={"first": 3}), clean=True)
    origins = [record["origin"] for record in lines(tmp_path / "r" / "records.jsonl")]
    assert [(each["suppression"], bool(each["bias"])) for each in origins] == [
        (None, False) if each["slot"] < 3 else ("label", True) for each in origins
    ]
    assert summary.feedback == {"kept": 27, "share": 0.75, "rounds": 3}
    plain, _ = run(config_of(tmp_path / "plain"), clean=True)
    assert plain.feedback == {"kept": 0, "share": 0.0, "rounds": 1}


def test_an_error_of_one_row_does_not_end_the_run_and_is_tried_again(config_of: Run, run: Run, tmp_path: Path) -> None:
    def one_error(request: Request, completion: Completion) -> Completion:
        unlucky = request.target.name == "bread" and request.slot == 0
        return replace(completion, text="", token_ids=(), error=Fault("engine_error", "out of luck")) if unlucky else completion

    config = config_of(tmp_path / "r", 4)
    summary, _ = run(config, edit=one_error, clean=True)
    assert (summary.kept, summary.dropped, summary.shortfall) == (12, {"engine_error": 1}, {})
    # once its round has to be made again, every good row is reused and the failed one asked once more
    summary, backend = run(config_of(tmp_path / "r", 5), clean=True)
    assert ("bread", 0) in [(request.target.name, request.slot) for request in backend.asked]
    assert len(backend.asked) == 3  # slot 4 of apple and cheese; bread had it already
    assert (summary.kept, summary.dropped, summary.reused) == (15, {}, 12)


def test_a_few_prompts_too_long_end_with_a_shortfall(config_of: Run, run: Run, tmp_path: Path) -> None:
    summary, backend = run(config_of(tmp_path / "r", 4, max_attempts=1), max_model_len=100)
    assert summary.shortfall == {"apple": 4, "bread": 4, "cheese": 4}
    assert summary.dropped == {"prompt_too_long": 12}
    assert len(backend.asked) == 12
    assert (tmp_path / "r" / "records.jsonl").read_bytes() == b""
    assert json.loads((tmp_path / "r" / "manifest.json").read_bytes())["complete"] is False


def test_a_shortfall_of_one_label_names_it(config_of: Run, run: Run, tmp_path: Path) -> None:
    def repeat(request: Request, completion: Completion) -> Completion:
        return replace(completion, text="Bread!") if request.target.name == "bread" else completion

    summary, _ = run(config_of(tmp_path / "r", 4, max_attempts=3), edit=repeat, clean=True)
    assert summary.shortfall == {"bread": 3}
    assert summary.dropped == {"duplicate": 11}
    assert (summary.requested, summary.kept) == (8 + 12, 9)


def test_nothing_is_written_outside_the_run_folder(config_of: Run, run: Run, tmp_path: Path) -> None:
    labels = ["../../escaped", "/etc/variegate", "a\x00b", "..", "C:\\x", "<script>"]
    run(config_of(tmp_path / "deep" / "er" / "r", 2, labels=labels, task={"labels": {
        label: {"phrase": f"p{n}", "description": f"d{n}", "title": f"t{n}"} for n, label in enumerate(labels)}}), clean=True)  # fmt: skip
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and "r" not in path.relative_to(tmp_path).parts]
    assert outside == []
    assert not Path("/etc/variegate").exists()
    assert {record["label"] for record in lines(tmp_path / "deep" / "er" / "r" / "records.jsonl")} == set(labels)


def test_another_process_in_the_folder_is_named(config_of: Run, run: Run, tmp_path: Path) -> None:
    import os

    config = config_of(tmp_path / "r")
    with RunFolder(tmp_path / "r").lock(), pytest.raises(StoreError, match=f"process {os.getpid()} is working in this folder"):
        run(config)
    run(config)  # and the lock goes with its holder


def truncate(path: Path, other: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def flip_a_bit(path: Path, other: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def delete(path: Path, other: Path) -> None:
    path.unlink()


def double(path: Path, other: Path) -> None:
    path.write_bytes(path.read_bytes() * 2)


def swap(path: Path, other: Path) -> None:
    here, there = path.read_bytes(), other.read_bytes()
    path.write_bytes(there)
    other.write_bytes(here)


@pytest.mark.slow
@pytest.mark.parametrize("file", ["rows.jsonl", "entry.json"])
@pytest.mark.parametrize("damage", [truncate, flip_a_bit, delete, double, swap])
def test_a_damaged_round_is_noticed_and_made_again(config_of: Run, run: Run, tmp_path: Path, damage: Any, file: str) -> None:
    config = config_of(tmp_path / "r", rounds={"first": 2}, decoding={"suppression": {"group": "label"}})
    run(config)
    before = results(tmp_path / "r")
    first, second = (tmp_path / "r" / "rounds" / f"{number:06d}" / file for number in (1, 2))
    damage(first, second)
    result = verify(RunFolder(tmp_path / "r"))
    assert not result.ok
    assert "000001" in next(check.detail for check in result.checks if check.name == "rounds whole")
    with pytest.raises(StoreError, match="000001"):
        list(RunFolder(tmp_path / "r").records())
    heard = Heard()
    _, backend = run(config, progress=heard)
    assert any("000001" in line and "set aside" in line for line in heard.notes)
    assert 0 < len(backend.asked) < len(lines(tmp_path / "r" / "records.jsonl"))
    assert results(tmp_path / "r") == before
    assert verify(RunFolder(tmp_path / "r")).ok
    assert list((tmp_path / "r" / "set-aside").rglob(file)) or damage is delete  # nothing is thrown away


@pytest.mark.parametrize("how", ["a round doubled under another number", "two rounds swapped", "a round deleted"])
def test_rounds_out_of_place_are_noticed_and_made_again(config_of: Run, run: Run, tmp_path: Path, how: str) -> None:
    config = config_of(tmp_path / "r", rounds={"first": 2}, decoding={"suppression": {"group": "label"}})
    run(config)
    before = results(tmp_path / "r")
    rounds = tmp_path / "r" / "rounds"
    last = sorted(rounds.iterdir())[-1]
    if how.startswith("two"):
        (rounds / "000001").rename(rounds / "x")
        (rounds / "000002").rename(rounds / "000001")
        (rounds / "x").rename(rounds / "000002")
    elif how.startswith("a round doubled"):
        shutil.copytree(rounds / "000001", rounds / f"{int(last.name) + 1:06d}")
    else:
        shutil.rmtree(rounds / "000001")
    assert not verify(RunFolder(tmp_path / "r")).ok
    run(config)
    assert results(tmp_path / "r") == before
    assert verify(RunFolder(tmp_path / "r")).ok


def test_suppression_spares_the_stop_strings_of_the_run(config_of: Run, run: Run, tmp_path: Path) -> None:
    """What ends every text is the most frequent token of all; suppressed, texts would not end. Tokens as `tokenizers` reads them."""
    from tokenizers import Tokenizer

    def biased(name: str, **decoding: Any) -> set[int]:
        config = config_of(tmp_path / name, decoding={"suppression": {"group": "run", "top_k": None}, **decoding})
        _, backend = run(config, clean=True)
        return {int(token) for rows in backend.rows for row in rows.values() for token in row.token_ids}

    vocabulary = Tokenizer.from_file(str(Path(config_of(tmp_path).model.path) / "tokenizer.json"))
    texts = {token: vocabulary.decode([token]) for token in biased("plain")}
    stops = [text for text in texts.values() if text.isascii() and text.isalnum()][:2]
    assert len(stops) == 2
    holding = {token for token, text in texts.items() if any(stop in text for stop in stops)}
    left = biased("stopped", stop=stops)
    assert left
    assert not left & holding


def test_what_a_run_tells_while_it_goes(config_of: Run, run: Run, tmp_path: Path) -> None:
    """All that it asks is answered inside some round, and counted in none before the round is done."""
    config = config_of(tmp_path / "r", rounds={"first": 2})
    heard = Heard()
    summary, backend = run(config, progress=heard)
    assert heard.notes[0] == "starting transformers on nano-llama ..."
    told = [update for update in heard.updates if update[0] == "generating"]
    assert [whole for _, _, whole, _, _ in told] == [36] * len(told)
    assert sum(asked for _, _, _, asked, _ in told) == heard.answered == len(backend.asked)
    assert told[-1][1:4] == (36, 36, 0)
    assert told[-1][4].startswith(f"{sum(summary.dropped.values())} dropped, ")
    assert told[-1][4].endswith(" tokens/s")
    again = Heard()
    run(config, progress=again)
    assert (again.notes, again.answered) == ([], 0)
    assert [update[1] for update in again.updates][-1] == 36
    assert all("tokens/s" not in update[4] for update in again.updates)


def test_the_seeds_that_a_run_used_stand_in_its_folder(config_of: Run, run: Run, tmp_path: Path) -> None:
    train = tmp_path / "train.jsonl"
    train.write_text("".join(json.dumps({"text": f"Dish {n}", "label": ("apple", "bread")[n % 2]}) + "\n" for n in range(8)))
    few = {"strategy": {"kind": "few_shot", "seed_pool": 4}, "task": {"data": {"train": str(train)}}}
    run(config_of(tmp_path / "r", **few))
    before, seeds = results(tmp_path / "r"), lines(tmp_path / "r" / "seeds" / "rows.jsonl")
    assert [row["id"] for row in seeds] == ["seed:0", "seed:1", "seed:2", "seed:3"]
    assert all(row["fields"]["text"].startswith("Dish ") for row in seeds)
    train.unlink()  # the run goes on with what it has
    _, backend = run(config_of(tmp_path / "r", **few))
    assert (backend.asked, results(tmp_path / "r")) == ([], before)
    train.write_text("".join(json.dumps({"text": f"Meal {n}", "label": ("apple", "bread")[n % 2]}) + "\n" for n in range(8)))
    run(config_of(tmp_path / "r", **few))
    assert all(row["fields"]["text"].startswith("Meal ") for row in lines(tmp_path / "r" / "seeds" / "rows.jsonl"))
    assert results(tmp_path / "r") != before


def test_a_folder_of_another_format_is_refused_in_a_line_and_not_touched(config_of: Run, run: Run, tmp_path: Path) -> None:
    (tmp_path / "r" / "rounds" / "000000").mkdir(parents=True)
    (tmp_path / "r" / "run.yaml").write_text("task: {}")
    before = sorted(tmp_path.rglob("*"))
    for attempt in (lambda: run(config_of(tmp_path / "r")), lambda: RunFolder.existing(tmp_path / "r")):
        with pytest.raises(UsageError, match=r"is of format 1, and Variegate \S+ works on format 2: choose another folder") as caught:
            attempt()
        assert "\n" not in str(caught.value)
    assert [path for path in sorted(tmp_path.rglob("*")) if path.name != "lock"] == before

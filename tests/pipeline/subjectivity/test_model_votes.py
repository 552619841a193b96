"""Votes of a model: how they are asked, kept, read, and that a stopped or killed job ends as an undisturbed one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import FakeEngine, Unserved
from tests.support.processes import run_script
from tests.support.progress import Heard
from variegate.config import TaskConfig, load_model, load_task
from variegate.errors import UsageError
from variegate.pipeline.subjectivity.model_votes import VoteSettings, ask_model, collect_votes
from variegate.records import Request
from variegate.store.texts import TextSet

TEXTS = ("When will my card arrive?", "I lost my card", "how do I top up", "my PIN does not work", "When will my card arrive?")


def scripted(answer: Callable[[Request], str], *, fail_at: int | None = None) -> Any:
    """Answers by a function of the request."""

    def write(request: Request, _: Any) -> str:
        said = answer(request)
        if said == "ERROR":
            raise Unserved("prompt of 9 tokens is too long")
        return said

    return FakeEngine(write=write, fail_at=fail_at)


@pytest.fixture(scope="module")
def task() -> TaskConfig:
    return load_task("trec6")


@pytest.fixture
def settings() -> VoteSettings:
    return VoteSettings(load_model("nano-llama"), votes=3, chunk=2)


def texts_of(*texts: str, labels: tuple[str, ...] | None = None) -> TextSet:
    return TextSet("texts.txt", texts, labels, tuple(f"line {place}" for place in range(1, len(texts) + 1)))


def test_what_is_asked(task: TaskConfig, settings: VoteSettings, tmp_path: Path) -> None:
    engine = scripted(lambda request: " location")
    found = collect_votes(TEXTS, task, settings, tmp_path / "v", start=lambda _: engine)  # type: ignore[arg-type, return-value]
    assert found.labels == (("location",) * 3,) * 5
    assert [len(call) for call in engine.calls] == [2, 2] * 3  # two texts are equal
    requests = [request for call in engine.calls for request in call]
    first = requests[0]
    assert first.prompt.endswith(': "When will my card arrive?"\nCategory:')
    assert "- location: " in first.prompt
    assert (first.sampling.temperature, first.sampling.stop) == (1.0, ("\n",))
    assert first.sampling.max_tokens == 1 + 8  # the fake engine's tokens are words
    assert len({request.seed for request in requests}) == 3 * 4


def test_pairs_are_refused_by_their_kind(settings: VoteSettings, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="task 'rte': the model is asked about one text, and records of task kind 'pair' have 2: give people's"
    ):
        ask_model(texts_of("a", "b"), load_task("rte"), settings, tmp_path)


def test_seeds_and_the_class_block(task: TaskConfig, settings: VoteSettings, tmp_path: Path) -> None:
    engines = [scripted(lambda request: "location") for _ in range(2)]
    for place, (engine, changed) in enumerate(zip(engines, ({"seed": 0}, {"seed": 1, "class_block": False}), strict=True)):
        collect_votes(TEXTS, task, replace(settings, **changed), tmp_path / str(place), start=lambda _, engine=engine: engine)  # type: ignore[misc]
    assert engines[0].calls[0][0].seed != engines[1].calls[0][0].seed
    assert "Categories:" not in engines[1].calls[0][0].prompt


def test_more_votes_add_to_those_there(task: TaskConfig, settings: VoteSettings, tmp_path: Path) -> None:
    first, more = scripted(lambda request: "location"), scripted(lambda request: "human")
    collect_votes(TEXTS, task, settings, tmp_path, start=lambda _: first)  # type: ignore[arg-type, return-value]
    found = collect_votes(TEXTS, task, replace(settings, votes=4), tmp_path, start=lambda _: more)  # type: ignore[arg-type, return-value]
    assert len(more.calls) == 2
    assert {tuple(sorted(labels)) for labels in found.labels} == {("human", "location", "location", "location")}
    again = collect_votes(TEXTS, task, replace(settings, votes=2), tmp_path, start=lambda _: pytest.fail("asked again"))
    assert again.labels == (("location",) * 2,) * 5


@pytest.mark.parametrize("fail_at", [1, 4, 6])
def test_a_stopped_job_goes_on_and_ends_the_same(task: TaskConfig, settings: VoteSettings, tmp_path: Path, fail_at: int) -> None:
    def answer(request: Request) -> str:
        return ("location", "human", "nonsense")[request.seed % 3]

    collect_votes(TEXTS, task, settings, tmp_path / "whole", start=lambda _: scripted(answer))  # type: ignore[arg-type, return-value]
    stopped = scripted(answer, fail_at=fail_at)
    with pytest.raises(KeyboardInterrupt):
        collect_votes(TEXTS, task, settings, tmp_path / "stopped", start=lambda _: stopped)  # type: ignore[arg-type, return-value]
    rest = scripted(answer)
    collect_votes(TEXTS, task, settings, tmp_path / "stopped", start=lambda _: rest)  # type: ignore[arg-type, return-value]
    assert len(rest.calls) == 6 - (fail_at - 1)
    assert files(tmp_path / "whole") == files(tmp_path / "stopped")


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.slow
def test_killed_at_every_file_operation_votes_and_verdicts_end_the_same(tmp_path: Path) -> None:
    """kill -9 at each, on a new folder, one that was asked otherwise, one with a text fewer, a damaged one, and a judge's; see crash_script.py."""
    found = run_script(Path(__file__).with_name("crash_script.py"), tmp_path)
    assert {name: kills["different"] for name, kills in found.items()} == {name: [] for name in found}
    assert len(found) == 5
    assert all(kills["killed"] >= 5 for kills in found.values())


def test_other_texts_ask_what_is_new_alone(task: TaskConfig, settings: VoteSettings, tmp_path: Path) -> None:
    collect_votes(TEXTS, task, settings, tmp_path, start=lambda _: scripted(lambda _: "location"))  # type: ignore[arg-type, return-value]
    more = scripted(lambda _: "human")
    found = collect_votes(("new", *TEXTS[1:3]), task, settings, tmp_path, start=lambda _: more)  # type: ignore[arg-type, return-value]
    assert [request.prompt.count('"new"') for request in more.asked] == [1] * 3
    assert found.labels == (("human",) * 3, ("location",) * 3, ("location",) * 3)


@pytest.mark.parametrize(("field", "value"), [("quantization", "bitsandbytes"), ("dtype", "bfloat16")])
def test_votes_of_a_smaller_model_do_not_pass_for_the_full_ones(
    task: TaskConfig, settings: VoteSettings, tmp_path: Path, field: str, value: str
) -> None:
    """The weights on disk are the same; what a 4-bit model answers is not what the full one does. Nor the other way round."""
    full = settings.model
    small = full.model_copy(update={"engine": full.engine.model_copy(update={field: value})})
    for first, second, place in ((small, full, tmp_path / "a"), (full, small, tmp_path / "b")):
        for model, said in ((first, "location"), (second, "human")):
            changed, progress = replace(settings, model=model), Heard()
            found = collect_votes(TEXTS, task, changed, place, start=lambda _, said=said: scripted(lambda _: said), progress=progress)  # type: ignore[misc]
            assert found.labels == ((said,) * 3,) * 5
        assert any(f"asked otherwise before ({field} was " in note for note in progress.notes)
        again = collect_votes(TEXTS, task, replace(settings, model=first), place, start=lambda _: pytest.fail("asked again"))
        assert again.labels == (("location",) * 3,) * 5


def test_answers_become_labels(task: TaskConfig, settings: VoteSettings, tmp_path: Path) -> None:
    """What names no label is no vote: the text has fewer."""
    said = iter(["location", "ERROR", "nonsense", "ERROR"] * 2 + ["LOCATION", "ERROR", "bah", "human"])
    engine = scripted(lambda request: next(said))
    items, about = ask_model(
        texts_of(*"abcd", labels=("location",) * 4), task, settings, tmp_path, start=lambda _: engine  # type: ignore[arg-type, return-value]
    )  # fmt: skip
    assert items.votes == (("location",) * 3, ("human",))
    assert (items.ids, items.texts, items.true, items.unlabelled) == (("line 1", "line 4"), ("a", "d"), ("location",) * 2, 2)
    assert (about["read"], about["unread"], about["errors"]) == ({"casefold": 1, "exact": 3}, 3, 5)
    assert about["unread_examples"] == ["nonsense", "bah"]
    assert items.warnings == (
        "3 of 12 answers name no label: they count as not given",
        "5 questions could not be asked, the first: prompt of 9 tokens is too long",
    )


@pytest.mark.parametrize(("answer", "said"), [("bah", "they begin 'bah'"), ("ERROR", "all 6 failed, the first: prompt of 9")])
def test_answers_that_name_no_label_at_all(task: TaskConfig, settings: VoteSettings, tmp_path: Path, answer: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"none of its 6 answers names a label of task 'trec6': {said}"):
        ask_model(texts_of("a", "b"), task, settings, tmp_path, start=lambda _: scripted(lambda _: answer))  # type: ignore[arg-type, return-value]


@pytest.mark.slow
def test_a_real_engine_and_a_stop_in_the_middle(nano_vllm: Any, tmp_path: Path) -> None:
    """nano-llama on its own task, byte by byte the same after a stop; some votes agree and some do not."""
    task = load_task("banking77")
    settings = VoteSettings(load_model("nano-llama"), votes=3, class_block=False, chunk=3)

    class Stops:
        calls = 0

        info, prompts = nano_vllm.info, nano_vllm.prompts

        def generate(self, *arguments: Any, **named: Any) -> Any:
            self.calls += 1
            if self.calls == 4:
                raise KeyboardInterrupt
            return nano_vllm.generate(*arguments, **named)

    whole = collect_votes(TEXTS, task, settings, tmp_path / "whole", start=lambda _: nano_vllm)
    with pytest.raises(KeyboardInterrupt):
        collect_votes(TEXTS, task, settings, tmp_path / "stopped", start=lambda _: Stops())  # type: ignore[arg-type]
    assert len(list((tmp_path / "stopped" / "answers").glob("*/*"))) == 3
    assert collect_votes(TEXTS, task, settings, tmp_path / "stopped", start=lambda _: nano_vllm) == whole
    assert files(tmp_path / "whole") == files(tmp_path / "stopped")
    assert sum(map(len, whole.labels)) > 8
    assert whole.labels[0] == whole.labels[4]  # the same text
    assert len(set(whole.labels)) > 2

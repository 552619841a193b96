"""Fixtures shared by several parts of the tests."""

from __future__ import annotations

import contextlib
import json
import runpy
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from variegate.records import Completion, Message, Request, Sampling
from variegate.seeding import derive_seed, digest
from variegate.store.ledger import REASONS, Ledger
from variegate.store.rows import KEPT, Row
from variegate.store.run_folder import RunFolder

LABELS = ("joy", "anger", "fear")


def make_row(label: str = "joy", slot: int = 0, *, text: str | None = None, outcome: str = KEPT, round: int = 0) -> Row:
    """A row as the pipeline makes it; `text` is what was parsed, and is empty for an outcome that parses to nothing."""
    text = f"I am so full of {label} today, number {slot}" if text is None else text
    key = digest(["test", label, round, slot])
    request = Request(
        key=key,
        messages=(Message("user", f"Text about {label}: "),),
        sampling=Sampling(temperature=0.7, max_tokens=60, stop=('"',)),
        seed=derive_seed(key),
        label=label,
        slot=slot,
        round=round,
        group="run",
        parents=("0123456789abcdef",) if slot % 2 else (),
    )
    completion = Completion(
        key=key,
        text=f" {text}" if outcome != "engine_error" else "",
        token_ids=tuple(range(len(text.split()))),
        finish_reason={"unfinished": "length", "engine_error": "error"}.get(outcome, "stop"),
        num_prompt_tokens=12,
        logprob=-12.5 if outcome == KEPT else None,
        error="the engine stopped" if outcome == "engine_error" else None,
    )
    origin = {"strategy": "few_shot", "form": "chung", "model": "nano-llama", "suppression": "run"}
    return Row(
        request=request, completion=completion, outcome=outcome, text="" if outcome in ("empty", "engine_error") else text, origin=origin
    )


def make_settings(labels: Sequence[str] = LABELS, per_label: int = 10) -> dict[str, Any]:
    """A resolved run as run.yaml holds it: what `load_run` gave, dumped by pydantic."""
    from variegate.config import RunConfig

    config = RunConfig.model_validate(
        {
            "task": {
                "kind": "classification",
                "name": "feelings",
                "text_type": "emotional tweet",
                "context": "You write tweets.",
                "labels": {label: {"phrase": f"expressing {label}", "description": f"The writer feels {label}."} for label in labels},
                "licence": "CC-BY 4.0",
            },
            "model": {"name": "nano-llama", "path": "/nowhere/nano-llama", "licence": "Apache-2.0"},
            "strategy": {"kind": "few_shot", "form": "chung", "seed_pool": 0},
            "decoding": {"temperature": 0.7, "max_tokens": 60, "suppression": {}},
            "target": {"per_label": per_label},
            "output": "runs/feelings",
        }
    )
    return config.model_dump(mode="json")


def write_run(
    path: Path,
    rounds: Sequence[Sequence[Row]],
    *,
    labels: Sequence[str] = LABELS,
    per_label: int = 10,
    finished: bool = True,
    shortfall: dict[str, int] | None = None,
) -> RunFolder:
    """A run folder written through RunFolder itself, its manifest as the pipeline writes it."""
    from variegate.store.files import sha256_of

    folder = RunFolder(path)
    path.mkdir(parents=True, exist_ok=True)
    folder.write_config(yaml.safe_dump(make_settings(labels, per_label), sort_keys=False, allow_unicode=True))
    for index, rows in enumerate(rounds):
        rows = [replace(row, request=replace(row.request, round=index)) for row in rows]
        totals = Ledger.of(row.to_json() for row in rows).totals()
        facts = {
            "round": index,
            "requested": len(rows),
            "kept": totals[KEPT],
            "dropped": {reason: number for reason, number in totals.items() if reason != KEPT},
            "num_tokens": sum(len(row.completion.token_ids) for row in rows),
            "num_generated_tokens": sum(len(row.completion.token_ids) for row in rows),
            "num_prompt_tokens": 12 * len(rows),
            "num_cached_tokens": 4 * len(rows),
            "seconds": 0.5 + 0.1 * (index % 3),
            "reused": 0,
        }
        folder.commit_round(index, rows, facts)
    if finished:
        files = folder.write_results()
        ledger = Ledger.of(folder.rows())
        num_tokens = sum(facts["num_tokens"] for facts in folder.round_facts())
        folder.write_manifest(
            {
                "variegate": "0.1.0",
                "complete": not shortfall,
                "created": "2026-01-02T03:04:05+00:00",
                "command": "variegate generate feelings.run.yaml",
                "config_sha256": "c" * 64,
                "seed": 0,
                "model": {"name": "nano-llama", "path": "/nowhere/nano-llama", "sha256": "a" * 64},
                "tokenizer_sha256": "b" * 64,
                "engine": {
                    "name": "vllm",
                    "version": "0.32.0",
                    "device": "CPU (2 cores)",
                    "runner": "v1",
                    "dtype": "float32",
                    "max_model_len": 512,
                },
                "versions": {"torch": "2.13.0", "vllm": "0.32.0"},
                "ledger": ledger.to_json(),
                "shortfall": shortfall or {},
                "tokens": {"generated": num_tokens, "prompt": 12 * len(files), "cached": 0},
                "seconds": {"engine_start": 12.0, "generate": 80.0, "total": 93.0},
                "tokens_per_second": 4321.5,
                "records_per_second": 123.4,
                "reused": 0,
                "files": files,
                "rounds": {each.name: sha256_of(each / "completions.jsonl") for each in folder.round_folders()},
                "suppression": {
                    "run": [{"token": " so", "share_percent": 4.2, "bias": -7.5}, {"token": "<b>", "share_percent": 0.4, "bias": -3.0}]
                },
            }
        )
    return folder


def small_rounds() -> list[list[Row]]:
    """Three labels, two rounds, every reason of the ledger once: 24 kept of 24 + 8 requested."""
    first = [make_row(label, slot) for label in LABELS for slot in range(5)]
    dropped = [make_row("joy", 100 + index, outcome=reason) for index, reason in enumerate(REASONS)]
    second = [make_row(label, slot, round=1) for label in LABELS for slot in range(5, 8)]
    return [first + dropped, second]


@pytest.fixture
def row() -> Callable[..., Row]:
    return make_row


@pytest.fixture
def build_run() -> Callable[..., RunFolder]:
    """`build_run(path, rounds, labels=..., finished=...)`"""
    return write_run


@pytest.fixture
def run_folder(tmp_path: Path) -> RunFolder:
    """A finished run; see `small_rounds`."""
    return write_run(tmp_path / "run", small_rounds())


@pytest.fixture
def unfinished_run_folder(tmp_path: Path) -> RunFolder:
    return write_run(tmp_path / "unfinished", small_rounds(), finished=False)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 256 KiB. Skips where it cannot be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system (root)")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@dataclass(frozen=True)
class Curable:
    """A run whose true labels are known: `truth` is record id -> the feeling that its text speaks of, "oos" for none."""

    folder: RunFolder
    truth: dict[str, str]
    train: Path
    test: Path


_OPENINGS = (
    "I felt {} when",
    "There was {} in me as",
    "She spoke of {} after",
    "Such {} at home:",
    "We saw {} in his face when",
    "It was all {} once",
)
_ENDINGS = (
    "the train came late", "my brother called", "rain fell on the garden", "the match was over", "we opened the letter",
    "the old dog ran in", "the bill arrived", "she left for the sea", "the neighbours sang", "snow closed the road",
)  # fmt: skip
_PLACES = (
    "opening hours of the town library",
    "price of two kilos of potatoes",
    "the boiling point of water",
    "bus number nine",
    "a table of even numbers",
)


def feelings(label: str, number: int, *, real: bool = False) -> str:
    """A short text that plainly speaks of one feeling. Real ones end otherwise than those of a run."""
    opening = _OPENINGS[number % len(_OPENINGS)].format(label)
    if real:
        return f"{opening} the holiday was over, on day {number}"
    return f"{opening} {_ENDINGS[number // len(_OPENINGS) % len(_ENDINGS)]}, {number}"


def write_curable_run(
    path: Path,
    *,
    per_label: int = 20,
    flip_every: int = 4,
    out: int = 0,
    labels: Sequence[str] = LABELS,
    real: bool = True,
    finished: bool = True,
) -> Curable:
    """Every `flip_every`-th text carries the next label instead of its own (0: none does); `out` texts speak of no feeling."""
    texts = [(feelings(label, number), label) for number in range(per_label) for label in labels]
    texts += [(f"Tell me the {_PLACES[number % len(_PLACES)]}, please, {number}", "oos") for number in range(out)]
    rows, truth = [], {}
    for slot, (text, label) in enumerate(texts):
        place = labels.index(label) if label in labels else slot % len(labels)
        given = labels[(place + (1 if flip_every and slot % flip_every == 0 else 0)) % len(labels)]
        row = make_row(given, slot, text=text)
        rows.append(row)
        truth[row.request.key] = label
    folder = write_run(path, [rows[: len(rows) // 2], rows[len(rows) // 2 :]], labels=labels, per_label=per_label, finished=finished)
    settings = yaml.safe_load((path / "run.yaml").read_text())
    from variegate.config.resources import asset

    settings["model"] |= {"name": "nano-llama", "path": str(asset("nano-llama")), "engine": {"max_model_len": 1024, "dtype": "float32"}}
    settings["backend_batch_size"] = 16  # as `nano_transformers`
    settings["backend"] = "transformers"
    train, test = path.with_name(f"{path.name}-train.jsonl"), path.with_name(f"{path.name}-test.jsonl")
    if real:
        for file, numbers in ((train, range(12)), (test, range(12, 18))):
            some = [(feelings(label, number, real=True), label) for label in labels for number in numbers]
            some += [(f"Please read me the {place}, {number}", "oos") for place in _PLACES for number in numbers if out and number % 4 == 0]
            file.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in some))
        settings["task"]["data"] = {"train": str(train), "test": str(test), "out_of_scope_label": "oos" if out else None}
    folder.write_config(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
    return Curable(folder, truth, train, test)


@pytest.fixture
def curable_run() -> Callable[..., Curable]:
    """`curable_run(path, per_label=20, flip_every=4, out=0)`"""
    return write_curable_run


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The embedded sentence encoder, with a cache of this session's own."""
    from variegate.embeddings import Encoder

    return Encoder(cache=tmp_path_factory.mktemp("vectors"))


def started(backend: str, model: str, *, separate_process: bool = False) -> Iterator[Any]:
    from variegate.config import load_model
    from variegate.inference.start import start_backend

    config = load_model(model)
    engine = config.engine.model_copy(update={"separate_process": separate_process})
    running = start_backend(backend, config.model_copy(update={"engine": engine}), batch_size=16)
    yield running
    running.close()


@pytest.fixture(scope="session")
def nano_vllm() -> Iterator[Any]:
    """The one vLLM engine in this process, on nano-llama in float32; tests leave its suppression table empty.

    It starts beside numba, as after a measurement in the same process.
    """
    import numba  # noqa: F401

    yield from started("vllm", "nano-llama")


@pytest.fixture(scope="session")
def nano_transformers() -> Iterator[Any]:
    yield from started("transformers", "nano-llama")


@pytest.fixture(scope="session")
def nano_t5_vllm() -> Iterator[Any]:
    """In a process of its own: vLLM runs one engine in a process, and `nano_vllm` has this one."""
    yield from started("vllm", "nano-t5", separate_process=True)


@pytest.fixture(scope="session")
def nano_t5_transformers() -> Iterator[Any]:
    yield from started("transformers", "nano-t5")


@pytest.fixture(scope="session")
def make_tiny_t5() -> Callable[..., Path]:
    """`make_tiny_t5(folder, gated=True, tied=False)`: see tests/inference/tiny_t5.py."""
    return runpy.run_path(str(Path(__file__).parent / "inference" / "tiny_t5.py"))["make_tiny_t5"]


@pytest.fixture
def fill_disk(tiny_disk: Path) -> Callable[[], None]:
    """Call it, and `tiny_disk` is full."""

    def fill() -> None:
        with contextlib.suppress(OSError), (tiny_disk / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)

    return fill

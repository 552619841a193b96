"""What PromptMix keeps of what is generated, and how fast, against the release's way of asking: on one engine and model, in one run.

    python benchmarks/bench_promptmix.py --data DATA [--model NAME ...] [--task NAME] [--per-label N] [--records N] [--repeats N] [--gpu]

Writes benchmarks/results/promptmix-{cpu,gpu}.json. Of each model:
  ours     a run of `promptmix`: one request for each class and share, all at once, every text of an answer kept
  release  one prompt at a time, asked again until ten different texts stand, of which one is kept at random (METHODS 2.4); it reads
           answers as we do, so that only the way of asking differs. It is given up after 30 answers to a prompt
yield: records kept over texts generated. records/s: of whole runs on a started engine, files and all; of the release's way the loop
alone. nano-llama, which knows no lists, is asked for one text an answer, of descriptions alone.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import harness
from variegate.config import ModelConfig, RunConfig, load_model, load_task
from variegate.curation.duplicates import ExactIndex
from variegate.inference.backend import Backend
from variegate.inference.session import EngineSession
from variegate.pipeline.driver.stream import Stream
from variegate.pipeline.generate import generate
from variegate.pipeline.plan import plan_stream
from variegate.records import Request
from variegate.seeding import derive_rng, derive_seed
from variegate.store.run_folder import RunFolder

WANTED, MOST_CALLS = 10, 30  # different texts for each record of the release's; answers after which it is given up
NANO: dict[str, Any] = {"strategy": {"shots": 0, "utterances": 1}, "decoding": {"max_tokens": 40}}
SMALL: dict[str, Any] = {"decoding": {"temperature": 0.7, "top_p": 0.95, "max_tokens": 120}}  # of so few parameters, temperature 1 is noise
SETTINGS = {"nano-llama": NANO, "smollm2-135m": SMALL}
TASKS = {"nano-llama": "banking77", "smollm2-135m": "trec6"}


def run_config(model: ModelConfig, task: str, output: Path, per_label: int) -> RunConfig:
    own = SETTINGS.get(model.name, {})
    return RunConfig.model_validate(
        {
            "task": load_task(task).model_dump(),
            "model": model.model_dump(),
            "strategy": {"kind": "promptmix", **own.get("strategy", {})},
            "decoding": own.get("decoding", {}),
            "target": {"per_label": per_label, "max_attempts": 10},
            "output": str(output),
        }
    )


def ours(config: RunConfig, session: EngineSession, found: dict[str, Any]) -> float:
    """records/s of a whole run; `found` gets its yield and the share of prompt tokens that came of the cache."""
    summary, seconds = harness.timed(lambda: generate(config, session=session))
    manifest = RunFolder(Path(config.output)).read_manifest() or {}
    ledger, tokens = manifest["ledger"], manifest["tokens"]
    found.update(
        requests=summary.requested,
        texts=ledger["items"],
        kept=summary.kept,
        share_kept=round(summary.kept / ledger["items"], 4),
        # What is surplus is a good text of a class that has enough: it is none of the format's.
        share_good=round((summary.kept + summary.dropped.get("surplus", 0)) / ledger["items"], 4),
        dropped=summary.dropped,
        cached_share=round(tokens["cached"] / tokens["prompt"], 4),
        tokens_a_record=round(tokens["generated"] / summary.kept, 1),
    )
    return summary.kept / seconds


def release(stream: Stream, backend: Backend, requests: list[Request], found: dict[str, Any]) -> float:
    """records/s of the release's way of asking for the same shares, one record each."""
    known, kept, texts, calls = ExactIndex(), 0, 0, 0

    def one_record(request: Request) -> bool:
        nonlocal texts, calls
        fresh: list[str] = []
        for call in range(MOST_CALLS):
            asked = replace(request, seed=derive_seed(request.key, call), key=f"{request.key}-{call}", group=None, bias="")
            (completion,) = backend.generate([asked])
            calls += 1
            for piece in stream.talk.read(asked, completion) if completion.error is None else ():
                texts += 1
                if not piece.reason and piece.text not in known and piece.text not in fresh:
                    fresh.append(piece.text)
            if len(fresh) >= WANTED:
                break
        if fresh:
            known.add(derive_rng(request.key, "release").choice(fresh))
        return bool(fresh)

    def all_records() -> int:
        return sum(map(one_record, requests))

    kept, seconds = harness.timed(all_records)
    found.update(
        requests=calls,
        texts=texts,
        kept=kept,
        share_kept=round(kept / texts, 4) if texts else 0.0,
        calls_a_record=round(calls / max(kept, 1), 1),
    )
    return kept / seconds


def compare(model: ModelConfig, task: str, folder: Path, per_label: int, records: int, repeats: int) -> dict[str, Any]:
    """Both ways in turn on one engine."""
    sides: dict[str, dict[str, Any]] = {"ours": {}, "release": {}}
    turns = itertools.count()
    with EngineSession(model, warm_up=True) as session, session.lease() as backend:

        def config() -> RunConfig:
            return run_config(model, task, folder / f"run{next(turns)}", per_label)

        stream, _ = plan_stream(config(), RunFolder(folder / "none"), session)
        asked = stream.ask()
        assert isinstance(asked, list)
        step = max(1, len(asked) // records)
        requests = asked[::step][:records]
        figures = harness.interleave(
            {
                "ours": lambda: ours(config(), session, sides["ours"]),
                "release": lambda: release(stream, backend, requests, sides["release"]),
            },
            repeats,
            warmup=0,
        )
    return {
        "task": task,
        "per_label": per_label,
        **{name: {**sides[name], "records_per_second": harness.summarize(figures[name])} for name in sides},
        "speedup": harness.ratio(figures, "ours", "release"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help="as `--set model=` takes it; nano-llama and smollm2-135m where there is none")
    parser.add_argument("--task", help="of every model; otherwise banking77 for nano-llama, trec6 for the others")
    parser.add_argument("--per-label", type=int, default=20, help="records of each label in a run of ours")
    parser.add_argument("--records", type=int, default=5, help="that the release's way is timed on")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--data", type=harness.data_folder, required=True)
    parser.add_argument("--gpu", action="store_true", help="write the results as those of a GPU")
    options = parser.parse_args()
    os.environ["VARIEGATE_DATA"] = str(options.data)
    results = {}
    for name in options.model or ("nano-llama", "smollm2-135m"):
        model = load_model(name)
        task = options.task or TASKS.get(model.name, "trec6")
        with tempfile.TemporaryDirectory() as folder:
            results[model.name] = compare(model, task, Path(folder), options.per_label, options.records, options.repeats)
        print(model.name, results[model.name])
    print(harness.save(f"promptmix-{'gpu' if options.gpu else 'cpu'}", results))


if __name__ == "__main__":
    main()

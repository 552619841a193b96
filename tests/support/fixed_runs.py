"""Three small runs of a fixed configuration on the fake engine, and what they hold and export, by hash.

    python -m tests.support.fixed_runs FOLDER            make them in FOLDER and print the hashes
    python -m tests.support.fixed_runs FOLDER --write    and store them in fixed_runs.json, after a change of texts that was meant

`finished` came to its end; `killed` is the same, ended by SIGKILL in its third call of the engine; `curated` is finished, has a
curation by the engine's scores, and the votes of a model on its texts. The engine's texts depend on their batch mates, so that
a change of what is asked together is noticed too. A process of its own: it forks.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet

from tests.support.crash import KILLED, attempt
from tests.support.engine import FakeEngine
from tests.support.food import LABELS, make_config
from variegate.config import load_model
from variegate.config.curation import CurationConfig
from variegate.pipeline.curation.curate import curate
from variegate.pipeline.generate import generate
from variegate.pipeline.subjectivity.model_votes import ModelVotes, VoteSettings, collect_votes
from variegate.records import Completion, Request
from variegate.store.export import export
from variegate.store.run_folder import RunFolder
from variegate.store.verdicts import CurationFolder

HASHES = Path(__file__).with_suffix(".json")
CURATION = "checked"
FED_BACK = {
    "strategy": {"kind": "few_shot", "seed_pool": 0, "num_examples": 2, "completions_per_call": 3},
    "decoding": {"temperature": 1.0, "suppression": {"group": "label"}},
    "rounds": {"first": 2, "shard": 5},
}


def make_run(folder: Path, *, killed_at: int = 0) -> None:
    """killed_at: the call of the engine, from 1, in which this process ends; 0: none."""

    def edit(request: Request, completion: Completion) -> Completion:
        if len(engine.calls) == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return completion

    engine = FakeEngine(batch_dependent=True, edit=edit)
    generate(make_config(folder, 8, **FED_BACK), start=lambda _: engine)


def add_curation(folder: Path) -> None:
    relabel = {"kind": "relabel", "nearest_classes": None, "calibration": "contextual", "chunk": 5, "margin": 0.1, "below_margin": "drop"}
    stages = [relabel, {"kind": "duplicates", "near": 0.6}]
    engine = FakeEngine(batch_dependent=True)
    curate(RunFolder(folder), CurationConfig.model_validate({"stages": stages}), CURATION, start=lambda _: engine)


def ask_votes(folder: Path, *, fail_at: int | None = None) -> ModelVotes:
    """Those that are there; the engine is asked for the others."""
    engine = FakeEngine(write=lambda _, rng: rng.choice([*LABELS, "nothing"]), batch_dependent=True, fail_at=fail_at)
    task, settings = make_config(folder).task, VoteSettings(load_model("nano-llama"), votes=3, chunk=7)
    texts = [record.fields["text"] for record in RunFolder(folder).records()]
    return collect_votes(texts, task, settings, folder / "votes", start=lambda _: engine)


def make_all(place: Path) -> None:
    """Makes folders `finished`, `killed` and `curated` in a folder."""
    assert attempt(lambda: make_run(place / "finished")) == 0
    assert attempt(lambda: make_run(place / "killed", killed_at=3)) == KILLED
    shutil.copytree(place / "finished", place / "curated")
    add_curation(place / "curated")
    ask_votes(place / "curated")


# -- hashes ------------------------------------------------------------------------------------------------------------


def sha256(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def rounded(value: Any) -> Any:
    """With every fraction to nine digits: the last ones are the processor's."""
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    if isinstance(value, str) and re.fullmatch(r"\d+\.\d+(e-\d+)?", value):  # a cell
        return str(rounded(float(value)))
    return float(f"{value:.9g}") if isinstance(value, float) else value


def rows_of(file: Path) -> Any:
    """Of JSONL the rows, of CSV the lines and their cells, of Parquet, whose bytes are its writer's, the rows."""
    if file.suffix == ".parquet":
        return pyarrow.parquet.read_table(file).to_pylist()
    if file.suffix == ".csv":
        with file.open(newline="") as cells:
            return list(csv.reader(cells))
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def hashes_of(place: Path) -> dict[str, dict[str, str]]:
    """Of each folder that `make_all` made: records, dropped texts, exports. `resumed` is `killed`, gone on with."""
    finished, killed, resumed, curated = (place / name for name in ("finished", "killed", "resumed", "curated"))
    shutil.copytree(killed, resumed)
    make_run(resumed)
    out: dict[str, dict[str, str]] = {}
    for folder, curation in ((finished, None), (killed, None), (resumed, None), (curated, CURATION)):
        files = {name: folder / name for name in ("records.jsonl", "dropped.jsonl") if (folder / name).exists()}
        for form in ("jsonl", "csv", "parquet"):
            files[form] = export(RunFolder(folder), form, place / f"{folder.name}.{form}", curation=curation)
        if curation:
            stages = CurationFolder(RunFolder(folder), curation).path
            files |= {path.parent.name: path for path in sorted(stages.glob("[0-9]*/rows.jsonl"))}
        out[folder.name] = {name: sha256(rounded(rows_of(path))) for name, path in files.items()}
    out["curated"]["votes"] = sha256(ask_votes(curated, fail_at=1).labels)
    return out


def main() -> None:
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    make_all(place)
    hashes = json.dumps(hashes_of(place), indent=1)
    if sys.argv[2:] == ["--write"]:
        HASHES.write_text(hashes + "\n")
    print(json.dumps(json.loads(hashes)))


if __name__ == "__main__":
    main()

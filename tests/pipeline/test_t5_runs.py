"""Whole runs on nano-t5 through vLLM: every strategy that there is, with suppression and a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from variegate.config import RunConfig, load_model, load_task
from variegate.pipeline.generate import generate
from variegate.progress import Silent
from variegate.report.render import write_report
from variegate.store.run_folder import RunFolder

pytestmark = pytest.mark.slow
LABELS = ("time", "weather", "balance", "yes")


class Kept:
    """A started engine that `generate` must not close."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "strategy",
    [
        {"kind": "zero_shot", "form": "chung"},
        {"kind": "zero_shot", "form": "li", "history": 2, "chats_per_label": 3},
        {"kind": "few_shot", "form": "chung", "seed_pool": 0},
        {"kind": "few_shot", "form": "li", "seed_pool": 0},
    ],
    ids=lambda strategy: f"{strategy['kind']}-{strategy['form']}",
)
def test_a_run_with_suppression_and_a_report(nano_t5_vllm: Any, tmp_path: Path, strategy: dict[str, Any]) -> None:
    task = load_task("clinc150").model_dump()
    task["labels"] = {name: task["labels"][name] for name in LABELS}
    config = RunConfig.model_validate(
        {
            "task": task,
            "model": load_model("nano-t5").model_dump(),
            "strategy": strategy,
            "decoding": {"temperature": 1.0, "max_tokens": 40, "suppression": {"group": "label"}},
            "target": {"per_label": 6},
            "rounds": {"first": 2},
            "output": str(tmp_path / "run"),
        }
    )
    summary = generate(config, progress=Silent(), start=lambda _: Kept(nano_t5_vllm), report=write_report)
    folder = RunFolder(summary.folder)
    records = list(folder.records())
    assert summary.kept == len(records) == 6 * len(LABELS)
    assert {record.label for record in records} == set(LABELS)
    assert len({record.fields["text"] for record in records}) == len(records)
    manifest = json.loads((summary.folder / "manifest.json").read_text())
    assert (manifest["engine"]["name"], manifest["engine"]["max_prompt_len"]) == ("vllm", 512)
    assert set(manifest["suppression"]) == set(LABELS)
    page = (summary.folder / "report.html").read_text(encoding="utf-8")
    assert "nano-t5" in page
    assert all(label in page for label in LABELS)

"""The README.md of an exported Hugging Face data set: what the texts are, how they were made, what they are not.

Knows the run folder and the columns of the export; knows nothing of how a file is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from variegate.kinds import TaskKind
from variegate.store.ledger import Ledger, in_words
from variegate.store.run_folder import RunFolder
from variegate.store.settings import decoding_in_words, labels_of, part, read_settings, strategy_in_words


def dataset_card(folder: RunFolder, kind: TaskKind, columns: Mapping[str, str], curation: Mapping[str, Any] | None = None) -> str:
    """Markdown with the YAML front matter that `datasets.load_dataset` reads.

    columns: column -> type, as in the Parquet file. A column of type label is declared a ClassLabel: the file holds its names,
    and `datasets` shows them as numbers with names.
    curation: its curation.json, where the set is a curation of the run.
    """
    settings = read_settings(folder)
    ledger = Ledger.of(folder.rows())
    manifest = folder.read_manifest()
    number = ledger.totals()["kept"] if curation is None else curation["kept"]
    front = {
        "pretty_name": f"{settings['task'].get('name', 'synthetic')} (synthetic, Variegate)",
        "license": "other",
        "task_categories": list(kind.categories),
        "tags": ["synthetic", "variegate"],
        "size_categories": [_size(number)],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train.parquet"}]}],
        "dataset_info": {
            "features": [_feature(name, type, labels_of(settings)) for name, type in columns.items()],
        },
    }
    return (
        f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=1000)}---\n\n{_body(settings, ledger, manifest, curation)}"
    )


def _feature(name: str, type: str, labels: list[str]) -> dict[str, Any]:
    if type == "label":
        return {"name": name, "dtype": {"class_label": {"names": {str(index): label for index, label in enumerate(labels)}}}}
    if type == "answers":
        return {"name": name, "struct": [{"name": "text", "list": "string"}, {"name": "answer_start", "list": "int32"}]}
    return {"name": name, "list": "string"} if type == "list" else {"name": name, "dtype": "string" if type == "json" else type}


def _size(kept: int) -> str:
    bounds = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]
    return next((name for bound, name in bounds if kept < bound), "1M<n<10M")


def _body(settings: Mapping[str, Any], ledger: Ledger, manifest: Mapping[str, Any] | None, curation: Mapping[str, Any] | None) -> str:
    task = settings["task"]
    totals = ledger.to_json()
    dropped = ", ".join(f"{count} {reason}" for reason, count in totals["dropped"].items()) or "none"
    state = "" if manifest else "\n\n**The run had not ended when this was exported: the set is a part.**"
    paper = part(settings, "about", "citation")
    cite = f"Please cite the paper of the method:\n\n- {paper}" if paper else "Please cite the paper of the method named above."
    final = {label: part(curation, "labels", label, "final") or 0 for label in task["labels"]} if curation else {}
    kept = {label: ledger.kept(label) if curation is None else final[label] for label in task["labels"]}
    rows = "\n".join(
        f"| {_cell(label)} | {kept[label]} | {_cell(about.get('description', ''))} |" for label, about in sorted(task["labels"].items())
    )
    return f"""# {_line(task.get("name"))}: synthetic texts

{totals["kept"] if curation is None else curation["kept"]} texts ({_line(task.get("text_type"))}), {len(task["labels"])} labels, written by a language model with
Variegate {(manifest or {}).get("variegate", "")}.{state}

```python
from datasets import load_dataset

texts = load_dataset("PATH_OF_THIS_FOLDER", split="train")
```

## Limits

{_limits(curation)} The texts may repeat what the model has memorised, and its errors and biases. Look at them before use, and
measure what you train on real data.

## How they were made

| | |
|---|---|
| model | {_cell(part(settings, "model", "name"))} |
| strategy | {_cell(strategy_in_words(settings))} |
| decoding | {_cell(decoding_in_words(settings))} |
| seed | {settings.get("seed", "not stated")} |
| ledger | {in_words(totals)} ({dropped}) |{_curated(curation)}

| label | texts | description |
|---|---|---|
{rows}

## Licence

The texts come out of the model {_line(part(settings, "model", "name"))} (licence: {_line(part(settings, "model", "licence"))}): its licence
and use policy hold for them. Real examples that stood in the prompts come from the task's own data (licence: {_line(task.get("licence"))};
source: {_line(task.get("source"))}). State your own licence here before you share the set.

## Citation

{cite}
"""


def _limits(curation: Mapping[str, Any] | None) -> str:
    if curation is None:
        return (
            "Every text and every label is synthetic. **The labels are unverified**: a text carries the label it was asked for, and nobody"
            " has\nchecked that it fits."
        )
    return (
        f"Every text is synthetic. **The labels are those of a curation**, of which {curation['changed']} differ from what a text was asked"
        " for\n(column `given_label`): made by the stages named below, not checked one by one."
    )


def _curated(curation: Mapping[str, Any] | None) -> str:
    """A row of the table."""
    if curation is None:
        return ""
    stages = ", ".join(str(stage.get("kind")) for stage in curation["stages"])
    dropped = ", ".join(f"{count} {reason}" for reason, count in curation["dropped"].items()) or "none"
    return f"\n| curation | {_cell(curation['name'])} ({_cell(stages)}): {curation['records']} records = {curation['kept']} kept + {curation['records'] - curation['kept']} dropped ({dropped}) |"


def _line(value: Any) -> str:
    return " ".join(str(value).split()) if value not in (None, "") else "not stated"


def _cell(value: Any) -> str:
    """Text inside a Markdown table: one line, no bar or markup that would end or change the cell."""
    return _line(value).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")

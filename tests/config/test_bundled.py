"""The configs that travel with Variegate: all load, and tasks agree with the papers and with the real data."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from variegate.config import load_model, load_run, load_task
from variegate.config.curation import DenoiseStage, LabelReplacementStage, RelabelStage, ScopeStage
from variegate.config.load import load_curation
from variegate.config.resources import bundled
from variegate.kinds import kind_of
from variegate.pipeline.real_records import read_records

LI = (
    "ag_news",
    "relation",
    "imdb",
    "sms_spam",
    "financial_phrasebank",
    "reddit_emotion",
    "tweet_irony",
    "tweet_emotion",
    "sarcasm_headlines",
    "humor",
)
CHUNG = ("carer", "clickbait", "cola", "formality", "hwu64", "pubmed", "sst2", "subj")
# METHODS 5.2 and 1.8, and the data sets' own papers
NUM_LABELS = dict(zip(LI, (4, 4, 2, 2, 3, None, 2, 4, 2, 2), strict=True)) | dict(zip(CHUNG, (6, 2, 2, 2, 18, 5, 2, 2), strict=True))
NUM_LABELS |= {"trec6": 6, "banking77": 77, "clinc150": 150}


@pytest.mark.parametrize("name", bundled("tasks"))
def test_task_loads_and_is_written_with_care(name: str) -> None:
    task = load_task(name)
    assert task.name == name
    assert not task.text_type.startswith(("a ", "an ", "the "))
    repeated = {kind: [text for text, count in Counter(texts).items() if count > 1] for kind, texts in (
        ("phrase", [label.phrase for label in task.labels.values()]),
        ("description", [label.description for label in task.labels.values()]),
    )}  # fmt: skip
    assert repeated == {"phrase": [], "description": []}
    assert all(label.description.endswith((".", "?", "!")) for label in task.labels.values())


@pytest.mark.parametrize("name", [*LI, *CHUNG, "trec6", "banking77", "clinc150"])
def test_the_papers_tasks_are_there(name: str) -> None:
    assert NUM_LABELS[name] in (None, len(load_task(name).labels))


def test_chungs_label_phrases() -> None:
    """METHODS 1.8."""
    assert {name: label.phrase for name, label in load_task("carer").labels.items()} == {
        emotion: f"expressing {emotion}" for emotion in ("anger", "fear", "joy", "love", "sadness", "surprise")
    }
    assert {label.phrase for label in load_task("pubmed").labels.values()} == {
        f"sentence about {part}" for part in ("objective", "methods", "results", "conclusions", "background")
    }
    assert load_task("carer").text_type == "emotional tweet"


@pytest.mark.parametrize("name", bundled("models"))
def test_model_loads(name: str) -> None:
    assert load_model(name).name == name


def test_the_models_the_issue_asks_for() -> None:
    models = {"nano-llama", "nano-t5", "llama-2-7b", "llama-2-7b-chat", "llama-2-13b-chat"}
    assert models | {f"flan-t5-{size}" for size in ("base", "large", "xl", "xxl")} <= set(bundled("models"))
    assert load_model("llama-2-7b-chat").chat
    assert not load_model("llama-2-7b").chat


@pytest.mark.parametrize("name", bundled("runs"))
def test_run_loads(name: str) -> None:
    assert load_run(bundled("runs")[name]).output == f"runs/{name}"


@pytest.mark.parametrize("name", bundled("curations"))
def test_curation_loads(name: str) -> None:
    assert load_curation(name).stages


def test_the_curations_of_the_papers() -> None:
    """METHODS 1.6, 1.7, 2.1 and 3.7."""
    lr = load_curation("label_replacement").stages[0]
    assert isinstance(lr, LabelReplacementStage)
    assert (lr.weight, lr.inspected) == (0.3, 180)
    scope = load_curation("scope").stages[0]
    assert isinstance(scope, ScopeStage)
    assert scope.inspected == 360
    relabel = load_curation("relabel").stages[0]
    assert isinstance(relabel, RelabelStage)
    assert relabel.nearest_classes == 5
    denoise = load_curation("msp_denoise").stages[0]
    assert isinstance(denoise, DenoiseStage)
    assert denoise.weight == 0.5


@pytest.mark.parametrize("split", ["train", "test"])
def test_questions_of_ours_have_answers_in_their_contexts(split: str) -> None:
    found = read_records(load_task("places"), split)
    assert len(found) == {"train": 36, "test": 18}[split]
    assert all(0 < len(text.split()) <= 12 for each in found for text in each["answers"]["text"])
    others = read_records(load_task("places"), "test" if split == "train" else "train")
    assert not {each["context"] for each in found} & {each["context"] for each in others}


@pytest.mark.parametrize("name", [name for name in bundled("tasks") if load_task(name).data and load_task(name).labels])
def test_labels_are_those_of_the_real_data(name: str, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VARIEGATE_DATA", str(data_folder))
    task = load_task(name)
    assert task.data is not None
    for path in filter(None, (task.data.train, task.data.dev, task.data.test)):
        rows = [json.loads(line) for line in Path(path).read_bytes().splitlines()]
        labels = {row[task.data.label_field] for row in rows} - {task.data.out_of_scope_label}
        assert labels == set(task.labels), path
        assert all(row[field].strip() for row in rows for field in kind_of(task).text_fields)

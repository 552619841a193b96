"""Whole studies on a scripted backend and the real encoder: what is measured, what is reused, what failures do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tests.support import chatter
from tests.support.crash import KILLED
from tests.support.engine import FakeEngine
from tests.support.processes import run_script
from tests.support.progress import Heard
from tests.support.tiny_bert import write_bert
from variegate.config.load import load_curation, load_run
from variegate.config.load_study import load_study
from variegate.config.student import FinetunedStudentConfig, LinearStudentConfig
from variegate.config.study import StudyConfig
from variegate.embeddings import Encoder
from variegate.errors import BackendError, ConfigError, Interrupted, StoreError, UsageError
from variegate.metrics import coverage, cross_distance, remote_clique, top_k_similarity
from variegate.pipeline.comparison.compare import compare
from variegate.pipeline.comparison.places import describe
from variegate.pipeline.curation.curate import curate
from variegate.pipeline.generate import generate
from variegate.pipeline.seeds import stored_seeds
from variegate.report.page import render_template
from variegate.report.study import study_context
from variegate.store.run_folder import RunFolder
from variegate.store.texts import read_texts
from variegate.students.data import LabelledTexts
from variegate.students.train import train_student

Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encoder]:
    """One for all studies here; the cache goes with the module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VARIEGATE_CACHE", str(tmp_path_factory.mktemp("vectors")))
        yield Encoder()


@pytest.fixture
def run(encoder: Encoder) -> Run:
    """`run(study)` or `run(study, backend=...)`; started: how often an engine was started"""

    def call(study: StudyConfig, *, backend: Any = None, started: list[Any] | None = None, progress: Any = None) -> dict[str, Any]:
        engine = backend or chatter.wordy_engine()

        def start(config: Any) -> Any:
            if started is not None:
                started.append(config)
            return engine

        return compare(study, start=start, encoder=encoder, progress=progress)

    return call


@pytest.fixture(scope="module")
def finished(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyConfig, dict[str, Any]]:
    """Two temperatures x two curations x two replicates, done. Tests that change its folder copy it."""
    study = chatter.make_study(tmp_path_factory.mktemp("finished"))
    return study, compare(study, start=lambda _: chatter.wordy_engine(), encoder=encoder)


@pytest.fixture
def copied(finished: tuple[StudyConfig, dict[str, Any]], tmp_path: Path) -> Callable[..., StudyConfig]:
    """`copied(axes={...})`: the finished study in a folder of its own, with parts of it changed."""
    study, _ = finished

    def make(**parts: Any) -> StudyConfig:
        output = tmp_path / "study"
        if not output.exists():
            shutil.copytree(study.output, output)
        value = {**study.model_dump(mode="json"), "output": str(output), **parts}
        return StudyConfig.model_validate(value)

    return make


def lasting(found: dict[str, Any]) -> dict[str, Any]:
    """What does not depend on the clock or on the folder."""
    text = json.dumps(found).replace(json.dumps(str(Path(found["cells"][0]["folder"]).parents[1]))[1:-1], "OUTPUT")
    value = json.loads(text)
    for cell in value["cells"]:
        cell["cost"] = {name: number for name, number in cell["cost"].items() if "seconds" not in name}
    groups = [(group, "measures") for group in value["summary"]] + ([(value["best"], "expected")] if value["best"] else [])
    for group, part in groups:
        group[part] = {name: mean for name, mean in group[part].items() if "seconds" not in name}
    return {name: part for name, part in value.items() if name not in ("created", "seconds")}


def cell_of(found: dict[str, Any], temperature: str, curation: str, replicate: int = 0) -> dict[str, Any]:
    axes = {"temperature": temperature, "curation": curation}
    (only,) = [cell for cell in found["cells"] if cell["axes"] == axes and cell["replicate"] == replicate]
    return only


# -- what is measured ------------------------------------------------------------------------------------------


def test_a_study_holds_all_that_was_asked(finished: tuple[StudyConfig, dict[str, Any]]) -> None:
    study, found = finished
    assert json.loads((Path(study.output) / "study.json").read_bytes()) == found
    assert found["axes"] == {"temperature": ["0.3", "2"], "curation": ["none", "lr"]}
    assert [cell["status"] for cell in found["cells"]] == ["done"] * 8
    assert {cell["n"] for cell in found["cells"]} == {24}
    assert len({cell["folder"] for cell in found["cells"]}) == 4  # curations share their run
    assert [(group["axes"], group["replicates"]) for group in found["summary"]] == [
        ({"temperature": temperature, "curation": curation}, 2) for temperature in ("0.3", "2") for curation in ("none", "lr")
    ]
    assert (found["oracle"]["test"]["accuracy"], found["oracle"]["doubt"]) == (1.0, None)
    assert (found["real"]["n"], found["real"]["n_test"], found["real"]["at_equal_n"]["n"]) == (90, 60, 24)
    assert found["bars"]["examples"] == {
        name: value for name, value in found["real"].items() if name not in ("at_equal_n", "diversity")
    }  # so few are all there are
    assert (found["bars"]["majority"]["accuracy"], found["bars"]["majority"]["label"]) == (1 / 3, "animals")
    cost = cell_of(found, "0.3", "lr")["cost"]
    assert cost["generated_tokens"] == 24 * 8
    assert cost["prompt_tokens"] == 24 * 14  # a prompt has 14 words
    assert all(cost[name] >= 0 for name in ("generate_seconds", "curate_seconds", "train_seconds"))
    assert cell_of(found, "0.3", "none")["cost"]["curate_seconds"] == 0


def test_heat_spoils_labels_and_replacement_mends_them(finished: tuple[StudyConfig, dict[str, Any]]) -> None:
    """The backend's labels are wrong at random: at 0.3 for a tenth, at 2.0 for two thirds of the texts."""
    _, found = finished
    for replicate in (0, 1):
        cold, hot = cell_of(found, "0.3", "none", replicate), cell_of(found, "2", "none", replicate)
        assert cold["label_accuracy"] > hot["label_accuracy"] + 0.2
        assert cold["student"]["accuracy"] > hot["student"]["accuracy"]
        assert cell_of(found, "2", "lr", replicate)["label_accuracy"] > hot["label_accuracy"]
    effects = {(effect["axis"], effect["measure"]): effect for effect in found["effects"]}
    assert effects["temperature", "label_accuracy"]["difference"] < -0.2
    assert effects["curation", "label_accuracy"]["difference"] > 0
    assert effects["temperature", "label_accuracy"]["n"] == 2  # data sets: curations of one are averaged
    assert effects["curation", "label_accuracy"]["n"] == 4


def test_measures_are_those_of_the_metrics_and_of_scikit_learn(finished: tuple[StudyConfig, dict[str, Any]], encoder: Encoder) -> None:
    study, found = finished
    data = study.run.task.data
    assert data is not None
    train, test = read_texts(str(data.train)), read_texts(str(data.test))
    cell = cell_of(found, "2", "lr")
    texts = read_texts(cell["folder"], curation="lr")
    real, made, held_out = (np.asarray(encoder.encode(each.texts or ()).vectors) for each in (train, texts, test))
    assert cell["diversity"]["remote_clique"] == pytest.approx(float(remote_clique(made)))
    assert cell["similarity"]["top_5"] == pytest.approx(float(top_k_similarity(real, made, k=5)), abs=1e-6)
    assert cell["similarity"]["cross_distance"] == pytest.approx(float(cross_distance(made, real)))
    assert cell["similarity"]["coverage"] == pytest.approx(float(coverage(real, made)))
    oracle = LogisticRegression(C=10, max_iter=10_000).fit(real, train.labels)
    assert cell["label_accuracy"] == pytest.approx(oracle.score(made, texts.labels))
    student = LogisticRegression(C=10, max_iter=10_000).fit(made, texts.labels)
    assert cell["student"]["accuracy"] == pytest.approx(student.score(held_out, test.labels))


def test_students_are_scored_on_texts_they_were_not_trained_on(run: Run, tmp_path: Path) -> None:
    """The data set's own texts are the test split: all of them must go, by their folded form."""
    study = chatter.make_study(tmp_path, axes={"temperature": [0.3]}, replicates=1, curations={})
    first = run(study)
    made = read_texts(first["cells"][0]["folder"])
    rows = [{"text": text.upper(), "label": label} for text, label in list(zip(made.texts or (), made.labels or (), strict=True))[::2]]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (cell,) = run(study)["cells"]
    assert (cell["leaked_dropped"], cell["n"], cell["available"]) == (12, 12, 12)
    assert first["cells"][0]["leaked_dropped"] == 0


def test_the_oracle_has_not_seen_the_test_split(run: Run, tmp_path: Path) -> None:
    study = chatter.make_study(tmp_path, axes={"temperature": [0.3]}, replicates=1, curations={})
    copies = (tmp_path / "test.jsonl").read_text().splitlines()[:5]
    with (tmp_path / "train.jsonl").open("a") as file:
        file.write(
            "".join(f"{line.upper().replace('TEXT', 'text').replace('LABEL', 'label')}\n" for line in copies).replace("ANIMALS", "animals")
        )
    found = run(study)
    assert (found["oracle"]["test"]["n_train"], found["real"]["n"]) == (90, 90)
    assert "5 texts of the real train split also stand in the held-out data: oracle and student did not see them" in found["warnings"]


@pytest.mark.slow
def test_fine_tuned_students_of_several_seeds(run: Run, tmp_path: Path) -> None:
    known = [*chatter.FILLERS, *(word for words in chatter.WORDS.values() for word in words)]
    model = write_bert(tmp_path / "bert", words=known)
    student = {
        "kind": "finetune",
        "model": str(model),
        "epochs": 3,
        "patience": 1,
        "max_tokens": 16,
        "learning_rate": 1e-3,
        "batch_size": 8,
    }
    found = run(chatter.make_study(tmp_path, axes={"temperature": [0.3]}, curations={}, replicates=1, student=student, student_seeds=2))
    (cell,) = found["cells"]
    assert cell["status"] == "done", cell["error"]
    accuracy = cell["student"]["seeds"]["accuracy"]
    assert (accuracy["n"], accuracy["mean"]) == (2, cell["student"]["accuracy"])
    assert cell["cost"]["train_seconds"] > 0
    assert (found["real"]["n"], found["real"]["seeds"]["accuracy"]["n"]) == (90, 2)
    assert len(list((tmp_path / "study" / "students").glob("finetune-*"))) == 4  # all texts and equal n, two seeds each


def test_students_with_and_without_the_examples_of_relabelled_and_unrelabelled_texts(run: Run, tmp_path: Path, encoder: Encoder) -> None:
    """PromptMix's A1 and A2, with and without seeds, from one study: one run, whose own seeds are added to what the student learns."""
    few_shot = {"strategy": {"kind": "few_shot", "form": "li", "seed_pool": 6, "completions_per_call": 2}}
    axes = {"curation": ["none", "lr"], "examples": ["without", "with"]}
    study = chatter.make_study(tmp_path, per_label=20, run=few_shot, axes=axes, replicates=1, train_size=60)
    more = [json.dumps({"text": f"{label} {number}", "label": label}) for label in chatter.LABELS for number in range(5)]
    train = Path(str(study.run.task.data and study.run.task.data.train))  # of more than 100 texts a run's seeds are the examples
    train.write_text(train.read_text() + "\n".join(more) + "\n")
    found = run(study)
    cells = {(cell["axes"]["curation"], cell["axes"]["examples"]): cell for cell in found["cells"]}
    assert {cell["status"] for cell in cells.values()} == {"done"}
    assert {name: cell["examples"] for name, cell in cells.items()} == {
        ("none", "without"): None, ("none", "with"): 6, ("lr", "without"): None, ("lr", "with"): 6}  # fmt: skip
    assert len({cell["folder"] for cell in cells.values()}) == 1
    assert cells["none", "with"]["n"] == cells["none", "without"]["n"]  # of generated texts
    for measure in ("diversity", "similarity", "label_accuracy"):  # of the generated texts alone
        assert cells["lr", "with"][measure] == cells["lr", "without"][measure]
    texts = read_texts(cells["none", "with"]["folder"])
    seeds = stored_seeds(RunFolder(Path(cells["none", "with"]["folder"])))
    known = {each.fields["text"]: each.label for each in seeds}
    taught = LabelledTexts.of(texts).joined(LabelledTexts(tuple(known), tuple(known.values()), tuple(known), "seeds"))
    assert isinstance(study.student, LinearStudentConfig)
    student = train_student(study.student, taught, None, seed=0, labels=sorted(chatter.LABELS), encoder=encoder)
    test = read_texts(str(tmp_path / "test.jsonl"))
    right = [said == label for said, label in zip(student.predict(list(test.texts or ())).labels, test.labels or (), strict=True)]
    assert cells["none", "with"]["student"]["accuracy"] == pytest.approx(np.mean(right), abs=0.02)  # the order of the texts differs
    assert found["best"] is None or ("--with-examples" in found["best"]["commands"][-1]) == (found["best"]["axes"]["examples"] == "with")
    assert run(study)["cells"] == found["cells"]


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"student": None}, "says what the student learns from, and the study has none"),
        ({"data": {}}, "has no data.train, which real examples come from"),
    ],
)
def test_examples_need_a_student_and_real_data(run: Run, tmp_path: Path, parts: dict[str, Any], says: str) -> None:
    data = chatter.write_data(tmp_path)
    if "data" in parts:
        parts = {"data": {"test": data["test"]}}
    with pytest.raises(UsageError, match=says):
        run(chatter.make_study(tmp_path, **{"axes": {"examples": ["with"]}, "curations": {}, **parts}))


def test_arms_that_do_not_differ_are_said(run: Run, tmp_path: Path) -> None:
    """No block follows the first: no suppression yet. More of this in test_notes.py."""
    found = run(chatter.make_study(tmp_path, axes={"suppression": ["off", "label"]}, curations={}, replicates=1))
    assert any(warning.startswith("(suppression off) and (suppression label) share 100% of their texts") for warning in found["warnings"])


def test_an_oracle_of_few_texts_is_not_called_one_without_a_warning(run: Run, tmp_path: Path) -> None:
    data = chatter.write_data(tmp_path)
    rows = Path(data["train"]).read_text().splitlines()
    Path(data["train"]).write_text("".join(f"{row}\n" for row in rows[::5]))  # 18, six of each label
    found = run(chatter.make_study(tmp_path, data, axes={"temperature": [0.3]}, replicates=1, curations={}))
    doubt = found["oracle"]["doubt"]
    right = found["oracle"]["test"]["accuracy"]
    assert doubt.startswith(
        f"the oracle is no oracle: it learnt 3 labels from 18 real texts alone, and is right in {right:.1%} of the test"
    )
    assert doubt in found["warnings"]
    page = render_template("study_page.html.j2", {"study": study_context(found)})
    assert "In place of an oracle, a student of few real texts (18)" in page
    assert "it learnt 3 labels from 18 real texts alone" in page


@pytest.mark.slow
def test_pairs_are_compared_as_pairs(run: Run, tmp_path: Path, encoder: Encoder) -> None:
    """Both texts are read: a hypothesis in the premise's own words, or about another matter. A pair that stands in the test data goes."""
    places, actions = ("town", "lake", "school", "farm", "harbour", "library"), ("opened", "burned", "moved", "flooded", "closed", "grew")
    premises = [f"The {place} {action} in {year} ." for place in places for action in actions for year in (1890, 1950)]

    def written(premise: str, label: str, number: int) -> str:
        return f"{premise[:-2]} indeed, {number}" if label == "yes" else f"Nobody ate {number} soups"

    def rows(part: list[str]) -> str:
        given = [{"premise": each, "hypothesis": written(each, label, 0), "label": label} for each in part for label in ("yes", "no")]
        return "".join(json.dumps(each) + "\n" for each in given)

    data = {"train": str(tmp_path / "train.jsonl"), "test": str(tmp_path / "test.jsonl")}
    Path(data["train"]).write_text(rows(premises[:40]))
    Path(data["test"]).write_text(rows(premises[40:]))
    labels = {label: {"phrase": f"a hypothesis for {label}", "description": f"Says {label}."} for label in ("yes", "no")}
    task = {"kind": "pair", "name": "entailing", "text_type": "hypothesis", "context": "You judge.", "labels": labels, "data": data}
    study = chatter.make_study(tmp_path, data, run={"task": task, "strategy": {"kind": "zero_shot"}}, per_label=12)

    def write(request: Any, rng: Any) -> str:
        return written(str(request.target.given["premise"]), request.target.name, rng.randrange(99)) if request.target.labels else "warm"

    found = run(study, backend=FakeEngine(write=write, lent=True))
    assert [cell["status"] for cell in found["cells"]] == ["done"] * 8, [cell["error"] for cell in found["cells"]]
    assert {cell["n"] for cell in found["cells"]} == {24}
    plain = [cell for cell in found["cells"] if cell["axes"]["curation"] == "none"]
    assert all(cell["label_accuracy"] == 1 and cell["student"]["accuracy"] == 1 for cell in plain)
    assert found["bars"]["majority"]["accuracy"] == 0.5
    made = read_texts(plain[0]["folder"])
    assert {len(text) for text in made.texts or ()} == {2}
    vectors = np.asarray(encoder.encode([f"{first}\n{second}" for first, second in made.texts or ()]).vectors)
    assert plain[0]["diversity"]["remote_clique"] == pytest.approx(float(remote_clique(vectors)))


# -- size ------------------------------------------------------------------------------------------------------


def test_every_cell_is_measured_at_the_smallest_cells_size(copied: Callable[..., StudyConfig], run: Run) -> None:
    small = {"stages": [{"kind": "denoise", "keep": 0.5}]}
    study = copied(axes={"temperature": [0.3], "curation": ["none", "half"]}, curations={"half": small}, replicates=1)
    found = run(study)
    assert {cell["n"] for cell in found["cells"]} == {12}
    assert [cell["available"] for cell in found["cells"]] == [24, 12]
    cell = "temperature-0.3_r0+half"
    assert found["train_size"] == {"n": 12, "rule": f"as many as {cell} has, the smallest cell", "cell": cell}
    assert any("compared on 12 texts, as many as temperature-0.3_r0+half has" in warning for warning in found["warnings"])
    scores = json.loads((Path(study.output) / "scores" / "cells" / "temperature-0.3_r0+none" / "entry.json").read_bytes())["facts"]
    assert sum(each["support"] for each in scores["student"]["per_class"].values()) == 60
    assert "per_class" not in found["cells"][0]["student"]

    found = run(study.model_copy(update={"train_size": 20}))
    assert [(cell["n"], cell["shortfall"]) for cell in found["cells"]] == [(20, 0), (12, 8)]
    assert any("fewer texts than train_size 20: temperature-0.3_r0+half (12)" in warning for warning in found["warnings"])


# -- reuse -----------------------------------------------------------------------------------------------------


def test_a_second_call_does_nothing_and_says_the_same(
    finished: tuple[StudyConfig, dict[str, Any]], copied: Callable[..., StudyConfig], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("variegate.pipeline.comparison.real.train_student", lambda *_, **__: pytest.fail("a student was trained"))
    backend, started = chatter.wordy_engine(), []
    study = copied()
    before = {path: path.stat().st_mtime_ns for path in Path(study.output).rglob("*") if path.is_file() and "best" not in path.parts}
    found = run(study, backend=backend, started=started)
    assert (backend.calls, started) == ([], [])
    assert lasting(found) == lasting(finished[1])
    changed = {path.name for path, at in before.items() if path.stat().st_mtime_ns != at}
    assert changed <= {"study.json", "study.yaml", "curation.yaml", "lock"}


@pytest.mark.slow
def test_a_new_option_makes_its_own_cells_alone(
    finished: tuple[StudyConfig, dict[str, Any]], copied: Callable[..., StudyConfig], run: Run
) -> None:
    backend = chatter.wordy_engine()
    found = run(copied(axes={"temperature": [0.3, 1.0, 2.0], "curation": ["none", "lr"]}), backend=backend)
    assert {request.sampling.temperature for call in backend.calls for request in call} == {1.0}
    old = {cell["id"]: cell for cell in lasting(finished[1])["cells"]}
    new = {cell["id"]: cell for cell in lasting(found)["cells"]}
    assert len(new) == 12
    assert {id: new[id] for id in old} == old


@pytest.mark.slow
def test_a_changed_run_goes_on_from_the_texts_that_are_there(copied: Callable[..., StudyConfig], run: Run) -> None:
    study, backend = copied(), chatter.wordy_engine()
    larger = {**study.run.model_dump(mode="json"), "target": {"per_label": 10}}
    found = run(copied(run=larger), backend=backend)
    assert {cell["n"] for cell in found["cells"]} == {30}
    assert sum(len(call) for call in backend.calls) == 4 * 6  # two more of each label


def test_a_changed_option_of_a_curation_redoes_that_curation_alone(copied: Callable[..., StudyConfig], run: Run) -> None:
    heard, backend = Heard(), chatter.wordy_engine()
    study = copied(curations={"lr": {"stages": [{"kind": "label_replacement", "labels": "oracle", "inspected": "all"}]}})
    found = run(study, backend=backend, progress=heard)
    assert backend.calls == []
    scored = {note.split(":")[0] for note in heard.notes}
    assert scored  # cells whose labels came out as they were before are not scored again either
    assert scored <= {cell["id"] for cell in found["cells"] if cell["curation"] == "lr"}
    assert {cell["label_accuracy"] for cell in found["cells"] if cell["curation"] == "lr"} == {1.0}
    assert any("took labels from an oracle of the same kind" in warning for warning in found["warnings"])


def test_runs_are_found_again_when_axes_are_renamed(copied: Callable[..., StudyConfig], run: Run) -> None:
    backend, heard = chatter.wordy_engine(), Heard()
    heat = {"cold": {"decoding.temperature": 0.3}, "hot": {"decoding.temperature": 2.0}}
    found = run(copied(axes={"heat": heat, "curation": ["none", "lr"]}), backend=backend, progress=heard)
    assert backend.calls == []
    assert "heat-cold_r1: is the run that was called temperature-0.3_r1" in heard.notes
    assert sorted(path.name for path in (Path(found["cells"][0]["folder"]).parent).iterdir()) == [
        "heat-cold_r0", "heat-cold_r1", "heat-hot_r0", "heat-hot_r1"]  # fmt: skip


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    place = data.index(b"accuracy") + len(b'accuracy": 0.')
    data[place] ^= 1
    path.write_bytes(data)


def swap_with_the_neighbours(path: Path) -> None:
    other = path.parent.parent / "temperature-2_r0+lr" / path.name
    mine, theirs = path.read_bytes(), other.read_bytes()
    path.write_bytes(theirs)
    other.write_bytes(mine)


def copy_the_neighbours(path: Path) -> None:
    shutil.copytree(path.parent.parent / "temperature-2_r0+lr", path.parent, dirs_exist_ok=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("harm", "number"), [(cut, 1), (flip_a_bit, 1), (Path.unlink, 1), (copy_the_neighbours, 1), (swap_with_the_neighbours, 2)]
)
def test_damaged_scores_are_named_and_made_again(
    finished: tuple[StudyConfig, dict[str, Any]], copied: Callable[..., StudyConfig], run: Run, harm: Callable[[Path], Any], number: int
) -> None:
    study, heard = copied(), Heard()
    harm(Path(study.output) / "scores" / "cells" / "temperature-0.3_r1+lr" / "entry.json")
    assert lasting(run(study, progress=heard)) == lasting(finished[1])
    assert sum("temperature-0.3_r1+lr/entry.json" in note and "is set aside in" in note for note in heard.notes) == 1
    assert len([note for note in heard.notes if "is set aside in" in note]) == number
    assert len([note for note in heard.notes if "student accuracy" in note]) == number
    again = Heard()
    run(study, progress=again)
    assert again.notes == []


@pytest.mark.slow
def test_scores_of_an_earlier_size_come_back(copied: Callable[..., StudyConfig], run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    study = copied()
    run(copied(train_size=20))
    monkeypatch.setattr("variegate.pipeline.comparison.score.evaluate", lambda *_, **__: pytest.fail("a student was evaluated"))
    run(study)
    run(copied(train_size=20))


def test_a_new_setting_with_a_neutral_default_makes_no_cell_new(
    finished: tuple[StudyConfig, dict[str, Any]], copied: Callable[..., StudyConfig], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Later(LinearStudentConfig):
        sharpness: float = 0.0

    study = copied()
    assert study.student is not None
    later = {name: Later(**getattr(study, name).model_dump()) for name in ("student", "oracle")}
    monkeypatch.setattr("variegate.pipeline.comparison.real.train_student", lambda *_, **__: pytest.fail("a student was trained"))
    heard = Heard()
    run(study.model_copy(update=later), progress=heard)
    assert heard.notes == []


def test_the_defaults_that_keys_leave_out_are_known() -> None:
    """A key leaves out a setting at its default: where one of these changes, `_RECIPE` in `score` must too. New ones may come."""
    linear = LinearStudentConfig(kind="logistic_regression")
    assert linear.model_dump().items() >= {"encoder": "all-MiniLM-L6-v2", "pooling": None, "C": 10.0, "max_iter": 10_000}.items()
    numbers = {"epochs": 5, "learning_rate": 3e-5, "weight_decay": 0.0, "batch_size": 32, "gradient_accumulation": 1, "max_tokens": 128}
    warmup = {"warmup": 0.1, "warmup_steps": None, "schedule": "linear", "patience": None, "max_grad_norm": 1.0}
    words = {"model": "minilm", "revision": None, "best_by": "accuracy", "precision": "auto", "optimizer": "adamw", "group_by_length": True}
    assert FinetunedStudentConfig(kind="finetune").model_dump().items() >= {**numbers, **warmup, **words}.items()


def test_a_study_of_another_format_is_refused(copied: Callable[..., StudyConfig], run: Run) -> None:
    study = copied()
    assert json.loads((Path(study.output) / "format.json").read_bytes())["format"] == 2
    (Path(study.output) / "format.json").unlink()
    for attempt in (run, describe):
        with pytest.raises(UsageError, match=r"study: is of format 1, and Variegate \S+ works on format 2"):
            attempt(study)


def test_one_engine_serves_all_runs_of_a_model(run: Run, tmp_path: Path) -> None:
    started: list[Any] = []
    backend = chatter.wordy_engine()
    run(chatter.make_study(tmp_path, axes={"suppression": ["off", "label"]}, curations={}, replicates=1), backend=backend, started=started)
    assert len(started) == 1


def test_another_study_in_the_folder_is_refused(copied: Callable[..., StudyConfig], run: Run) -> None:
    study = copied()
    with RunFolder(Path(study.output)).lock(), pytest.raises(StoreError, match="is working in this"):
        run(study)


# -- interruptions ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("stop", [1, 6])
def test_stopped_while_generating_it_goes_on(finished: tuple[StudyConfig, dict[str, Any]], run: Run, tmp_path: Path, stop: int) -> None:
    study = chatter.make_study(tmp_path)
    with pytest.raises(Interrupted, match="Run the same command again to go on"):
        run(study, backend=chatter.wordy_engine(fail_at=stop))
    assert not (Path(study.output) / "study.json").exists()
    rest = chatter.wordy_engine()
    assert lasting(run(study, backend=rest)) == lasting(finished[1])
    assert len(rest.calls) == 8 - (stop - 1)  # two shards a run


@pytest.mark.slow
def test_stopped_while_scoring_it_goes_on(
    finished: tuple[StudyConfig, dict[str, Any]], copied: Callable[..., StudyConfig], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = copied()
    shutil.rmtree(Path(study.output) / "scores")
    calls = []

    def stopping(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    from variegate.pipeline.comparison import real as real_side

    real = real_side.train_student
    monkeypatch.setattr(real_side, "train_student", stopping)
    with pytest.raises(Interrupted):
        run(study)
    assert len(list((Path(study.output) / "scores" / "cells").iterdir())) == 2
    assert lasting(run(study)) == lasting(finished[1])
    assert len(calls) == 3 + 6


@pytest.mark.slow
def test_killed_again_and_again_it_goes_on(tmp_path: Path) -> None:
    """kill -9 just before a rename: in a run, in the oracle, in a curation, in the scores. See crash_script.py."""
    done = run_script(Path(__file__).with_name("crash_script.py"), tmp_path, "rounds", "students", "curations", "scores")
    assert (done["whole"], done["killed"], done["broken"]) == (0, [KILLED] * 4, 0)
    assert min(done["left"]) >= 1
    found = [lasting(json.loads((tmp_path / name / "study" / "study.json").read_bytes())) for name in ("whole", "broken")]
    assert found[0] == found[1]
    assert not list((tmp_path / "broken").rglob(".*.tmp"))


# -- failures --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_that_fails_is_told_and_the_others_go_on(run: Run, tmp_path: Path) -> None:
    study = chatter.make_study(tmp_path)
    found = run(study, backend=chatter.wordy_engine(fail_for=2.0, error=BackendError("the engine broke")))
    failed = [cell for cell in found["cells"] if cell["status"] == "failed"]
    assert [(cell["axes"]["temperature"], cell["error"]) for cell in failed] == [("2", "the engine broke")] * 4
    assert all(cell["student"] is None and cell["n"] is None for cell in failed)
    done = [cell for cell in found["cells"] if cell["status"] == "done"]
    assert len(done) == 4
    assert [group["failed"] for group in found["summary"]] == [0, 0, 2, 2]
    assert found["best"]["axes"]["temperature"] == "0.3"
    assert not [effect for effect in found["effects"] if effect["axis"] == "temperature"]
    assert any(warning.startswith("4 of 8 cells failed: temperature-2_r0+none") for warning in found["warnings"])
    assert {cell["status"] for cell in run(study)["cells"]} == {"done"}  # and they are tried again


def test_a_curation_that_drops_everything_fails_alone(copied: Callable[..., StudyConfig], run: Run) -> None:
    data = copied().run.task.data
    assert data is not None
    study = copied(replicates=1)
    made = read_texts(Path(study.output) / "runs" / "temperature-2_r0").texts or ()
    (Path(study.output) / "held.txt").write_text("".join(f"{text}\n" for text in made))
    gone = {"stages": [{"kind": "duplicates", "against": [str(Path(study.output) / "held.txt")]}]}
    found = run(copied(replicates=1, curations={"lr": gone}))
    assert [cell["status"] for cell in found["cells"]] == ["done", "done", "done", "failed"]
    assert "dropped all 24 records" in found["cells"][3]["error"]


def test_a_cell_with_one_class_left_fails_alone(copied: Callable[..., StudyConfig], run: Run) -> None:
    study = copied(replicates=1)
    folder = Path(study.output)
    ids = read_texts(folder / "runs" / "temperature-0.3_r0").ids
    rows = [{"id": id, "label": "money"} for id in ids]
    (folder / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    one = {"stages": [{"kind": "label_replacement", "labels": str(folder / "labels.jsonl"), "inspected": "all"}]}
    found = run(copied(replicates=1, curations={"lr": one}, axes={"temperature": [0.3], "curation": ["none", "lr"]}))
    assert [cell["status"] for cell in found["cells"]] == ["done", "failed"]
    assert "all 24 texts have the label 'money'" in found["cells"][1]["error"]


@pytest.mark.slow
def test_a_fault_of_our_own_is_kept_with_its_traceback(
    copied: Callable[..., StudyConfig], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = copied()
    shutil.rmtree(Path(study.output) / "scores" / "cells" / "temperature-2_r1+lr")

    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("by design")

    monkeypatch.setattr("variegate.pipeline.comparison.score.evaluate", broken)
    found = run(study)
    (failed,) = [cell for cell in found["cells"] if cell["status"] == "failed"]
    assert failed["error"] == "ZeroDivisionError: by design: this is an error in Variegate"
    assert "Traceback" in (Path(study.output) / "errors" / f"{failed['id']}.txt").read_text()
    monkeypatch.undo()
    run(study)
    assert not (Path(study.output) / "errors").exists()


# -- real data that is not there -------------------------------------------------------------------------------


def test_without_test_data_students_have_nothing_to_be_judged_by(run: Run, tmp_path: Path) -> None:
    data = chatter.write_data(tmp_path)
    study = chatter.make_study(tmp_path, {"train": data["train"]})
    with pytest.raises(
        UsageError, match=r"task 'chatter' has no data\.test, and the students' accuracy is measured on it.*`student: null`"
    ):
        run(study)
    found = run(chatter.make_study(tmp_path, {"train": data["train"]}, student=None, replicates=1))
    assert {cell["status"] for cell in found["cells"]} == {"done"}
    assert all(cell["student"] is None and cell["label_accuracy"] is not None for cell in found["cells"])
    assert (found["best"], found["real"], found["regression"], found["pareto"]) == (None, None, None, [])
    assert found["oracle"]["test"] is None
    assert "no best recipe: no combination has a student accuracy to choose by" in found["warnings"]


def test_without_train_data_label_accuracy_is_null_and_said(run: Run, tmp_path: Path) -> None:
    data = chatter.write_data(tmp_path)
    with pytest.raises(UsageError, match=r"curation 'lr' takes labels from an oracle, which learns from data\.train"):
        run(chatter.make_study(tmp_path, {"test": data["test"]}))
    found = run(chatter.make_study(tmp_path, {"test": data["test"]}, axes={"temperature": [0.3, 2]}, replicates=1))
    for cell in found["cells"]:
        assert cell["label_accuracy"] is None
        assert set(cell["similarity"].values()) == {None}
        assert cell["student"]["accuracy"] > 0
    assert found["real"] is None
    assert any("has no data.train: label accuracy, similarity to real data and the student" in warning for warning in found["warnings"])


@pytest.mark.parametrize(("split", "content", "says"), [
    ("train", None, "no such file: correct the path, or set VARIEGATE_DATA"),
    ("train", '{"text": "a", "label": "mony"}\n', "label 'mony' is not one of task 'chatter'; did you mean 'money'?"),
    ("test", "", "holds no record"),
])  # fmt: skip
def test_bad_real_data_is_refused_before_anything_is_made(run: Run, tmp_path: Path, split: str, content: str | None, says: str) -> None:
    study = chatter.make_study(tmp_path)
    path = tmp_path / f"{split}.jsonl"
    path.unlink() if content is None else path.write_text(content)
    backend = chatter.wordy_engine()
    with pytest.raises(UsageError) as caught:
        run(study, backend=backend)
    assert says in str(caught.value)
    assert backend.calls == []


def test_cells_of_another_task_are_refused(run: Run, tmp_path: Path) -> None:
    axes = {"task": {"same": {}, "other": {"task.labels": {"a": {"phrase": "p", "description": "d"}}}}}
    with pytest.raises(ConfigError, match=r"task other: has other labels or real data than the study's run"):
        run(chatter.make_study(tmp_path, axes=axes, curations={}))


# -- the best recipe -------------------------------------------------------------------------------------------


def test_the_best_recipe_is_ready_to_run_and_makes_what_it_promises(copied: Callable[..., StudyConfig], run: Run, tmp_path: Path) -> None:
    study = copied(axes={"temperature": [0.3], "curation": ["lr"]})  # so that the best one has a curation
    best = run(study)["best"]
    assert best["axes"] == {"temperature": "0.3", "curation": "lr"}
    assert best["commands"] == [
        f"variegate generate {study.output}/best/run.yaml",
        f"variegate curate runs/small-best {study.output}/best/curation.yaml",
    ]
    config = load_run(Path(best["run"]), [f"output={tmp_path / 'again'}"])
    assert "# The best recipe of study small: the highest mean student accuracy" in Path(best["run"]).read_text()
    generate(config, start=lambda _: chatter.wordy_engine())
    first = Path(study.output) / "runs" / "temperature-0.3_r0"
    assert (tmp_path / "again" / "records.jsonl").read_bytes() == (first / "records.jsonl").read_bytes()
    curate(RunFolder(tmp_path / "again"), load_curation(best["curation"]), "lr")
    assert read_texts(tmp_path / "again", curation="lr").labels == read_texts(first, curation="lr").labels


def test_the_diversity_that_is_compared_by_can_be_named(copied: Callable[..., StudyConfig], run: Run) -> None:
    found = run(copied(diversity="chamfer"))
    assert found["diversity_measure"] == "chamfer"
    assert [term["name"] for term in found["regression"]["terms"]] == ["intercept", "label_accuracy", "chamfer", "top_5"]


def test_a_budget_that_nothing_fits_is_said(copied: Callable[..., StudyConfig], run: Run) -> None:
    found = run(copied(budget={"generated_tokens": 100}))
    assert found["best"] is None
    assert (
        "no best recipe: no combination fits the budget of 100 generated tokens: the cheapest needs 192 generated tokens"
        in found["warnings"]
    )


# -- listing ---------------------------------------------------------------------------------------------------


def test_the_list_says_what_is_there_and_writes_nothing(copied: Callable[..., StudyConfig], tmp_path: Path) -> None:
    study = copied(axes={"temperature": [0.3, 1.0], "curation": ["none", "lr"]}, replicates=1)
    before = sorted(tmp_path.rglob("*"))
    rows = describe(study)
    assert [(row["run"], row["curated"], row["scored"]) for row in rows] == [
        ("generated", None, True),
        ("generated", True, True),
        ("new", None, False),
        ("new", False, False),
    ]
    (tmp_path / "study" / "runs" / "temperature-0.3_r0" / "manifest.json").unlink()
    assert [row["run"] for row in describe(study)] == ["begun", "begun", "new", "new"]
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before] == []


def test_the_resolved_study_in_the_folder_is_the_study(finished: tuple[StudyConfig, dict[str, Any]]) -> None:
    study, _ = finished
    assert load_study(str(Path(study.output) / "study.yaml")) == study

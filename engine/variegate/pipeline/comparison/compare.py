"""A study from its configuration to study.json: cells made, measured at one size, students trained, results drawn together.

Every part is kept as soon as it is made and found again, so a study that was stopped or changed goes on from there.
Knows the order of things; `make`, `score` and `summary` know how.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from variegate import __version__
from variegate.config.load import to_yaml
from variegate.config.study import WITH, StudyConfig
from variegate.errors import Interrupted, UsageError
from variegate.inference.session import Start
from variegate.kinds import kind_of
from variegate.pipeline.comparison.jobs import explain
from variegate.pipeline.comparison.make import Made, fail, make_all
from variegate.pipeline.comparison.notes import notes_of
from variegate.pipeline.comparison.places import (
    BEST,
    ERRORS,
    MARKS,
    RUNS,
    SCORES,
    STUDENTS,
    Place,
    adopt,
    clear_unfinished,
    places_of,
    read_curation,
    read_manifest,
)
from variegate.pipeline.comparison.real import Encoders, RealData, asks_oracle, needs_dev
from variegate.pipeline.comparison.score import Sample, Scorer, read_sample, shown
from variegate.pipeline.comparison.sizes import notes_on_size, size_of
from variegate.pipeline.comparison.summary import best_of, conditional_effects_of, effects_of, front_of, regression_of, summarise_cells
from variegate.pipeline.oracles import doubt_of
from variegate.pipeline.real_splits import has_split
from variegate.pipeline.training.fit import check_fit
from variegate.progress import Progress, Silent
from variegate.store.files import commit_folder, write_atomic
from variegate.store.formats import check_format, state_format
from variegate.store.run_folder import RunFolder
from variegate.store.shelf import Shelf

if TYPE_CHECKING:
    from variegate.embeddings import Encoder

STUDY = "study.json"
OWN = ("study.yaml", STUDY, "report.html", "lock", RUNS, SCORES, STUDENTS, ERRORS, BEST)  # what may stand in a study's folder


def compare(
    study: StudyConfig, *, progress: Progress | None = None, start: Start | None = None, encoder: Encoder | None = None
) -> dict[str, Any]:
    """Make, measure and compare all cells; returns what OUTPUT/study.json holds.

    start: makes the engine of every run, in this process; it is the caller's to close. Without it engines run in processes of
        their own, one after the other.
    encoder: a ready one, in place of the study's.
    A cell that fails is in the result with its error; the others go on. Raises UsageError for what is wrong with the study as a
    whole, StoreError, and Interrupted on Ctrl-C, with all that was finished on disk.
    """
    progress = progress or Silent()
    places = places_of(study)
    check_data(study)
    output = Path(study.output)
    with RunFolder(output).lock(own=OWN):
        check_format(output, MARKS)
        state_format(output)
        try:
            return _Study(study, output, places, progress, start, encoder).run()
        except (KeyboardInterrupt, Interrupted) as error:
            raise Interrupted(f"stopped: what was finished is in {output}. Run the same command again to go on.") from error


def check_data(study: StudyConfig) -> None:
    """Raise UsageError where a student cannot learn the task's kind, or a part of the study needs real data that its task does not name."""
    task = study.run.task
    kind = kind_of(task)
    for what, student in (("student", study.student), ("oracle", study.oracle)):
        if student is not None:
            check_fit(kind, student, what)
    if study.student is not None and not has_split(task, "test"):
        raise UsageError(
            f"task {task.name!r} has no data.test, and the students' accuracy is measured on it: name a file there, or set `student: null` "
            "to compare without students"
        )
    if WITH in study.options().get("examples", ()) and study.student is None:
        raise UsageError(
            "axes.examples: with: says what the student learns from, and the study has none: leave the axis out, or name a student"
        )
    if WITH in study.options().get("examples", ()) and not has_split(task, "train"):
        raise UsageError(
            f"axes.examples: with: task {task.name!r} has no data.train, which real examples come from: name a file there, or leave the axis out"
        )
    if study.dev == "real" and study.student is not None and needs_dev(study.student) and not has_split(task, "dev"):
        raise UsageError(
            f"task {task.name!r} has no data.dev, and the study says `dev: real`: name a file there, or set `dev: held_out`, which holds out a "
            "tenth of each cell's texts"
        )
    if not has_split(task, "train"):
        for name, curation in study.curations.items():
            if name in study.options().get("curation", ()) and asks_oracle(curation):
                raise UsageError(
                    f"curation {name!r} takes labels from an oracle, which learns from data.train, and task {task.name!r} has none: name a "
                    "file there, or take the labels from elsewhere"
                )


class _Study:
    """One call of `compare`."""

    def __init__(
        self, study: StudyConfig, output: Path, places: list[Place], progress: Progress, start: Start | None, encoder: Encoder | None
    ) -> None:
        self.study, self.output, self.places, self.progress, self._start = study, output, places, progress, start
        self.encoders = Encoders(study.encoder, encoder)
        self.warnings: list[str] = []

    def run(self) -> dict[str, Any]:
        began = time.monotonic()
        study, progress = self.study, self.progress
        clear_unfinished(self.output)
        shelf = Shelf(self.output / SCORES, on_damage=progress.note)
        shelf.clear_unfinished()
        write_atomic(self.output / "study.yaml", to_yaml(study).encode())
        shutil.rmtree(self.output / ERRORS, ignore_errors=True)  # of the last call
        for former, now in adopt(self.output, self.places):
            progress.note(f"{now}: is the run that was called {former}")
        self.real = RealData(study, self.output, self.encoders, progress)
        made = make_all(self.places, self.real, self.encoders, progress, start=self._start)
        self.scorer = Scorer(study, shelf, self.real, self.encoders, progress.update)
        samples = self._samples(made)
        counts = {id: len(sample.texts) for id, sample in samples.items()}
        size_facts = size_of(study.train_size, counts)
        self.warnings += notes_on_size(size_facts, counts)
        size = size_facts["n"] if samples else 0
        cells = []
        for number, place in enumerate(self.places):
            progress.update(f"scoring {place.id}", number, len(self.places))
            cells.append(self._cell(place, samples.get(place.id), size, made))
        self.warnings += notes_of(study, self.real, self.places, cells, samples)
        found = {
            "variegate": __version__,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "name": study.name,
            "task": study.run.task.name,
            "axes": study.options(),
            "replicates": study.replicates,
            "train_size": size_facts,
            "diversity_measure": study.diversity,
            "student": None if study.student is None else study.student.model_dump(mode="json"),
            "oracle": self._oracle(),
            "real": self.scorer.real_student(size) if size else None,
            "real_similarity": self.scorer.similarity_of_real(size) if size else None,
            "bars": (bars := self.scorer.bars(self._num_seeds, size, self.warnings)),
            "cells": cells,
            **self._results(cells, bars),
        }
        found["warnings"] = self.warnings
        found["seconds"] = round(time.monotonic() - began, 1)
        write_atomic(self.output / STUDY, orjson.dumps(found, option=orjson.OPT_INDENT_2))
        self._write_errors(made)
        return found

    # -- cells -------------------------------------------------------------------------------------------------

    def _samples(self, made: Made) -> dict[str, Sample]:
        """Of the cells that were made and that a student could learn from."""
        samples = {}
        for number, place in enumerate(self.places):
            if made.error_of(place) is None:
                self.progress.update(f"reading {place.id}", number, len(self.places))
                try:
                    samples[place.id] = read_sample(place, self.real, self._num_seeds)
                except Exception as error:  # noqa: BLE001 one cell's fault must not end the others
                    fail(made, place.id, *explain(error), self.progress)
        return samples

    @property
    def _num_seeds(self) -> int:
        """The most real examples that a run draws."""
        return max(place.run.strategy.num_seeds(len(place.run.task.labels)) for place in self.places)

    def _cell(self, place: Place, sample: Sample | None, size: int, made: Made) -> dict[str, Any]:
        scores, error = None, made.error_of(place)
        if sample is not None and error is None:
            try:
                scores, reused = self.scorer.score(sample, size)
                self._tell(place, scores, reused)
            except Exception as raised:  # noqa: BLE001 one cell's fault must not end the others
                fail(made, place.id, *explain(raised), self.progress)
                error = made.error_of(place)
        student = None if scores is None or scores["student"] is None else shown(scores["student"])
        return {
            "id": place.id,
            "axes": dict(place.cell.axes),
            "replicate": place.cell.replicate,
            "seed": place.run.seed,
            "folder": str(place.folder),
            "curation": place.cell.curation,
            "n": None if scores is None else scores["n"],
            "available": None if sample is None else len(sample.texts),
            "shortfall": None if scores is None else size - scores["n"],
            "leaked_dropped": None if sample is None else sample.leaked,
            "examples": None if sample is None or sample.examples is None else len(sample.examples),
            "label_accuracy": None if scores is None else scores["label_accuracy"],
            "diversity": {} if scores is None else scores["diversity"],
            "similarity": {} if scores is None else scores["similarity"],
            "student": student,
            "cost": _cost(place, scores),
            "status": "done" if error is None else "failed",
            "error": error,
        }

    def _tell(self, place: Place, scores: dict[str, Any], reused: bool) -> None:
        if reused:
            return
        parts = [f"{scores['n']} texts", f"Remote-Clique {scores['diversity']['remote_clique']:.3f}"]
        if scores["label_accuracy"] is not None:
            parts.append(f"label accuracy {scores['label_accuracy']:.3f}")
        if scores["student"] is not None:
            parts.append(f"student accuracy {scores['student']['accuracy']:.3f}")
        self.progress.note(f"{place.id}: {', '.join(parts)}")

    def _write_errors(self, made: Made) -> None:
        for id, (message, trace) in made.errors.items():
            if trace:
                write_atomic(self.output / ERRORS / f"{id}.txt", f"{message}\n\n{trace}".encode())

    # -- results -----------------------------------------------------------------------------------------------

    def _oracle(self) -> dict[str, Any]:
        """doubt: why it is hardly an oracle; None also where there is none."""
        test, train = self.scorer.oracle_test(), self.real.train
        doubt = None if train is None else doubt_of(train, len(self.real.labels), None if test is None else test["accuracy"])
        self.warnings += [doubt] if doubt else []
        return {"config": self.study.oracle.model_dump(mode="json"), "test": None if test is None else shown(test), "doubt": doubt}

    def _results(self, cells: list[dict[str, Any]], bars: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        axes, diversity, summary = self.study.options(), self.study.diversity, summarise_cells(cells)
        regression, why = regression_of(cells, "top_5", diversity)
        cross, why_cross = regression_of(cells, "cross_similarity", diversity)
        self.warnings += dict.fromkeys([*why, *why_cross])
        place, reason = best_of(summary, self.study.budget, diversity, bars)
        if place is None:
            self.warnings.append(f"no best recipe: {reason}")
        return {
            "summary": summary,
            "effects": effects_of(axes, cells),
            "conditional_effects": conditional_effects_of(axes, cells),
            "pareto": front_of(summary, diversity),
            "regression": regression,
            "regression_cross": cross,
            "best": None if place is None else self._best(summary[place], reason),
        }

    def _best(self, group: dict[str, Any], reason: str) -> dict[str, Any]:
        """Write the recipe as files that `variegate generate` and `variegate curate` take."""
        place = next(each for each in self.places if each.cell.axes == group["axes"] and each.cell.replicate == 0)
        folder = self.output / BEST
        run = place.cell.run.model_copy(update={"output": f"runs/{self.study.name}-best"})
        head = f"# The best recipe of study {self.study.name}: {reason}.\n"
        files = {"run.yaml": (head + to_yaml(run)).encode()}
        commands = [f"variegate generate {folder / 'run.yaml'}"]
        if place.cell.curation is not None:
            files["curation.yaml"] = (head + to_yaml(self.study.curations[place.cell.curation])).encode()
            commands.append(f"variegate curate {run.output} {folder / 'curation.yaml'}")
        if place.cell.with_examples:
            commands.append(
                " ".join(["variegate train", run.output, *(["--curation curation"] if place.curation else []), "--with-examples"])
            )
        commit_folder(folder, files, replace=True)  # type: ignore[arg-type]
        return {
            "axes": group["axes"],
            "reason": reason,
            "run": str(folder / "run.yaml"),
            "curation": str(folder / "curation.yaml") if place.cell.curation is not None else None,
            "commands": commands,
            "expected": group["measures"],
        }


def _cost(place: Place, scores: dict[str, Any] | None) -> dict[str, Any]:
    """Tokens and seconds of the run (shared by all curations of it), of the curation and of the student."""
    manifest, summary = read_manifest(place), read_curation(place)
    cost: dict[str, Any] = dict.fromkeys(("prompt_tokens", "generated_tokens", "generate_seconds", "curate_seconds", "train_seconds"))
    if manifest is not None:
        tokens = manifest["tokens"]
        cost |= {"prompt_tokens": tokens["prompt"], "generated_tokens": tokens["generated"]}
        cost["generate_seconds"] = manifest["seconds"]["generate"]
        cost["curate_seconds"] = 0.0
    if manifest is not None and summary is not None:
        cost["curate_seconds"] = summary["seconds"]
        asked = [stage["facts"].get("usage") or {} for stage in summary["stages"]]
        for name in ("prompt_tokens", "generated_tokens"):
            cost[name] += sum(each.get(name, 0) for each in asked)
    if scores is not None:
        cost["train_seconds"] = scores["train_seconds"]
    return cost

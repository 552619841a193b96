"""Where a study keeps what: a run folder for every generated data set, a curation in it for every curated one, a shelf of scores.

    OUTPUT/format.json, study.yaml, study.json, report.html
    OUTPUT/runs/temperature-0.7_suppression-off_r0/          a run folder as `variegate generate` writes it
    OUTPUT/runs/.../curations/lr180/                         as `variegate curate` writes it
    OUTPUT/scores/cells/temperature-0.7_suppression-off_r0+lr180/, OUTPUT/scores/real/
    OUTPUT/students/, OUTPUT/errors/, OUTPUT/best/

Knows folders and what lies in them; generates, curates and trains nothing.
"""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from variegate.config import ModelConfig, RunConfig
from variegate.config.curation import CurationConfig, DenoiseStage
from variegate.config.study import SHARING, StudyConfig
from variegate.config.study_cells import Cell, cells_of, named
from variegate.errors import ConfigError
from variegate.inference.backend import check_model_path
from variegate.inference.identity import fingerprint
from variegate.pipeline.resume import config_digest
from variegate.seeding import digest
from variegate.store.files import explained
from variegate.store.formats import check_format
from variegate.store.run_folder import RunFolder
from variegate.store.shelf import Shelf
from variegate.store.verdicts import CurationFolder

_LONGEST_NAME = 150  # characters of a folder's name
RUNS, SCORES, STUDENTS, ERRORS, BEST = "runs", "scores", "students", "errors", "best"
MARKS = ("study.yaml", RUNS)  # of a study's folder


@dataclass(frozen=True, slots=True)
class Place:
    """A cell and where it lies."""

    id: str  # of the cell, unique in the study
    cell: Cell
    run: RunConfig  # the cell's, with its folder as `output`

    @property
    def folder(self) -> Path:
        return Path(self.run.output)

    @property
    def run_id(self) -> str:
        """Of the data set as generated; cells that differ in curation and examples alone share it."""
        return self.folder.name

    @property
    def curation(self) -> CurationConfig | None:
        return self.cell.curation_config


def places_of(study: StudyConfig) -> list[Place]:
    """Every cell with its folder. Raises ConfigError, also where cells are not of one task; UsageError where a model is not there."""
    cells = cells_of(study)
    for cell in cells:
        _check_task(study, cell)
    for model in {digest(cell.run.model.model_dump(mode="json")): cell.run.model for cell in cells}.values():
        check_model_path(model)
    names = [_name(cell) for cell in cells]
    of_generation: dict[str, set[str]] = {}
    for name, cell in zip(names, cells, strict=True):
        of_generation.setdefault(name.casefold(), set()).add(digest([cell.generation, cell.replicate]))
    places = []
    for name, cell in zip(names, cells, strict=True):
        if len(of_generation[name.casefold()]) > 1:
            name = f"{name}-{digest([cell.generation, cell.replicate], length=8)}"
        run = cell.run.model_copy(update={"output": str(Path(study.output) / RUNS / name)})
        shared = [f"{cell.axes[axis]}-examples" if axis == "examples" else cell.axes[axis] for axis in SHARING if axis in cell.axes]
        places.append(Place("+".join([name, *shared]), cell, run))
    doubled = [id for id, count in Counter(place.id.casefold() for place in places).items() if count > 1]
    if doubled:  # curations that differ in case alone
        raise ConfigError(f"study {study.name!r}: two cells have the name {doubled[0]!r}: rename an option")
    return places


def _name(cell: Cell) -> str:
    """Axes and options are letters, digits and . _ - (see `closed.Name`): they cannot leave the folder."""
    name = "_".join([*(f"{axis}-{option}" for axis, option in cell.generation.items()), f"r{cell.replicate}"])
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}-{digest(name, length=8)}"


def _check_task(study: StudyConfig, cell: Cell) -> None:
    base, own = study.run.task, cell.run.task
    if own.data != base.data or sorted(own.labels) != sorted(base.labels):
        raise ConfigError(
            f"study {study.name!r}: {named(cell.axes)}: has other labels or real data than the study's run: a study compares data sets of one "
            "task. Vary how its texts are asked for (task.text_type, task.context, a label's phrase), or make two studies"
        )


def runs_of(places: Iterable[Place]) -> list[Place]:
    """One place for every run folder, in order."""
    first: dict[str, Place] = {}
    for place in places:
        first.setdefault(place.run_id, place)
    return list(first.values())


# -- what is there ---------------------------------------------------------------------------------------------


def read_manifest(place: Place) -> dict[str, Any] | None:
    """None unless the folder holds the finished run of this very configuration and model."""
    manifest = RunFolder(place.folder).read_manifest() if (place.folder / "run.yaml").is_file() else None
    if manifest is None or manifest.get("config_sha256") != config_digest(place.run):
        return None
    model = manifest.get("model")
    known = model.get("sha256") if isinstance(model, dict) else None
    return manifest if known == _model_hash(place.run.model.model_dump_json()) else None


def read_curation(place: Place) -> dict[str, Any] | None:
    """What curation.json holds; None where the cell is not curated, or not yet."""
    if place.cell.curation is None or not place.folder.is_dir():
        return None
    return CurationFolder(RunFolder(place.folder), place.cell.curation).read_summary()


@cache
def _model_hash(model: str) -> str:
    return fingerprint(ModelConfig.model_validate_json(model)).model


def clear_unfinished(output: Path) -> None:
    """Remove what a killed process left of a file or folder it was writing. Run folders and shelves clear their own."""
    for folder in (output, output / STUDENTS):
        for path in folder.glob(".*.tmp"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def adopt(output: Path, places: list[Place]) -> list[tuple[str, str]]:
    """Rename finished runs of a former version of the study, whose axes had other names, to what they are called now.

    Returns (former name, name now). A run is known by its configuration; nothing that the study still names is moved.
    """
    wanted = {place.run_id for place in places}
    former: dict[str, Path] = {}
    for path in sorted((output / RUNS).glob("*")):
        if path.name not in wanted and (path / "manifest.json").is_file():
            manifest = RunFolder(path).read_manifest() or {}
            former.setdefault(str(manifest.get("config_sha256")), path)
    moved = []
    for place in runs_of(places):
        found = former.get(config_digest(place.run))
        if found is not None and not place.folder.exists():
            with explained(place.folder):
                found.rename(place.folder)
            moved.append((found.name, place.run_id))
            del former[config_digest(place.run)]
    return moved


def most_texts(place: Place) -> int:
    """No more than these can be compared of the cell: what was kept, or is asked for. Texts of the test data still go from it, and whatever
    a curation that has not run drops, beside the share that `denoise` drops for certain."""
    manifest, summary = read_manifest(place), read_curation(place)
    if summary is not None:
        return int(summary["kept"])
    target = place.run.target.per_label * len(place.run.task.labels)
    count = target if manifest is None else int(manifest["ledger"]["kept"])
    for stage in place.curation.stages if place.curation is not None else ():
        if isinstance(stage, DenoiseStage):
            count = math.ceil(stage.keep * count - 1e-9)
    return count


def describe(study: StudyConfig) -> list[dict[str, Any]]:
    """What `--dry-run` says of each cell: what is on disk and will be looked at again. Reads; changes nothing."""
    output = Path(study.output)
    check_format(output, MARKS)
    scored = Shelf(output / SCORES).names("cells")
    rows: list[dict[str, Any]] = []
    for place in places_of(study):
        state = "new"
        if read_manifest(place) is not None:
            state = "generated"
        elif (place.folder / "rounds").is_dir() and any((place.folder / "rounds").iterdir()):
            state = "begun"
        curated = None if place.cell.curation is None else read_curation(place) is not None
        rows.append(
            {
                "id": place.id,
                "axes": dict(place.cell.axes),
                "replicate": place.cell.replicate,
                "seed": place.run.seed,
                "folder": str(place.folder),
                "run": state,
                "curated": curated,
                "scored": f"cells/{place.id}" in scored,
                "texts": most_texts(place),
            }
        )
    return rows

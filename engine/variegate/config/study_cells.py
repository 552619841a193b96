"""The cells of a study: every combination of options, the run that each one means, and what makes two of them the same.

Knows configurations only; folders and results are the pipeline's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from variegate.config.curation import CurationConfig
from variegate.config.load import assignment, build_run
from variegate.config.resources import PACKAGE
from variegate.config.run import RunConfig
from variegate.config.strategies import STRATEGY_CONFIGS
from variegate.config.study import NO_CURATION, SHARING, WITH, Overrides, StudyConfig
from variegate.errors import ConfigError, nearest
from variegate.seeding import digest


@dataclass(frozen=True, slots=True)
class Cell:
    """One data set of the study. Cells that differ in curation and examples alone share their run."""

    axes: Mapping[str, str]  # axis -> option, those of SHARING last
    replicate: int
    run: RunConfig  # `output` is the study's, and stands for no folder yet
    curation: str | None
    curation_config: CurationConfig | None

    @property
    def generation(self) -> dict[str, str]:
        """The options that decide what is generated."""
        return {axis: option for axis, option in self.axes.items() if axis not in SHARING}

    @property
    def with_examples(self) -> bool:
        """Whether the student also learns from the real examples."""
        return self.axes.get("examples") == WITH


def cells_of(study: StudyConfig) -> list[Cell]:
    """Every combination that is not excluded, replicate by replicate within it.

    Raises ConfigError naming the options, where a combination is no valid run, sets a field twice, or is the same run or
    curation as another.
    """
    options = study.options()
    excluded = [_excluded(study, each) for each in study.exclude]
    cells: list[Cell] = []
    runs: dict[tuple[str, ...], RunConfig] = {}  # options but those of SHARING, and replicate -> run
    for chosen in product(*options.values()):
        axes = dict(zip(options, chosen, strict=True))
        if any(all(axes[axis] == option for axis, option in each.items()) for each in excluded):
            continue
        for replicate in range(study.replicates):
            own = {axis: option for axis, option in axes.items() if axis not in SHARING}
            key = (*own.values(), str(replicate))
            if key not in runs:
                runs[key] = _run(study, own, replicate)
            cells.append(_cell(study, axes, replicate, runs[key]))
    if not cells:
        raise ConfigError(f"study {study.name!r}: `exclude` leaves no combination: leave less out")
    _check_different(study, cells)
    return cells


def named(axes: Mapping[str, str]) -> str:
    """`temperature 0.7, suppression off`, for a person."""
    return ", ".join(f"{axis} {option}" for axis, option in axes.items()) or "the run itself"


def _excluded(study: StudyConfig, given: Mapping[str, Any]) -> dict[str, str]:
    options = study.options()
    found = {}
    for axis, value in given.items():
        where = f"study {study.name!r}: exclude {dict(given)}"
        if axis not in options:
            raise ConfigError(f"{where}: no axis {axis!r}{nearest(axis, options)} Axes: {', '.join(options) or 'none'}")
        option = "off" if value is False else NO_CURATION if value is None else f"{value:g}" if isinstance(value, float) else str(value)
        if option not in options[axis]:
            known = ", ".join(options[axis])
            raise ConfigError(f"{where}: axis {axis!r} has no option {option!r}{nearest(option, options[axis])} Options: {known}")
        found[axis] = option
    if not found:
        raise ConfigError(f"study {study.name!r}: exclude: an empty combination would leave everything out: name an axis and an option")
    return found


def _run(study: StudyConfig, axes: dict[str, str], replicate: int) -> RunConfig:
    fields: Overrides = {}
    set_by: dict[str, str] = {}
    for axis, option in axes.items():
        for field, value in _fields_of(study, axis, option).items():
            if field in set_by or (field.startswith("decoding.suppression.") and "suppression" in axes):
                raise ConfigError(
                    f"study {study.name!r}: axes {set_by.get(field, 'suppression')!r} and {axis!r} both set {field}: keep one"
                )
            fields[field], set_by[field] = value, axis
    kind = fields.get("strategy", study.run.strategy.model_dump())["kind"]
    if "seed_pool" not in STRATEGY_CONFIGS.find(kind).model_fields:
        if fields.get("strategy.seed_pool"):
            raise ConfigError(
                f"study {study.name!r}: {named(axes)}: strategy {kind} has no pool of examples: add `exclude: [{{strategy: "
                f"{axes.get('strategy', kind)}, seeding: {axes['seeding']}}}]`, or vary strategies with a pool alone"
            )
        fields.pop("strategy.seed_pool", None)  # 0 real examples is what a strategy without a pool has
    fields["seed"] = study.run.seed + replicate
    fields["output"] = study.output
    ordered = sorted(fields, key=lambda field: field.count("."))  # `strategy` before `strategy.seed_pool`
    return build_run(
        study.run.model_dump(mode="json"),
        PACKAGE,  # every path is absolute already
        [assignment(field, fields[field]) for field in ordered],
        where=f"study {study.name!r}: {named(axes)}",
        output=study.output,
    )


def _cell(study: StudyConfig, axes: dict[str, str], replicate: int, run: RunConfig) -> Cell:
    curation = axes.get("curation", NO_CURATION)
    if curation == NO_CURATION:
        return Cell(axes, replicate, run, None, None)
    config = study.curations[curation]
    return Cell(axes, replicate, run, curation, config.model_copy(update={"seed": config.seed + replicate}))


def _fields_of(study: StudyConfig, axis: str, option: str) -> Overrides:
    """The run's fields that an option sets."""
    place = study.options()[axis].index(option)
    if axis in study.axes.own():
        return study.axes.own()[axis][option]
    if axis == "temperature":
        return {"decoding.temperature": (study.axes.temperature or [])[place]}
    if axis == "seeding":
        return {"strategy.seed_pool": (study.axes.seeding or [])[place]}
    if axis == "suppression":
        return {"decoding.suppression": _suppression(study.run, option)}
    return {"strategy": _strategy(study, option)}


def _suppression(run: RunConfig, option: str) -> dict[str, Any] | None:
    """The run's own settings, but for the group; those that `faithful` fixed are not kept."""
    if option == "off":
        return None
    if option == "faithful":
        return {"faithful": True}
    own = run.decoding.suppression
    kept = {} if own is None or own.faithful else own.model_dump(mode="json", exclude={"group", "faithful"})
    return {**kept, "group": option}


def _strategy(study: StudyConfig, option: str) -> dict[str, Any]:
    if option in study.strategies:
        return study.strategies[option].model_dump(mode="json")
    own = study.run.strategy
    if own.kind == option:
        return own.model_dump(mode="json")
    fields = STRATEGY_CONFIGS.find(option).model_fields
    return {
        "kind": option,
        **{name: getattr(own, name) for name in ("form", "completions_per_call") if name in fields and hasattr(own, name)},
    }


def _check_different(study: StudyConfig, cells: list[Cell]) -> None:
    seen: dict[str, Cell] = {}
    for cell in cells:
        if cell.replicate:
            continue
        curation = None if cell.curation_config is None else cell.curation_config.model_dump(mode="json")
        key = digest([cell.run.model_dump(mode="json"), curation, cell.with_examples])
        if key in seen:
            raise ConfigError(
                f"study {study.name!r}: ({named(seen[key].axes)}) and ({named(cell.axes)}) are the same: an option that changes nothing is "
                "not compared. Leave one out, or name it under `exclude`"
            )
        seen[key] = cell

"""Each kind of curation stage: what it reads beside its items, and its judgement, made by the functions of `curation`.

Knows configs, inputs and judging functions; knows nothing of how verdicts are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from variegate.config.curation import (
    AuditStage,
    DenoiseStage,
    DuplicatesStage,
    LabelReplacementStage,
    RelabelStage,
    ScopeStage,
    StageConfig,
)
from variegate.curation.audit import audit
from variegate.curation.denoise import denoise
from variegate.curation.judging import Items, Judgement
from variegate.curation.label_replacement import choose_inspected, replace_labels
from variegate.curation.scope import filter_scope
from variegate.errors import UsageError
from variegate.pipeline.curation.inputs import ORACLE, Inputs
from variegate.seeding import digest


@dataclass(frozen=True, slots=True)
class Prepared:
    """A stage with its items. reads: JSON-able; all that decides the judgement beside items, config and seed."""

    reads: Sequence[Any]
    judge: Callable[[], Judgement]


def check(stage: StageConfig, inputs: Inputs) -> None:
    """Raise UsageError for what can be told wrong before any stage runs: files, splits, labels."""
    if isinstance(stage, RelabelStage | LabelReplacementStage | AuditStage) and len(inputs.task.labels) < 2:
        raise UsageError(
            f"{stage.kind}: task {inputs.task.name!r} has one label, {next(iter(inputs.task.labels))!r}, and there is nothing to choose"
            " from: add labels to the task, or leave the stage out"
        )
    if isinstance(stage, DuplicatesStage):
        inputs.held_out(stage.against)
    elif isinstance(stage, LabelReplacementStage | ScopeStage):
        if stage.labels == ORACLE:
            inputs.check_oracle()
        else:
            inputs.judged(stage.labels, stage.kind)


def prepare(stage: StageConfig, items: Items, inputs: Inputs) -> Prepared:
    """Every kind but `relabel`, which needs an engine (see `relabelling`). Raises UsageError."""
    seed = inputs.config.seed
    if isinstance(stage, DuplicatesStage):
        return _duplicates(stage, items, inputs)
    if isinstance(stage, LabelReplacementStage):
        return _label_replacement(stage, items, inputs)
    if isinstance(stage, ScopeStage):
        return _scope(stage, items, inputs)
    if isinstance(stage, DenoiseStage):
        return _denoise(stage, items, inputs)
    if isinstance(stage, AuditStage):
        return Prepared([inputs.encoder_key], lambda: audit(items, inputs.vectors(items), drop=stage.drop, folds=stage.folds, seed=seed))
    raise AssertionError(f"no way to prepare a stage of kind {stage.kind!r}")


def _with_facts(judgement: Judgement, facts: Mapping[str, Any]) -> Judgement:
    return replace(judgement, facts={**judgement.facts, **facts})


def _duplicates(stage: DuplicatesStage, items: Items, inputs: Inputs) -> Prepared:
    held_out = inputs.held_out(stage.against)
    embeds = stage.near is not None and stage.near_by == "embedding"

    def judge() -> Judgement:
        from variegate.curation.copies import find_duplicates

        return find_duplicates(
            items,
            exact=stage.exact,
            near=stage.near,
            near_by=stage.near_by,
            vectors=inputs.vectors(items) if embeds else None,
            held_out=held_out,
            held_out_vectors=[inputs.encode(texts) for _, texts in held_out] if embeds else None,
        )

    return Prepared([inputs.encoder_key if embeds else None, digest(held_out)], judge)


# -- labels taken from somewhere -------------------------------------------------------------------------------


def _label_replacement(stage: LabelReplacementStage, items: Items, inputs: Inputs) -> Prepared:
    seed = inputs.config.seed
    if stage.labels == ORACLE:
        places = _choose(items, range(len(items)), stage.inspected, seed)
        reads: list[Any] = [inputs.oracle_key]
        facts: dict[str, Any] = {"source": ORACLE}

        def look() -> dict[str, str]:
            chosen = items.take(places)
            return dict(zip(chosen.ids, inputs.oracle_labels(chosen.texts), strict=True))
    else:
        judged = inputs.judged(stage.labels, stage.kind)
        known = {id: each.label for id, each in judged.by_id.items() if each.label is not None}
        here = [place for place, id in enumerate(items.ids) if id in known]
        if not here:
            raise UsageError(
                f"{stage.kind}: none of the {len(known)} labels of {stage.labels} is of a record that is still kept: inspect others"
                f" (`variegate inspect {inputs.folder.path}`), or put this stage before those that drop"
            )
        places = _choose(items, here, stage.inspected, seed)
        reads = [digest([[items.ids[place], known[items.ids[place]]] for place in places])]
        out_of_scope = sum(not each.in_scope for each in judged.by_id.values())
        facts = {**judged.facts, "out_of_scope_not_used": out_of_scope, "of_records_still_kept": len(here)}

        def look() -> dict[str, str]:
            return {items.ids[place]: known[items.ids[place]] for place in places}

    needs_proxy = len(places) < len(items)

    def judge() -> Judgement:
        vectors = inputs.vectors(items) if needs_proxy else None
        found = replace_labels(items, vectors, look(), labels=list(inputs.task.labels), weight=stage.weight, seed=seed)
        return _with_facts(found, facts)

    return Prepared([*reads, inputs.encoder_key if needs_proxy else None, list(inputs.task.labels)], judge)


def _scope(stage: ScopeStage, items: Items, inputs: Inputs) -> Prepared:
    seed = inputs.config.seed
    if stage.labels == ORACLE:
        places = _choose(items, range(len(items)), stage.inspected, seed)
        reads: list[Any] = [inputs.oracle_key]
        facts: dict[str, Any] = {"source": ORACLE}

        def look() -> dict[str, bool]:
            chosen = items.take(places)
            return dict(zip(chosen.ids, inputs.oracle_in_scope(chosen.texts), strict=True))
    else:
        judged = inputs.judged(stage.labels, stage.kind)
        here = [place for place, id in enumerate(items.ids) if id in judged.by_id]
        if not here:
            raise UsageError(
                f"{stage.kind}: none of the {len(judged.by_id)} judgements of {stage.labels} is of a record that is still kept: inspect others"
                f" (`variegate inspect {inputs.folder.path}`), or put this stage before those that drop"
            )
        places = _choose(items, here, stage.inspected, seed)
        known = {items.ids[place]: judged.by_id[items.ids[place]].in_scope for place in places}
        reads = [digest(list(known.items()))]
        facts = {**judged.facts, "of_records_still_kept": len(here)}

        def look() -> dict[str, bool]:
            return known

    def judge() -> Judgement:
        found = filter_scope(items, inputs.vectors(items), look(), threshold=stage.threshold, seed=seed)
        return _with_facts(found, facts)

    return Prepared([*reads, inputs.encoder_key], judge)


def _choose(items: Items, places: Sequence[int], wanted: int | str, seed: int) -> list[int]:
    """`wanted` of `places`, in order; all of them where that is `all`, or there are no more."""
    if isinstance(wanted, str) or wanted >= len(places):
        return list(places)
    part = items.take(places)
    return sorted(places[chosen] for chosen in choose_inspected(part.ids, part.labels, wanted, seed=seed))


# -- seeds -----------------------------------------------------------------------------------------------------


def _denoise(stage: DenoiseStage, items: Items, inputs: Inputs) -> Prepared:
    def judge() -> Judgement:
        vectors = inputs.vectors(items)
        seeds, served = inputs.seed_vectors(items)
        found = denoise(
            items, vectors, seeds, keep=stage.keep, weight=stage.weight, scale=stage.scale, choose=stage.choose, seed=inputs.config.seed
        )
        return _with_facts(found, {"seeds_from": served})

    return Prepared([inputs.encoder_key, inputs.parent_texts(items), digest(inputs.class_examples())], judge)

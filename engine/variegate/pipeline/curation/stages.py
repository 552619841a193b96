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
from variegate.kinds import check_one_text
from variegate.kinds.text import Text
from variegate.pipeline.curation.inputs import ORACLE, Inputs, Judged
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
    if isinstance(stage, RelabelStage):
        check_one_text(inputs.kind, "relabel: the model is asked about one text", "use label_replacement, or leave the stage out")
    if isinstance(stage, DuplicatesStage):
        if stage.near is not None and stage.near_by == "embedding":
            check_one_text(inputs.kind, "duplicates: near_by: embedding compares vectors of one text", "use near_by: minhash")
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


def _with_facts(judgement: Judgement, facts: Mapping[str, Any], notes: Sequence[str] = ()) -> Judgement:
    return replace(judgement, facts={**judgement.facts, **facts}, warnings=(*judgement.warnings, *notes))


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

    contained = ["contained"] if held_out else []  # a stage from before texts that contain a held-out one went is made anew
    return Prepared([inputs.encoder_key if embeds else None, digest(held_out), *contained], judge)


# -- labels taken from somewhere -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Told:
    """The items that a stage is told of. look: what is known of each, by id; an oracle is asked only then."""

    places: Sequence[int]
    reads: Sequence[Any]  # what `look` depends on
    facts: Mapping[str, Any]
    look: Callable[[], dict[str, Any]]


def _told(
    stage: LabelReplacementStage | ScopeStage,
    items: Items,
    inputs: Inputs,
    what: str,
    *,
    ask_oracle: Callable[[Sequence[Text]], Sequence[Any]],
    known_in: Callable[[Judged], dict[str, Any]],
) -> _Told:
    """From the oracle, or from the judgements of a file or a person. what: they are called in a message."""
    seed = inputs.config.seed
    if stage.labels == ORACLE:
        places = _choose(items, range(len(items)), stage.inspected, seed)
        chosen = items.take(places)
        return _Told(places, [inputs.oracle_key], {"source": ORACLE}, lambda: dict(zip(chosen.ids, ask_oracle(chosen.texts), strict=True)))
    judged = inputs.judged(stage.labels, stage.kind)
    known = known_in(judged)
    here = [place for place, id in enumerate(items.ids) if id in known]
    if not here:
        raise UsageError(
            f"{stage.kind}: none of the {len(known)} {what} of {stage.labels} is of a record that is still kept: inspect others"
            f" (`variegate inspect {inputs.folder.path}`), or put this stage before those that drop"
        )
    places = _choose(items, here, stage.inspected, seed)
    told = {items.ids[place]: known[items.ids[place]] for place in places}
    facts = {**judged.facts, "of_records_still_kept": len(here)}
    return _Told(places, [digest(list(told.items()))], facts, lambda: told)


def _label_replacement(stage: LabelReplacementStage, items: Items, inputs: Inputs) -> Prepared:
    def labels_in(judged: Judged) -> dict[str, str]:
        return {id: each.label for id, each in judged.by_id.items() if each.label is not None}

    told = _told(stage, items, inputs, "labels", ask_oracle=inputs.oracle_labels, known_in=labels_in)
    facts, notes = dict(told.facts), []
    if stage.labels != ORACLE:
        out = {id for id, each in inputs.judged(stage.labels, stage.kind).by_id.items() if not each.in_scope}
        facts["out_of_scope_not_used"] = len(out)
        kept = len(out.intersection(items.ids))
        if kept and not any(isinstance(each, ScopeStage) for each in inputs.config.stages):
            notes.append(
                f"{kept} of the items judged here were judged out of scope, and stay, with a label: this stage drops none. Put a `scope` stage"
                " before it, which does"
            )
    needs_proxy = len(told.places) < len(items)

    def judge() -> Judgement:
        vectors = inputs.vectors(items) if needs_proxy else None
        labels = list(inputs.task.labels)
        found = replace_labels(items, vectors, told.look(), labels=labels, weight=stage.weight, seed=inputs.config.seed)
        return _with_facts(found, facts, notes)

    return Prepared([*told.reads, inputs.encoder_key if needs_proxy else None, list(inputs.task.labels)], judge)


def _scope(stage: ScopeStage, items: Items, inputs: Inputs) -> Prepared:
    def scopes_in(judged: Judged) -> dict[str, bool]:
        return {id: each.in_scope for id, each in judged.by_id.items()}

    told = _told(stage, items, inputs, "judgements", ask_oracle=inputs.oracle_in_scope, known_in=scopes_in)

    def judge() -> Judgement:
        found = filter_scope(items, inputs.vectors(items), told.look(), threshold=stage.threshold, seed=inputs.config.seed)
        return _with_facts(found, told.facts)

    return Prepared([*told.reads, inputs.encoder_key], judge)


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

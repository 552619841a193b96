"""The stages that make the set: records generated, then curated, by one engine where both ask the same model."""

from __future__ import annotations

from typing import Any, ClassVar

from variegate.config.curation import LabelReplacementStage, RelabelStage, ScopeStage
from variegate.errors import UsageError
from variegate.kinds import kind_of
from variegate.pipeline.curation.curate import curate, standing_stages
from variegate.pipeline.curation.inputs import INSPECTED, ORACLE, Inputs
from variegate.pipeline.curation.stages import check
from variegate.pipeline.generate import generate
from variegate.pipeline.plan import make_plan
from variegate.pipeline.stages.stage import Context, Status
from variegate.store.inspected import read_inspected
from variegate.store.verdicts import CurationFolder, is_current


class Generate:
    name: ClassVar[str] = "generate"

    def __init__(self, context: Context) -> None:
        self.context = context

    def why_not(self) -> str | None:
        return None

    def intent(self) -> str:
        run = self.context.run
        labels = len(run.task.labels)
        records = f"{labels * run.target.per_label:,} records of {labels} labels" if labels else f"{run.target.per_label:,} records"
        more = " and what its rounds add" if run.strategy.works else ""
        return f"{records}{more}, by {run.model.name}, {run.strategy.kind}"

    def stands(self) -> bool:
        manifest = self.context.folder.read_manifest()
        if manifest is None:
            return False
        plan = make_plan(self.context.run)
        return plan.next_round == 0 and not plan.next_work

    def make(self) -> tuple[Status, str, Any]:
        context = self.context
        summary = generate(context.run, resume=context.resume, progress=context.progress, session=context.sessions.of(context.run.model))
        dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(summary.dropped.items()))
        short = sum(summary.shortfall.values())
        words = f"{summary.kept:,} kept of {summary.requested:,} requested{f' (dropped: {dropped})' if dropped else ''}"
        if short:
            words += f", {short:,} short of the target"
        if summary.answered and summary.reused:
            words += f"; {summary.reused:,} rows were there"
        return "made" if summary.answered else "reused", words, summary


class Curate:
    name: ClassVar[str] = "curate"

    def __init__(self, context: Context) -> None:
        self.context, self.config = context, context.stages.curate

    def why_not(self) -> str | None:
        context = self.context
        if self.config is None:
            kind = kind_of(context.run.task)
            return "curate: null" if kind.labelled else f"a curation judges labels, and records of task kind {kind.name!r} have none"
        inputs = Inputs(context.folder, context.run, self.config.curation, [], progress=context.progress)
        for stage in self.config.stages:
            if isinstance(stage, LabelReplacementStage | ScopeStage) and stage.labels != ORACLE:
                if stage.labels == INSPECTED and not read_inspected(context.folder):
                    raise UsageError(
                        f"curate: {stage.kind} takes the labels that you give with `variegate inspect`, and there are none yet: run it with"
                        f" --until generate, then `variegate inspect {context.folder.path}`, then the same command again"
                    )
                continue  # a file's rows are of records that are not there yet
            check(stage, inputs)
        return None

    def intent(self) -> str:
        assert self.config is not None  # noqa: S101  # or it is skipped
        stages = ", ".join(stage.kind for stage in self.config.stages)
        models = sorted({stage.model.name for stage in self.config.stages if isinstance(stage, RelabelStage) and stage.model})
        by = f", by {', '.join(models)}" if models else ""
        return f"{self.config.name} ({stages}{by})"

    def stands(self) -> bool:
        assert self.config is not None  # noqa: S101
        folder = self.context.folder
        summary = CurationFolder(folder, self.config.name).read_summary()
        if summary is None or not is_current(folder, summary):
            return False
        encoder = self.context.encoders.get(self.config.encoder)
        there = standing_stages(folder, self.config.curation, self.config.name, encoder=encoder)
        return there == len(self.config.stages) == len(summary["stages"])

    def make(self) -> tuple[Status, str, Any]:
        assert self.config is not None  # noqa: S101
        context, config = self.context, self.config
        summary = curate(
            context.folder,
            config.curation,
            config.name,
            progress=context.progress,
            sessions=context.sessions,
            encoder=context.encoders.get(config.encoder),
        )
        dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(summary["dropped"].items()))
        words = (
            f"{summary['kept']:,} of {summary['records']:,} stay{f' (dropped: {dropped})' if dropped else ''},"
            f" {summary['changed']:,} with another label than they were generated for"
        )
        return "reused" if len(summary["reused"]) == len(config.stages) else "made", words, summary

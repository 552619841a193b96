"""What a run would make, stage by stage, and what is there already. Makes nothing."""

from __future__ import annotations

from variegate.config import RunConfig
from variegate.config.stages import StagesConfig
from variegate.inference.session import Sessions
from variegate.pipeline.plan import Plan, make_plan
from variegate.pipeline.resume import ResumeMode
from variegate.pipeline.stages.run import check_folder, choose
from variegate.pipeline.stages.stage import NAMES, Context, Outcome
from variegate.progress import Progress, Silent


def look_ahead(
    run: RunConfig,
    stages: StagesConfig,
    *,
    until: str = NAMES[-1],
    resume: ResumeMode = "auto",
    measure: int = 0,
    progress: Progress | None = None,
) -> tuple[list[Outcome], Plan]:
    """(what would become of each stage to `until`, the plan of generating).

    From the first stage that is to be made on, all are: what comes of it decides whether what is there still fits.
    measure: rows that an engine generates, to time them; 0 starts none. Raises UsageError as the run itself would.
    """
    progress = progress or Silent()
    with Sessions(progress=progress) as sessions:
        context = Context(run, stages, report=lambda folder: folder.path, resume=resume, progress=progress, sessions=sessions)
        chosen, skipped = choose(context, until)
        check_folder(context)
        plan = make_plan(run, measure=measure, progress=progress)
        outcomes, standing = [], resume != "never"
        for stage in chosen:
            if stage.name in skipped:
                outcomes.append(Outcome(stage.name, "skipped", skipped[stage.name]))
                continue
            standing = standing and stage.stands()
            outcomes.append(Outcome(stage.name, "reused" if standing else "made", stage.intent()))
    return outcomes, plan

"""`variegate inspect`: a person judges records, one by one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from variegate.cli.inspect_asking import Answer
    from variegate.cli.inspect_screen import Screen
    from variegate.pipeline.inspection.session import Session
    from variegate.records import Record
    from variegate.store.inspected import InspectedLog
    from variegate.store.run_folder import RunFolder


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("-n", "--number", type=click.IntRange(min=1), default=180, show_default=True, help="Items to judge, those of earlier sessions counted in.")  # fmt: skip
@click.option("--choose", type=click.Choice(("random", "uncertain", "label")), default="random", show_default=True, help="random: each record as likely as any other; uncertain: where a quick classifier is least sure; label: in turn from each label.")  # fmt: skip
@click.option("--label", "-l", "labels", multiple=True, help="Only texts generated for this label; may be given more than once.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Of the draw.")
@click.option("--curation", metavar="NAME", help="With --choose uncertain: where this curation of the run is least confident, among the records it keeps.")  # fmt: skip
@click.option("--encoder", help="With --choose uncertain: the classifier's sentence encoder, a name, a folder or a hub id; all-MiniLM-L6-v2 when absent.")  # fmt: skip
@click.option("--again", is_flag=True, help="Also show what is judged already.")
def command(
    folder: Path, number: int, choose: str, labels: tuple[str, ...], seed: int, curation: str | None, encoder: str | None, again: bool
) -> None:
    """Judge texts of the run in RUN one by one: which label each has, or that it is out of scope.

    Up to 31 labels have a key each; more are found by typing some of their letters. Enter: the label the text was generated for
    is right. The keys for undo, skip, out of scope, help and quit stand on the screen. Every judgement is appended to
    RUN/inspected.jsonl at once, and the same command goes on where it was left. `variegate curate` works with these judgements.

    Where standard input is no terminal it is read a line an item: a label's name, title or key; u, s, o, q or ? (or /u, /s, /o,
    /q, /?); an empty line for a label that is right.
    """
    from variegate.cli.inspect_asking import LineAnswers, TerminalAnswers
    from variegate.cli.inspect_screen import Screen
    from variegate.cli.label_search import assign_keys
    from variegate.errors import Interrupted, StoreError, UsageError
    from variegate.kinds import check_labelled
    from variegate.pipeline.inspection.session import Session
    from variegate.store.inspected import INSPECTED, open_inspected
    from variegate.store.kind import kind_of_run
    from variegate.store.run_folder import RunFolder
    from variegate.store.settings import part, read_settings

    run = RunFolder.existing(folder)
    settings = read_settings(run)
    kind = kind_of_run(run)
    check_labelled(kind, "people judge the labels of texts here", f"look at them with `variegate show {run.path}`")
    titles = {label: str(part(settings, "task", "labels", label, "title") or label) for label in sorted(settings["task"]["labels"])}
    descriptions = {label: str(part(settings, "task", "labels", label, "description") or "") for label in titles}
    _check(titles, choose, labels, curation, encoder)
    curated = _read_confidences(run, curation) if curation is not None else None
    if next(run.records(), None) is None:
        raise StoreError(f"{run.path}: no kept record to judge (see `variegate report` for why texts were dropped)")
    terminal = sys.stdin.isatty()
    if terminal and not sys.stdout.isatty():
        raise UsageError("standard output is no terminal, so nothing could be seen: leave it, or give the judgements on standard input too")

    with open_inspected(run) as log:
        if log.torn:
            click.echo(f"{run.path / INSPECTED}: its last line was cut short by a kill, and is left out.", err=True)
        records = {record.id: record for record in run.records()}
        drawn = _draw(run, list(records.values()), number, choose, labels, seed, curated, encoder)
        session = Session.start(drawn, (each.id for each in log.history), again=again)
        keys = assign_keys(titles)
        screen = Screen(kind, titles, descriptions, keys)
        answers: Any = TerminalAnswers(screen, titles, keys) if terminal else nullcontext(LineAnswers(titles, keys))
        loop = _Loop(session, log, screen, records)
        try:
            with answers as ask, closing(screen):
                loop.run(ask.answer, at_end=terminal)
        except KeyboardInterrupt:
            _sum_up(loop, run)
            raise Interrupted(f"stopped: what was judged is in {run.path / INSPECTED}, and the same command goes on") from None
        _sum_up(loop, run)


def _check(known: dict[str, str], choose: str, labels: tuple[str, ...], curation: str | None, encoder: str | None) -> None:
    from variegate.errors import UsageError, nearest

    for label in labels:
        if label not in known:
            some = ", ".join(list(known)[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
            raise UsageError(f"--label {label!r}: the task has no such label{nearest(label, known)} Its labels: {some}")
    for name, value in (("curation", curation), ("encoder", encoder)):
        if value is not None and choose != "uncertain":
            raise UsageError(f"--{name} is about --choose uncertain, and this is --choose {choose}: leave it out")
    if curation is not None and encoder is not None:
        raise UsageError("--encoder is for a classifier, and --curation takes the curation's confidences instead: leave one out")


def _draw(
    run: RunFolder,
    records: list[Record],
    number: int,
    choose: str,
    labels: tuple[str, ...],
    seed: int,
    curated: dict[str, float | None] | None,
    encoder: str | None,
) -> list[str]:
    """Ids, in the order in which they are shown. Raises UsageError when nothing is left to draw from.

    curated: record id -> confidence, of the records that the curation keeps.
    """
    from variegate.errors import UsageError
    from variegate.pipeline.inspection.draw import draw, draw_uncertain

    certainty: dict[str, float] | None = None
    if curated is not None:
        certainty = {id: confidence for id, confidence in curated.items() if confidence is not None}
        records = [record for record in records if record.id in curated]
    elif choose == "uncertain":
        certainty = _margins(run, records, seed, encoder)
    chosen = [record for record in records if not labels or record.label in labels]
    if not chosen:
        kept = " that the curation keeps" if curated is not None else ""
        raise UsageError(f"{run.path}: no record{kept} was generated for {', '.join(labels) or 'any label'}: choose another --label")
    if certainty is None:
        drawn = draw(chosen, number, seed=seed, by_label=choose == "label")
    else:
        drawn = draw_uncertain(chosen, number, certainty, seed=seed)
    return [record.id for record in drawn]


def _read_confidences(run: RunFolder, name: str) -> dict[str, float | None]:
    """Record id -> the curation's confidence, of the records that it keeps. Raises UsageError when it has none."""
    from variegate.errors import UsageError
    from variegate.store.verdicts import open_curation

    found = {row["id"]: row.get("confidence") for row in open_curation(run, name).rows()}
    if all(confidence is None for confidence in found.values()):
        raise UsageError(f"--curation {name}: none of its stages gives confidences: name another, or leave it out")
    return found


def _margins(run: RunFolder, records: list[Record], seed: int, encoder: str | None) -> dict[str, float]:
    from variegate.cli.progress import make_progress
    from variegate.config.student import LinearStudentConfig
    from variegate.pipeline.inspection.draw import margins
    from variegate.store.kind import kind_of_run

    config = LinearStudentConfig.model_validate({"kind": "logistic_regression", **({"encoder": encoder} if encoder else {})})
    progress = make_progress()
    try:
        return margins(kind_of_run(run), records, config, seed=seed, progress=progress.update)
    finally:
        progress.stop()


class _Loop:
    """Shows, asks, stores, goes on. What is stored is stored before anything else happens."""

    def __init__(self, session: Session, log: InspectedLog, screen: Screen, records: dict[str, Record]) -> None:
        self.session, self.log, self.records = session, log, records
        self._screen = screen

    def run(self, ask: Callable[[Record | None], Answer], *, at_end: bool) -> None:
        """at_end: ask once more when all was shown, so that the last judgement can be taken back."""
        from variegate.store.inspected import standing

        number = len(self.session.draw)
        while True:
            record = self.records[self.session.current] if self.session.current is not None else None
            if record is not None:
                self._screen.show_item(record, self.session.place, number, standing(self.log.history).get(record.id))
            elif at_end:
                self._screen.show_end(number)
            else:
                return
            if not self._act(record, ask):
                return

    def _act(self, record: Record | None, ask: Callable[[Record | None], Answer]) -> bool:
        """One answer that moves the session; False: it ends."""
        while True:
            answer = ask(record)
            match answer.command:
                case "help":
                    self._screen.show_help()
                case "undo":
                    if self._undo():
                        return True
                    self._screen.say("nothing was judged yet, so there is nothing to undo")
                case "quit":
                    return False
                case _ if record is None:  # at the end, where Enter ends too
                    return False
                case "skip":
                    self.session = self.session.skipped()
                    self._screen.show_done("skipped", "dim")
                    return True
                case _:
                    self.log.judge(record.id, answer.label)
                    self.session = self.session.judged()
                    same = answer.label == record.label
                    self._screen.show_done(self._screen.title(answer.label), "green" if same else "magenta")
                    return True

    def _undo(self) -> bool:
        """False: there is nothing to undo."""
        step = self.session.last
        if step is None:
            return False
        what = "the skip" if step.skipped else self._screen.title(self.log.undo().label)
        self.session = self.session.undone()
        self._screen.show_done(f"{what} taken back", "yellow")
        return True


def _sum_up(loop: _Loop, run: RunFolder) -> None:
    """What this session and all sessions came to, and what is next."""
    from variegate.pipeline.inspection.session import tally
    from variegate.store.inspected import standing

    steps = loop.session.steps
    judged = sum(not step.skipped for step in steps)
    parts = [f"{judged} judged", f"{len(steps) - judged} skipped"]
    if loop.session.taken_back:
        parts.append(f"{loop.session.taken_back} of earlier sessions taken back")
    all_ = tally(standing(loop.log.history), {record.id: record.label for record in loop.records.values()})
    click.echo(f"This session: {', '.join(parts)}.")
    click.echo(
        f"In all: {all_.judged} of {len(loop.records)} records judged: {all_.agree} as generated, {all_.changed} changed,"
        f" {all_.out_of_scope} out of scope."
    )
    if all_.judged:
        click.echo(f"Next: variegate curate {run.path} label_replacement", err=True)

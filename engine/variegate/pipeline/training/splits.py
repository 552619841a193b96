"""The training, dev and test data of a student, read and kept apart. Knows files and run folders; trains nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from variegate.config.load import load_run
from variegate.errors import UsageError, nearest, some_of
from variegate.kinds import TaskKind, check_labelled, kind_of
from variegate.pipeline.examples import RealTexts, find_real_texts
from variegate.pipeline.gold import stored_examples
from variegate.store.run_folder import RunFolder
from variegate.store.texts import TextSet, read_texts
from variegate.store.where import Condition
from variegate.students import LabelledTexts, check_disjoint, check_labels, split_off, without_overlap
from variegate.students.data import check_same_form


@dataclass(frozen=True, slots=True)
class Source:
    """One set: what `read_texts` reads, and how."""

    path: str
    text_field: str | tuple[str, ...] | None = None
    label_field: str | None = None
    split: str | None = None
    curation: str | None = None  # of a run folder
    where: tuple[Condition, ...] = ()  # of a run folder: which of its records

    def read(self, *, strict: bool) -> TextSet:
        options: dict[str, Any] = {"text_field": self.text_field, "label_field": self.label_field, "split": self.split, "where": self.where}
        if self.curation is not None:
            options["curation"] = self.curation
        return read_texts(self.path, strict=strict, **options)


@dataclass(frozen=True, slots=True)
class Splits:
    """No text stands in two of the three sets."""

    train: LabelledTexts
    dev: LabelledTexts | None
    test: LabelledTexts
    labels: tuple[str, ...] | None  # the task's, sorted; None: those of the training data
    curation: str | None = None
    overlap_dropped: dict[str, int] = field(default_factory=dict)  # "train", "dev" -> texts that stood in a later split too
    warnings: tuple[str, ...] = ()
    kind: TaskKind | None = None  # the task's; None: the training data are no run
    run: Path | None = None  # the folder of the run that the training data are
    real: RealTexts = field(default_factory=RealTexts)  # what the student may stand beside; apart from dev and test as well
    generated: LabelledTexts | None = None  # the training data without the examples, where those were added
    uncurated: LabelledTexts | None = None  # the run's records as they were generated, where the curation makes another set of them

    @property
    def known(self) -> tuple[str, ...]:
        """The labels that a student of these splits knows."""
        return self.labels or tuple(sorted(set(self.train.labels)))


def read_splits(
    train: Source,
    test: Source | None,
    dev: Source | None,
    *,
    wants_dev: bool,
    dev_share: float | None = None,
    drop_overlap: bool = False,
    leave_out: Sequence[str] = (),
    strict: bool = True,
    seed: int = 0,
    examples: Source | None = None,
    with_real: bool = True,
    with_examples: bool = False,
    with_test: bool = True,
) -> Splits:
    """The three sets. Of a run folder, the task's own test data and dev data are taken where none are named.

    wants_dev: the student stops early, and so needs dev data; a task's own are taken for that alone.
    dev_share: share of the training data to split off as dev data, by `seed`.
    drop_overlap: take texts that stand in two sets out of the earlier (train before dev before test), rather than refuse.
    leave_out: labels whose texts are left out of all sets. A run's out-of-scope label is left out in any case.
    examples: the real texts that were there before; of a run otherwise as `find_real_texts` says.
    with_real: read what the student may stand beside. with_examples: add the examples to the training data.
    with_test: False where there are no test data: the student is not judged, and that set is empty.

    Raises UsageError when a set cannot be read, is empty, overlaps with another, or holds labels that the student does not know.
    """
    if [train.path, *(each.path for each in (test, dev, examples) if each)].count("-") > 1:
        raise UsageError("two sets are '-': only one can come from standard input")
    is_run = train.path != "-" and (Path(train.path) / "run.yaml").is_file()
    labels: tuple[str, ...] | None = None
    kind: TaskKind | None = None
    out_of_scope: tuple[str, ...] = ()
    real = RealTexts()
    if is_run:
        config = load_run(Path(train.path) / "run.yaml")
        task = config.task
        labels, kind = tuple(sorted(task.labels)), kind_of(task)
        check_labelled(kind, "this student learns labels", f"train one of kind {' or '.join(kind.students)} with --student FILE")
        data = task.data
        if data is not None and data.out_of_scope_label is not None:
            out_of_scope = (data.out_of_scope_label,)
        if with_test and test is None and data is not None and data.test is not None:
            test = Source(data.test, kind.text_fields, data.label_field)
        if dev is None and dev_share is None and wants_dev and data is not None and data.dev is not None:
            dev = Source(data.dev, kind.text_fields, data.label_field)
        if with_real or with_examples:
            real = find_real_texts(task, stored_examples(RunFolder(Path(train.path))), seed=config.seed)
    if test is None and with_test:
        why = f"{train.path}: its task names no data.test" if is_run else f"{train.path}: is no run folder, whose task would name test data"
        raise UsageError(f"{why}, and nothing else tells whether the data helps: name a file of real labelled texts with --test")
    if dev is not None and dev_share is not None:
        raise UsageError("--dev and --dev-share both say where the dev data come from: leave one out")
    warnings: list[str] = []
    if examples is not None:
        real = replace(real, examples=_read(examples, strict, warnings))
    sets = {"train": _read(train, strict, warnings)}
    if test is not None:
        sets["test"] = _read(test, strict, warnings)
    if dev is not None:
        sets["dev"] = _read(dev, strict, warnings)
    sets = _without(sets, leave_out, out_of_scope, warnings)
    sets.setdefault("test", LabelledTexts((), (), (), "no test data"))
    check_same_form(sets["train"], sets.get("dev"), sets["test"])
    splits = Splits(
        sets["train"], sets.get("dev"), sets["test"], labels, train.curation, kind=kind, run=Path(train.path) if is_run else None
    )
    splits = _apart(splits, drop_overlap, dev_share, seed)
    held_out = [each for each in (splits.test, splits.dev) if each]
    splits = replace(splits, real=real.apart_from(held_out, {*leave_out, *out_of_scope}))
    if with_real and train.curation is not None:
        splits = replace(splits, uncurated=_uncurated(splits, train, {*leave_out, *out_of_scope}))
    return _checked(_with_examples(splits) if with_examples else splits, warnings)


def read_one(source: Source, *, leave_out: Sequence[str] = (), strict: bool = True) -> tuple[LabelledTexts, list[str]]:
    """One set, without the texts of the labels `leave_out`, and what is worth a warning. Raises UsageError."""
    warnings: list[str] = []
    sets = _without({"test": _read(source, strict, warnings)}, leave_out, (), warnings)
    return sets["test"], warnings


def _read(source: Source, strict: bool, warnings: list[str]) -> LabelledTexts:
    found = source.read(strict=strict)
    if found.skipped:
        reasons = ", ".join(f"{number} ({reason})" for reason, number in found.skipped.items())
        warnings.append(f"{found.source}: rows left out: {reasons}")
    return LabelledTexts.of(found)


def _without(
    sets: dict[str, LabelledTexts], asked: Sequence[str], out_of_scope: Sequence[str], warnings: list[str]
) -> dict[str, LabelledTexts]:
    known = {label for each in sets.values() for label in each.labels}
    for label in asked:
        if label not in known:
            raise UsageError(
                f"--leave-out {label!r}: no text has this label{nearest(label, known)} Labels: {some_of([repr(each) for each in sorted(known)], 10)}"
            )
    out = {}
    for name, each in sets.items():
        out[name] = each.without_labels({*asked, *out_of_scope})
        for label in dict.fromkeys((*asked, *out_of_scope)):
            if number := each.labels.count(label):
                warnings.append(
                    f"{name}: {number} texts with the label {label!r} were left out{'' if label in asked else ': it is out of scope'}"
                )
        if not len(out[name]):
            raise UsageError(f"{each.source}: no text is left for the {name} data: look at what was filtered out, or give another set")
    return out


def _apart(splits: Splits, drop: bool, dev_share: float | None, seed: int) -> Splits:
    """The later split keeps a text that stands in two: test before dev before train."""
    train, dev, test = splits.train, splits.dev, splits.test
    dropped: dict[str, int] = {"train": 0, "dev": 0}
    if drop:
        if dev is not None:
            dev, dropped["dev"] = without_overlap(dev, test)
            train, dropped["train"] = without_overlap(train, dev)
        train, more = without_overlap(train, test)
        dropped["train"] += more
    else:
        if dev is not None:
            check_disjoint(dev, test, "test")
            check_disjoint(train, dev, "dev")
        check_disjoint(train, test, "test")
    for name, each in (("training", train), ("dev", dev)):
        if each is not None and not len(each):
            raise UsageError(f"{each.source}: every text of the {name} data stands in the test or dev data too: give other data")
    if dev_share is not None:
        train, dev = split_off(train, dev_share, seed=seed)
    return replace(splits, train=train, dev=dev, overlap_dropped=dropped)


def _uncurated(splits: Splits, train: Source, left_out: set[str]) -> LabelledTexts | None:
    """None where it is the same set."""
    texts = _read(replace(train, curation=None), strict=True, warnings=[]).without_labels(left_out)
    for held_out in (splits.test, splits.dev):
        if held_out:
            texts, _ = without_overlap(texts, held_out)
    same = (texts.texts, texts.labels) == (splits.train.texts, splits.train.labels)
    return None if same or not len(texts) else texts


def _with_examples(splits: Splits) -> Splits:
    examples = splits.real.examples
    if examples is None:
        why = f" ({splits.real.notes[0]})" if splits.real.notes else ""
        raise UsageError(f"--with-examples: {splits.train.source}: no real examples are known{why}: name a file of them with --examples")
    return replace(splits, train=splits.train.joined(examples), generated=splits.train)


def _checked(splits: Splits, warnings: list[str]) -> Splits:
    """Labels that do not fit are an error before anything is trained; labels without a training text are a warning."""
    if splits.labels is not None:
        check_labels(splits.train, splits.labels, "the task's")
    whose = "the task's" if splits.labels is not None else "the training data's"
    for each in (splits.real.examples, splits.dev, splits.test):
        if each is not None:
            check_labels(each, splits.known, whose)
    seen, tested = splits.train.label_counts, splits.test.label_counts
    absent = [label for label in splits.known if label not in seen]
    if absent:
        number = sum(tested.get(label, 0) for label in absent)
        them = "it" if len(absent) == 1 else "them"
        judged = f", and {number} of {len(splits.test)} test texts have {them}" if splits.test else ""
        warnings.append(
            f"no training text has the label{'' if len(absent) == 1 else 's'} {some_of([repr(each) for each in absent], 10)}: the student never"
            f" learns {them}{judged}"
        )
    return replace(splits, warnings=tuple(warnings))

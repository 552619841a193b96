"""The stage that measures the set: kept on the run's shelf by what it was measured from, and written where `variegate measure` does."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import orjson

from variegate.config.load_stages import is_on_disk
from variegate.errors import StoreError, UsageError
from variegate.kinds import kind_of
from variegate.kinds.text import text_of
from variegate.pipeline.measure import MeasureSettings, measure
from variegate.pipeline.real_records import read_records
from variegate.pipeline.real_splits import read_split
from variegate.pipeline.stages.stage import Context, Status
from variegate.seeding import digest
from variegate.store.files import write_atomic
from variegate.store.run_folder import MEASURES, STAGES
from variegate.store.shelf import Made
from variegate.store.texts import TextSet, read_texts
from variegate.store.verdicts import CURATIONS

_RECIPE = 1  # another one where a measure, or the default of a setting in the key, is no longer the same
_SPLITS = ("train", "dev", "test")


class Measure:
    name: ClassVar[str] = "measure"

    def __init__(self, context: Context) -> None:
        self.context, self.config = context, context.stages.measure
        self.entry = f"{STAGES}/measure/{context.curation or 'generated'}"

    def why_not(self) -> str | None:
        if self.config is None:
            return "measure: null"
        reference, task = self.config.reference, self.context.run.task
        if reference in _SPLITS:
            if not is_on_disk(task, reference):
                raise UsageError(
                    f"measure: reference: {reference}: task {task.name!r} has no data.{reference} on this machine: name a file there, or set"
                    " measure.reference to another split, a file or null"
                )
        elif reference is not None and not Path(reference).exists():
            raise UsageError(f"measure: reference: {reference}: no such file, and none of {', '.join(_SPLITS)}")
        return None

    def intent(self) -> str:
        assert self.config is not None  # noqa: S101  # or it is skipped
        reference = self.config.reference
        against = "" if reference is None else f" against the task's {reference} data" if reference in _SPLITS else f" against {reference}"
        return f"{self.context.set_words}{against}"

    def stands(self) -> bool:
        try:
            entry = self.context.folder.shelf.read(self.entry)
        except StoreError:
            return False
        return entry is not None and entry.key == self._key and self._path.is_file()

    def make(self) -> tuple[Status, str, Any]:
        assert self.config is not None  # noqa: S101
        why = self._too_few()
        if why is not None:
            return "skipped", why, None
        measured = False

        def made() -> Made:
            nonlocal measured
            measured = True
            return (), self._measure()

        with self.context.folder.lock():
            found = dict(self.context.folder.shelf.made(self.entry, self._key, made).facts)
            data = orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n"
            if not self._path.is_file() or self._path.read_bytes() != data:
                write_atomic(self._path, data)
        return "made" if measured else "reused", _in_words(found), found

    def _measure(self) -> dict[str, Any]:
        config = self.config
        assert config is not None  # noqa: S101
        settings = MeasureSettings(distance=config.distance, k=config.k, seed=self.context.run.seed)
        encoder = self.context.encoders.get(config.encoder)
        return measure(self._texts, self._reference, settings, encoder=encoder, progress=self.context.progress.update)

    def _too_few(self) -> str | None:
        assert self.config is not None  # noqa: S101
        number, wanted = len(self._texts), self.config.k if self._reference is not None else 2
        return None if number >= max(wanted, 2) else f"{number} records are too few: {max(wanted, 2)} are needed"

    @property
    def _path(self) -> Path:
        """Where the report and the verdict look for it."""
        name = self.context.curation
        return (self.context.folder.path if name is None else self.context.folder.path / CURATIONS / name) / MEASURES

    @cached_property
    def _texts(self) -> TextSet:
        return self.context.texts()

    @cached_property
    def _reference(self) -> TextSet | None:
        assert self.config is not None  # noqa: S101
        reference, task = self.config.reference, self.context.run.task
        if reference is None:
            return None
        if reference not in _SPLITS:
            return read_texts(reference)
        kind = kind_of(task)
        fields = tuple(kind.text_fields)
        if not kind.labelled:
            texts = tuple(text_of(kind.texts(each)) for each in read_records(task, reference))
            return TextSet(f"{task.name}, {reference}", texts, None, tuple(f"row {n}" for n, _ in enumerate(texts, 1)), text_fields=fields)
        found = read_split(task, reference)
        return TextSet(found.source, found.texts, found.labels, found.ids, text_fields=fields)

    @cached_property
    def _key(self) -> str:
        assert self.config is not None  # noqa: S101
        sets = [None if each is None else [each.ids, each.texts, each.labels] for each in (self._texts, self._reference)]
        settings = self.config.model_dump(mode="json", exclude={"reference", "encoder"})
        fingerprint = self.context.encoders.get(self.config.encoder).fingerprint
        return digest([_RECIPE, settings, self.context.run.seed, fingerprint, sets], length=32)


def _in_words(found: dict[str, Any]) -> str:
    """The few numbers that a person looks at first."""
    shown = (("set", "remote_clique", "Remote-Clique {:.3f}"), ("set", "distinct_2", "distinct-2 {:.3f}"),
             ("pair", "coverage", "{:.0%} of the real texts have one near them"), ("pair", "leakage_near", "{:.1%} nearly equal a real one"))  # fmt: skip
    words = []
    for side, metric, form in shown:
        value = next((each["value"] for each in found["pooled"][side] if each["metric"] == metric), None)
        if value is not None:
            words.append(form.format(value))
    return ", ".join(words)

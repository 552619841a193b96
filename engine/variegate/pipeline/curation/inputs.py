"""What curation stages read beside the records: vectors, the oracle, judgements of files and persons, seeds, held-out texts.

Each is made when a stage first asks for it, and once. Every part has a digest of what it was made from, for the stages' keys.
Knows nothing of what the stages do with it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from variegate.config import RunConfig
from variegate.config.curation import CurationConfig, ScopeStage
from variegate.curation.judging import Items
from variegate.errors import UsageError, nearest
from variegate.kinds import check_labelled, kind_of
from variegate.kinds.text import Text, as_one, text_of
from variegate.pipeline.curation.label_files import Given, read_label_file
from variegate.pipeline.gold import stored_examples
from variegate.pipeline.oracles import doubt_of
from variegate.pipeline.real_splits import has_split, read_split
from variegate.pipeline.seeds import stored_seeds
from variegate.pipeline.training.fit import check_fit
from variegate.progress import Progress, Report
from variegate.records import Record
from variegate.seeding import derive_rng, digest
from variegate.store.inspected import read_inspected
from variegate.store.kind import text_in
from variegate.store.run_folder import RunFolder
from variegate.store.texts import read_texts
from variegate.students.data import LabelledTexts, split_off, without_overlap

if TYPE_CHECKING:
    from variegate.embeddings import Encoder
    from variegate.students.student import Student


ORACLE, INSPECTED = "oracle", "inspected"
SPLITS = ("train", "dev", "test")
NUM_CLASS_EXAMPLES = 20  # real examples of a label whose mean vector stands for it
NUM_CALIBRATION = 10  # real examples of a label that a language model's probabilities are calibrated on


@dataclass(frozen=True, slots=True)
class Judged:
    """What a source says of records. by_id: of those it knows. facts: where it comes from, for the report."""

    by_id: Mapping[str, Given]
    facts: Mapping[str, Any]


class Inputs:
    """records: the run's kept ones. encoder, oracle: ready ones, in place of those that `config` names."""

    def __init__(
        self,
        folder: RunFolder,
        run: RunConfig,
        config: CurationConfig,
        records: Sequence[Record],
        *,
        encoder: Encoder | None = None,
        oracle: Student | None = None,
        progress: Progress,
    ) -> None:
        self.folder, self.run, self.config, self.records = folder, run, config, records
        self.progress, self.report = progress, progress.update
        self.task = run.task
        self.kind = kind_of(run.task)
        check_labelled(self.kind, "a curation judges labels", "export the records as they are")
        self._encoder, self._oracle = encoder, oracle
        self._vectors: Float[np.ndarray, "n d"] | None = None
        self._splits: dict[str, LabelledTexts] = {}
        self._judged: dict[str, Judged] = {}
        self._held_out: dict[str, tuple[Text, ...]] = {}

    @cached_property
    def texts(self) -> tuple[Text, ...]:
        """Of the records."""
        return tuple(text_in(self.kind, record) for record in self.records)

    # -- vectors -----------------------------------------------------------------------------------------------

    @property
    def encoder(self) -> Encoder:
        if self._encoder is None:
            from variegate.embeddings import Encoder

            self.report("loading the encoder", 0, 1)
            self._encoder = Encoder(self.config.encoder)
        return self._encoder

    @cached_property
    def encoder_key(self) -> str:
        """Of the encoder's files; nothing is loaded for it."""
        if self._encoder is not None:
            return self._encoder.fingerprint
        from variegate.embeddings.models import find_model

        return find_model(self.config.encoder).fingerprint

    def encode(self, texts: Sequence[Text]) -> Float[np.ndarray, "n d"]:
        """Of pairs: of both texts as one."""
        return self.encoder.encode(list(map(as_one, texts)), progress=lambda done, whole: self.report("embedding", done, whole)).vectors

    def vectors(self, items: Items) -> Float[np.ndarray, "n d"]:
        """Of the items. All records are encoded in the first call, so that every stage sees the same vectors."""
        if self._vectors is None:
            self._vectors = np.asarray(self.encode(self.texts))
        return self._vectors if len(items) == len(self.records) else self._vectors[[self._place[id] for id in items.ids]]

    @cached_property
    def _place(self) -> dict[str, int]:
        return {record.id: place for place, record in enumerate(self.records)}

    # -- the task's real data ----------------------------------------------------------------------------------

    def split(self, name: str) -> LabelledTexts:
        """`train`, `dev` or `test` of the task, with its out-of-scope rows. Raises UsageError."""
        if name not in self._splits:
            self._splits[name] = self._read_split(name)
        return self._splits[name]

    def _read_split(self, name: str) -> LabelledTexts:
        if not self.has_split(name):
            raise UsageError(
                f"task {self.task.name!r}: has no data.{name}: name a file there, in {self.folder.path / 'run.yaml'} (task.data.{name})"
            )
        return read_split(
            self.task,
            name,
            with_out_of_scope=True,
            where_missing=f"set VARIEGATE_DATA to the folder of the data sets, or correct the path in {self.folder.path / 'run.yaml'}",
        )

    def has_split(self, name: str) -> bool:
        return has_split(self.task, name)

    def class_examples(self) -> list[tuple[Text, str]]:
        """(text, label) of at most NUM_CLASS_EXAMPLES real examples a label, and half of those there are, drawn by the curation's seed."""
        return self._draw("train", NUM_CLASS_EXAMPLES, share=0.5) if self.has_split("train") else []

    def seed_examples(self) -> list[tuple[Text, str]]:
        """(text, label) of the real examples that the run drew; where it drew none, `class_examples`."""
        drawn = stored_seeds(self.folder)
        return [(text_of(self.kind.texts(each.fields)), each.label) for each in drawn] or self.class_examples()

    def calibration_examples(self) -> list[tuple[Text, str]]:
        """(text, label) of real examples that class vectors are not made of, whichever they are: of the dev split, else of train; none without."""
        split = next((name for name in ("dev", "train") if self.has_split(name)), None)
        if split is None:
            return []
        taken = {*self.class_examples(), *self.seed_examples()} if split == "train" else set()
        return self._draw(split, NUM_CALIBRATION, without=taken)

    def _draw(self, split: str, count: int, *, share: float = 1.0, without: Collection[tuple[Text, str]] = ()) -> list[tuple[Text, str]]:
        found = self.split(split)
        rows = [row for row in zip(found.texts, found.labels, strict=True) if row[1] in self.task.labels and row not in without]
        by_label: dict[str, list[tuple[Text, str]]] = {label: [] for label in self.task.labels}
        for row in rows:
            by_label[row[1]].append(row)
        rng = derive_rng(self.config.seed, "curation examples", split)
        chosen: list[tuple[Text, str]] = []
        for own in by_label.values():
            chosen += rng.sample(own, min(count, math.ceil(share * len(own))))
        return chosen

    def held_out(self, against: Sequence[str]) -> list[tuple[str, tuple[Text, ...]]]:
        """(name, texts) of each split or file named. Raises UsageError."""
        for name in against:
            if name not in self._held_out:
                self._held_out[name] = self._held_out_texts(name)
        return [(name if name in SPLITS else Path(name).name, self._held_out[name]) for name in against]

    def _held_out_texts(self, name: str) -> tuple[Text, ...]:
        if name in SPLITS and not self.has_split(name):
            raise UsageError(
                f"duplicates: against {name}: task {self.task.name!r} has no data.{name}: name a file there, or take it out of the stage:"
                " --set 'stages.duplicates.against=[]'"
            )
        if name in SPLITS:
            return self.split(name).texts
        if not Path(name).exists():
            raise UsageError(f"duplicates: against {name!r}: no such file, and none of {', '.join(SPLITS)}{nearest(name, SPLITS)}")
        texts = read_texts(name).texts
        if texts is None:
            raise UsageError(f"duplicates: against {name!r}: holds vectors without texts: give the texts")
        return texts

    # -- the oracle --------------------------------------------------------------------------------------------

    @property
    def oracle_knows_scope(self) -> bool:
        """Whether out of scope is one of the oracle's classes: a stage asks it for that."""
        return any(isinstance(stage, ScopeStage) and stage.labels == ORACLE for stage in self.config.stages)

    @cached_property
    def _oracle_data(self) -> tuple[LabelledTexts, LabelledTexts | None]:
        """(train, dev) of the oracle. Texts that stand in the task's dev or test data too are left out of train.

        dev: only where the oracle stops early by it; a tenth of train where the task has none.
        """
        out = self.task.data.out_of_scope_label if self.task.data else None
        if self.oracle_knows_scope and out is None:
            raise UsageError(
                f"scope: labels: {ORACLE}: task {self.task.name!r} has no data.out_of_scope_label, so no oracle can learn what is out of scope:"
                " name it in the task, or take the judgements from a file or from `variegate inspect`"
            )
        left_out = () if self.oracle_knows_scope or out is None else (out,)
        train = self.split("train").without_labels(left_out)
        if self.oracle_knows_scope and self._oracle is not None and out not in self._oracle.labels:
            raise UsageError(f"scope: labels: {ORACLE}: the oracle given does not know {out!r}: train it with the out-of-scope rows")
        for name in ("dev", "test"):
            if self.has_split(name):
                train, _ = without_overlap(train, self.split(name))
        if self.oracle_knows_scope and out not in train.labels:
            raise UsageError(
                f"scope: labels: {ORACLE}: {train.source} has no row of {out!r} (that is not in held-out data too), so no oracle can learn"
                " what is out of scope"
            )
        if self.config.oracle.kind != "finetune" or self.config.oracle.patience is None:
            return train, None
        if self.has_split("dev"):
            return train, self.split("dev").without_labels(left_out)
        return split_off(train, 0.1, seed=self.config.seed)

    def check_oracle(self) -> None:
        """Raise UsageError where it could not be trained: for want of data, or since it cannot learn the task's kind."""
        check_fit(self.kind, self.config.oracle, "oracle")
        _ = self._oracle_data

    @cached_property
    def oracle_key(self) -> str:
        train, dev = self._oracle_data
        read = [[each.texts, each.labels] for each in (train, dev) if each is not None]
        return digest([self.config.oracle.model_dump(mode="json"), self.config.seed, read])

    def doubt_oracle(self, right: float | None = None) -> str | None:
        """See `oracles.doubt_of`."""
        return doubt_of(self._oracle_data[0], len(self.task.labels), right)

    @property
    def oracle(self) -> Student:
        """Trained on the task's real train split. Raises UsageError."""
        if self._oracle is None:
            from variegate.students.train import train_student

            train, dev = self._oracle_data
            out = self.task.data.out_of_scope_label if self.task.data and self.oracle_knows_scope else None
            self._oracle = train_student(
                self.config.oracle,
                train,
                dev,
                seed=self.config.seed,
                labels=[*self.task.labels, *([out] if out is not None else [])],
                encoder=self._oracle_encoder(),
                progress=self._named("the oracle"),
            )
        return self._oracle

    def _oracle_encoder(self) -> Encoder | None:
        """Ours, where the oracle reads the same vectors."""
        oracle = self.config.oracle
        same = oracle.kind != "finetune" and oracle.encoder == self.config.encoder and oracle.pooling is None
        return self.encoder if same else None

    def _named(self, what: str) -> Report:
        return lambda stage, done, whole: self.report(f"{what}: {stage}", done, whole)

    def oracle_labels(self, texts: Sequence[Text]) -> list[str]:
        """The task's label that the oracle finds likeliest for each text."""
        predicted = self.oracle.predict(texts)
        if set(predicted.classes) <= set(self.task.labels):
            return list(predicted.labels)
        allowed = [place for place, label in enumerate(predicted.classes) if label in self.task.labels]
        best = predicted.scores[:, allowed].argmax(axis=1)
        return [predicted.classes[allowed[place]] for place in best]

    def oracle_in_scope(self, texts: Sequence[Text]) -> list[bool]:
        return [label in self.task.labels for label in self.oracle.predict(texts).labels]

    # -- judgements --------------------------------------------------------------------------------------------

    def judged(self, source: str, stage: str) -> Judged:
        """What `inspected` or a file says of the run's records; `oracle` is asked elsewhere. Raises UsageError."""
        if source not in self._judged:
            self._judged[source] = self._read_judged(source, stage)
        return self._judged[source]

    def _read_judged(self, source: str, stage: str) -> Judged:
        if source == INSPECTED:
            found = read_inspected(self.folder)
            if not found:
                raise UsageError(
                    f"{stage}: labels: {INSPECTED}: nobody has judged records of this run yet: do so with `variegate inspect"
                    f" {self.folder.path}`, or set the stage's `labels` to a file or to {ORACLE}"
                )
            by_id = {id: Given(each.label, each.in_scope) for id, each in found.items()}
            return Judged(by_id, {"source": INSPECTED, "judged": len(by_id)})
        path = Path(source)
        if not path.is_file():
            raise UsageError(
                f"{stage}: labels: {source!r}: no such file, and neither {ORACLE} nor {INSPECTED}{nearest(source, (ORACLE, INSPECTED))}"
            )
        read = read_label_file(path, self.task, self.records)
        return Judged(read.by_id, {"source": path.name, **read.facts})

    # -- seeds of items ----------------------------------------------------------------------------------------

    def parent_texts(self, items: Items) -> dict[str, Text]:
        """Id -> text of the parents of `items` that are known: records of the run, and real examples of its pool."""
        real = stored_examples(self.folder) if self._names_real_examples(items) else []
        known = dict(zip((record.id for record in self.records), self.texts, strict=True))
        known |= {each.id: text_of(self.kind.texts(each.fields)) for each in real}
        return {id: known[id] for parents in items.parents for id in parents if id in known}

    @staticmethod
    def _names_real_examples(items: Items) -> bool:
        return any(":" in id for parents in items.parents for id in parents)

    def seed_vectors(self, items: Items) -> tuple[Float[np.ndarray, "n d"], dict[str, int]]:
        """What each item grew from, and how many items each kind of seed serves.

        The mean vector of the texts that stood in its prompt; where there were none, that of NUM_CLASS_EXAMPLES real examples
        of its label; where the task has none of those, that of the items of its label.
        """
        own = self.vectors(items)
        parents = self.parent_texts(items)
        ids = list(parents)
        rows = dict(zip(ids, self.encode(list(parents.values())), strict=True)) if ids else {}
        examples = self.class_examples()
        example_rows = self.encode([text for text, _ in examples]) if examples else own[:0]
        by_label = {label: np.mean([row for row, (_, each) in zip(example_rows, examples, strict=True) if each == label], axis=0)
                    for label in {label for _, label in examples}}  # fmt: skip
        labels = np.array(items.labels)
        served = {"parents": 0, "real_examples_of_the_label": 0, "items_of_the_label": 0}
        seeds = np.empty_like(own)
        centroids: dict[str, np.ndarray] = {}
        for place, (label, its_parents) in enumerate(zip(items.labels, items.parents, strict=True)):
            found = [rows[id] for id in its_parents if id in rows]
            if found:
                kind, seeds[place] = "parents", np.mean(found, axis=0)
            elif label in by_label:
                kind, seeds[place] = "real_examples_of_the_label", by_label[label]
            else:
                if label not in centroids:
                    centroids[label] = own[labels == label].mean(axis=0)
                kind, seeds[place] = "items_of_the_label", centroids[label]
            served[kind] += 1
        return seeds, served

"""Which records a person is asked to judge. A draw is a function of the records and its settings alone.

So a session that was broken off goes on with the same draw, and a larger number begins with the smaller one's items.
Knows nothing of what was judged already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain, zip_longest
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from variegate.errors import UsageError
from variegate.kinds import TaskKind
from variegate.kinds.text import folded, parts_of
from variegate.progress import Report
from variegate.records import Record
from variegate.seeding import derive_seed, digest
from variegate.store.kind import text_in

if TYPE_CHECKING:
    from variegate.config.student import LinearStudentConfig
    from variegate.embeddings import Encoder

FOLDS = 5


def draw(records: Sequence[Record], number: int, *, seed: int, by_label: bool = False) -> list[Record]:
    """At most `number` of `records` at random, in the order in which they are shown.

    by_label: in turn from each label, at random within; otherwise each record is as likely as any other (Chung et al.).

    The order is that of a hash of seed and id: records that a run adds later only fall in between.
    """
    shuffled = sorted(records, key=lambda record: digest([seed, "inspect", record.id]))
    if by_label:
        groups: dict[str, list[Record]] = {}
        for record in shuffled:
            groups.setdefault(record.label, []).append(record)
        rounds = zip_longest(*(groups[label] for label in sorted(groups)))
        shuffled = [record for record in chain.from_iterable(rounds) if record is not None]
    return shuffled[:number]


def draw_uncertain(records: Sequence[Record], number: int, certainty: Mapping[str, float], *, seed: int) -> list[Record]:
    """At most `number` of `records`, the least certain first.

    certainty: record id -> how sure its label is. Records without one come last; among equals the order is random.
    """
    shuffled = draw(records, len(records), seed=seed)
    return sorted(shuffled, key=lambda record: certainty.get(record.id, inf))[:number]


def margins(
    kind: TaskKind,
    records: Sequence[Record],
    config: LinearStudentConfig,
    *,
    seed: int,
    encoder: Encoder | None = None,
    progress: Report | None = None,
) -> dict[str, float]:
    """Record id -> how far a quick classifier's first label is ahead of its second, in [0, 1]: low where it is unsure.

    config: of the classifier, a logistic regression. It is trained on the labels that the texts were generated for, and never saw
        the text it judges: FOLDS-fold cross-validation, equal texts in one fold.
    encoder: one that is loaded already; the one that `config` names.

    Raises UsageError when the records have one label, or fewer than two distinct texts.

    Reference: margin sampling: Scheffer, Decomain, Wrobel, "Active hidden Markov models for information extraction", 2001.
    """
    from variegate.students.data import LabelledTexts
    from variegate.students.linear import make_encoder
    from variegate.students.train import train_student

    labels = sorted({record.label for record in records})
    said = [text_in(kind, record) for record in records]
    texts = sorted(set(map(folded, said)))
    if len(labels) < 2 or len(texts) < 2:
        raise UsageError(
            f"--choose uncertain: the records have {len(labels)} label{'s' * (len(labels) != 1)} and {len(texts)} distinct"
            f" text{'s' * (len(texts) != 1)}, and a classifier needs two of each: draw with --choose random"
        )
    order = np.random.default_rng(derive_seed(seed, "inspect folds")).permutation(len(texts))
    fold_of = {text: int(place) % FOLDS for text, place in zip(texts, order, strict=True)}
    folds = np.array([fold_of[folded(text)] for text in said])
    encoder = encoder or make_encoder(config)
    encode_progress = partial(progress, "embedding") if progress else None
    encoder.encode(
        [part for text in said for part in parts_of(text)], progress=encode_progress
    )  # once; the folds find the vectors in the cache
    found: dict[str, float] = {}
    for number in range(min(FOLDS, len(texts))):
        train, asked = np.flatnonzero(folds != number), np.flatnonzero(folds == number)
        seen = {records[place].label for place in train}
        if len(seen) < 2:  # nothing to tell apart: nothing is known of these texts
            found |= {records[place].id: 0.0 for place in asked}
            continue
        chosen = LabelledTexts(
            texts=tuple(said[place] for place in train),
            labels=tuple(records[place].label for place in train),
            ids=tuple(records[place].id for place in train),
            source="the run",
        )
        student = train_student(config, chosen, seed=seed, encoder=encoder)
        probabilities = student.predict([said[place] for place in asked]).probabilities
        if probabilities is None:
            raise AssertionError("a logistic regression gives probabilities")
        best = np.partition(probabilities, -2, axis=1)[:, -2:]
        found |= {records[place].id: float(high - low) for place, (low, high) in zip(asked, best, strict=True)}
    return found

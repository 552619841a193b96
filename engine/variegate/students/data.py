"""Labelled texts as students take them, and the rule that keeps training, dev and test splits apart.

Knows nothing of models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from variegate.errors import UsageError, nearest
from variegate.kinds.text import Text, as_one, parts_of
from variegate.overlap import find_overlap
from variegate.seeding import derive_seed
from variegate.store.texts import TextSet

_Value = TypeVar("_Value")
_SHOWN = 80  # characters of a text in a message


@dataclass(frozen=True, slots=True)
class LabelledTexts:
    """texts, labels and ids belong together, in the source's order."""

    texts: tuple[Text, ...]  # all single, or all pairs
    labels: tuple[str, ...]
    ids: tuple[str, ...]
    source: str  # as given, for messages

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def of(cls, found: TextSet) -> LabelledTexts:
        """Texts of three fields and more are read as one. Raises UsageError for a set without texts or labels."""
        if found.texts is None:
            raise UsageError(f"{found.source}: holds vectors without texts, and a student reads texts: give the texts")
        if found.labels is None:
            raise UsageError(
                f"{found.source}: holds no labels, and a student learns and is judged by them: name their field with --label-field"
            )
        texts = tuple(map(as_one, found.texts)) if len(found.text_fields) > 2 else found.texts
        return cls(texts, found.labels, found.ids, found.source)

    @property
    def pairs(self) -> bool:
        return bool(self.texts) and not isinstance(self.texts[0], str)

    @property
    def label_counts(self) -> dict[str, int]:
        """label -> texts, by label."""
        return dict(sorted(Counter(self.labels).items()))

    def take(self, places: Iterable[int]) -> LabelledTexts:
        chosen = list(places)

        def taken(column: tuple[_Value, ...]) -> tuple[_Value, ...]:
            return tuple(column[place] for place in chosen)

        return replace(self, texts=taken(self.texts), labels=taken(self.labels), ids=taken(self.ids))

    def joined(self, more: LabelledTexts) -> LabelledTexts:
        """These and, behind them, `more`."""
        return LabelledTexts(
            (*self.texts, *more.texts), (*self.labels, *more.labels), (*self.ids, *more.ids), f"{self.source} and {more.source}"
        )

    def without_labels(self, left_out: Collection[str]) -> LabelledTexts:
        """Without the texts of these labels."""
        return self.take(place for place, label in enumerate(self.labels) if label not in left_out)


# -- pairs -----------------------------------------------------------------------------------------------------


def columns_of(texts: Sequence[Text], *, pairs: bool, source: str) -> tuple[list[str], ...]:
    """What a student reads: all texts, or of pairs all first and all second ones. Raises UsageError naming a text of another form."""
    wanted = 2 if pairs else 1
    for text in texts:
        if len(parts_of(text)) != wanted:
            raise UsageError(
                f"{source}: {short(text)} is no pair, and this student reads pairs: name two fields with --text-field FIRST,SECOND"
                if pairs
                else f"{source}: {short(text)} is a pair, and this student reads single texts: name one field with --text-field"
            )
    return tuple([parts_of(text)[place] for text in texts] for place in range(wanted))


def check_same_form(*sets: LabelledTexts | None) -> None:
    """Raises UsageError where some sets hold pairs and others single texts."""
    given = [each for each in sets if each is not None and len(each)]
    both = {each.pairs: each for each in given}
    if len(both) == 2:
        raise UsageError(
            f"{both[True].source} holds text pairs and {both[False].source} single texts: name two fields of the latter with --text-field"
            " FIRST,SECOND, or one of the former"
        )


# -- splits kept apart -----------------------------------------------------------------------------------------


def check_disjoint(train: LabelledTexts, held_out: LabelledTexts, what: str) -> None:
    """what: the name of the held-out split in the message: "test", "dev". Raises UsageError naming a text that stands in both.

    Equal means equal after folding (Unicode, case, white space), whatever the labels are.
    """
    found = find_overlap(train.texts, held_out.texts)
    if not found:
        return
    place, other = found[0]
    more = f" So do {len(found) - 1} more." if len(found) > 1 else ""
    raise UsageError(
        f"{train.source}: {train.ids[place]}: {short(train.texts[place])} stands in the {what} data too ({held_out.source}:"
        f" {held_out.ids[other]}).{more} A student must not see what it is judged by: take such texts out of {train.source}, or have"
        " them left out with --drop-overlap"
    )


def without_overlap(train: LabelledTexts, held_out: LabelledTexts) -> tuple[LabelledTexts, int]:
    """`train` without the texts that also stand in `held_out`, and how many those were."""
    both = {place for place, _ in find_overlap(train.texts, held_out.texts)}
    return train.take(place for place in range(len(train)) if place not in both), len(both)


def split_off(texts: LabelledTexts, share: float, *, seed: int) -> tuple[LabelledTexts, LabelledTexts]:
    """(what stays, a dev split of about `share` of each label), drawn by `seed`. A label keeps at least one text.

    Equal texts go to one side together, so that the two are disjoint. Raises UsageError when nothing can be split off.
    """
    if not 0 < share < 1:
        raise UsageError(f"--dev-share {share}: expected a share between 0 and 1")
    groups = _groups_of_equal_texts(texts)
    rng = np.random.default_rng(derive_seed(seed, "dev split"))
    chosen: set[int] = set()
    for label, count in texts.label_counts.items():
        wanted = min(round(share * count), count - 1)
        own = [group for group in groups if texts.labels[group[0]] == label]
        for pick in rng.permutation(len(own)):
            if len(own[pick]) <= wanted:
                chosen.update(own[pick])
                wanted -= sum(texts.labels[place] == label for place in own[pick])
    if not chosen:
        raise UsageError(f"{texts.source}: has too few texts for a dev split of {share:.0%}: give a dev set with --dev, or a larger share")
    stays = [place for place in range(len(texts)) if place not in chosen]
    return texts.take(stays), texts.take(sorted(chosen))


def draw(texts: LabelledTexts, size: int, *parts: Any) -> LabelledTexts:
    """`size` of the texts at random, in their order; all where there are no more. parts: what the draw is derived from."""
    if len(texts) <= size:
        return texts
    rng = np.random.default_rng(derive_seed(*parts, "train size"))
    return texts.take(np.sort(rng.choice(len(texts), size, replace=False)).tolist())


def _groups_of_equal_texts(texts: LabelledTexts) -> list[list[int]]:
    groups: dict[int, list[int]] = {}
    for place, first in find_overlap(texts.texts, texts.texts):
        groups.setdefault(first, []).append(place)
    return list(groups.values())


# -- labels ----------------------------------------------------------------------------------------------------


def check_labels(texts: LabelledTexts, known: Sequence[str], whose: str) -> None:
    """Raises UsageError naming the labels of `texts` that are not `known`. whose: "the student's", "the task's"."""
    counts = texts.label_counts
    unknown = [label for label in counts if label not in set(known)]
    if not unknown:
        return
    first = unknown[0]
    rest = f" So are {', '.join(map(repr, unknown[1:6]))}{' and others' if len(unknown) > 6 else ''}." if unknown[1:] else ""
    example = texts.ids[texts.labels.index(first)]
    raise UsageError(
        f"{texts.source}: {example}: label {first!r} ({counts[first]} texts) is not one of {whose} {len(known)}{nearest(first, known)}{rest}"
        f" Correct the labels, or leave their texts out with --leave-out {first!r}"
    )


def short(text: Text) -> str:
    shown = repr(as_one(text))
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"

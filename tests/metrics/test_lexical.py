"""Lexical measures, against hand-worked sets, numbers of the published packages, scikit-learn and brute force."""

from __future__ import annotations

import gzip
import json
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from variegate.errors import UsageError
from variegate.metrics.lexical import (
    bigram_overlap,
    compression_ratio,
    distinct_n,
    leakage_contained,
    leakage_exact,
    leakage_folded,
    length_distribution,
    self_repetition,
    vocabulary_size,
)
from variegate.metrics.words import words_of

# Lower case and without punctuation, so that splitting at white space, as the packages do, gives our words.
TEXTS = [
    "the cat sat on the mat today",
    "the cat sat on the red mat",
    "a dog sat on the mat today",
    "hello there",
    "the cat sat on the mat today",
    "where is the nearest train station please",
    "the the the the the the",
]
REFERENCE = ["the cat sat on a chair", "the dog sat on the red mat today", "where is the station", "hello"]
LISTS = st.lists(st.lists(st.sampled_from(["ab", "cd", "ef", "gh", "ij"]), max_size=8).map(" ".join), min_size=1, max_size=12)


def sentences(count: int) -> list[str]:
    rng = random.Random(5)
    words = ["card", "bank", "money", "transfer", "please", "my", "the", "lost", "is", "where", "when", "today", "new", "account"]
    return [" ".join(rng.choices(words, k=rng.randrange(3, 12))) for _ in range(count)]


@pytest.mark.parametrize(("n", "distinct", "total"), [(1, 17, 43), (2, 18, 36), (3, 15, 29), (4, 13, 23)])
def test_distinct_n_counts_what_nltk_counts(n: int, distinct: int, total: int) -> None:
    """Counts made with nltk.ngrams 3.9 text by text; MSP's `eval_distinctness` gives the same ratios."""
    value = distinct_n(TEXTS, n)
    assert value.value == distinct / total
    assert value.metric == f"distinct_{n}"
    assert value.details == {"num_ngrams": total, "num_distinct": distinct}
    assert (value.n, value.num_duplicates, value.interval) == (7, 1, None)


def test_ngrams_do_not_cross_texts() -> None:
    assert distinct_n(["a b", "c d"], 2).details["num_ngrams"] == 2  # not b c
    assert distinct_n(["a b", "a b"], 2).value == 0.5


@given(LISTS, st.integers(1, 3))
def test_distinct_n_is_that_of_count_vectorizer(texts: list[str], n: int) -> None:
    if all(len(text.split()) < n for text in texts):
        with pytest.raises(UsageError, match=f"no text has {n} word"):
            distinct_n(texts, n)
        return
    counts = CountVectorizer(token_pattern=r"\w+", ngram_range=(n, n)).fit_transform(texts)
    assert distinct_n(texts, n).value == counts.shape[1] / counts.sum()


@pytest.mark.parametrize(
    ("n", "published"),
    [(1, 2.162689083557346), (2, 1.4588415639715946), (3, 1.3040994832765247), (4, 1.0876178542200914), (5, 0.825820502256047)],
)
def test_self_repetition_is_that_of_the_diversity_package(n: int, published: float) -> None:
    """`diversity` 0.3.1, self_repetition_score(TEXTS, n)."""
    value = self_repetition(TEXTS, n)
    assert value.value == pytest.approx(published, rel=1e-14)
    assert value.details == {"n": n, "num_without": sum(len(text.split()) < n for text in TEXTS)}


def test_self_repetition_by_hand() -> None:
    # "a b c d" in three texts, "b c d e" in two: 2 + 1, 2, 2 + 1 shared occurrences; "x" has none; twice in a text is once
    value = self_repetition(["a b c d e", "a b c d a b c d", "a b c d e", "x"])
    assert value.per_record.tolist() == pytest.approx([math.log(4), math.log(3), math.log(4), 0])
    assert value.value == pytest.approx((2 * math.log(4) + math.log(3)) / 4)
    assert self_repetition(["a b c d", "e f g h"]).value == 0


@given(LISTS)
def test_self_repetition_is_that_of_document_frequencies(texts: list[str]) -> None:
    if all(len(text.split()) < 2 for text in texts):
        return
    has = CountVectorizer(token_pattern=r"\w+", ngram_range=(2, 2), binary=True).fit_transform(texts).toarray()
    assert self_repetition(texts, 2).value == pytest.approx(np.log1p(has @ (has.sum(0) - 1)).mean(), rel=1e-12)


@pytest.mark.parametrize("count", [3, 400, 10000])
def test_compression_ratio_is_that_of_the_gzip_module(count: int) -> None:
    texts = sentences(count)
    data = " ".join(texts).encode()
    value = compression_ratio(texts)
    assert value.details == {"bytes": len(data), "compressed_bytes": len(gzip.compress(data, compresslevel=9, mtime=0))}
    assert value.value == len(data) / len(gzip.compress(data))
    assert compression_ratio(texts).value == value.value


def test_compression_ratio_is_near_that_of_the_diversity_package() -> None:
    """`diversity` 0.3.1 gives 5.57 for these 400 texts: 15156 bytes over 2721, its second gzip being 34 of them."""
    assert compression_ratio(sentences(400)).value == pytest.approx(5.57, rel=0.03)
    assert compression_ratio(sentences(400)).value > 5.57


def test_compression_ratio_rises_with_repetition() -> None:
    assert compression_ratio(sentences(100) * 4).value > 2 * compression_ratio(sentences(400)).value
    assert compression_ratio(["naïve \ud800 text"]).value > 0  # a lone surrogate, as JSON may hold
    with pytest.raises(UsageError, match="every text is empty"):
        compression_ratio(["", ""])


def test_vocabulary_and_lengths_by_hand() -> None:
    texts = ["My card, MY card!", "Where?", "", "it's my card now ok"]
    assert vocabulary_size(texts).value == 6  # my card where it's now ok
    assert vocabulary_size(texts).details == {"num_words": 10}
    assert vocabulary_size(["", "!"]).value == 0
    value = length_distribution(texts)
    assert (value.metric, value.value) == ("mean_length", 2.5)
    assert value.per_record.tolist() == [4, 1, 0, 5]
    assert value.details == pytest.approx(
        {
            "median": 2.5,
            "sd": math.sqrt(4.25),
            "min": 0,
            "max": 5,
            "q05": 0.15,
            "q25": 0.75,
            "q75": 4.25,
            "q95": 4.85,
            "mean_characters": 10.5,
        }
    )


def test_bigram_overlap_is_that_of_the_released_code() -> None:
    """MSP's `eval_inter_distinctness`, unrounded: a text of one word is left out of the mean."""
    assert bigram_overlap(TEXTS, REFERENCE).value == pytest.approx(0.38095238095238093, rel=1e-14)
    assert bigram_overlap(REFERENCE, TEXTS).value == pytest.approx(0.6126984126984126, rel=1e-14)
    value = bigram_overlap(REFERENCE, TEXTS)
    assert (value.n, value.m, value.details) == (4, 7, {"num_without": 1})
    assert np.isnan(value.per_record).tolist() == [False, False, False, True]


def test_bigram_overlap_by_hand() -> None:
    # a b, b c, c d: two of three in the first reference, one in the second, not three in both together
    value = bigram_overlap(["A b c d", "x y", "a b a b a b"], ["a b c", "c d", "b a, b"])
    assert value.per_record.tolist() == pytest.approx([2 / 3, 0, 1])
    assert bigram_overlap(["a b"], ["a", "b"]).value == 0  # a reference without bigrams
    with pytest.raises(UsageError, match="no text has 2 words"):
        bigram_overlap(["a", "b"], ["a b"])


def bigrams(text: str) -> set[tuple[str, str]]:
    words = text.split()
    return {(words[place], words[place + 1]) for place in range(len(words) - 1)}


@given(LISTS, LISTS)
def test_bigram_overlap_is_that_of_all_pairs(texts: list[str], reference: list[str]) -> None:
    sets, others = [bigrams(text) for text in texts], [bigrams(text) for text in reference]
    if not any(sets):
        return
    expected = [max(len(mine & other) for other in others) / len(mine) if mine else math.nan for mine in sets]
    value = bigram_overlap(texts, reference)
    np.testing.assert_allclose(value.per_record, expected, rtol=1e-15)
    assert value.value == pytest.approx(np.nanmean(expected), rel=1e-14)


@given(LISTS)
def test_a_set_overlaps_itself_wholly(texts: list[str]) -> None:
    if any(len(text.split()) > 1 for text in texts):
        assert bigram_overlap(texts, texts).value == 1


def test_leakage_as_written_and_folded() -> None:
    texts = ["Where is it?", "where is it?", " WHERE  is it? ", "where is it", "Ｗhere is it?", "where is it?"]
    reference = ["where is it?", "other", "where is it?"]
    exact, folded = leakage_exact(texts, reference), leakage_folded(texts, reference)
    assert exact.per_record.tolist() == [0, 1, 0, 0, 0, 1]
    assert folded.per_record.tolist() == [1, 1, 1, 0, 1, 1]
    assert (exact.value, folded.value) == (2 / 6, 5 / 6)
    assert (exact.num_duplicates, folded.num_duplicates) == (1, 4)
    assert (exact.n, exact.m, exact.details) == (6, 3, {"num_leaked": 2})


@given(LISTS, st.randoms(use_true_random=False))
def test_order_does_not_matter(texts: list[str], rng: random.Random) -> None:
    if all(len(text.split()) < 2 for text in texts):
        return
    shuffled = rng.sample(texts, len(texts))
    for measure in (lambda t: distinct_n(t, 2), lambda t: self_repetition(t, 2), vocabulary_size, length_distribution):
        assert measure(shuffled).value == pytest.approx(measure(texts).value, rel=1e-12)


def test_split_words_give_what_texts_give_and_everything_is_json() -> None:
    words, others = words_of(TEXTS), words_of(REFERENCE)
    for of_words, of_texts in (
        (distinct_n(words, 2), distinct_n(TEXTS, 2)),
        (self_repetition(words), self_repetition(TEXTS)),
        (vocabulary_size(words), vocabulary_size(TEXTS)),
        (length_distribution(words), length_distribution(TEXTS)),
        (bigram_overlap(words, others), bigram_overlap(TEXTS, REFERENCE)),
    ):
        assert of_words == of_texts
        assert json.loads(json.dumps(of_words.to_json(), allow_nan=False))["metric"] == of_texts.metric
    for value in (compression_ratio(TEXTS), leakage_exact(TEXTS, REFERENCE), leakage_folded(TEXTS, REFERENCE)):
        json.dumps(value.to_json(), allow_nan=False)


def test_part_of_a_set_keeps_only_its_own_words() -> None:
    part = words_of(TEXTS).take(np.array([3, 5]))
    assert vocabulary_size(part).value == vocabulary_size([TEXTS[3], TEXTS[5]]).value == 9
    assert bigram_overlap(part, REFERENCE) == bigram_overlap([TEXTS[3], TEXTS[5]], REFERENCE)


@pytest.mark.parametrize("measure", [compression_ratio, vocabulary_size, lambda texts: leakage_exact(["a"], texts)])
def test_bad_rows_are_named(measure: object) -> None:
    with pytest.raises(UsageError, match="row 1 is float"):
        measure(["a", math.nan])  # type: ignore[operator]
    with pytest.raises(UsageError, match="no text"):
        measure([])  # type: ignore[operator]


def test_leakage_contained_counts_copies_with_something_about_them() -> None:
    reference = ["my card has not arrived yet", "thank you"]
    texts = ['Tweet: "My card has not arrived yet!"', "my card has not arrived yet", "my card is here", "thank you very much"]
    found = leakage_contained(texts, reference)
    assert (found.value, found.details["num_leaked"], found.per_record.tolist()) == (0.5, 2, [1, 1, 0, 0])
    assert leakage_folded(texts, reference).value == 0.25

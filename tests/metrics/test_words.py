"""Splitting into words: hand-worked cases of several scripts, and n-grams against scikit-learn's CountVectorizer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from variegate.errors import UsageError
from variegate.metrics.words import join_words, split_words, words_of

PLAIN_TEXTS = st.lists(st.lists(st.sampled_from(["ab", "cd", "ef", "gh", "ij"]), max_size=8).map(" ".join), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("  \t\n", []),
        ("Where is my card?", ["where", "is", "my", "card"]),
        ("Don’t, NOW! don't", ["don't", "now", "don't"]),  # both apostrophes are one
        ("'tis the dogs' o'clock ' ''", ["tis", "the", "dogs", "o'clock"]),
        ("e-mail_me 3.5% v2", ["e", "mail", "me", "3", "5", "v2"]),
        ("Straße ﬁn Ⅳ", ["strasse", "fin", "iv"]),  # case folding and NFKC, as `fold`
        ("cafe\u0301 CAFÉ", ["café", "café"]),
        ("हिन्दी में", ["हिन्दी", "में"]),  # vowel signs and viramas are marks: they do not end a word
        ("می\u200cخواهم co\u00adop", ["میخواهم", "coop"]),  # format characters are not seen
        ("one\u200btwo", ["one", "two"]),
        ("我要退款，谢谢", ["我要退款", "谢谢"]),  # not segmented: said in the module
        ("😀 👍🏽 ...", []),
    ],
)
def test_words_of_a_text(text: str, words: list[str]) -> None:
    assert split_words(text) == words


def test_the_words_of_many_texts_are_those_of_each() -> None:
    texts = ["Where is my card?", "", "my CARD, my card", "where is my card?"]
    words = words_of(texts)
    names = {number: word for word, number in words.vocabulary.items()}
    assert [names[number] for number in words.ids.tolist()] == [word for text in texts for word in split_words(text)]
    assert words.lengths.tolist() == [4, 0, 4, 4]
    assert words.num_characters.tolist() == [17, 0, 16, 17]
    assert words.num_duplicates == 1
    assert words_of(words) is words


@given(PLAIN_TEXTS, st.integers(1, 4))
def test_ngrams_are_those_of_count_vectorizer(texts: list[str], n: int) -> None:
    kinds, rows = words_of(texts).ngrams(n)
    counts = np.zeros((len(texts), int(kinds.max(initial=-1)) + 1), dtype=int)
    np.add.at(counts, (rows, kinds), 1)
    if all(len(text.split()) < n for text in texts):  # CountVectorizer refuses such a set
        assert counts.shape[1] == 0
        return
    expected = CountVectorizer(token_pattern=r"\w+", ngram_range=(n, n)).fit_transform(texts).toarray()
    assert sorted(map(tuple, counts.T)) == sorted(map(tuple, expected.T))


@given(PLAIN_TEXTS, st.data())
def test_taking_texts_is_splitting_them_alone(texts: list[str], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(texts) - 1), min_size=1, max_size=8))
    taken, alone = words_of(texts).take(np.array(rows)), words_of([texts[row] for row in rows])
    names = {number: word for word, number in taken.vocabulary.items()}
    assert [names[number] for number in taken.ids.tolist()] == [word for row in rows for word in split_words(texts[row])]
    for field in ("lengths", "num_characters"):
        assert getattr(taken, field).tolist() == getattr(alone, field).tolist()
    assert taken.num_duplicates == alone.num_duplicates
    assert len(np.unique(taken.ngrams(2)[0])) == len(np.unique(alone.ngrams(2)[0]))


@given(PLAIN_TEXTS, PLAIN_TEXTS)
def test_joined_sets_share_their_vocabulary(first: list[str], second: list[str]) -> None:
    joined, together = join_words(words_of(first), words_of(second)), words_of([*first, *second])
    assert joined.ids.tolist() == together.ids.tolist()
    assert joined.vocabulary == together.vocabulary
    assert joined.lengths.tolist() == together.lengths.tolist()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("one text", "got one string"),
        ([], "no text given"),
        (["fine", None], "row 1 is NoneType, expected a string"),
        (["fine", b"bytes"], "row 1 is bytes"),
    ],
)
def test_what_is_no_set_of_texts_is_refused_with_its_row(texts: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        words_of(texts)  # type: ignore[arg-type]


def test_an_ngram_has_at_least_one_word() -> None:
    with pytest.raises(UsageError, match="1 or more"):
        words_of(["a b"]).ngrams(0)

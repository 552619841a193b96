"""Duplicates, against brute-force Jaccard similarity on texts made by editing sentences."""

from __future__ import annotations

import random
import sys

import numpy as np
import pytest

from variegate.curation.duplicates import DuplicateFilter, ExactIndex, NearIndex, shingles
from variegate.kinds.text import comparable

WORDS = [f"{start}{middle}{end}" for start in "bdfgklmnprst" for middle in ("a", "e", "ino", "oru") for end in ("n", "t", "sk")]


def edited_texts(count: int, seed: int = 0) -> list[str]:
    """Sentences of 8 to 30 words, most of them an earlier one with 0 to 4 words replaced, in other case and spacing."""
    rng = random.Random(seed)
    texts: list[list[str]] = []
    for _ in range(count):
        if texts and rng.random() < 0.7:
            words = list(rng.choice(texts))
            for place in rng.sample(range(len(words)), rng.randrange(5)):
                words[place] = rng.choice(WORDS)
        else:
            words = rng.choices(WORDS, k=rng.randrange(8, 31))
        texts.append(words)
    return [rng.choice([" ", "  "]).join(words).capitalize() + rng.choice([".", "!", ""]) for words in texts]


def jaccard(a: str, b: str) -> float:
    """By another road than the product's: sets of tuples."""
    sets = []
    for text in (a, b):
        words = text.lower().replace(".", "").replace("!", "").split()
        sets.append({tuple(words[place : place + 3]) for place in range(len(words) - 2)} or {tuple(words)})
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def test_the_index_compares_folded_texts() -> None:
    index = ExactIndex()
    index.add("Where is my CARD?")
    assert "  where is\tmy card?\n" in index
    assert "Where is my card" not in index


def test_shingles_are_word_trigrams_without_punctuation() -> None:
    assert shingles("Where's my card, please?") == [b"where s my", b"s my card", b"my card please"]
    assert shingles("My card!") == [b"my card"]
    assert shingles("?!") == [b""]


def test_combining_marks_belong_to_their_word() -> None:
    """Said by a man and by a woman; "day" and "gift": they differ in vowel signs alone."""
    kept = DuplicateFilter(exact=True, near=0.9)
    texts = ("मैं रोज सुबह दफ्तर जाता हूँ और शाम को घर लौटता हूँ", "मैं रोज सुबह दफ्तर जाती हूँ और शाम को घर लौटती हूँ", "मुझे दिन चाहिए", "मुझे दान चाहिए")
    assert [kept.check(text) for text in texts] == [None] * 4
    assert kept.check("मुझे दिन चाहिए।") is not None


def test_the_estimate_is_jaccard_within_its_standard_error() -> None:
    texts = edited_texts(150)
    signatures = [NearIndex.signature(text) for text in texts]
    rng = random.Random(1)
    pairs = [tuple(rng.sample(range(150), 2)) for _ in range(3000)]
    true = np.array([jaccard(texts[a], texts[b]) for a, b in pairs])
    estimated = np.array([(signatures[a] == signatures[b]).mean() for a, b in pairs])
    some = true > 0.02
    z = (estimated - true)[some] / np.sqrt(np.maximum(true * (1 - true), 0.01)[some] / 64)
    assert some.sum() > 100
    assert np.sqrt((z**2).mean()) < 1.5
    assert estimated[true == 0].max() < 0.1
    assert (estimated[true == 1] == 1).all()


@pytest.mark.slow
@pytest.mark.parametrize("threshold", [0.7, 0.9])
def test_near_duplicates_against_brute_force(threshold: float) -> None:
    texts = edited_texts(500)
    index, kept, found, true = NearIndex(threshold), [], [], []
    for text in texts:
        signature = NearIndex.signature(text)
        found.append(index.find(signature) is not None)
        true.append(max((jaccard(text, other) for other in kept), default=0.0))
        if not found[-1]:
            index.add(signature)
            kept.append(text)
    hit, similarity = np.array(found), np.array(true)
    assert (similarity == 1).sum() > 20
    assert hit[similarity >= min(1.0, threshold + 0.12)].all()  # recall: three standard errors above the threshold
    assert not hit[similarity < threshold - 0.17].any()  # precision: three below
    assert hit[similarity == 1].all()


def test_settled_and_recent_texts_are_found_alike() -> None:
    texts = edited_texts(400)
    plain, settled = NearIndex(0.8), NearIndex(0.8)
    for number, text in enumerate(texts):
        signature = NearIndex.signature(text)
        assert plain.find(signature) == settled.find(signature)
        plain.add(signature)
        settled.add(signature)
        if number % 37 == 36:
            settled._settle()
    assert len(plain) == len(settled) == 400
    assert len(settled._recent) < len(plain._recent)


def test_memory_a_text_is_bounded() -> None:
    """5,000 random signatures: 256 B and 16 keys of 12 B each once settled, and at most double for room to grow."""
    rng = np.random.default_rng(0)
    index = NearIndex(0.9)
    for signature in rng.integers(0, 2**32, size=(5000, 64), dtype=np.uint32):
        index.add(signature)
    assert len(index._recent) <= 1 << 16  # settled by itself on the way
    assert len(index._sorted_keys) + sum(map(len, index._recent.values())) == 5000 * 16
    index._settle()
    held = index._signatures.nbytes + index._sorted_keys.nbytes + index._sorted_texts.nbytes + sys.getsizeof(index._recent)
    assert held / 5000 < 2 * 256 + 16 * 12 + 1


def test_reasons_in_their_order() -> None:
    long = "please tell me how I can block my lost bank card right now today"
    check = DuplicateFilter(exact=True, near=0.6, examples=("Block my card.",)).check
    assert check("block MY  card.") == "copy_of_example"
    assert check("block MY  card.") == "copy_of_example"
    assert check(long) is None
    assert check(long.upper()) == "duplicate"
    assert check(long + " ok") == "near_duplicate"
    assert check("something else entirely, with other words") is None


def test_what_contains_an_example_is_a_copy_of_it() -> None:
    check = DuplicateFilter(
        exact=True, near=None, examples=("Please block my lost bank card", "a premise of several words \0 its end")
    ).check
    assert check('Tweet: "please block my lost BANK card!" Thanks') == "copy_of_example"
    assert check("please block my card") is None
    assert check("a premise of several words \0 another end") is None  # the given side of a pair


def test_each_check_can_be_off() -> None:
    long = "please tell me how I can block my lost bank card right now today"
    near_off = DuplicateFilter(exact=True, near=None).check
    assert [near_off(text) for text in (long, long + " ok", long)] == [None, None, "duplicate"]
    exact_off = DuplicateFilter(exact=False, near=0.6).check
    assert [exact_off(text) for text in (long, long, long + " ok")] == [None, None, "near_duplicate"]
    both_off = DuplicateFilter(exact=False, near=None).check
    assert [both_off(long), both_off(long)] == [None, None]


# -- pairs -----------------------------------------------------------------------------------------------------


def test_of_pairs_the_estimate_is_the_product_of_both_similarities() -> None:
    rng = random.Random(3)

    def edited(text: str) -> str:
        words = text.split()
        for place in rng.sample(range(len(words)), rng.randrange(4)):
            words[place] = rng.choice(WORDS)
        return " ".join(words)

    def sentence() -> str:
        return " ".join(rng.choices(WORDS, k=rng.randrange(12, 31)))

    true, estimated = [], []
    for shares_words in (False, True) * 300:  # within a pair
        first = sentence()
        pair = (first, first if shares_words else sentence())
        changed = edited(first)
        other = (changed, changed if shares_words else edited(pair[1]))
        true.append(jaccard(pair[0], other[0]) * jaccard(pair[1], other[1]))
        estimated.append((NearIndex.signature(pair) == NearIndex.signature(other)).mean())
    truth, error = np.array(true), np.array(estimated) - np.array(true)
    inside = (truth > 0.02) & (truth < 0.98)
    assert inside.sum() > 400
    scaled = error[inside] / np.sqrt(truth * (1 - truth) / 64)[inside]
    assert abs(scaled.mean()) < 4 / np.sqrt(inside.sum()) + 0.1
    assert 0.8 < scaled.std() < 1.4  # more than 1 where both texts of a pair change alike
    assert (np.array(estimated)[truth == 1] == 1).all()


def test_a_long_text_that_two_pairs_share_does_not_make_them_near() -> None:
    premise = " ".join(edited_texts(8, seed=5))
    given = f"{premise} \0 "  # as kinds.text.comparable joins
    check = DuplicateFilter(exact=True, near=0.8).check
    assert check(f"{given}The man sold his house in spring.") is None
    assert check(f"{given}Nobody heard of the ship again.") is None
    assert check(f"{given}THE man sold  his house in spring.") == "duplicate"
    assert check(f"{given}The man sold his house in spring!") == "near_duplicate"
    assert check("another passage \0 The man sold his house in spring.") is None


def test_a_pair_has_one_signature_however_it_comes() -> None:
    pair = ("Some words stand here now", "and others stand there")
    assert (NearIndex.signature(pair) == NearIndex.signature(comparable(pair))).all()
    assert (NearIndex.signature(pair) != NearIndex.signature(pair[::-1])).any()
    assert (NearIndex.signature(pair) != NearIndex.signature(" ".join(pair))).any()

"""Duplicates of a finished set: brute force over all pairs, held-out data, what stands and what goes, errors."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from variegate.curation import copies
from variegate.curation.copies import find_duplicates
from variegate.curation.duplicates import NearIndex
from variegate.curation.judging import Items, Judgement
from variegate.errors import UsageError
from variegate.kinds.text import Text

WORDS = [f"{start}{middle}{end}" for start in "bdfgklmn" for middle in ("a", "e", "ino", "oru") for end in ("n", "t", "sk")]


def items_of(texts: Sequence[Text], labels: str | None = None) -> Items:
    n = len(texts)
    return Items(tuple(f"r{i:03}" for i in range(n)), tuple(texts), tuple(labels or "a" * n), ((),) * n)


def find(texts: Sequence[Text], labels: str | None = None, **changed: Any) -> Judgement:
    return find_duplicates(items_of(texts, labels), **{"exact": True, "near": None, "near_by": "minhash", **changed})


def gone(judgement: Judgement) -> dict[str, tuple[str, Any]]:
    """id -> (reason, what it repeats)."""
    return {each.id: (each.reason, each.details.get("of", each.details.get("in"))) for each in judgement.verdicts if not each.keep}


def edited(count: int, seed: int) -> list[str]:
    """Sentences, most of them an earlier one with 0 to 3 words replaced."""
    rng = random.Random(seed)
    texts: list[list[str]] = []
    for _ in range(count):
        if texts and rng.random() < 0.6:
            words = list(rng.choice(texts))
            for place in rng.sample(range(len(words)), rng.randrange(4)):
                words[place] = rng.choice(WORDS)
        else:
            words = rng.choices(WORDS, k=rng.randrange(10, 31))
        texts.append(words)
    return [" ".join(words) for words in texts]


# -- equal texts -------------------------------------------------------------------------------------------------------


def test_equal_texts_fold_and_the_first_stands() -> None:
    judgement = find(["Where is my card?", "other", "  where is\tmy CARD?", "WHERE IS MY CARD?", "where is my card"], labels="aabaa")
    assert gone(judgement) == {"r002": ("duplicate", "r000"), "r003": ("duplicate", "r000")}
    assert judgement.verdicts[2].details == {"of": "r000", "similarity": 1.0}
    assert judgement.verdicts[2].label == "b"
    assert judgement.facts["dropped"] == {"duplicate": 2}
    assert judgement.facts["of_another_label"] == 1
    assert [each.id for each in judgement.verdicts] == [f"r{i:03}" for i in range(5)]
    assert gone(find(["a b c", "A B C"], exact=False)) == {}


def test_held_out_texts_go_whatever_else_is_off_and_are_named() -> None:
    held_out = [("dev", ["Nothing here"]), ("test", ["what TIME is it", "Play a song"])]
    judgement = find(["what time is it", "play  a Song", "play a song", "mine"], exact=False, held_out=held_out)
    assert gone(judgement) == {"r000": ("held_out", "test"), "r001": ("held_out", "test"), "r002": ("held_out", "test")}
    assert judgement.verdicts[0].details == {"in": "test", "text": "what TIME is it", "similarity": 1.0}
    assert judgement.facts["held_out"] == {"dev": {"n": 1, "found": 0}, "test": {"n": 2, "found": 3}}
    assert judgement.warnings == ("3 of 4 items stand in held-out data 'test'",)


def test_a_text_that_contains_a_held_out_one_goes_also_where_near_is_off() -> None:
    """Behind a label, in quotation marks, with a tail; four words that many texts have are no copy. Of pairs nothing is looked for."""
    real = "My card was swallowed by the machine at the station"
    texts = [f"Tweet: {real.upper()}!", f"“{real}” — posted today, with love", "a card was swallowed by a cow", f"Tweet: {real}!"]
    judgement = find(texts, held_out=[("test", ["How are you", real])])
    assert gone(judgement) == {f"r00{place}": ("held_out", "test") for place in (0, 1, 3)}
    assert judgement.verdicts[1].details == {"in": "test", "text": real, "contained": True}
    assert judgement.facts["held_out"] == {"test": {"n": 2, "found": 3}}
    pairs: list[Text] = [(real, "Tweet: so it was")]
    assert gone(find(pairs, held_out=[("test", [(real, "it was not")])])) == {}


def test_of_pairs_both_texts_count() -> None:
    held_out = [("test", [("the cat", "it sleeps"), ("a dog", "it barks")])]
    texts = [("The  cat", "it sleeps"), ("the cat", "it barks"), ("the cat it", "barks"), ("THE cat", "it barks"), ("a dog", "it sleeps")]
    found = find(texts, held_out=held_out)
    assert gone(found) == {"r000": ("held_out", "test"), "r003": ("duplicate", "r001")}
    assert found.verdicts[0].details["text"] == "the cat\nit sleeps"


def test_nothing_and_no_texts() -> None:
    assert find([]).verdicts == ()
    assert find([], near=0.9, near_by="embedding", vectors=np.empty((0, 4))).verdicts == ()


# -- near texts ----------------------------------------------------------------------------------------------------------


def greedy(similar: np.ndarray, least: float, barred: set[int] = frozenset()) -> dict[int, int]:  # type: ignore[assignment]
    """By all pairs: each row that is near to an earlier kept one, and the most similar of those."""
    kept: list[int] = []
    out: dict[int, int] = {}
    for row in range(len(similar)):
        if row in barred:
            continue
        near = [other for other in kept if similar[row, other] >= least]
        if near:
            out[row] = max(near, key=lambda other: similar[row, other])
        else:
            kept.append(row)
    return out


def test_minhash_is_brute_force_over_all_signatures() -> None:
    texts = list(dict.fromkeys(edited(500, seed=0)))
    signatures = np.stack([NearIndex.signature(text) for text in texts])
    similar = np.stack([(signatures == each).mean(axis=1) for each in signatures])
    judgement = find(texts, near=0.7)
    expected = greedy(similar, 0.7)
    assert len(expected) > 30
    assert set(gone(judgement)) == {f"r{row:03}" for row in expected}
    for row, other in expected.items():
        details = judgement.verdicts[row].details
        assert details["similarity"] == pytest.approx(similar[row, other], abs=1e-6)
        assert details["similarity"] == pytest.approx(similar[row, int(details["of"][1:])], abs=1e-6)
        assert judgement.verdicts[int(details["of"][1:])].keep


@pytest.mark.parametrize("implementation", ["faiss", "tiles"])
@pytest.mark.parametrize("block", [16, 2048])
def test_embedding_is_brute_force_over_all_cosines(monkeypatch: pytest.MonkeyPatch, implementation: str, block: int) -> None:
    monkeypatch.setattr(copies, "_BLOCK", block)
    monkeypatch.setattr(copies, "_implementation", lambda *sizes: implementation)
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(60, 8))
    vectors = (centres[rng.integers(0, 60, 300)] + 0.35 * rng.normal(size=(300, 8))).astype(np.float32)
    units = vectors.astype(np.float64) / np.linalg.norm(vectors, axis=1, keepdims=True)
    similar = units @ units.T
    judgement = find([f"text {i}" for i in range(300)], near=0.9, near_by="embedding", vectors=vectors)
    expected = greedy(similar, 0.9)
    assert 50 < len(expected) < 250
    assert gone(judgement) == {f"r{row:03}": ("near_duplicate", f"r{other:03}") for row, other in expected.items()}
    for row, other in expected.items():
        assert judgement.verdicts[row].details["similarity"] == pytest.approx(similar[row, other], abs=2e-6)


def test_a_gpu_gives_the_pairs_that_a_cpu_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never the sweep in fp16, and below its worth no GPU at all."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    few = "faiss" if copies.has_faiss() else "tiles"
    assert [copies._implementation(rows, 20_000) for rows in (19_999, 20_000)] == [few, "triton_fp16x3"]


def test_a_threshold_too_low_for_minhash_is_said() -> None:
    assert find(["a b c"], near=0.7).warnings == ()
    assert find(["a b c"], near=0.5).warnings == (
        "minhash finds only 64% of the pairs of similarity 0.5: raise `near`, or use near_by: embedding",
    )
    assert find(["a b c"], near=0.5, near_by="embedding", vectors=np.ones((1, 2))).warnings == ()


def test_a_chain_keeps_both_its_ends() -> None:
    angles = np.array([0.0, 0.4, 0.8])  # cos 0.4 = 0.92, cos 0.8 = 0.70
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    judgement = find(["one", "two", "three"], near=0.9, near_by="embedding", vectors=vectors)
    assert gone(judgement) == {"r001": ("near_duplicate", "r000")}


def test_copies_go_the_way_of_the_first() -> None:
    vectors = np.array([[1, 0], [0.99, 0.14], [0.99, 0.14], [0, 1], [0, 1]], dtype=np.float32)
    texts = ["one", "two", "Two", "three", "THREE"]
    arguments = {"near": 0.9, "near_by": "embedding", "vectors": vectors}
    near, far = ("near_duplicate", "r000"), ("duplicate", "r003")
    assert gone(find(texts, **arguments)) == {"r001": near, "r002": near, "r004": far}
    assert gone(find(texts, exact=False, **arguments)) == {"r001": near, "r002": near}
    held_out = [("test", ["near to two"])]
    both = {"held_out": held_out, "held_out_vectors": [np.array([[0.9, 0.3]])]}
    found = find(texts, exact=False, **arguments, **both)
    assert gone(found) == {f"r00{i}": ("held_out", "test") for i in range(3)}
    assert found.verdicts[2].details["text"] == "near to two"


def test_near_to_held_out_texts() -> None:
    """One word in the middle is another: no run of four fifths is shared, so the text is near and not contained."""
    test_text = "please tell me how much money is left on my savings account now as I want to buy a bicycle for my daughter before Monday"
    near_text, far_text = test_text.replace("account", "book"), "please tell me how to win at chess"
    found = find([near_text, far_text], near=0.6, held_out=[("test", ["unrelated words stand here", test_text])])
    assert gone(found) == {"r000": ("held_out", "test")}
    agreement = (NearIndex.signature(near_text) == NearIndex.signature(test_text)).mean()
    assert found.verdicts[0].details == {"in": "test", "text": test_text, "similarity": pytest.approx(agreement, abs=1e-6)}
    assert gone(find([near_text], near=None, held_out=[("test", [test_text])])) == {}


def test_embedding_finds_the_nearest_held_out_text() -> None:
    vectors = np.array([[1, 0, 0], [0, 1, 0], [0, 0.8, 0.6]], dtype=np.float32)
    reference = np.array([[0.8, 0.6, 0], [0.96, 0.28, 0]], dtype=np.float32)
    judgement = find(
        ["a", "b", "c"],
        near=0.85,
        near_by="embedding",
        vectors=vectors,
        held_out=[("none", []), ("test", ["x", "y"])],
        held_out_vectors=[np.empty((0, 3), dtype=np.float32), reference],
    )
    assert gone(judgement) == {"r000": ("held_out", "test")}
    assert judgement.verdicts[0].details == {"in": "test", "text": "y", "similarity": pytest.approx(0.96, abs=1e-6)}


def test_equal_vectors_reach_a_threshold_of_1() -> None:
    vector = np.random.default_rng(0).normal(size=384).astype(np.float32)
    judgement = find(["a", "b"], near=1.0, near_by="embedding", vectors=np.stack([vector, 3 * vector]))
    assert gone(judgement) == {"r001": ("near_duplicate", "r000")}


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(UsageError, match="near_by: got 'tfidf', expected 'minhash' or 'embedding'"):
        find(["a"], near_by="tfidf")
    with pytest.raises(UsageError, match="near: got 0"):
        find(["a"], near=0.0)
    with pytest.raises(UsageError, match="near_by 'embedding' needs the vectors of the items"):
        find(["a"], near=0.9, near_by="embedding")
    with pytest.raises(UsageError, match="expected one vector for each of 1 items"):
        find(["a"], near=0.9, near_by="embedding", vectors=np.ones((2, 3)))
    with pytest.raises(UsageError, match=r"got arrays of shapes \[\] for sets of \[1\] texts and width 3"):
        find(["a"], near=0.9, near_by="embedding", vectors=np.ones((1, 3)), held_out=[("test", ["x"])])

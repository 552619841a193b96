"""Measures of texts as strings: variety of words and n-grams, repetition, length, overlap with a reference.

Words are those of `words.split_words`, n-grams never cross from one text into the next, and `num_duplicates` counts the
texts that equal an earlier one when folded. Measures of words take strings, or the `Words` of strings split once for several
measures. All values are exact. Most depend on the number of texts (distinct-n falls with it, repetition and compression
rise): compare sets of equal size. Knows nothing of embeddings, labels or files.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from variegate.containment import KnownTexts
from variegate.errors import UsageError
from variegate.folding import fold
from variegate.metrics.values import MetricValue
from variegate.metrics.words import Words, check_texts, join_words, words_of

_GZIP = 16 + zlib.MAX_WBITS  # the gzip container, with no time and no file name in it
_BATCH = 4096  # texts compressed in one call


def distinct_n(texts: Sequence[str] | Words, n: int) -> MetricValue:
    """Different n-grams / n-grams, over the pooled texts. In (0, 1]; 1 says that no n-gram comes twice.

    Reference: Li et al., "A Diversity-Promoting Objective Function for Neural Conversation Models", NAACL 2016.
    Raises UsageError when no text has n words. Cost: n sorts of all words.
    """
    words = words_of(texts)
    kinds, _ = _some_ngrams(words, n, f"distinct_{n}")
    distinct = int(kinds.max()) + 1
    return _value(f"distinct_{n}", distinct / len(kinds), words, details={"num_ngrams": len(kinds), "num_distinct": distinct})


def self_repetition(texts: Sequence[str] | Words, n: int = 4) -> MetricValue:
    """How much texts share runs of n words: mean over texts i of log(1 + sum over g in G_i of (D(g) - 1)).

    G_i is the set of n-grams of text i, D(g) the number of texts that have g. 0: nothing is shared. A text shorter than n
    words adds 0 to the mean and is counted in details["num_without"]. per_record: the logarithms.

    Reference: Salkar et al., "Self-Repetition in Abstractive Neural Summarizers", AACL-IJCNLP 2022; the logarithm as in Shaib et
    al., "Standardizing the Measurement of Text Diversity", 2024, and their package `diversity` 0.3.1.
    Differs from the paper: Salkar et al. count the n-grams of 4 words *or longer* that come in several texts. The formula is
    the package's, which splits at white space only and keeps case and punctuation.
    Raises UsageError when no text has n words. Cost: n sorts of all words.
    """
    words = words_of(texts)
    kinds, rows = _some_ngrams(words, n, "self_repetition")
    rows, kinds = _distinct_pairs(rows, kinds)
    shared = np.bincount(rows, weights=np.bincount(kinds)[kinds] - 1, minlength=len(words))
    each = np.log1p(shared)
    without = int((words.lengths < n).sum())
    return _value("self_repetition", each.mean(), words, details={"n": n, "num_without": without}, per_record=each)


def compression_ratio(texts: Sequence[str]) -> MetricValue:
    """Bytes of the texts, joined by spaces, in UTF-8 / bytes after gzip at level 9. Higher is more repetitive.

    gzip looks back 32 KiB: the order of the texts matters, and repeats further apart than some 500 short texts are not seen.
    Sets under a few KiB come out low, as the header's 18 bytes and the first occurrence of everything weigh on them. The
    value may differ in the third digit between builds of zlib.

    Reference: Shaib et al., "Standardizing the Measurement of Text Diversity", 2024.
    Differs from `diversity` 0.3.1: that gzips the gzipped bytes a second time, which adds some 30, and rounds to 3 decimals.
    Raises UsageError when all texts are empty. Memory: one batch of texts.
    """
    check_texts(texts)
    if not any(texts):
        raise UsageError("compression_ratio: every text is empty: there is nothing to compress")
    compressor = zlib.compressobj(9, zlib.DEFLATED, _GZIP)
    original = compressed = 0
    for start in range(0, len(texts), _BATCH):
        data = " ".join(texts[start : start + _BATCH]).encode("utf-8", "surrogatepass")
        data = b" " + data if start else data
        original += len(data)
        compressed += len(compressor.compress(data))
    compressed += len(compressor.flush())
    return MetricValue(
        "compression_ratio",
        original / compressed,
        n=len(texts),
        implementation="gzip",
        precision="float64",
        num_duplicates=len(texts) - len({fold(text) for text in texts}),
        details={"bytes": original, "compressed_bytes": compressed},
    )


def vocabulary_size(texts: Sequence[str] | Words) -> MetricValue:
    """The number of different words. 0 where no text has a word."""
    words = words_of(texts)
    return _value("vocabulary_size", len(np.unique(words.ids)), words, details={"num_words": len(words.ids)})


def length_distribution(texts: Sequence[str] | Words) -> MetricValue:
    """Mean number of words in a text. details: median, sd (over n), min, max, quantiles (linear interpolation), mean characters.

    Characters are the code points of the text as written. per_record: the words of each text.
    """
    words = words_of(texts)
    lengths = words.lengths.astype(np.float64)
    details = {
        "median": float(np.median(lengths)),
        "sd": float(lengths.std()),
        "min": int(lengths.min()),
        "max": int(lengths.max()),
        **{f"q{percent:02}": float(np.percentile(lengths, percent)) for percent in (5, 25, 75, 95)},
        "mean_characters": float(words.num_characters.mean()),
    }
    return _value("mean_length", lengths.mean(), words, details=details, per_record=lengths)


def bigram_overlap(texts: Sequence[str] | Words, reference: Sequence[str] | Words) -> MetricValue:
    """Best bigram overlap: mean over texts i of max over reference texts j of |B_i n B_j| / |B_i|, B the set of bigrams.

    In [0, 1]; 1 says that every text has all of its bigrams in one reference text. Not symmetric. Texts without a bigram are
    left out of the mean and counted in details["num_without"]; their per_record value is NaN.

    Reference: Chen et al., "Mixture of Soft Prompts for Controllable Data Generation", Findings of EMNLP 2023: `overlap@2`
    of the released code.
    Differs from that code: it splits at white space only, keeps case and punctuation, and rounds to 3 decimals.
    Raises UsageError when no text has a bigram.
    Cost: an inverted index, bigram -> reference texts. Time is the sum, over texts and their bigrams, of the references that
    have the bigram, some 5 ns each: a few per cent of n m for everyday text, n m for each bigram that every text has. Memory
    O(words + m).
    """
    words, others = words_of(texts), words_of(reference, "reference")
    _some_ngrams(words, 2, "bigram_overlap")
    n, m = len(words), len(others)
    kinds, rows = join_words(words, others).ngrams(2)
    rows, kinds = _distinct_pairs(rows, kinds)
    mine = rows < n
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows[mine], minlength=n))])
    best = _most_shared(kinds[mine], starts, _Index(kinds[~mine], rows[~mine] - n, num_kinds=int(kinds.max()) + 1, num_rows=m))
    sizes = np.diff(starts)
    each = np.full(n, np.nan)
    each[sizes > 0] = best[sizes > 0] / sizes[sizes > 0]
    details = {"num_without": int((sizes == 0).sum())}
    return _value("bigram_overlap", np.nanmean(each), words, m=m, implementation="inverted_index", details=details, per_record=each)


def leakage_exact(texts: Sequence[str], reference: Sequence[str]) -> MetricValue:
    """The share of texts that equal a reference text, character for character. per_record: 1 where one does, else 0.

    `num_duplicates` counts texts equal as written.
    """
    return _leakage("leakage_exact", texts, reference, lambda text: text)


def leakage_folded(texts: Sequence[str], reference: Sequence[str]) -> MetricValue:
    """The share of texts that equal a reference text after `folding.fold`: case, width and white space aside."""
    return _leakage("leakage_folded", texts, reference, fold)


def leakage_contained(texts: Sequence[str], reference: Sequence[str]) -> MetricValue:
    """The share of texts that contain a reference text: a run of shared words that covers four fifths of it, five words at least
    (`containment`). per_record: 1 where one does, else 0. Linear in the texts, whatever the number of references."""
    return _leakage("leakage_contained", texts, reference, fold, contained=True)


def _leakage(
    metric: str, texts: Sequence[str], reference: Sequence[str], form: Callable[[str], str], *, contained: bool = False
) -> MetricValue:
    """form: texts are duplicates, and unless `contained` leaked, where it is equal."""
    check_texts(texts)
    check_texts(reference, "reference")
    forms = [form(text) for text in texts]
    if contained:
        runs = KnownTexts(reference)
        leaked = [runs.find(text) is not None for text in texts]
    else:
        known = {form(text) for text in reference}
        leaked = [text in known for text in forms]
    each = np.array(leaked, dtype=np.float64)
    return MetricValue(
        metric,
        float(each.mean()),
        n=len(texts),
        m=len(reference),
        implementation="word_runs" if contained else "hash_set",
        precision="float64",
        num_duplicates=len(forms) - len(set(forms)),
        details={"num_leaked": int(each.sum())},
        per_record=each,
    )


class _Index:
    """Bigram -> the rows that have it."""

    def __init__(self, kinds: Int[np.ndarray, " g"], rows: Int[np.ndarray, " g"], *, num_kinds: int, num_rows: int) -> None:
        self._rows = rows[np.argsort(kinds, kind="stable")]
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(kinds, minlength=num_kinds))]).tolist()
        self.num_rows = num_rows

    def rows_of(self, kind: int) -> Int[np.ndarray, " r"]:
        return self._rows[self._starts[kind] : self._starts[kind + 1]]


def _most_shared(kinds: Int[np.ndarray, " g"], starts: Int[np.ndarray, " bounds"], index: _Index) -> Int[np.ndarray, " n"]:
    """For each text, with bigrams kinds[starts[i]:starts[i + 1]], the most that one row of the index shares with it."""
    best = np.zeros(len(starts) - 1, dtype=np.int64)
    counts = np.zeros(index.num_rows, dtype=np.int64)  # of one text at a time; cleared where touched, never as a whole
    bounds, all_kinds = starts.tolist(), kinds.tolist()
    for text in range(len(best)):
        found = [index.rows_of(kind) for kind in all_kinds[bounds[text] : bounds[text + 1]]]
        rows = np.concatenate(found) if found else np.empty(0, dtype=np.int64)
        if len(rows):
            np.add.at(counts, rows, 1)
            best[text] = counts[rows].max()
            counts[rows] = 0
    return best


def _some_ngrams(words: Words, n: int, metric: str) -> tuple[Int[np.ndarray, " g"], Int[np.ndarray, " g"]]:
    kinds, rows = words.ngrams(n)
    if not len(kinds):
        raise UsageError(
            f"{metric}: no text has {n} word{'s' * (n > 1)} (the longest has {int(words.lengths.max())}): it is undefined for this set"
        )
    return kinds, rows


def _distinct_pairs(rows: Int[np.ndarray, " g"], kinds: Int[np.ndarray, " g"]) -> tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"]]:
    """Each (row, kind) once, by row."""
    rows, kinds = np.divmod(np.unique(rows * (kinds.max() + 1) + kinds), kinds.max() + 1)
    return rows, kinds


def _value(metric: str, value: float, words: Words, *, implementation: str = "counts", **more: Any) -> MetricValue:
    return MetricValue(
        metric,
        float(value),
        n=len(words),
        implementation=implementation,
        precision="float64",
        num_duplicates=words.num_duplicates,
        **more,
    )

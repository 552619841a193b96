"""What each measure is called, and how its numbers are read: up, down, and what they depend on. Words only.

A measure that is not named here is shown under its own name, without advice.
"""

from __future__ import annotations

from dataclasses import dataclass

from variegate.report.measured import Measured, scalar, words


@dataclass(frozen=True, slots=True)
class Reading:
    title: str  # {k}, {q} and {threshold} are filled in
    says: str
    kind: str = ""  # see `measured.written`


READINGS = {
    "remote_clique": Reading(
        "Remote-Clique",
        "Mean distance from a record to all others. Up: topics and wording lie further apart. Down: the records are more alike. It does"
        " not rise or fall with n, but hears only how far topics spread: a few tight clusters far apart still score high.",
    ),
    "chamfer": Reading(
        "Chamfer",
        "Mean distance from a record to the one nearest to it. Up: fewer near-copies. 0: every record has a copy."
        " It falls as n grows, so compare it at equal n.",
    ),
    "cross_distance": Reading(
        "Mean cross-set distance",
        "Mean distance from a record of the set to one of the reference. Down: the sets lie closer together. Up: further apart."
        " Chung et al. (2023) call this number a similarity; it is a distance.",
    ),
    "top_k_similarity": Reading(
        "Top-{k} similarity",
        "For each reference the mean cosine to the {k} records of the set nearest to it, averaged. Up: real texts have more like them in"
        " the set. It rises with n, so compare it at equal n; it is not symmetric.",
    ),
    "coverage": Reading(
        "Coverage",
        "Share of the references with a record of the set within the radius. Down: kinds of real text are missing. It rises with n and"
        " with the radius.",
        "share",
    ),
    "coverage_tsne": Reading(
        "Coverage in a t-SNE plane",
        "The same share on a t-SNE map, as S3 reports it. Such a map keeps neighbours, not distances, and another seed moves the number.",
        "share",
    ),
    "leakage_exact": Reading(
        "Leakage, equal", "Share of records that equal a reference text, character for character. Up: copying.", "share"
    ),
    "leakage_folded": Reading("Leakage, equal when folded", "The same with case, width and white space aside.", "share"),
    "leakage_contained": Reading(
        "Leakage, contained",
        "Share of records that contain a reference text: four fifths of its words in a row, five at least, behind a label or in quotation marks.",
        "share",
    ),
    "leakage_near": Reading(
        "Leakage, cosine ≥ {threshold}",
        "Share of records whose nearest reference is that close: equal or nearly equal texts. The nearest pairs show which.",
        "share",
    ),
    "bigram_overlap": Reading(
        "Bigram overlap",
        "The largest share of a record's word pairs that one reference text has, averaged. Up: closer to the reference's wording; 1: every"
        " record's pairs all stand in one reference.",
    ),
    "vendi_score": Reading("Vendi score, q = {q}", "Effective number of different records. Up: more varied.", "number"),
    "distinct_1": Reading("Distinct-1", "Different words out of all words. Up: more varied wording. Falls as n grows."),
    "distinct_2": Reading("Distinct-2", "Different word pairs out of all. Up: more varied wording. Falls as n grows."),
    "distinct_3": Reading("Distinct-3", "Different runs of three words out of all. Up: more varied wording. Falls as n grows."),
    "self_repetition": Reading(
        "Self-repetition",
        "Mean logarithm of 1 + how often a text's four-word runs stand in other texts. Up: more stock phrases. Rises with n.",
    ),
    "compression_ratio": Reading("Compression ratio", "Bytes before gzip over bytes after it. Up: more repetitive.", "number"),
    "vocabulary_size": Reading("Vocabulary", "Different words. Up: richer wording; grows with n and with length.", "count"),
    "mean_length": Reading("Words a text", "Far from the reference: another kind of text, and other measures shift with it.", "number"),
}

HEADLINE = ("remote_clique", "chamfer", "cross_distance", "top_k_similarity")
WORDING = ("distinct_1", "distinct_2", "distinct_3", "self_repetition", "compression_ratio", "vocabulary_size", "mean_length")


def reading(each: Measured) -> Reading:
    """Title and advice of a value, with its k, q and threshold in them."""
    found = READINGS.get(each.metric, Reading(each.metric.replace("_", " ") or "unnamed", ""))
    filled = {"k": "k" if each.k is None else str(each.k), "q": order(each), "threshold": detail(each, "threshold") or "?"}
    if each.metric not in READINGS:  # a foreign name may hold braces
        return found
    return Reading(found.title.format(**filled), found.says.format(**filled), found.kind)


def order(each: Measured) -> str:
    """The order q of a Vendi score."""
    return {"inf": "∞"}.get(found := detail(each, "q"), found) or "?"


def detail(each: Measured, name: str) -> str:
    """One of `details` in words: `0.07`, `inf`, `1,233`; nothing where it is missing or no scalar."""
    return scalar(each.details.get(name))


def details_in_words(each: Measured) -> str:
    """All scalars of `details`: `q 0.5, max 128`."""
    found = ((words(name).replace("_", " "), scalar(value)) for name, value in each.details.items())
    return ", ".join(f"{name} {value}" for name, value in found if value)


def self_rule(each: Measured) -> str:
    if each.include_self is None:
        return ""
    return "pairs of a record with itself counted" if each.include_self else "self left out"

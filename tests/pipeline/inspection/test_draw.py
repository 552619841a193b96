"""Which items are shown: repeatable, nested in the number, unmoved by records that come later, the unsure ones first."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.rows import make_record
from variegate.config.student import LinearStudentConfig
from variegate.embeddings.models import find_model
from variegate.embeddings.result import Embeddings
from variegate.errors import UsageError
from variegate.kinds.classification import Classification
from variegate.pipeline.inspection.draw import draw, draw_uncertain, margins
from variegate.records import Record

RECORDS = [make_record(f"id{number}", f"text {number}", "abc"[min(number // 40, 2)]) for number in range(100)]  # 40, 40 and 20


def test_a_draw_repeats_and_a_seed_changes_it() -> None:
    first = draw(RECORDS, 30, seed=1)
    assert len(first) == 30
    assert draw(RECORDS[::-1], 30, seed=1) == first
    assert draw(RECORDS, 30, seed=2) != first
    assert draw(RECORDS, 1000, seed=1)[:30] == first


@pytest.mark.parametrize("by_label", [False, True])
def test_a_growing_run_keeps_its_order(by_label: bool) -> None:
    few = draw(RECORDS[:60:2], 100, seed=3, by_label=by_label)
    more = draw(RECORDS[:60], 100, seed=3, by_label=by_label)
    kept = {record.id for record in few}
    for label in "ab":
        assert [r for r in more if r.id in kept and r.label == label] == [r for r in few if r.label == label]


def test_each_record_is_as_likely() -> None:
    counts = Counter(record.id for seed in range(400) for record in draw(RECORDS, 20, seed=seed))
    expected = 400 * 20 / 100
    statistic = sum((counts[record.id] - expected) ** 2 / expected for record in RECORDS)
    assert statistic < 148.2  # chi-square with 99 degrees of freedom, its upper 0.1 % point; seeds are fixed


def test_by_label_in_turn() -> None:
    assert [record.label for record in draw(RECORDS, 7, seed=0, by_label=True)] == list("abcabca")
    assert Counter(record.label for record in draw(RECORDS, 80, seed=0, by_label=True)) == {"a": 30, "b": 30, "c": 20}
    assert [r.label for r in draw(RECORDS, 100, seed=0, by_label=True)][60:] == list("ab" * 20)


def test_the_least_certain_first() -> None:
    certainty = {record.id: float(place % 7) for place, record in enumerate(RECORDS) if place != 50}
    drawn = draw_uncertain(RECORDS, 100, certainty, seed=0)
    values = [certainty.get(record.id, 9.0) for record in drawn]
    assert values == sorted(values)
    assert drawn[-1].id == "id50"
    assert draw_uncertain(RECORDS[::-1], 10, certainty, seed=0) == drawn[:10]


# -- margins ---------------------------------------------------------------------------------------------------


CONFIG = LinearStudentConfig(kind="logistic_regression")


class Planted:
    """An encoder whose vectors are given: a text is `x,y`."""

    name, fingerprint = "planted", find_model(CONFIG.encoder).fingerprint

    def encode(self, texts: Any, *, progress: Any = None) -> Any:
        vectors = np.array([[float(part) for part in text.split(",")] for text in texts], np.float32)
        facts: dict[str, Any] = dict.fromkeys(Embeddings.__dataclass_fields__)
        return Embeddings(
            **{**facts, "vectors": vectors, "name": self.name, "fingerprint": self.fingerprint, "width": 2, "num_truncated": 0}
        )


def cloud(spread: float = 0.2) -> list[Record]:
    """Three labels around three corners, and one text in the midst of each pair of them."""
    rng = np.random.default_rng(0)
    corners = {"a": (0.0, 3.0), "b": (3.0, 0.0), "c": (-3.0, -3.0)}
    found = [
        make_record(f"{label}{number}", ",".join(map(str, np.array(corner) + spread * rng.normal(size=2))), label)
        for label, corner in corners.items()
        for number in range(30)
    ]
    return [*found, make_record("ab", "1.5,1.5", "a"), make_record("bc", "0,-1.5", "b"), make_record("ca", "-1.5,0", "c")]


def test_what_lies_between_two_labels_is_uncertain() -> None:
    records = cloud()
    found = margins(Classification.of({}), records, CONFIG, seed=0, encoder=Planted())
    assert set(found) == {record.id for record in records}
    assert all(0 <= value <= 1 for value in found.values())
    assert {record.id for record in draw_uncertain(records, 3, found, seed=0)} == {"ab", "bc", "ca"}
    assert margins(Classification.of({}), records, CONFIG, seed=0, encoder=Planted()) == found  # type: ignore[arg-type]


def test_a_wrong_label_does_not_vouch_for_itself() -> None:
    """Cross-validated: a text at b's corner with label a is sure to be b, being judged without its own label."""
    records = [*cloud(), make_record("wrong", "3.0,0.0", "a")]
    found = margins(Classification.of({}), records, CONFIG, seed=0, encoder=Planted())
    assert found["wrong"] > 0.5


def test_equal_texts_are_judged_together() -> None:
    """Copies in another fold would give a text its own label back: here 20 copies claim b's corner for a, against 30 of b."""
    records = [*cloud(), *(make_record(f"copy{number}", "3.0,0.0", "a") for number in range(20))]
    found = margins(Classification.of({}), records, CONFIG, seed=0, encoder=Planted())
    assert len({found[f"copy{number}"] for number in range(20)}) == 1
    assert found["copy0"] > 0.5


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([make_record("1", "1,2", "a"), make_record("2", "2,1", "a")], "the records have 1 label and 2 distinct texts"),
        ([make_record("1", "1,2", "a"), make_record("2", "1,2 ", "b")], "the records have 2 labels and 1 distinct text,"),
    ],
)
def test_nothing_to_tell_apart(records: list[Record], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        margins(Classification.of({}), records, CONFIG, seed=0, encoder=Planted())


def test_a_fold_without_the_other_label_knows_nothing() -> None:
    records = [make_record("1", "1,2", "a"), make_record("2", "2,1", "b")]
    assert margins(Classification.of({}), records, CONFIG, seed=0, encoder=Planted()) == {"1": 0.0, "2": 0.0}  # type: ignore[arg-type]


def test_on_real_texts(data_folder: Path) -> None:
    """Real questions: those that another cross-validated classifier gets wrong are nearer to the border than those it gets right."""
    from scipy.stats import mannwhitneyu
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    from variegate.embeddings import Encoder

    lines = (data_folder / "trec6" / "train.jsonl").read_text(encoding="utf-8").splitlines()[:300]
    rows = list({json.loads(line)["text"]: json.loads(line) for line in lines}.values())
    records = [make_record(str(place), row["text"], str(row["label"])) for place, row in enumerate(rows)]
    found = margins(Classification.of({}), records, CONFIG, seed=0)
    vectors = Encoder().encode([record.fields["text"] for record in records]).vectors
    labels = np.array([record.label for record in records])
    wrong = cross_val_predict(LogisticRegression(C=10), vectors, labels, cv=4) != labels
    values = np.array([found[record.id] for record in records])
    assert 20 < wrong.sum() < 150
    assert mannwhitneyu(values[wrong], values[~wrong], alternative="less").pvalue < 1e-6

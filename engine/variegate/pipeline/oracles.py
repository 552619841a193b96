"""When a student of real texts is too poorly taught to be called an oracle. Knows labelled texts; trains nothing."""

from __future__ import annotations

from variegate.students.data import LabelledTexts

FEW_TEXTS = 50
FEW_OF_A_LABEL = 5  # texts, on average


def doubt_of(train: LabelledTexts, num_labels: int, right: float | None = None) -> str | None:
    """Why what a student of `train` says of labels is a hint and no measure; None where it learnt from enough.

    right: the share of the test data that it is right in, where that was measured. The thresholds are ours.
    """
    n = len(train)
    if n >= FEW_TEXTS and n >= FEW_OF_A_LABEL * num_labels:
        return None
    errs = "" if right is None else f", and is right in {right:.1%} of the test texts"
    return (
        f"the oracle is no oracle: it learnt {num_labels} labels from {n:,} real texts alone{errs}. Label accuracy, its agreement with the"
        " labels, is a hint: read some of the texts (`variegate inspect`), or give data.train more of them"
    )

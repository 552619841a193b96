"""Zero-shot generation: the label's phrase or description, and no examples.

Reference: Li, Zhu, Lu and Yin, "Synthetic Data Generation with Large Language Models for Text Classification:
Potential and Limitations", EMNLP 2023 (form `li`); Chung, Kamar and Amershi, "Increasing Diversity While Maintaining
Accuracy: Text Data Generation with Large Language Models and Human Interventions", ACL 2023 (form `chung`).
"""

from __future__ import annotations

from collections.abc import Sequence

from variegate.records import Request
from variegate.strategies.conversation import Counts
from variegate.strategies.forms import FormConversation


class ZeroShot(FormConversation):
    name = "zero_shot"

    def next(self, ledger: Counts) -> Sequence[Request]:
        return [request for turn in self.turns(ledger) for request in self.requests(turn, turn.slots, ())]


STRATEGY = ZeroShot

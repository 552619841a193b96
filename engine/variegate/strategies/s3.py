"""S3: seed data with rationales, then rounds of error extrapolation: more texts like the real ones that a student of the data gets wrong.

Reference: Wang, Zhou and Sachan, "Let's Synthesize Step by Step", Findings of EMNLP 2023, sections 3.1 and 3.2.

Differs from the paper: errors are looked for in a small real validation split, and other real examples decide when to end (`faithful: true`
takes the whole train split for both, as the released code does); an error is a prediction that is not the label, of any number of classes
(the code's test loses errors between classes that are not neighbours); a text that copies its error is dropped; K and k are ours, since
the paper gives none; where a record is given a context, as in pairs, there are no rationales, as in the paper.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from variegate.config.strategies.s3 import S3Config
from variegate.config.student import LinearStudentConfig
from variegate.records import KEPT, NOTE, Completion, Item, Piece, Request, Target, Work
from variegate.seeding import derive_rng
from variegate.strategies.conversation import Brief, Conversation, Counts
from variegate.strategies.reading import strip_quotes, without_thoughts
from variegate.strategies.writing import Writer

_TOKENS = 30  # of a rationale
_ASKED = 2  # times that a label's rationales are asked for, where none come
_LINE = re.compile(r"\s*(?:\(?\d{1,2}[.):]|[-*•])\s+")


class S3(Conversation):
    """Goes through stages: reasons, seed, then for each round student and, while there are errors to take up, more; last diagnosis, which
    looks at how the texts for errors lie to those.

    reasons: name -> [id, text] of each rationale. records: what is kept. errors: those that the round takes up.
    asked: example's id -> requests for it so far, over all rounds. got: the same, texts kept in this round. A record is [id, fields], of
    one for an error [id, fields, id of the error].
    """

    name = "s3"
    STATE: ClassVar[tuple[str, ...]] = ("stage", "round", "tries", "barriers", "reasons", "records", "errors", "asked", "got", "accuracy")

    def __init__(self, brief: Brief) -> None:
        super().__init__(brief)
        assert isinstance(brief.config, S3Config)  # noqa: S101  # the registry pairs them
        self.s3: S3Config = brief.config
        self.writer = Writer.of(brief)
        self.sampling = brief.sampling
        if brief.kind.answer_lines and brief.sampling.stop == self.stop(brief.config, chat=False):  # an answer of lines may quote
            self.sampling = replace(brief.sampling, stop=("\n\n",))
        has_reasons = self.s3.rationales > 0 and not brief.givens[0]
        self.stage = "reasons" if has_reasons else "seed"
        self.round = self.tries = self.barriers = 0
        self.reasons: dict[str, list[list[str]]] = {}
        self.records: list[list[Any]] = []
        self.errors: list[dict[str, Any]] = []
        self.asked: dict[str, int] = {}
        self.got: dict[str, int] = {}
        self.accuracy: list[float] = []  # on `select`, of each round's students

    # -- asking ------------------------------------------------------------------------------------------------

    def next(self, ledger: Counts) -> Sequence[Request] | Work:
        if self.stage == "reasons":
            lacking = [name for name in self.brief.names if not self.reasons.get(name)] if self.tries < _ASKED else []
            if lacking:
                return [self._for_reasons(name) for name in lacking]
            self.stage, self.tries = "seed", 0
        if self.stage == "seed":
            if requests := [request for turn in self.turns(ledger) for request in self._seeds(turn.name, turn.slots, turn.block.index)]:
                return requests
            self.stage = "student"
        if self.stage == "more":
            if requests := list(self._more()):
                return requests
            self._end_round()
        if self.stage == "student":
            args = {
                "train": [record[:2] for record in self.records],
                "student": self.s3.student.model_dump(mode="json"),
                "seeds": self.s3.students,
            }
            if self.s3.right_from is not None:
                args["right_from"] = self.s3.right_from
            return Work(f"student-{self.round}", "student", args)
        more = [record for record in self.records if len(record) > 2]
        if self.stage == "diagnosis" and more:
            encoder = getattr(self.s3.student, "encoder", LinearStudentConfig(kind="logistic_regression").encoder)
            seeds = [record for record in self.records if len(record) == 2]
            return Work("extrapolation", "extrapolation", {"seeds": seeds, "more": more, "encoder": encoder})
        return []

    def _for_reasons(self, name: str) -> Request:
        label = self.brief.task.labels[name]
        text = self.writer.render("s3_reasons", label=label, number=self.s3.rationales, chat=self.brief.chat)
        sampling = replace(self.brief.sampling, max_tokens=max(_TOKENS * self.s3.rationales, 1), stop=() if self.brief.chat else ("\n\n",))
        return Request((self.writer.message(text),), sampling, Target((name,)), slot=self.tries, note=True)

    def _seeds(self, name: str, slots: range, block: int) -> Iterator[Request]:
        known = self.reasons.get(name, ())  # none where the model gave none
        for slot, target in zip(slots, self.targets(name, slots), strict=True):
            rng = derive_rng(self.brief.seed, "rationales", name, slot)
            drawn = rng.sample(list(known), min(self.s3.rationales_shown, len(known)))
            because = [self.writer.render("s3_because", reasons=[text for _, text in drawn])] if drawn else []
            facts = {"stage": "seed", **({"rationales": [id for id, _ in drawn]} if drawn else {})}
            if self.brief.kind.answer_lines:
                messages = self.writer.question_messages(target)
            else:
                messages = self.writer.li_messages(target, (), (), beside=because)
            yield Request(messages, self.sampling, target, slot, block, facts=facts)

    def _more(self) -> Iterator[Request]:
        """What the round's errors lack; none when all have it, or were asked for as often as may be."""
        if self.tries == self.s3.tries:
            return
        for error in self.errors:
            target = self.brief.kind.target(error["fields"])
            first = self.asked.get(error["id"], 0)
            facts = {"stage": "error", "error_round": self.round, "error": error["id"], "said": error["said"]}
            messages = self.writer.like_messages(target, error["fields"])
            for slot in range(first, first + self.s3.per_error - self.got.get(error["id"], 0)):
                # the block is one that no seed has: a suppression table has grown since
                yield Request(messages, self.sampling, target, slot, self.barriers, (error["id"],), facts)

    # -- hearing -----------------------------------------------------------------------------------------------

    def read(self, request: Request, completion: Completion) -> list[Piece]:
        return self._reasons_in(completion) if request.note else super().read(request, completion)

    def took(self, items: Sequence[Item]) -> None:
        if self.stage == "more":
            self.asked = dict(Counter(self.asked) + Counter(error["id"] for error in self.errors for _ in range(self._lacks(error))))
        if self.stage in ("reasons", "more"):
            self.tries += 1
        self.barriers += 1
        for item in items:
            if item.outcome == NOTE:
                self.reasons.setdefault(item.target.name, []).append([item.id, str(item.fields["text"])])
            elif item.outcome == KEPT:
                self.records.append([item.id, dict(item.fields)])
                if self.stage == "more":
                    self.records[-1].append(item.facts["error"])
                    self.got[item.facts["error"]] = self.got.get(item.facts["error"], 0) + 1

    def heard(self, work: Work, rows: Sequence[Mapping[str, Any]]) -> str:
        if work.task == "extrapolation":
            self.stage = "done"
            return ""
        by_split: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            by_split.setdefault(row["split"], []).append(row)
        validation = by_split["validation"]
        select = by_split.get("select", validation)
        self.accuracy.append(sum(row["right"] for row in select) / len(select))
        wrong = [row for row in validation if row["right"] <= 0.5]
        said = (
            f"error round {self.round}: a student of {len(self.records):,} texts is right on {self.accuracy[-1]:.1%} of {len(select):,} real"
            f" examples, and wrong on {len(wrong):,} of the {len(validation):,} for validation"
        )
        if why := self._end(wrong):
            self.stage = "diagnosis"
            return f"{said}: {why}"
        left = [row for row in wrong if not self._is_mislabelled(row)]
        self.errors = [{"id": row["id"], "fields": row["fields"], "said": row["said"][0]} for row in self._chosen(left)]
        if not self.errors:
            self.stage = "diagnosis"
            return f"{said}: all of them look like wrong labels of the examples, and there is nothing to take up"
        self.stage, self.tries, self.got = "more", 0, {}
        for error in self.errors:
            self.wanted[self._name(error)] += self.s3.per_error
        parts = [
            *([f"{len(wrong) - len(left):,} look like wrong labels of the examples"] if len(left) < len(wrong) else []),
            *([f"{len(left) - len(self.errors):,} are more than cap allows"] if len(self.errors) < len(left) else []),
        ]
        but = f" ({', '.join(parts)})" if parts else ""
        return f"{said}; {len(self.errors):,} are taken up{but}"

    # -- rounds ------------------------------------------------------------------------------------------------

    def _end(self, wrong: Sequence[Mapping[str, Any]]) -> str:
        """Why the rounds end here, in words; "" where they go on."""
        if not wrong:
            return "no error is left, and there is nothing to extrapolate"
        if self.round == self.s3.error_rounds:
            return f"{self.round} rounds are done"
        if self.round and self.s3.gain is not None and self.accuracy[-1] < self.accuracy[-2] + self.s3.gain:
            return f"it gained less than {self.s3.gain:g} over the round before, and the rounds end here"
        return ""

    def _is_mislabelled(self, row: Mapping[str, Any]) -> bool:
        sure = [confidence is not None and confidence >= (self.s3.mislabelled or 0) for confidence in row["confidence"]]
        return self.s3.mislabelled is not None and len(set(row["said"])) == 1 and all(sure)

    def _chosen(self, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """At most `cap` of each class, in the order in which the examples were drawn."""
        turn = {"hardest": -1, "nearest": 1, "drawn": 0}[self.s3.order]
        ordered = sorted(range(len(rows)), key=lambda place: (turn * rows[place]["hardness"], place))
        seen: Counter[str] = Counter()
        chosen = []
        for place in ordered:
            name = self._name(rows[place])
            seen[name] += 1
            if self.s3.cap is None or seen[name] <= self.s3.cap:
                chosen.append(place)
        return [rows[place] for place in sorted(chosen)]

    def _lacks(self, error: Mapping[str, Any]) -> int:
        return self.s3.per_error - self.got.get(error["id"], 0)

    def _name(self, error: Mapping[str, Any]) -> str:
        return self.brief.kind.target(error["fields"]).name

    def _end_round(self) -> None:
        """What no text came for is not wanted any more."""
        for error in self.errors:
            self.wanted[self._name(error)] -= self._lacks(error)
        self.errors, self.got, self.tries = [], {}, 0
        self.stage, self.round = "student", self.round + 1

    # -- rationales --------------------------------------------------------------------------------------------

    def _reasons_in(self, completion: Completion) -> list[Piece]:
        """Those of a list, a line each; of a plain-text model's answer the first, whose number stood in the prompt, has none."""
        said = without_thoughts(completion.text)
        if said is None:
            return [Piece(completion.text, "thinking")]
        lines = [line for line in said.splitlines() if line.strip()]
        pieces: list[Piece] = []
        for place, line in enumerate(lines):
            number = _LINE.match(line)
            text = strip_quotes(line[number.end() if number else 0 :].replace("**", "").strip())
            if not number and (place or self.brief.chat):
                pieces.append(Piece(line, "not_in_list"))
            elif not any(char.isalnum() for char in text):
                pieces.append(Piece(line, "empty"))
            elif completion.finish_reason == "length" and place == len(lines) - 1:
                pieces.append(Piece(line, "unfinished"))
            else:
                pieces.append(Piece(text))
        good = [place for place, piece in enumerate(pieces) if not piece.reason][self.s3.rationales :]
        return [piece for place, piece in enumerate(pieces) if place not in good]


STRATEGY = S3

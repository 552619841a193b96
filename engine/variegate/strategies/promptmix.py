"""PromptMix: texts near the border of two classes, which are then labelled anew (curation `relabel`).

A prompt shows a group of classes and asks for texts that are a share alpha of one and the rest of another, its partner. With
alpha ~ 0.5 + 0.5 Beta(5, 2), rounded to 0.05. Cost: one request for `utterances` texts.

Reference: Sahu, Vechtomova, Bahdanau and Laradji, "PromptMix: A Class Boundary Augmentation Method for Large Language Model
Distillation", EMNLP 2023.
Differs from the paper: all texts of an answer are kept, where its code asks on until there are ten and keeps one of them
(`faithful: true` keeps one); shares are whole percentages that sum to 100; groups, partners and shares are drawn by class and
place, so that none depends on what came back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property

from variegate.config.strategies.base import StrategyConfig
from variegate.config.strategies.promptmix import PromptMixConfig
from variegate.errors import UsageError
from variegate.records import Completion, Message, Piece, Request
from variegate.seeding import derive_rng
from variegate.strategies.conversation import Brief, Conversation, Counts, Turn
from variegate.strategies.pool import Example
from variegate.strategies.prompts import Prompts

MOST_WORDS = 100  # of a text, where the task names no limit; else three times that


class PromptMix(Conversation):
    """The slots of a class are its requests, cycle after cycle: what a request asks follows from its class and slot alone."""

    name = "promptmix"

    def __init__(self, brief: Brief) -> None:
        super().__init__(brief)
        assert isinstance(brief.config, PromptMixConfig)  # noqa: S101  # the registry pairs them
        self.config: PromptMixConfig = brief.config
        self._templates = Prompts(brief.config.templates)
        self._shown = {name: [each for each in brief.seeds if each.label == name][: self.config.num_shown] for name in brief.names}
        for name, shown in self._shown.items():
            if len(shown) < self.config.num_shown:
                raise UsageError(
                    f"task {brief.task.name!r}: label {name!r} has {len(shown)} real examples, and promptmix shows {self.config.num_shown} of"
                    f" each class: add some to data.train, or set strategy.shots: {len(shown)}"
                )
        self._groups: dict[int, list[list[str]]] = {}

    # -- what is asked -----------------------------------------------------------------------------------------

    @property
    def per_answer(self) -> float:
        return 1 if self.config.faithful else self.config.utterances

    def next(self, ledger: Counts) -> Sequence[Request]:
        """A cycle's requests of one group stand together, those of one class beside each other: they begin alike."""
        asked = [(*self._place(turn.name, slot), turn, slot) for turn in self.turns(ledger) for slot in turn.slots]
        asked.sort(key=lambda each: each[:3])  # a class's slots stay in order
        return [self._request(turn, slot) for *_, turn, slot in asked]

    def _place(self, name: str, slot: int) -> tuple[int, int, int]:
        """(cycle, number of the class's group in it, place in that group)."""
        cycle = slot // self.config.requests_per_cycle
        return next((cycle, number, group.index(name)) for number, group in enumerate(self.groups(cycle)) if name in group)

    def groups(self, cycle: int) -> list[list[str]]:
        """Each class in one group. One that would be left alone joins the last: it could not mix."""
        if cycle not in self._groups:
            names, size = self.brief.names, self.config.group_size if self.config.parts.grouped else 1
            order = derive_rng(self.brief.seed, "groups", cycle).sample(names, len(names))
            groups = [order[start : start + size] for start in range(0, len(order), size)]
            if len(groups) > 1 and len(groups[-1]) == 1 < size:
                groups[-2:] = [groups[-2] + groups[-1]]
            self._groups[cycle] = groups
        return self._groups[cycle]

    def _request(self, turn: Turn, slot: int) -> Request:
        name = turn.name
        cycle, number, _ = self._place(name, slot)
        group = self.groups(cycle)[number]
        partner, percent = None, 100
        if self.config.parts.mixed:
            partner = derive_rng(self.brief.seed, "partner", cycle, name).choice([other for other in group if other != name])
            percent = self.percent(name, slot)
        (target,) = self.targets(name, range(slot, slot + 1))
        return Request(
            messages=self._messages(group, name, partner, percent),
            sampling=self.brief.sampling,
            target=target,
            slot=slot,
            block=turn.block.index,
            parents=tuple(each.id for other in group for each in self._shown[other]),
            facts={"alpha": percent / 100, **({"partner": partner} if partner else {}), "group": group, "cycle": cycle},
        )

    def percent(self, name: str, slot: int) -> int:
        """The share of the asked class, whole; its partner has the rest of 100."""
        if self.config.alphas is not None:
            return round(100 * self.config.alphas[slot % len(self.config.alphas)])
        alpha = 0.5 + 0.5 * derive_rng(self.brief.seed, "alpha", name, slot).betavariate(5, 2)
        return 5 * round(20 * alpha)

    # -- prompts -----------------------------------------------------------------------------------------------

    def _messages(self, group: Sequence[str], name: str, partner: str | None, percent: int) -> tuple[Message, ...]:
        """The group first and the share last: requests of a group begin alike, those of a class until its share."""
        task, parts = self.brief.task, self.config.parts
        words = {"text_type": task.text_type, "context": task.context}
        classes = [
            {
                "title": task.labels[each].title,
                "description": task.labels[each].description if parts.described else None,
                "examples": [self._text(example) for example in self._shown[each]],
            }
            for each in group
        ]
        block = self._templates.render("promptmix_classes", classes=classes, pairs=parts.pairs, **words)
        ask = self._templates.render(
            "promptmix_ask",
            label=task.labels[name],
            partner=None if partner is None else task.labels[partner],
            percent=percent,
            number=self.config.utterances,
            style=task.style,
            word_limit=task.word_limit,
            chat=self.brief.chat,
            **words,
        )
        context = self._templates.render("li_context", **words)
        if self.brief.chat:
            return (Message("system", context), Message("user", "\n\n".join((block.strip(), ask.strip()))))
        return (Message("user", "\n\n".join((context, block.strip(), ask.strip()))),)

    def _text(self, example: Example) -> str:
        return " ".join(str(example.fields[self.brief.kind.written]).split())

    @classmethod
    def stop(cls, config: StrategyConfig, *, chat: bool) -> tuple[str, ...]:
        """A model of plain text goes on with its list: where it begins one text more than it was asked for, it has written all."""
        assert isinstance(config, PromptMixConfig)  # noqa: S101  # the registry pairs them
        if chat:
            return ()
        return ('"',) if config.utterances == 1 else ("\n\n", f"\n{config.utterances + 1}.")

    # -- answers -----------------------------------------------------------------------------------------------

    def read(self, request: Request, completion: Completion) -> list[Piece]:
        if self.config.utterances == 1 and not self.brief.chat:
            return [self.reader.one_text(request, completion)]
        if _BLOCK.search(completion.text):  # texts below another category's name are none of the asked one
            return [Piece(completion.text, "echo")]
        limit = self.brief.task.word_limit
        pieces = self.reader.texts(
            request,
            completion,
            number=self.config.utterances,
            cue="" if self.brief.chat else '1. "',
            clean=without_shares,
            most_words=3 * limit if limit else MOST_WORDS,
        )
        pieces = [piece if piece.reason or not self._tells(piece.text) else Piece(piece.text, "echo") for piece in pieces]
        return list(self._one_of(request, pieces)) if self.config.faithful else pieces

    def _tells(self, text: str) -> bool:
        """Whether a text says its share, which only the prompt should."""
        return self._share_of_a_class.search(text) is not None

    @cached_property
    def _share_of_a_class(self) -> re.Pattern[str]:
        titles = "|".join(re.escape(label.title) for label in self.brief.task.labels.values())
        return re.compile(rf"\d ?(?:%|percent) (?:of )?(?:the )?(?:category )?[\"“'‘]?(?:{titles})\b", re.IGNORECASE)

    def _one_of(self, request: Request, pieces: Sequence[Piece]) -> Iterator[Piece]:
        """One of the good pieces, drawn by the request's name and slot."""
        good = [place for place, piece in enumerate(pieces) if not piece.reason]
        drawn = derive_rng(self.brief.seed, "kept", request.target.name, request.slot).choice(good) if good else None
        for place, piece in enumerate(pieces):
            yield piece if piece.reason or place == drawn else Piece(piece.text, "not_drawn")


_BLOCK = re.compile(r"^\W{0,4}category\W{0,3}:", re.IGNORECASE | re.MULTILINE)  # of the prompt, written anew
_SHARE = r"[^()\[\]{}\n]{0,80}(?:\d ?(?:%|percent\b)|\d categor(?:y|ies)\b)[^()\[\]{}\n]{0,80}"
_BRACKETS = re.compile(rf"^\s*[(\[{{]{_SHARE}[)\]}}][ :–—-]*|[ \t]*[(\[{{]{_SHARE}[)\]}}](?=[\s.!?\"”'’»:]*(?:\n|$))")
_BEFORE = re.compile(r"^\s*\d{1,3} ?% [^:\"“\n?!.]{1,100}:\s*")
_BEHIND = re.compile(r"\s[-–—|]\s*\d{1,3} ?% [^\n.?!]{1,100}$")


def without_shares(text: str) -> str:
    """Without the shares that a model repeats around a text: in brackets, before a colon, behind a dash."""
    return _BEHIND.sub("", _BEFORE.sub("", _BRACKETS.sub("", text))).strip()


STRATEGY = PromptMix

"""Which questions are put to a language model to label texts, and in which order: pure planning.

Knows messages, candidates and class blocks; knows no engine, no probabilities and no files. Templates are passed in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from variegate.curation.judging import Items
from variegate.errors import UsageError, nearest
from variegate.kinds.task import LabelConfig
from variegate.kinds.text import as_one
from variegate.records import Message
from variegate.seeding import digest

CONTENT_FREE_TEXTS = ("N/A", "", "[MASK]")  # Zhao et al., 2021
CONTENT_FREE = "content-free:"  # begins the id of an ask about one of them: content-free:PLACE:GROUP
REAL = "real:"  # begins the id of an ask about a labelled real example: real:PLACE


class Render(Protocol):
    """A template filled in: `strategies.prompts.Prompts.render`."""

    def __call__(self, name: str, **values: object) -> str: ...


@dataclass(frozen=True, slots=True)
class Ask:
    """One text to be labelled by one prompt.

    id: of the record, or CONTENT_FREE / REAL and what follows. group: equal for asks with equal choices, whose prompts then
    begin alike (with `class_block: all` those of all groups do).
    """

    id: str
    messages: tuple[Message, ...]
    choices: tuple[str, ...]  # label names, in the order of the task's labels
    answers: tuple[str, ...]  # each choice as the model would write it after the prompt
    group: str


@dataclass(frozen=True, slots=True)
class Wording:
    """How a text becomes a prompt: the `classify` template, with the words of a task and for a kind of model.

    class_block: list the candidates with their descriptions; `all`: every label, so that all prompts begin alike. chat: the model sees messages; the instruction to answer with
    the category alone then comes first, and answers do not begin with a space.
    """

    render: Render
    labels: Mapping[str, LabelConfig]
    text_type: str
    context: str
    chat: bool
    class_block: bool | Literal["all"]

    def messages(self, text: str, choices: Sequence[str]) -> tuple[Message, ...]:
        names = self.labels if self.class_block == "all" else choices
        shown = [self.labels[name] for name in names] if self.class_block else None
        words = {"text_type": self.text_type, "context": self.context}
        prompt = self.render("classify", labels=shown, text=as_shown(text), **words)
        if self.chat:
            prompt = self.render("chat_answer", text_type="category", context=self.context) + "\n" + prompt
        return (Message("user", prompt),)

    def answer(self, name: str) -> str:
        title = self.labels[name].title
        return title if self.chat else " " + title


def as_shown(text: str) -> str:
    """The text as it stands between quotes in a prompt: double quotes made single, white space within a line collapsed."""
    return "\n".join(" ".join(line.split()) for line in text.replace('"', "'").splitlines())


@dataclass(frozen=True, slots=True)
class Plan:
    """All asks of a stage. Asks of one group stand together, groups by their choices; within a group in the given order.

    true: id of an ask about a real example -> its label.
    """

    asks: tuple[Ask, ...]
    true: Mapping[str, str] = field(default_factory=dict)


def plan_relabel(ids: Sequence[str], texts: Sequence[str], candidates: Sequence[tuple[str, ...]], wording: Wording) -> list[Ask]:
    """One ask for each text. candidates: of each text, at least one label name, in any order.

    The order of choices is that of `wording.labels`, so it never depends on which candidate was nearer.
    Raises UsageError for a candidate that is not a label.
    """
    place = {name: index for index, name in enumerate(wording.labels)}
    asks = []
    for ask_id, text, names in zip(ids, texts, candidates, strict=True):
        unknown = [name for name in names if name not in place]
        if unknown:
            raise UsageError(f"relabel: {unknown[0]!r} is not a label of the task{nearest(unknown[0], place)}")
        choices = tuple(sorted(names, key=place.__getitem__))
        answers = tuple(wording.answer(name) for name in choices)
        asks.append(Ask(ask_id, wording.messages(text, choices), choices, answers, digest(list(choices))))
    return sort_asks(asks, place)


def sort_asks(asks: Sequence[Ask], place: Mapping[str, int]) -> list[Ask]:
    """Equal choices next to each other, and groups whose first choices are equal next to each other too. Stable."""
    return sorted(asks, key=lambda ask: tuple(place[name] for name in ask.choices))


def make_plan(
    items: Items,
    candidates: Sequence[tuple[str, ...]],
    wording: Wording,
    *,
    real: Sequence[tuple[str, str]] = (),
    real_candidates: Sequence[tuple[str, ...]] = (),
    content_free: bool = False,
) -> Plan:
    """Asks for the items, for labelled real examples (text, label), and for texts without content, once for each group."""
    asks = plan_relabel(items.ids, list(map(as_one, items.texts)), candidates, wording)
    real_ids = [f"{REAL}{index}" for index in range(len(real))]
    asks += plan_relabel(real_ids, [text for text, _ in real], real_candidates, wording)
    if content_free:
        groups = {ask.group: ask.choices for ask in asks}
        for group, choices in groups.items():
            ids = [f"{CONTENT_FREE}{index}:{group}" for index in range(len(CONTENT_FREE_TEXTS))]
            asks += plan_relabel(ids, CONTENT_FREE_TEXTS, [choices] * len(ids), wording)
    place = {name: index for index, name in enumerate(wording.labels)}
    return Plan(tuple(sort_asks(asks, place)), dict(zip(real_ids, [label for _, label in real], strict=True)))

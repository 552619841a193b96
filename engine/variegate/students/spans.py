"""A student that answers questions: it finds the span of a context that is the answer. Trained, asked, saved and loaded here.

A context that does not fit one window is read in several that overlap; the best span of all of them is the answer. Its folder is an
ordinary Hugging Face one: `AutoModelForQuestionAnswering.from_pretrained(folder)` loads it. Knows nothing of how answers are judged.

Reference: Devlin et al., "BERT", NAACL 2019, section 4.2 (start and end of a span by two scores a token; sliding windows).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError

from variegate.config.student import EMBEDDED, SpanStudentConfig
from variegate.embeddings.models import DEFAULT_MODEL, find_model
from variegate.errors import StoreError, UsageError, VariegateError
from variegate.model_folders import check_folder
from variegate.overlap import text_hash
from variegate.progress import Report
from variegate.store.files import explained, new_folder
from variegate.students.finetune import seeded
from variegate.students.finetuned import longest, quiet
from variegate.students.student import STUDENT, read_about, write_about

_BEST = 20  # starts and ends of a window that are tried with each other
_MODEL_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about a context. start: where the answer begins, in characters; -1 where it is not known."""

    id: str
    context: str
    question: str
    answer: str = ""
    start: int = -1


@dataclass(frozen=True, slots=True)
class Answer:
    text: str  # a span of the context; "" where a window has none
    score: float  # sum of its start's and its end's logit


@dataclass(slots=True)
class SpanStudent:
    config: SpanStudentConfig
    model: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    facts: dict[str, Any]
    labels: tuple[str, ...] = ()
    pairs: bool = True
    trained_on: frozenset[str] = field(default=frozenset(), repr=False)

    def answer(self, asked: Sequence[Asked], *, progress: Report | None = None) -> list[Answer]:
        """Raises UsageError for a question that leaves no room for its context."""
        windows = _windows(self.tokenizer, asked, self.config)
        best = [Answer("", -math.inf)] * len(asked)
        self.model.eval()
        device = next(self.model.parameters()).device
        size = 4 * self.config.batch_size
        with torch.inference_mode():
            for first in range(0, len(windows), size):
                batch = windows[first : first + size]
                out = self.model(**_tensors(self.tokenizer, batch, device))
                starts, ends = out.start_logits.double().cpu(), out.end_logits.double().cpu()
                if not (torch.isfinite(starts).all() and torch.isfinite(ends).all()):
                    raise VariegateError("the student's scores are no numbers: train it again, with a lower learning_rate")
                for place, window in enumerate(batch):
                    found = self._best_span(window, starts[place], ends[place], asked[window["asked"]].context)
                    if found.score > best[window["asked"]].score:
                        best[window["asked"]] = found
                if progress is not None:
                    progress("answering", min(first + size, len(windows)), len(windows))
        return best

    def _best_span(self, window: dict[str, Any], starts: torch.Tensor, ends: torch.Tensor, context: str) -> Answer:
        spans = window["spans"]
        inside = torch.tensor([place for place, span in enumerate(spans) if span is not None])
        if not len(inside):
            return Answer("", -math.inf)
        most = min(_BEST, len(inside))
        first, last = (inside[scores[inside].topk(most).indices].tolist() for scores in (starts, ends))
        pairs = [(float(starts[a] + ends[b]), -a, -b) for a in first for b in last if a <= b < a + self.config.max_answer_tokens]
        if not pairs:
            return Answer("", -math.inf)
        score, a, b = max(pairs)
        return Answer(context[spans[-a][0] : spans[-b][1]], score)

    def save(self, folder: Path) -> None:
        with new_folder(folder) as place, explained(folder), quiet():
            try:
                self.model.save_pretrained(place)
            except SafetensorError as error:
                raise StoreError(f"{folder}: cannot be written ({error}): free some space, or choose another folder with -o") from error
            self.tokenizer.save_pretrained(place)
            write_about(self, self.config, place)  # type: ignore[arg-type]  # of a student it reads labels, facts and what it was trained on


def train_spans(config: SpanStudentConfig, train: Sequence[Asked], *, seed: int, progress: Report | None = None) -> SpanStudent:
    """Same seed, records, machine and number of threads give the same weights on a CPU.

    Raises UsageError where the records or settings cannot train it; VariegateError when the model cannot be had, or the training diverges.
    """
    started = time.perf_counter()
    if not train:
        raise UsageError("no question is left to train on: look at what was filtered out, or give another set")
    with seeded(seed), quiet():
        model, tokenizer = _load(config)
        windows = _windows(tokenizer, train, config)
        rng = torch.Generator().manual_seed(seed)
        steps = config.epochs * math.ceil(len(windows) / config.batch_size)
        optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
        schedule = transformers.get_linear_schedule_with_warmup(optimizer, round(config.warmup * steps), steps)
        device = next(model.parameters()).device
        losses, done = [], 0
        for _ in range(config.epochs):
            model.train()
            total = 0.0
            order = torch.randperm(len(windows), generator=rng).tolist()
            for first in range(0, len(order), config.batch_size):
                batch = [windows[place] for place in order[first : first + config.batch_size]]
                starts, ends = (torch.tensor([window[name] for window in batch], device=device) for name in ("start", "end"))
                loss = model(**_tensors(tokenizer, batch, device), start_positions=starts, end_positions=ends).loss
                if not torch.isfinite(loss):
                    raise VariegateError(
                        f"the training diverged: the loss is {loss.item()} at step {done + 1} of {steps}: lower learning_rate"
                        f" ({config.learning_rate:g}), or raise warmup"
                    )
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                total, done = total + loss.item(), done + 1
                if progress is not None:
                    progress("training", done, steps)
            losses.append(total * config.batch_size / max(len(windows), 1))
    facts = {
        "n": len(train),
        "seed": seed,
        "windows": len(windows),
        "without_answer": sum(window["end"] == 0 for window in windows),  # windows that do not hold their question's answer
        "steps": steps,
        "losses": losses,
        "device": device.type,
        "seconds": round(time.perf_counter() - started, 3),
        "warnings": [],
    }
    trained_on = frozenset(text_hash((each.context, each.question)) for each in train)
    return SpanStudent(config, model.eval(), tokenizer, facts, trained_on=trained_on)


def load_spans(folder: Path) -> SpanStudent:
    """A saved one. Raises UsageError or StoreError."""
    about = read_about(folder)
    if about["kind"] != "span_qa":
        raise UsageError(f"{folder / STUDENT}: a student of kind {about['kind']}, which answers no questions")
    check_folder(folder, "student")
    with quiet():
        model = transformers.AutoModelForQuestionAnswering.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return SpanStudent(
        SpanStudentConfig.model_validate(about["config"]), model.eval(), tokenizer, about["facts"], trained_on=about["trained_on"]
    )


def _load(config: SpanStudentConfig) -> tuple[Any, Any]:
    folder = find_model(DEFAULT_MODEL if config.model == EMBEDDED else config.model, revision=config.revision)
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        model = transformers.AutoModelForQuestionAnswering.from_pretrained(
            folder.path, use_safetensors=True, dtype=torch.float32, **options
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder.path, **options)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        raise VariegateError(f"model {folder.name!r}: cannot be loaded to answer questions: {error}") from error
    if not tokenizer.is_fast or tokenizer.pad_token_id is None:
        raise UsageError(f"model {folder.name!r}: its tokenizer tells no places in a text, or has no padding: take another encoder")
    limit = longest(model, tokenizer)
    if tokenizer.model_max_length < config.max_tokens:  # what its files say of sentences, say
        positions = getattr(model.config, "max_position_embeddings", None)
        limit = positions if positions and positions >= config.max_tokens else limit
    if limit is not None and config.max_tokens > limit:
        raise UsageError(
            f"max_tokens: {config.max_tokens}: model {config.model!r} reads at most {limit}: lower it (student.max_tokens: {limit})"
        )
    tokenizer.model_max_length = config.max_tokens
    return model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer


def _windows(tokenizer: Any, asked: Sequence[Asked], config: SpanStudentConfig) -> list[dict[str, Any]]:
    """Of each question one or more: the model's inputs; `asked`, its question's place; `spans`, of each token its characters in the
    context, None outside it; `start` and `end`, the answer's tokens, or 0 and 0, the first token of all, where the window lacks it."""
    room = config.max_tokens - config.stride - 4
    for each in asked:
        length = len(tokenizer(each.question, add_special_tokens=False)["input_ids"])
        if length > room:
            raise UsageError(
                f"question {each.id}: {length} tokens leave its context too little room in {config.max_tokens}: leave it out, or raise"
                " student.max_tokens"
            )
    if not asked:
        return []
    found = tokenizer(
        [each.question for each in asked],
        [each.context for each in asked],
        truncation="only_second",
        max_length=config.max_tokens,
        stride=config.stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    windows = []
    for place, number in enumerate(found["overflow_to_sample_mapping"]):
        sides = found.sequence_ids(place)
        spans = [tuple(span) if side == 1 else None for span, side in zip(found["offset_mapping"][place], sides, strict=True)]
        start, end = _tokens_of(spans, asked[number])
        inputs = {name: found[name][place] for name in _MODEL_INPUTS if name in found}
        windows.append({"inputs": inputs, "asked": number, "spans": spans, "start": start, "end": end})
    return windows


def _tokens_of(spans: Sequence[tuple[int, int] | None], asked: Asked) -> tuple[int, int]:
    """The first and the last token of the answer; (0, 0) where not all of it stands in the window."""
    first, last = asked.start, asked.start + len(asked.answer)
    touched = [place for place, span in enumerate(spans) if span is not None and span[0] < last and span[1] > first]
    if asked.start < 0 or not touched:
        return 0, 0
    before, behind = spans[touched[0]], spans[touched[-1]]
    assert before is not None and behind is not None  # noqa: S101, PT018  # they were touched
    return (touched[0], touched[-1]) if before[0] <= first and behind[1] >= last else (0, 0)


def _tensors(tokenizer: Any, windows: Sequence[dict[str, Any]], device: torch.device) -> Any:
    return tokenizer.pad([window["inputs"] for window in windows], return_tensors="pt").to(device)

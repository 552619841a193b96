"""A run whose first answers gave no text at all: what to say of it, and what to set. Stops nothing by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from variegate.config import RunConfig
from variegate.errors import VariegateError
from variegate.records import ENGINE_ERROR, NOTE, PROMPT_TOO_LONG
from variegate.store.ledger import UNREAD, Ledger, meaning
from variegate.store.rows import Row

ENOUGH = 20  # answers, after which nothing kept is no bad luck
_SHOWN = 200  # characters of an answer


class NothingKeptError(VariegateError):
    """A run's first answers gave nothing that is kept: the rest would be alike."""


def stop_if_nothing(config: RunConfig, ledger: Ledger, rows: Iterable[Row]) -> None:
    """Raise NothingKeptError where `ENOUGH` answers gave nothing that is kept. rows: of the last round."""
    totals = ledger.totals()
    requested = ledger.requests.total() - ledger.requests[NOTE]
    if requested >= ENOUGH and not totals["kept"]:
        raise nothing_kept(config, requested, rows, totals)


def nothing_kept(config: RunConfig, requested: int, rows: Iterable[Row], totals: Counter[str]) -> NothingKeptError:
    """The commonest reason, one raw answer that was dropped for it, and the next step. totals: outcome -> count."""
    (reason, count) = next(((each, number) for each, number in totals.most_common() if each != NOTE), ("empty", 0))
    shown = ""
    for row in rows:
        outcomes = [item.outcome for item in row.items] or [row.completion.error.kind if row.completion.error else ""]
        if reason in outcomes:
            answer = row.completion.error.message if row.completion.error else row.completion.text
            cut = answer if len(answer) <= _SHOWN else f"{answer[:_SHOWN]}…"
            shown = f" One answer, for {row.request.target.name}: {cut!r}."
            break
    return NothingKeptError(
        f"nothing is kept of the first {requested} texts: {count} {reason} ({meaning(reason)}).{shown} {_next(config, reason)}"
    )


def _next(config: RunConfig, reason: str) -> str:
    tokens = config.decoding.max_tokens
    if reason == "unfinished":
        return f"Give texts more room (--set decoding.max_tokens={2 * tokens}), or keep them as they are (--set keep_unfinished=true)"
    if reason in (PROMPT_TOO_LONG, ENGINE_ERROR):
        return "`variegate plan` shows the prompts and their lengths; `variegate doctor` tries the engine"
    if reason not in UNREAD:
        return "`variegate plan` shows the prompts; `duplicates` in the run file says what is dropped as alike"
    if config.model.name.startswith("nano-"):
        return f"{config.model.name} ends any kind of text that it was not trained on: use a real model (--set model=smollm2-135m)"
    chat = "" if config.model.chat else ", or say that it is a chat model (--set model.chat=true)"
    return f"The model {config.model.name} does not write such texts as it is asked: use another (--set model=...){chat}"

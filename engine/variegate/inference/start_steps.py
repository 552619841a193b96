"""What an engine does while it starts, in steps with their times, and what a user can do where it takes long.

vLLM tells its steps in its log alone: the lines are listened to, and stay off the terminal. Knows nothing of who is told.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from variegate.config import ModelConfig
from variegate.progress import Progress

OnStep = Callable[[str], None]  # a step begins, named by what is done in it

IMPORTING, LOADING, COMPILING, PROFILING, CAPTURING = "importing", "loading the weights", "compiling", "profiling", "capturing graphs"
SLOW_S = 60.0
# Of modules of vLLM; not "vllm" itself, whose handlers it sets anew while it starts.
_LOGGERS = ("vllm.v1", "vllm.compilation", "vllm.model_executor")
_BEGINS = (  # what a line of the log holds, where a step begins
    (LOADING, re.compile(r"Starting to load model|Loading model", re.IGNORECASE)),
    (COMPILING, re.compile(r"Warming up model for the compilation|Start compiling|Compiling (?:a|the) (?:graph|model)|torch\.compile", re.IGNORECASE)),
    (PROFILING, re.compile(r"saved AOT compiled|profiling|Available KV cache memory|KV cache size", re.IGNORECASE)),
    (CAPTURING, re.compile(r"Captur(?:e|ing) .*graph|Graph capturing", re.IGNORECASE)),
)  # fmt: skip


class _Listener(logging.Handler):
    def __init__(self, on_step: OnStep) -> None:
        super().__init__(logging.INFO)
        self._on_step, self._last = on_step, -1

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        found = [place for place, (_, rule) in enumerate(_BEGINS) if rule.search(message)]
        if found and found[0] > self._last:  # steps follow one another: a later line about an earlier one begins nothing
            self._last = found[0]
            self._on_step(_BEGINS[found[0]][0])


@contextmanager
def listening(on_step: OnStep) -> Iterator[None]:
    """While vLLM starts in this process. Its log's level on the terminal stays what it is."""
    listener = _Listener(on_step)
    loggers = [(logger, logger.level) for logger in map(logging.getLogger, _LOGGERS)]
    for logger, _ in loggers:
        logger.addHandler(listener)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in loggers:
            logger.removeHandler(listener)
            logger.setLevel(level)


class StartSteps:
    """Tells `progress` of one start. `with` it; call it at each step. slow_s: after so many seconds it says what helps."""

    def __init__(self, model: ModelConfig, what: str, progress: Progress, *, slow_s: float = SLOW_S) -> None:
        self._model, self._what, self._progress, self._slow_s = model, what, progress, slow_s
        self._times: list[tuple[str, float]] = []  # step, when it began
        self._timer: threading.Timer | None = None

    def __call__(self, step: str) -> None:
        self._times.append((step, time.monotonic()))
        self._progress.update(f"{self._what}: {step}", 0, 1)

    def __enter__(self) -> StartSteps:
        self._progress.update(self._what, 0, 1)
        self._timer = threading.Timer(self._slow_s, self._hint)
        self._timer.daemon = True
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def in_words(self) -> str:
        """` (importing 20 s, compiling 41 s)`: steps of a second and more; "" where none took so long."""
        ends = [*(began for _, began in self._times[1:]), time.monotonic()]  # none has begun: nothing to pair with
        parts = [f"{step} {end - began:.0f} s" for (step, began), end in zip(self._times, ends, strict=False) if end - began >= 1]
        return f" ({', '.join(parts)})" if parts else ""

    def _hint(self) -> None:
        step = self._times[-1][0] if self._times else "starting"
        self._progress.note(f"{self._what}: {self._slow_s:.0f} s so far, now {step}{hint_of(self._model)}")


def hint_of(model: ModelConfig) -> str:
    """What makes a start faster; "" where nothing is known to."""
    if model.engine.backend != "vllm":
        return ""
    ways = [] if model.engine.enforce_eager else ["`--set model.engine.enforce_eager=true` compiles nothing, and then answers more slowly"]
    ways.append("a lower model.engine.max_model_len leaves less to profile")
    return f". What was compiled once is kept, so that a second start is faster; {'; '.join(ways)}"

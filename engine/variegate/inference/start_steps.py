"""What an engine does while it starts, in steps with their times, and what a user can do where it takes long.

vLLM tells its steps in its log alone, which is hidden and read line by line. Knows nothing of who is told.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

from variegate.config import ModelConfig
from variegate.progress import Progress

OnStep = Callable[[str], None]  # a step begins, named by what is done in it

IMPORTING, LOADING, COMPILING, PROFILING, CAPTURING = "importing", "loading the weights", "compiling", "profiling", "capturing graphs"
SLOW_S = 60.0
_BEGINS = (  # what a line of the log holds, where a step begins
    (LOADING, re.compile(r"Starting to load model|Loading model", re.IGNORECASE)),
    (COMPILING, re.compile(r"Warming up model for the compilation|Start compiling|Compiling (?:a|the) (?:graph|model)|torch\.compile", re.IGNORECASE)),
    (PROFILING, re.compile(r"saved AOT compiled|profiling|Available KV cache memory|KV cache size", re.IGNORECASE)),
    (CAPTURING, re.compile(r"Captur(?:e|ing) .*graph|Graph capturing", re.IGNORECASE)),
)  # fmt: skip


def steps_in(on_step: OnStep) -> Callable[[str], None]:
    """Takes vLLM's log line by line, and tells each step once. Steps follow one another: a later line about an earlier one begins none."""
    last = -1

    def read(line: str) -> None:
        nonlocal last
        found = next((place for place, (_, rule) in enumerate(_BEGINS) if place > last and rule.search(line)), None)
        if found is not None:
            last = found
            on_step(_BEGINS[found][0])

    return read


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

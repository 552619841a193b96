"""An engine in a process of its own, so that all memory it took comes back when it ends.

What goes between the two processes is data, pickled. An error over there is raised here; Ctrl-C ends both; when this process
dies, however it dies, the other one ends too. Knows the engine by its protocol; knows nothing of what is asked, or why.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np
from jaxtyping import Float

from variegate import errors
from variegate.config import ModelConfig
from variegate.errors import BackendError, VariegateError
from variegate.inference.backend import Backend, EngineInfo, OnProgress, Usage
from variegate.inference.start_steps import OnStep
from variegate.inference.suppression.sparse import SparseRow
from variegate.inference.tokenization import PromptEncoder
from variegate.records import Completion, Message, Request

START = "variegate.inference.start:start_backend"
_GRACE_S = 10.0  # for a process that was asked to end
_TELL_EVERY_S = 0.5


class WorkerBackend(Backend):
    """start: "module:name" of what makes the engine of `model`, importable over there; START is told to say its steps, to `on_step`.

    Raises what the start raises; BackendError where the process dies, and for an error that is no VariegateError, whose
    traceback is printed over there. After either there is no engine any more: close this one and start another.
    """

    def __init__(self, model: ModelConfig, *, start: str = START, on_step: OnStep = lambda _: None) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process: Any = context.Process(target=_main, args=(theirs, start, model), name=f"engine of {model.name}")
        self._process.start()
        theirs.close()
        # Also when this object is forgotten, or Python ends: it would wait for the process for ever.
        self._end = weakref.finalize(self, _end, self._process, self._pipe)
        self._idle = False  # whether it waits for a call
        self.usage = Usage()
        try:
            self.info: EngineInfo = self._answer(None, on_step)
            self.prompts = PromptEncoder(model)
        except BaseException:
            self._end()
            raise

    def generate(
        self,
        requests: Sequence[Request],
        *,
        logprobs: bool = False,
        on_progress: OnProgress | None = None,
    ) -> list[Completion]:
        found: list[Completion] = self._call("generate", requests, on_progress=on_progress, logprobs=logprobs)
        return found

    def score_each(
        self,
        prompts: Sequence[Sequence[Message]],
        choices: Sequence[Sequence[str]],
        *,
        constrained: bool = False,
        prune: float = 0.0,
        on_progress: OnProgress | None = None,
    ) -> list[Float[np.ndarray, " c"]]:
        found: list[Float[np.ndarray, " c"]] = self._call(
            "score_each", prompts, choices, on_progress=on_progress, constrained=constrained, prune=prune
        )
        return found

    def set_rows(self, rows: Mapping[str, SparseRow]) -> None:
        self._call("set_rows", rows)

    def close(self) -> None:
        """The engine closes itself, unless it is in the middle of a call, which is broken off."""
        if self._idle:
            with suppress(OSError):
                self._pipe.send(None)
                self._process.join(_GRACE_S)
        self._end()

    def _call(self, method: str, *arguments: Any, on_progress: OnProgress | None = None, **named: Any) -> Any:
        if not self._idle:
            raise BackendError(f"the {self._process.name} was stopped in the middle of a call: start another")
        self._idle = False
        with suppress(BrokenPipeError, ConnectionResetError):  # it died: `_answer` says how
            self._pipe.send((method, arguments, named, on_progress is not None))
        return self._answer(on_progress)

    def _answer(self, on_progress: OnProgress | None, on_step: OnStep = lambda _: None) -> Any:
        while True:
            try:
                kind, value, usage = self._pipe.recv()
            except (EOFError, ConnectionResetError):
                self._process.join()
                raise BackendError(_died(self._process.name, self._process.exitcode)) from None
            if kind == "progress":
                if on_progress is not None:
                    on_progress(value)
                continue
            if kind == "step":
                on_step(value)
                continue
            self._idle = kind != "end"
            self.usage = usage
            if kind == "result":
                return value
            raise _rebuilt(*value)


def _end(process: Any, pipe: Connection) -> None:
    if process.is_alive():
        process.terminate()  # a KeyboardInterrupt there: see `_interrupt_once`
        process.join(_GRACE_S)
    if process.is_alive():
        process.kill()
    process.join()
    pipe.close()


def _died(name: str, code: int | None) -> str:
    if code is not None and code < 0:
        hint = " (usually because memory was short: see the system's log)" if -code == signal.SIGKILL else ""
        how = f"was ended by signal {signal.Signals(-code).name}{hint}"
    else:
        how = f"ended with exit code {code} and no answer"
    return f"the {name}: its process {how}. Run the same command again to go on; with VARIEGATE_ENGINE_LOG=1 it shows what it prints"


def _rebuilt(name: str, message: str) -> BaseException:
    if name == "KeyboardInterrupt":
        return KeyboardInterrupt()
    kind: type[VariegateError] = getattr(errors, name)
    return kind(message)


# -- in the other process --------------------------------------------------------------------------------------


def _main(pipe: Connection, start: str, model: ModelConfig) -> None:
    """Sends ("result", value, usage) for the start and for every call, ("error", (kind, message), usage) for one that failed,
    ("end", (kind, message), usage) where that was the last, and ("progress", count, None) or ("step", name, None) in between."""
    threading.Thread(target=_watch, args=(_interrupt_once(),), daemon=True).start()
    engine: Backend | None = None

    def tell(kind: str, value: Any) -> None:
        pipe.send((kind, value, Usage() if engine is None else engine.usage))

    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # nobody listens any more
        try:
            module, _, name = start.partition(":")
            told = {"on_step": partial(tell, "step")} if start == START else {}
            engine = getattr(importlib.import_module(module), name)(model, **told)
            tell("result", engine.info)
            while (call := pipe.recv()) is not None:
                method, arguments, named, wants_progress = call
                if wants_progress:
                    named["on_progress"] = _Counter(pipe)
                try:
                    tell("result", getattr(engine, method)(*arguments, **named))
                except VariegateError as error:
                    tell("error", (type(error).__name__, str(error)))
        except VariegateError as error:
            tell("end", (type(error).__name__, str(error)))
        except KeyboardInterrupt:
            tell("end", ("KeyboardInterrupt", ""))
        except Exception as error:  # noqa: BLE001 whatever it is, the caller hears of it
            traceback.print_exc()
            last = traceback.format_exception_only(error)[-1].strip()
            tell("end", ("BackendError", f"{model.name}: {last}: this is an error in Variegate; the traceback is above"))
        finally:
            if engine is not None:
                engine.close()


class _Counter:
    """An engine's `on_progress` that tells the other process, not too often."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._count, self._told = pipe, 0, time.monotonic()

    def __call__(self, count: int) -> None:
        self._count += count
        if time.monotonic() - self._told >= _TELL_EVERY_S:
            self._pipe.send(("progress", self._count, None))
            self._count, self._told = 0, time.monotonic()


def _interrupt_once() -> int:
    """Make Ctrl-C and `terminate` a KeyboardInterrupt, but only the first of them: a second would cut `finally` blocks short.

    Returns a file descriptor that can be read from once there was one.
    """
    told = False

    def handle(number: int, frame: object) -> None:
        nonlocal told
        if not told:
            told = True
            raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)
    there, here = os.pipe()
    os.set_blocking(here, False)
    signal.set_wakeup_fd(here, warn_on_full_buffer=False)
    return there


def _watch(signalled: int) -> None:
    """End with the parent, and pass a signal on to the main thread: any thread may be given it, and would not wake that one."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    parent, main = multiprocessing.parent_process(), threading.main_thread().ident
    assert parent is not None  # noqa: S101  # this process was started by one
    assert main is not None  # noqa: S101
    if parent.sentinel not in wait([parent.sentinel, signalled]):
        signal.pthread_kill(main, signal.SIGTERM)
        wait([parent.sentinel])
    os._exit(1)

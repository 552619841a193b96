"""Runs a function in a process of its own, so that the memory it took (an engine's, say) comes back when it ends.

The function may ask this process for things while it runs; an error in it is raised here; Ctrl-C ends both; when this
process dies, however it dies, the other one ends too. Knows nothing of what is run.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from variegate import errors
from variegate.errors import VariegateError

Exchange = Callable[[Any], Any]  # a message -> the answer to it
_GRACE_S = 10.0  # for a process that was asked to end


def run_in_worker(function: str, *arguments: Any, on_message: Exchange) -> Any:
    """What `function(exchange, *arguments)` returns, called in a new Python process.

    function: "module:name", importable there. All that goes between the two processes is pickled.
    on_message: called here with what the function gives to `exchange`, which returns the answer there.
    Raises the function's own VariegateError; VariegateError for any other exception in it, with its last line, and where
    the process was killed. What `on_message` raises ends the process and is raised on.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_main, args=(theirs, function, arguments), name=function)
    process.start()
    theirs.close()
    try:
        while True:
            try:
                kind, value = ours.recv()
            except (EOFError, ConnectionResetError):
                process.join()
                raise VariegateError(_died(function, process.exitcode)) from None
            if kind == "message":
                ours.send(on_message(value))
            elif kind == "result":
                process.join(_GRACE_S)
                return value
            else:
                raise _rebuilt(*value)
    finally:
        _end(process)
        ours.close()


def _end(process: Any) -> None:
    if process.is_alive():
        process.terminate()  # a KeyboardInterrupt there: see `_main`
        process.join(_GRACE_S)
    if process.is_alive():
        process.kill()
    process.join()


def _died(function: str, code: int | None) -> str:
    name = function.partition(":")[2]
    if code is not None and code < 0:
        hint = " (usually because memory was short: see the system's log)" if -code == signal.SIGKILL else ""
        return f"the process of {name} was ended by signal {signal.Signals(-code).name}{hint}. Run the same command again to go on"
    return f"the process of {name} ended with exit code {code} and no result. Run the same command again to go on"


def _rebuilt(name: str, message: str) -> BaseException:
    if name == "KeyboardInterrupt":
        return KeyboardInterrupt()
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, VariegateError):
        return kind(message)
    return VariegateError(message)


# -- in the other process --------------------------------------------------------------------------------------


def _main(pipe: Connection, function: str, arguments: tuple[Any, ...]) -> None:
    _interrupt_once()
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def exchange(value: Any) -> Any:
        pipe.send(("message", value))
        return pipe.recv()

    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # nobody listens any more
        try:
            module, _, name = function.partition(":")
            result = getattr(importlib.import_module(module), name)(exchange, *arguments)
            pipe.send(("result", result))
        except VariegateError as error:
            pipe.send(("error", (type(error).__name__, str(error))))
        except KeyboardInterrupt:
            pipe.send(("error", ("KeyboardInterrupt", "")))
        except Exception as error:  # noqa: BLE001 whatever it is, the caller hears of it
            traceback.print_exc()
            last = traceback.format_exception_only(error)[-1].strip()
            pipe.send(("error", ("", f"{function.partition(':')[2]}: {last}: this is an error in Variegate; the traceback is above")))


def _interrupt_once() -> None:
    """Make Ctrl-C and `terminate` a KeyboardInterrupt, but only the first of them: a second would cut `finally` blocks short."""
    told = False

    def handle(number: int, frame: object) -> None:
        nonlocal told
        if not told:
            told = True
            raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)


def _end_with_parent() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})  # a signal must reach the main thread, and wake it
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)

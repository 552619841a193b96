"""The one place that starts an engine: when it is first leased, in this process or in one of its own.

Hides where the engine lives and when it starts. Knows nothing of what is asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from types import TracebackType
from typing import Any, Literal, Self

from variegate.config import ModelConfig
from variegate.errors import BackendError, VariegateError
from variegate.inference.backend import Backend, EngineInfo, check_model_path
from variegate.inference.identity import Fingerprint, fingerprint, identity
from variegate.inference.start import start_backend
from variegate.inference.start_steps import StartSteps
from variegate.inference.worker import WorkerBackend
from variegate.progress import Progress, Silent
from variegate.records import Message, Request, Sampling

Start = Callable[[ModelConfig], Backend]
Where = Literal["here", "worker"]


def _nothing() -> None:
    """There is no need to make room."""


class EngineSession:
    """The engine of one model.

    process: "worker" runs it in a process of its own: its memory, on the device and here, is free again when it rests.
    start: makes the engine, in this process, in place of all that; it is then the caller's to close.
    make_room: called before each start, to free the device.
    warm_up: let it write a few tokens first, unless the caller made it: what an engine does once, when it first generates,
        then counts for nothing that is timed.
    """

    def __init__(
        self,
        model: ModelConfig,
        *,
        progress: Progress | None = None,
        start: Start | None = None,
        process: Where = "here",
        make_room: Callable[[], None] = _nothing,
        warm_up: bool = False,
    ) -> None:
        self.model = model
        self.info: EngineInfo | None = None  # of the last start; None before the first
        self.start_seconds = 0.0  # of all starts so far
        self._progress: Progress = progress or Silent()
        self._start, self._process, self._make_room, self._warm_up = start, process, make_room, warm_up
        self._backend: Backend | None = None
        self._failure: BackendError | None = None
        self._leases = 0
        self._broken = self._closed = False

    @property
    def will_start(self) -> bool:
        """Whether the next lease starts an engine of its own: what can be refused is then better refused before."""
        return self._backend is None and self._start is None

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Hashes of the model's files, computed once: large ones take a while."""
        return fingerprint(self.model)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What decides its answers, for keys. Known before the engine starts."""
        return identity(self.model, self.fingerprint)

    @contextmanager
    def lease(self) -> Iterator[Backend]:
        """The started engine. Leases may be nested, and it stays started between them, until `rest` or `close`.

        Raises UsageError for a model that is not there, and BackendError where the engine cannot start; that is not tried
        again before the next `rest`. After an error that may have come of the engine it is closed, and the next lease
        starts another.
        """
        assert not self._closed, "a closed session cannot be leased"  # noqa: S101
        backend = self._started()
        self._leases += 1
        try:
            yield backend
        except BaseException as error:
            if isinstance(error, BackendError) or not isinstance(error, VariegateError):
                self._broken = True
            raise
        finally:
            self._leases -= 1
            if self._broken and not self._leases:
                self._stop()

    def rest(self) -> None:
        """Free the engine's memory until the next lease, which starts it again. Not within a lease."""
        assert not self._leases, "an engine cannot rest while it is leased"  # noqa: S101
        self._failure = None
        self._stop()

    def close(self) -> None:
        """Rest for good."""
        self.rest()
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _stop(self) -> None:
        backend, self._backend, self._broken = self._backend, None, False
        if backend is not None and self._start is None:
            backend.close()

    def _started(self) -> Backend:
        if self._failure is not None:
            raise self._failure
        if self._backend is None:
            if self._start is None:
                check_model_path(self.model)
            self._make_room()
            what = f"starting {self.model.engine.backend} on {self.model.name}"
            self._progress.note(f"{what}{', a chat model' if self.model.chat else ''} ...")
            began = time.monotonic()
            with StartSteps(self.model, what, self._progress) as steps:
                try:
                    self._backend = self._make(steps)
                except BackendError as error:
                    self._failure = error
                    raise
            seconds = time.monotonic() - began
            self.start_seconds += seconds
            self.info = info = self._backend.info
            runner = f", model runner {info.runner}" if info.runner else ""
            self._progress.note(
                f"{info.name} {info.version} on {info.device}{runner}, {info.dtype}, started in {seconds:.0f} s{steps.in_words()}"
            )
        return self._backend

    def _make(self, steps: StartSteps) -> Backend:
        if self._start is not None:
            return self._start(self.model)
        backend = WorkerBackend(self.model, on_step=steps) if self._process == "worker" else start_backend(self.model, on_step=steps)
        if self._warm_up:
            steps("warming up")
            sampling = Sampling(max_tokens=4, ignore_eos=True)
            backend.generate([Request((Message("user", "One"),), sampling, key=str(each), seed=each) for each in range(8)])
        return backend


class Sessions:
    """A session for each model that is asked for, at most one of which is started: a start makes the others rest.

    progress, start, process, warm_up: of each session.
    """

    def __init__(
        self, *, progress: Progress | None = None, start: Start | None = None, process: Where = "here", warm_up: bool = False
    ) -> None:
        self._progress, self._start, self._process, self._warm_up = progress, start, process, warm_up
        self._sessions: list[EngineSession] = []

    def of(self, model: ModelConfig) -> EngineSession:
        """The same for an equal configuration."""
        for session in self._sessions:
            if session.model == model:
                return session
        session = EngineSession(
            model, progress=self._progress, start=self._start, process=self._process, make_room=self.rest, warm_up=self._warm_up
        )
        self._sessions.append(session)
        return session

    def rest(self) -> None:
        """All of them."""
        for session in self._sessions:
            session.rest()

    def close(self) -> None:
        for session in self._sessions:
            session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

"""vLLM's scheduler, which takes T5's new requests in groups rather than one by one.

A step in which some request's encoder runs replays no CUDA graph and is not compiled, for all requests of the step: some ten
times as long on a GPU. With 256 seats and answers of 8 to 128 tokens nearly every step would have a new request.
"""

from __future__ import annotations

from typing import Any

_SHARE = 8  # of the seats: a part of this size has to be free


class InGroups:
    """Mixed into a scheduler of vLLM's, before it: new requests wait until an eighth of the seats is free, or none runs.

    So an engine that is not full takes each at once, and a full one works with 15 of 16 seats on average.
    """

    running: list[Any]  # the scheduler's own

    def schedule(self, *arguments: Any, **options: Any) -> Any:
        scheduler: Any = super()
        limit = "max_num_active_reqs" if hasattr(self, "max_num_active_reqs") else "max_num_running_reqs"  # vLLM before 0.32
        seats, running = getattr(self, limit), len(self.running)
        if running == 0 or seats - running >= max(1, seats // _SHARE):
            return scheduler.schedule(*arguments, **options)
        setattr(self, limit, running)
        try:
            return scheduler.schedule(*arguments, **options)
        finally:
            setattr(self, limit, seats)


def make_scheduler(**arguments: Any) -> Any:
    """In place of the class that vLLM would take, for `scheduler_cls`; that it may be asynchronous is decided after the model is known."""
    from vllm.v1.core.sched.async_scheduler import AsyncScheduler
    from vllm.v1.core.sched.scheduler import Scheduler

    base = AsyncScheduler if arguments["vllm_config"].scheduler_config.async_scheduling else Scheduler
    return type(f"{base.__name__}InGroups", (InGroups, base), {})(**arguments)

"""The workers' end of suppression: `collective_rpc("variegate_add_rows", args=pairs.to_bytes())` reaches every worker, with
tensor parallelism too, and writes rows of its table.

Knows where vLLM keeps its logits processors; imports nothing of vLLM, nor torch, before it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from variegate.inference.suppression.rows import BiasRows


class SuppressionWorker:
    """Mixed into vLLM's worker class by `LLM(worker_extension_cls=...)`, so `self` is the worker. Every attribute added here
    must be absent from the worker, hence the prefix."""

    model_runner: Any  # the worker's own; an annotation adds no attribute

    def variegate_add_rows(self, row_numbers: bytes, token_ids: bytes, biases: bytes) -> str:
        """Write rows of the suppression table, given as `Pairs.to_bytes`; all other rows stay, so requests may be running.

        Returns the runner, "v1" or "v2". Bytes, since the call goes through msgpack.
        """
        from variegate.inference.suppression.sparse import Pairs

        pairs = Pairs.from_bytes(row_numbers, token_ids, biases)
        runner, tables = _find(self.model_runner)
        for bias_rows in tables:
            bias_rows.add(pairs)
        return runner

    def variegate_runner(self) -> str:
        """Which of vLLM's model runners holds our logits processor: "v1" or "v2"."""
        return _find(self.model_runner)[0]


def _find(model_runner: Any) -> tuple[str, list[BiasRows]]:
    """The runner's name and its tables: one, or none on a pipeline stage that does not sample."""
    from variegate.inference.suppression.vllm_either import ADAPTERS

    sampler: Any = getattr(model_runner, "sampler", None)
    processors: list[Any]
    if hasattr(sampler, "logits_processors"):
        runner, place, processors = "v2", "model_runner.sampler.logits_processors", list(sampler.logits_processors)
    elif hasattr(getattr(getattr(model_runner, "input_batch", None), "logitsprocs", None), "all"):
        runner, place, processors = "v1", "model_runner.input_batch.logitsprocs.all", list(model_runner.input_batch.logitsprocs.all)
    elif sampler is None and getattr(model_runner, "is_last_pp_rank", True) is False:
        return "v2", []
    else:
        raise RuntimeError(
            f"{type(model_runner).__module__}.{type(model_runner).__name__} has neither sampler.logits_processors (Model Runner V2) "
            "nor input_batch.logitsprocs.all (V1): this vLLM keeps its logits processors elsewhere; use a tested version (0.32)"
        )
    ours = [processor.bias_rows for processor in processors if isinstance(processor, ADAPTERS)]
    if not ours:
        found = ", ".join(type(processor).__name__ for processor in processors) or "nothing"
        raise RuntimeError(f"{place}: found {found}, expected one of ours: pass VLLM_PROCESSOR in LLM(logits_processors=[...])")
    return runner, ours

"""Logit suppression: tokens a run has produced often are made less likely (METHODS: Chung et al. 2023, section 3.1).

`table` counts tokens and computes the biases, as rows of `sparse` pairs; `held` says which of them an engine holds;
`device_table` has them on a device, `rows` adds them to a batch; the rest are thin adapters to engines. Importing this package imports none of them, and no engine.
"""

ARGUMENT = "variegate_suppression"
"""The key in `SamplingParams.extra_args` of a request's row and scale: {"row": int, "scale": float}."""

VLLM_PROCESSOR = "variegate.inference.suppression.vllm_either:Suppression"
"""For `LLM(logits_processors=[...])`: serves both of vLLM's model runners; vLLM itself says which one runs."""

VLLM_WORKER_EXTENSION = "variegate.inference.suppression.worker.SuppressionWorker"
"""For `LLM(worker_extension_cls=...)`: the workers' end of `collective_rpc("variegate_add_rows", ...)`."""

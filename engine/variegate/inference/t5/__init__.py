"""T5, FLAN-T5 and mT5 for vLLM, which serves none of them: the model, its inputs, and attention with T5's relative bias.

`register` is the entry point (group `vllm.general_plugins`): it teaches any vLLM of this environment, `vllm serve` too, to
load a T5 folder. Importing this package imports neither vLLM nor torch.

Reference: Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", JMLR 2020.
"""

from __future__ import annotations

ARCHITECTURES = ("T5ForConditionalGeneration", "T5WithLMHeadModel", "MT5ForConditionalGeneration")
"""Of `config.json`; the second is what the first T5 checkpoints call themselves."""


def register() -> None:
    """Register the architectures with the installed vLLM; again is harmless."""
    from variegate.inference.t5 import hooks

    hooks.register()

"""The protocol both engines keep, and what they share. Knows prompts and completions; knows no strategy, no files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Float

from variegate.config import ModelConfig
from variegate.errors import UsageError
from variegate.inference.tokenization import PromptEncoder
from variegate.records import Completion, Message, Request

OnProgress = Callable[[int], None]  # called with the number of completions that just finished


@dataclass(frozen=True, slots=True)
class EngineInfo:
    name: str  # "vllm" or "transformers"
    version: str
    device: str  # "cpu", or the GPU's name
    runner: str  # vLLM's model runner: "v1" or "v2"; "" elsewhere
    dtype: str
    max_model_len: int
    vocab_size: int  # width v of the logits


class Backend(Protocol):
    """A started engine. One per process at a time: `close()` it before starting another."""

    info: EngineInfo
    prompts: PromptEncoder

    def generate(self, requests: Sequence[Request], *, logprobs: bool = False, on_progress: OnProgress | None = None) -> list[Completion]:
        """One completion per request, in the same order.

        A request that cannot be served (a prompt too long) comes back with finish_reason "error"; it never raises and
        never disturbs the others. Equal seeds give equal texts whatever the batch, up to the engine's rounding.
        """
        ...

    def score(self, prompts: Sequence[Sequence[Message]], choices: Sequence[str], *, constrained: bool = False) -> Float[np.ndarray, "n c"]:
        """Natural log-probability of each of c choices as the continuation of each of n prompts.

        Summed over the choice's tokens. `constrained` renormalises at each branching among the choices alone, so that
        one row's probabilities sum to 1 and only branching tokens cost a step.
        """
        ...

    def set_bias(self, bias: Mapping[str, Float[np.ndarray, " v"]]) -> None:
        """Replace the suppression table: group -> logit bias. Requests of other groups are not suppressed.

        Called between rounds only, so that results do not depend on how requests were batched.
        """
        ...

    def close(self) -> None:
        """Free the engine's memory."""
        ...


def check_model_path(model: ModelConfig) -> None:
    """Raise UsageError where a model that should be a local folder is not there or not a model."""
    path = Path(model.path)
    looks_like_hub_id = model.path.count("/") == 1 and not model.path.startswith((".", "/", "~"))
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise UsageError(f"model {model.name!r}: {path} holds no config.json: give the folder of a Hugging Face model")
    elif not looks_like_hub_id:
        raise UsageError(f"model {model.name!r}: no folder {path}: put the weights there, or set model.path to where they are")


def too_long(num_prompt_tokens: int, max_tokens: int, max_model_len: int) -> str | None:
    """Why a prompt does not fit, or None when it does."""
    if num_prompt_tokens + max_tokens <= max_model_len:
        return None
    return f"prompt of {num_prompt_tokens} tokens + max_tokens {max_tokens} > max_model_len {max_model_len}"


def unserved(request: Request, num_prompt_tokens: int, reason: str) -> Completion:
    return Completion(key=request.key, text="", token_ids=(), finish_reason="error", num_prompt_tokens=num_prompt_tokens, error=reason)

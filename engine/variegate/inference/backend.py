"""The protocol both engines keep, and what they share. Knows prompts and completions; knows no strategy, no files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Float

from variegate.config import ModelConfig
from variegate.config.resources import is_hub_id
from variegate.errors import UsageError
from variegate.inference.hub import check_hub_id
from variegate.inference.suppression.sparse import SparseRow
from variegate.inference.tokenization import PromptEncoder
from variegate.model_folders import check_folder
from variegate.prepared.cache import at_first_use
from variegate.progress import to_stderr
from variegate.records import PROMPT_TOO_LONG, Completion, Fault, Message, Request

OnProgress = Callable[[int], None]  # called with the number of completions that just finished
DEFAULT_SEQUENCE_LEN = 512  # tokens of an encoder-decoder's prompt, and of its answer, where nothing sets another limit


@dataclass(frozen=True, slots=True)
class EngineInfo:
    name: str  # "vllm" or "transformers"
    version: str
    device: str  # "cpu", or the GPU's name
    runner: str  # vLLM's model runner: "v1" or "v2"; "" elsewhere
    dtype: str
    max_model_len: int  # tokens of prompt and completion together; of the decoder alone where max_prompt_len is set
    vocab_size: int  # width v of the logits
    max_prompt_len: int | None = None  # tokens of an encoder-decoder's prompt; None for other models
    max_num_seqs: int | None = None  # requests decoded at once, at most


@dataclass(frozen=True, slots=True)
class Usage:
    """What an engine was given and gave, counted as it runs them: a prompt scored in three steps is three requests."""

    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0  # of prompt_tokens: found in the prefix cache, not computed
    generated_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    def __sub__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, each.name) - getattr(other, each.name) for each in fields(self)))

    @property
    def hit_rate(self) -> float | None:
        """Cached share of the prompt tokens; None before the first."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else None


class Backend(Protocol):
    """A started engine. One per process at a time: `close()` it before starting another."""

    info: EngineInfo
    prompts: PromptEncoder
    usage: Usage  # of all calls since the engine started; the difference of two values is what happened in between

    def generate(
        self,
        requests: Sequence[Request],
        *,
        logprobs: bool = False,
        on_progress: OnProgress | None = None,
    ) -> list[Completion]:
        """One completion per request, in the same order.

        A request that cannot be served (a prompt too long) comes back with finish_reason "error"; it never raises and
        never disturbs the others. Equal seeds give equal texts whatever the batch, up to the engine's rounding.

        A request's `soft` names vectors to be put before the embeddings of its prompt (of what the encoder reads, in an
        encoder-decoder); they count as prompt tokens. All of them are checked before anything is sent, and read as
        requests are sent, so that only those of requests in flight are in memory. Raises BackendError as
        `soft_prompts.SoftPrompts` does, and where an engine serves none.
        """
        ...

    def score(self, prompts: Sequence[Sequence[Message]], choices: Sequence[str], *, constrained: bool = False) -> Float[np.ndarray, "n c"]:
        """Natural log-probability of each of c choices as the continuation of each of n prompts.

        Summed over the choice's tokens. `constrained` renormalises at each branching among the choices alone, so that
        one row's probabilities sum to 1 and only branching tokens cost a step.
        Raises BackendError for a prompt that does not fit.
        """
        rows = self.score_each(prompts, [choices] * len(prompts), constrained=constrained)
        return np.array(rows).reshape(len(prompts), len(choices))

    def score_each(
        self,
        prompts: Sequence[Sequence[Message]],
        choices: Sequence[Sequence[str]],
        *,
        constrained: bool = False,
        prune: float = 0.0,
        on_progress: OnProgress | None = None,
    ) -> list[Float[np.ndarray, " c"]]:
        """As `score`, each prompt with choices of its own. Prompts that begin alike should stand next to each other.

        prune: choices whose share of all choices is below it need not be exact; those that begin alike then share what
        reaches them. The best choice is always exact: 1 asks for it alone, which takes about one request a prompt.
        The prefix cache is emptied first, so that the result does not depend on earlier calls.
        """
        ...

    def set_rows(self, rows: Mapping[str, SparseRow]) -> None:
        """The suppression rows, by digest, that requests may be made under from now on: `Request.bias` names one of them.

        Rows that the engine holds stay as they are, new ones are added; those that are not named are given up, but not
        under requests that are running: these keep theirs until they are done. So an engine never holds more rows than
        were named and running at once. A request that names a row that is not held is a BackendError in `generate`,
        before anything is sent; one with bias "" is not suppressed, whatever rows there are.
        """
        ...

    def close(self) -> None:
        """Free the engine's memory."""
        ...


def check_model_path(model: ModelConfig, say: Callable[[str], None] = to_stderr) -> None:
    """Raise UsageError where a model that should be a local folder is not there, not a model, or not whole. One that travels in a
    package is prepared at its first use; say: told so, line by line."""
    path = Path(model.path)
    at_first_use(path, say)
    if path.is_dir():
        check_folder(path, f"model {model.name!r}", weights=model.engine.load_format != "dummy")
    elif is_hub_id(model.path):
        check_hub_id(model.name, model.path, model.revision)
    else:
        raise UsageError(f"model {model.name!r}: no folder {path}: put the weights there, or set model.path to where they are")


def too_long(num_prompt_tokens: int, max_tokens: int, max_model_len: int, max_prompt_len: int | None = None) -> str | None:
    """Why a request does not fit, or None when it does.

    max_prompt_len: of an encoder-decoder, whose prompt is a sequence of its own, and whose completion follows one token that
    starts the decoder.
    """
    if max_prompt_len is None:
        if num_prompt_tokens + max_tokens > max_model_len:
            return f"prompt of {num_prompt_tokens} tokens + max_tokens {max_tokens} > max_model_len {max_model_len}"
    elif num_prompt_tokens > max_prompt_len:
        return f"prompt of {num_prompt_tokens} tokens > max_prompt_len {max_prompt_len}"
    elif 1 + max_tokens > max_model_len:
        return f"prompt of {num_prompt_tokens} tokens fits, but decoder start 1 + max_tokens {max_tokens} > max_model_len {max_model_len}"
    return None


def unserved(request: Request, num_prompt_tokens: int, reason: str) -> Completion:
    return Completion(
        key=request.key,
        text="",
        token_ids=(),
        finish_reason="error",
        num_prompt_tokens=num_prompt_tokens,
        error=Fault(PROMPT_TOO_LONG, reason),
    )

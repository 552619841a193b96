"""vLLM as the engine, in process, on GPU or CPU. Every import of vLLM's engine is in this file.

Knows requests and the suppression table; knows nothing of rounds or files, nor of how vLLM is started (vllm_start).
"""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from variegate.config import ModelConfig
from variegate.errors import BackendError
from variegate.inference import t5
from variegate.inference.backend import Backend, EngineInfo, OnProgress, Usage, too_long, unserved
from variegate.inference.compiled import found_again
from variegate.inference.engine_output import EngineOutput
from variegate.inference.scoring import Progress, Question, Step, tries_of, walk
from variegate.inference.soft_prompts import SoftPrompts
from variegate.inference.start_steps import OnStep, steps_in
from variegate.inference.suppression import ARGUMENT
from variegate.inference.suppression.held import HeldRows
from variegate.inference.suppression.sparse import Pairs, SparseRow
from variegate.inference.tokenization import PromptEncoder
from variegate.inference.vllm_start import (
    arguments_of,
    check_encoder_decoder,
    explain_start,
    has_processes,
    hidden_module,
    quietened,
    set_environment,
)
from variegate.inference.vllm_versions import check_version, untested, vllm_version
from variegate.progress import to_stderr
from variegate.records import Completion, Message, Request, Sampling

if TYPE_CHECKING:
    from torch import Tensor

MOST_PREFIX_BYTES = 1 << 30  # of soft prompts sent at once: they lie in memory until their requests finish
MOST_ALLOWED_TOKENS = 1024  # of one request: Model Runner V2 has room for no more


@dataclass(frozen=True, slots=True)
class _Sent:
    prompt: dict[str, Any]
    parameters: Any
    num_prompt_tokens: int


class VllmBackend(Backend):
    def __init__(self, model: ModelConfig, *, on_step: OnStep = lambda _: None) -> None:
        """on_step: told of the steps of the start; of those of vLLM's own processes it cannot tell."""
        version = vllm_version()
        check_version(version)
        if warning := untested(version):
            to_stderr(warning)
        self._output = EngineOutput()
        with quietened():
            self._llm = self._started(model, version, on_step)
        if not has_processes(model):
            self._output.close()
        import vllm
        from vllm.platforms import current_platform

        self._vllm = vllm
        self.usage = Usage()
        engine = self._llm.llm_engine.vllm_config
        config = engine.model_config
        self.info = EngineInfo(
            name="vllm",
            version=version,
            device=current_platform.get_device_name(),  # torch would put a context on a GPU that another process uses
            runner=self._llm.collective_rpc("variegate_runner")[0],
            dtype=str(config.dtype).removeprefix("torch."),
            max_model_len=config.max_model_len,
            vocab_size=config.get_vocab_size(),
            max_prompt_len=config.max_model_len if self.prompts.encoder_decoder else None,
            max_num_seqs=engine.scheduler_config.max_num_seqs,
        )
        self._width = config.get_hidden_size()  # of soft prompts
        self._rows = HeldRows()

    def _started(self, model: ModelConfig, version: str, on_step: OnStep) -> Any:
        """vLLM's engine; `self.prompts` too, since an encoder-decoder is looked at first."""
        set_environment(model)
        try:
            with self._output.hidden():
                import vllm
                from vllm.platforms import current_platform
        except ImportError as error:
            raise BackendError(f"vLLM {version} is installed but cannot be imported: {error}. Run `variegate doctor`") from error
        self.prompts = PromptEncoder(model)
        if self.prompts.encoder_decoder:
            check_encoder_decoder(model, list(self.prompts.architectures))
            t5.register()  # vLLM does so by itself, unless VLLM_PLUGINS names others
        arguments = arguments_of(model, gpu=not current_platform.is_cpu(), encoder_decoder=self.prompts.encoder_decoder)
        try:
            with self._output.hidden(), hidden_module("llvmlite.binding.ffi"), found_again(), self._output.read_by(steps_in(on_step)):
                return vllm.LLM(**arguments)
        except (ValueError, RuntimeError, OSError, MemoryError, TypeError, KeyError) as error:
            output = self._output.quoted() if has_processes(model) else ""
            raise BackendError(explain_start(model, version, error, output)) from error

    def generate(
        self,
        requests: Sequence[Request],
        *,
        logprobs: bool = False,
        on_progress: OnProgress | None = None,
    ) -> list[Completion]:
        if not self.prompts.encoder_decoder and any(request.soft for request in requests):
            raise BackendError("soft prompts: on vLLM, Variegate serves those of T5 models: use engine.backend: transformers")
        with self._rows.running(requests):
            return self._generate(requests, logprobs, on_progress)

    def _generate(self, requests: Sequence[Request], logprobs: bool, on_progress: OnProgress | None) -> list[Completion]:
        out: dict[int, Completion] = {}
        sent: list[tuple[int, _Sent]] = []
        soft = SoftPrompts(requests, self._width)
        # A round starts with an empty prefix cache: batches, and so rounding, then depend on the round alone, and a
        # resumed run repeats an uninterrupted one bit by bit.
        self._empty_cache()

        def run() -> None:
            outputs = self._run([each for _, each in sent], on_progress)
            for (place, each), output in zip(sent, outputs, strict=True):
                out[place] = completion_of(requests[place], each.num_prompt_tokens, output, logprobs=logprobs)
            sent.clear()

        in_flight = 0  # bytes of soft prompts
        for place, request in enumerate(requests):
            ids = self.prompts.encode(request.messages)
            prefix = soft.of(request)
            length = len(ids) + (0 if prefix is None else len(prefix))
            reason = too_long(length, request.sampling.max_tokens, self.info.max_model_len, self.info.max_prompt_len)
            if reason:
                out[place] = unserved(request, length, reason)
                continue
            size = 0 if prefix is None else prefix.numel() * prefix.element_size()
            if in_flight + size > MOST_PREFIX_BYTES:
                run()
                in_flight = 0
            in_flight += size
            sent.append((place, _Sent(self._prompt(ids, prefix=prefix), self._parameters(request, logprobs), length)))
        run()
        _return_free_memory()
        return [out[place] for place in range(len(requests))]

    def _prompt(self, ids: Sequence[int], node: Sequence[int] = (), prefix: Tensor | None = None) -> dict[str, Any]:
        """What vLLM is sent: a prompt, and the tokens that its answer begins with."""
        if not self.prompts.encoder_decoder:
            return {"prompt_token_ids": [*ids, *node]}
        item: dict[str, Any] = {"token_ids": list(ids)}
        if prefix is not None:
            item["prefix_embeds"] = prefix
        return {
            "encoder_prompt": {"prompt_token_ids": [], "multi_modal_data": {"text": item}},
            "decoder_prompt": {"prompt_token_ids": [*self.prompts.decoder_start, *node]},
        }

    def _run(self, sent: list[_Sent], on_progress: OnProgress | None = None) -> list[Any]:
        if not sent:
            return []
        with self._explained(f"in the middle of a batch of {len(sent)} requests"):
            outputs = self._llm.generate(
                [each.prompt for each in sent], [each.parameters for each in sent], use_tqdm=_progress_bar(on_progress)
            )
        self.usage += Usage(
            requests=len(outputs),
            prompt_tokens=sum(each.num_prompt_tokens for each in sent),
            cached_tokens=sum(each.num_cached_tokens or 0 for each in outputs),
            generated_tokens=sum(len(each.outputs[0].token_ids) for each in outputs),
        )
        return outputs

    def _empty_cache(self) -> None:
        """Of prefixes. BackendError where vLLM keeps it: an answer would depend on earlier calls."""
        with self._explained("while its prefix cache was emptied"):
            emptied = self._llm.reset_prefix_cache()
        if not emptied:
            raise BackendError(
                "vLLM did not empty its prefix cache, since blocks of it are still in use: start the engine again, and set "
                "engine.enable_prefix_caching: false if that recurs"
            )

    @contextmanager
    def _explained(self, when: str) -> Iterator[None]:
        """What vLLM raises, as a BackendError that also says what its processes printed."""
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            yield
        except (RuntimeError, ValueError, MemoryError, EngineDeadError) as error:
            raise BackendError(
                f"vLLM stopped {when}: {error}. Run the same command again to go on; when memory was short, lower "
                f"model.engine.max_num_seqs or gpu_memory_utilization first{self._output.quoted()}"
            ) from error

    def _parameters(self, request: Request, logprobs: bool) -> Any:
        sampling: Sampling = request.sampling
        row = self._rows.number(request)
        return self._vllm.SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            min_p=sampling.min_p,
            frequency_penalty=sampling.frequency_penalty,
            presence_penalty=sampling.presence_penalty,
            repetition_penalty=sampling.repetition_penalty,
            max_tokens=sampling.max_tokens,
            stop=list(sampling.stop),
            ignore_eos=sampling.ignore_eos,
            seed=request.seed if sampling.temperature > 0 else None,
            logprobs=0 if logprobs else None,
            extra_args={ARGUMENT: {"row": row, "scale": sampling.suppression_scale}} if row else None,
        )

    def score_each(
        self,
        prompts: Sequence[Sequence[Message]],
        choices: Sequence[Sequence[str]],
        *,
        constrained: bool = False,
        prune: float = 0.0,
        on_progress: OnProgress | None = None,
    ) -> list[Float[np.ndarray, " c"]]:
        encoded = [list(self.prompts.encode(tuple(messages))) for messages in prompts]
        tries = tries_of(self.prompts, prompts, choices, self.info, constrained=constrained)
        progress = Progress(on_progress, len(prompts))
        self._empty_cache()
        rows = walk(tries, lambda questions: self._answer(encoded, questions, progress.tell), prune=prune)
        progress.finish()
        return [np.array(row) for row in rows]

    def _answer(self, prompts: list[list[int]], questions: list[Question], on_progress: OnProgress) -> list[list[Step]]:
        """One request for each question, which goes on greedily to its last branching; where that takes more tokens than
        vLLM gives log-probabilities of, single steps, in as many requests as it takes."""
        from vllm.sampling_params import MAX_LOGPROB_TOKEN_IDS as most  # noqa: N811

        asked: list[tuple[int, Any]] = []
        known: dict[Any, Any] = {}
        for place, question in enumerate(questions):
            descent = question.descent
            if descent.steps > 1 and len(descent.tokens) <= most and len(descent.allowed) <= MOST_ALLOWED_TOKENS:
                if descent not in known:
                    known[descent] = probe(descent.tokens, max_tokens=descent.steps, allowed=descent.allowed, stop=descent.stop)
                asked.append((place, known[descent]))
                continue
            for start in range(0, len(question.tokens), most):
                tokens = question.tokens[start : start + most]
                if tokens not in known:
                    known[tokens] = probe(tokens)
                asked.append((place, known[tokens]))
        sent = []
        for place, parameters in asked:
            ids, node = prompts[questions[place].prompt], questions[place].node
            sent.append(_Sent(self._prompt(ids, node), parameters, len(ids) + len(node)))
        out: list[list[Step]] = [[] for _ in questions]
        for (place, parameters), output in zip(asked, self._run(sent, on_progress), strict=True):
            steps = steps_of(output.outputs[0])
            if out[place] and parameters.max_tokens == 1:  # another part of the tokens of one step
                steps = [Step({**out[place][0].logprobs, **steps[0].logprobs}, steps[0].chosen)]
            out[place] = steps
        return out

    def set_rows(self, rows: Mapping[str, SparseRow]) -> None:
        self._rows.set(rows, self.info.vocab_size, self._send_rows)

    def _send_rows(self, rows: dict[int, SparseRow]) -> None:
        with self._explained("while rows of the suppression table were sent"):
            self._llm.collective_rpc("variegate_add_rows", args=Pairs.of(rows).to_bytes())

    def close(self) -> None:
        import torch

        engine = self._llm.llm_engine
        engine.engine_core.shutdown()
        del self._llm, engine
        self._output.close()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def completion_of(request: Request, num_prompt_tokens: int, output: Any, *, logprobs: bool) -> Completion:
    best = output.outputs[0]
    return Completion(
        key=request.key,
        text=best.text,
        token_ids=tuple(best.token_ids),
        finish_reason=best.finish_reason or "error",
        num_prompt_tokens=num_prompt_tokens,
        num_cached_tokens=output.num_cached_tokens or 0,
        logprob=best.cumulative_logprob if logprobs else None,
    )


def probe(tokens: Sequence[int], *, max_tokens: int = 1, allowed: Sequence[int] = (), stop: Sequence[int] = ()) -> Any:
    """Greedy sampling parameters that give the log-probabilities of `tokens` at each step."""
    from vllm import SamplingParams

    return SamplingParams(
        max_tokens=max_tokens,
        temperature=0.0,
        logprob_token_ids=list(tokens),
        allowed_token_ids=list(allowed) or None,
        stop_token_ids=list(stop),
        detokenize=False,
        flat_logprobs=True,
        skip_clone=True,  # copying the lists for each request costs a tenth of a step
    )


def steps_of(output: Any) -> list[Step]:
    """The steps of a completion asked for with `probe`."""
    flat = output.logprobs
    return [
        Step(dict(zip(flat.token_ids[start:end], flat.logprobs[start:end], strict=True)), chosen)
        for chosen, start, end in zip(output.token_ids, flat.start_indices, flat.end_indices, strict=True)
    ]


def _return_free_memory() -> None:
    """Give the C library's free memory back to the system, where that library is glibc.

    vLLM's batches of changing shape leave its arenas full of holes: resident memory grew by hundreds of MiB over 50,000
    requests of a bare `LLM.generate`, and stays flat with this.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _progress_bar(on_progress: OnProgress | None) -> Any:
    """A class in tqdm's place for `LLM.generate` that draws nothing and reports finished completions; False for none."""
    if on_progress is None:
        return False
    report = on_progress

    class Reporter:
        """What `LLM.generate` uses of a tqdm bar, and no more."""

        def __init__(self, iterable: Iterable[Any] = (), *, desc: str = "", **_: Any) -> None:
            self._iterable = iterable
            self._counts = desc == "Processed prompts"  # the other bar counts prompts being rendered
            self._start = time.monotonic()
            self.n = 0
            self.postfix = ""

        def __iter__(self) -> Iterator[Any]:
            return iter(self._iterable)

        @property
        def format_dict(self) -> dict[str, float]:
            return {"elapsed": time.monotonic() - self._start + 1e-9}

        def update(self, n: int = 1) -> None:
            self.n += n
            if self._counts:
                report(n)

        def refresh(self) -> None:
            pass

        def close(self) -> None:
            pass

    return Reporter

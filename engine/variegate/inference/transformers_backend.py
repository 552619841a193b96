"""Hugging Face Transformers as the engine: for comparison, and for models vLLM lacks. Keeps the same contract.

Static batches with padding on the left. Each row draws from a generator of its own seed: Gumbel noise is added to the
processed logits and the largest taken, which samples from their softmax (Gumbel-max trick), so `generate` runs greedily
and a row's text does not depend on its batch mates.
"""

from __future__ import annotations

import gc
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import transformers
from jaxtyping import Float, Int
from safetensors import SafetensorError
from torch import Tensor

from variegate.config import ModelConfig
from variegate.errors import BackendError
from variegate.inference.backend import EngineInfo, OnProgress, Usage, too_long, unserved
from variegate.inference.scoring import Progress, Question, Step, tries_of, walk
from variegate.inference.suppression.transformers import SuppressionProcessor
from variegate.inference.tokenization import PromptEncoder
from variegate.records import Completion, Message, Request, Sampling


class SeededGumbel(transformers.LogitsProcessor):
    """Adds to each row standard Gumbel noise from its own generator; rows without a generator stay greedy."""

    def __init__(self, generators: Sequence[torch.Generator | None]) -> None:
        self.generators = generators

    def __call__(self, input_ids: Int[Tensor, "b t"], scores: Float[Tensor, "b v"]) -> Float[Tensor, "b v"]:
        for row, generator in enumerate(self.generators):
            if generator is not None:
                uniform = torch.rand(scores.shape[1], generator=generator, dtype=torch.float64).clamp_(min=1e-300)
                scores[row] += (-torch.log(-torch.log(uniform))).to(scores)
        return scores


class OutputPenalties(transformers.LogitsProcessor):
    """Frequency and presence penalties over the tokens generated so far, as vLLM and OpenAI define them."""

    def __init__(self, prompt_length: int, frequency: float, presence: float) -> None:
        self.prompt_length, self.frequency, self.presence = prompt_length, frequency, presence

    def __call__(self, input_ids: Int[Tensor, "b t"], scores: Float[Tensor, "b v"]) -> Float[Tensor, "b v"]:
        produced = input_ids[:, self.prompt_length :]
        counts = torch.zeros_like(scores).scatter_add_(1, produced, torch.ones_like(produced, dtype=scores.dtype))
        return scores - self.frequency * counts - self.presence * (counts > 0)


class RawLogprobs(transformers.LogitsProcessor):
    """Keeps the model's own log-probabilities of each step, before any other processor."""

    def __init__(self) -> None:
        self.steps: list[Float[Tensor, "b v"]] = []

    def __call__(self, input_ids: Int[Tensor, "b t"], scores: Float[Tensor, "b v"]) -> Float[Tensor, "b v"]:
        self.steps.append(torch.log_softmax(scores.float(), dim=-1))
        return scores


class TransformersBackend:
    """batch_size: rows in a batch."""

    def __init__(self, model: ModelConfig, *, batch_size: int = 64) -> None:
        engine = model.engine
        unsupported = [name for name in ("tensor_parallel_size",) if getattr(engine, name) != 1]
        if unsupported or engine.extra or engine.load_format not in ("auto", "dummy") or engine.quantization not in (None, "bitsandbytes"):
            raise BackendError(
                f"model {model.name!r}: the transformers backend knows no tensor parallelism, no quantization but bitsandbytes and no engine.extra: use backend: vllm"
            )
        self.prompts = PromptEncoder(model)
        self.usage = Usage()
        device = "cuda" if torch.cuda.is_available() else "cpu"
        quantization = None
        if engine.quantization == "bitsandbytes":
            quantization = transformers.BitsAndBytesConfig(
                load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
            )
        dtype = "auto" if engine.dtype == "auto" else getattr(torch, engine.dtype)
        try:
            if engine.load_format == "dummy":
                config = transformers.AutoConfig.from_pretrained(model.path, revision=model.revision)
                network = transformers.AutoModelForCausalLM.from_config(config, dtype=None if dtype == "auto" else dtype).to(device)
            else:
                network = transformers.AutoModelForCausalLM.from_pretrained(
                    model.path,
                    revision=model.revision,
                    dtype=dtype,
                    quantization_config=quantization,
                    device_map=device,
                    use_safetensors=True,
                )
        except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
            raise BackendError(f"Transformers could not load model {model.name!r} ({model.path}): {error}") from error
        self._model: Any = network.eval()
        self._keeps_logits = "logits_to_keep" in inspect.signature(self._model.forward).parameters
        self._batch_size = batch_size
        self._bias: dict[str, int] = {}
        config = self._model.config
        longest = int(getattr(config, "max_position_embeddings", None) or 2048)
        self.info = EngineInfo(
            name="transformers",
            version=transformers.__version__,
            device=torch.cuda.get_device_name() if device == "cuda" else "cpu",
            runner="",
            dtype=str(self._model.dtype).removeprefix("torch."),
            max_model_len=min(longest, engine.max_model_len or longest),
            vocab_size=int(config.vocab_size),
        )
        self._table = torch.zeros(1, self.info.vocab_size, device=self._model.device)
        tokenizer = self.prompts.tokenizer
        self._pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        declared = self._model.generation_config.eos_token_id
        ends = declared if declared is not None else tokenizer.eos_token_id
        self._ends = set(ends if isinstance(ends, list) else [ends])

    def generate(self, requests: Sequence[Request], *, logprobs: bool = False, on_progress: OnProgress | None = None) -> list[Completion]:
        out: dict[int, Completion] = {}
        batches: dict[Sampling, list[int]] = {}
        for place, request in enumerate(requests):
            ids = self.prompts.encode(request.messages)
            reason = too_long(len(ids), request.sampling.max_tokens, self.info.max_model_len)
            if reason:
                out[place] = unserved(request, len(ids), reason)
            else:
                batches.setdefault(request.sampling, []).append(place)
        for sampling, places in batches.items():
            for start in range(0, len(places), self._batch_size):
                chosen = places[start : start + self._batch_size]
                out.update(zip(chosen, self._generate_batch([requests[place] for place in chosen], sampling, logprobs), strict=True))
                if on_progress:
                    on_progress(len(chosen))
        return [out[place] for place in range(len(requests))]

    @torch.inference_mode()
    def _generate_batch(self, requests: list[Request], sampling: Sampling, logprobs: bool) -> list[Completion]:
        prompts = [self.prompts.encode(request.messages) for request in requests]
        width = max(map(len, prompts))
        device = self._model.device
        ids = torch.full((len(prompts), width), self._pad, device=device)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(prompt, device=device)
            mask[row, width - len(prompt) :] = 1
        raw = RawLogprobs()
        processors = self._processors(requests, sampling, width, [raw] if logprobs else [])
        stopping = transformers.StoppingCriteriaList()
        if sampling.stop:
            stopping.append(transformers.StopStringCriteria(self.prompts.tokenizer, list(sampling.stop)))
        sequences = self._model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=sampling.max_tokens,
            min_new_tokens=sampling.max_tokens if sampling.ignore_eos else None,
            do_sample=False,
            logits_processor=processors,
            stopping_criteria=stopping,
            pad_token_id=self._pad,
            eos_token_id=None if sampling.ignore_eos else sorted(self._ends),
            # The processors above do all of it; these would warn or apply a second time.
            temperature=None, top_p=None, top_k=None, repetition_penalty=1.0,
        )  # fmt: skip
        out = []
        for row, (request, prompt) in enumerate(zip(requests, prompts, strict=True)):
            tokens, text, reason = self._finish(sequences[row, width:].tolist(), sampling)
            logprob = sum(float(raw.steps[step][row, token]) for step, token in enumerate(tokens)) if logprobs else None
            out.append(Completion(request.key, text, tuple(tokens), reason, len(prompt), logprob=logprob))
        self.usage += Usage(len(out), prompt_tokens=sum(map(len, prompts)), generated_tokens=sum(len(each.token_ids) for each in out))
        return out

    def _processors(self, requests: list[Request], sampling: Sampling, width: int, first: list[Any]) -> transformers.LogitsProcessorList:
        """In vLLM's order: suppression, penalties, temperature, min-p, top-k, top-p, then the draw."""
        processors = transformers.LogitsProcessorList(first)
        rows = torch.tensor([self._bias.get(request.group or "", 0) for request in requests], device=self._model.device)
        if rows.any():
            scale = torch.full((len(requests),), sampling.suppression_scale, device=self._model.device)
            processors.append(SuppressionProcessor(self._table, rows, scale))
        if sampling.repetition_penalty != 1.0:
            processors.append(transformers.RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
        if sampling.frequency_penalty or sampling.presence_penalty:
            processors.append(OutputPenalties(width, sampling.frequency_penalty, sampling.presence_penalty))
        if sampling.temperature > 0:
            if sampling.temperature != 1.0:
                processors.append(transformers.TemperatureLogitsWarper(sampling.temperature))
            if sampling.min_p > 0:
                processors.append(transformers.MinPLogitsWarper(sampling.min_p))
            if sampling.top_k > 0:
                processors.append(transformers.TopKLogitsWarper(sampling.top_k))
            if sampling.top_p < 1.0:
                processors.append(transformers.TopPLogitsWarper(sampling.top_p))
            processors.append(SeededGumbel([torch.Generator().manual_seed(request.seed) for request in requests]))
        return processors

    def _finish(self, tokens: list[int], sampling: Sampling) -> tuple[list[int], str, str]:
        """Cut a row where it ended: (token ids with the ending token, text without it, finish reason)."""
        tokenizer = self.prompts.tokenizer
        if not sampling.ignore_eos:
            for place, token in enumerate(tokens):
                if token in self._ends:
                    return tokens[: place + 1], self._cut(tokenizer.decode(tokens[:place], skip_special_tokens=True), sampling), "stop"
        text = tokenizer.decode(tokens, skip_special_tokens=True)
        if not any(stop in text for stop in sampling.stop):
            return tokens, text, "length"
        low, high = 0, len(tokens)  # the fewest tokens whose text holds a stop string
        while low < high:
            middle = (low + high) // 2
            if any(stop in tokenizer.decode(tokens[:middle], skip_special_tokens=True) for stop in sampling.stop):
                high = middle
            else:
                low = middle + 1
        return tokens[:low], self._cut(text, sampling), "stop"

    @staticmethod
    def _cut(text: str, sampling: Sampling) -> str:
        ends = [text.index(stop) for stop in sampling.stop if stop in text]
        return text[: min(ends)] if ends else text

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
        encoded = [self.prompts.encode(tuple(messages)) for messages in prompts]
        tries = tries_of(self.prompts, prompts, choices, self.info.max_model_len, constrained=constrained)
        progress = Progress(on_progress, len(prompts))
        rows = walk(tries, lambda questions: self._answer(encoded, questions, progress.tell), prune=prune)
        progress.finish()
        return [np.array(row) for row in rows]

    @torch.inference_mode()
    def _answer(self, prompts: list[tuple[int, ...]], questions: list[Question], on_progress: OnProgress) -> list[list[Step]]:
        """One step for each question, in batches of sequences of similar length."""
        sequences = [[*prompts[each.prompt], *each.node] for each in questions]
        order = sorted(range(len(questions)), key=lambda place: len(sequences[place]))
        out: list[list[Step]] = [[] for _ in questions]
        for start in range(0, len(order), self._batch_size):
            chosen = order[start : start + self._batch_size]
            for place, row in zip(chosen, self._next_logprobs([sequences[place] for place in chosen]), strict=True):
                tokens = questions[place].tokens
                out[place] = [Step(dict(zip(tokens, row[list(tokens)].tolist(), strict=True)), int(row.argmax()))]
            on_progress(len(chosen))
        self.usage += Usage(len(questions), prompt_tokens=sum(map(len, sequences)), generated_tokens=len(questions))
        return out

    def _next_logprobs(self, sequences: list[list[int]]) -> Float[Tensor, "b v"]:
        width = max(map(len, sequences))
        ids = torch.full((len(sequences), width), self._pad, device=self._model.device)
        mask = torch.zeros_like(ids)
        for row, sequence in enumerate(sequences):
            ids[row, : len(sequence)] = torch.tensor(sequence, device=ids.device)  # padding on the right: positions need no care
            mask[row, : len(sequence)] = 1
        last = torch.tensor([len(sequence) - 1 for sequence in sequences], device=ids.device)
        # The head's work and memory only for positions that some row ends at, where the model lets one choose.
        ends, column = torch.unique(last, return_inverse=True) if self._keeps_logits else (None, last)
        options = {"logits_to_keep": ends} if self._keeps_logits else {}
        logits = self._model(input_ids=ids, attention_mask=mask, use_cache=False, **options).logits
        return torch.log_softmax(logits[torch.arange(len(sequences), device=ids.device), column].float(), dim=-1)

    def set_bias(self, bias: Mapping[str, Float[np.ndarray, " v"]]) -> None:
        groups = sorted(bias)
        table = np.zeros((len(groups) + 1, self.info.vocab_size), dtype=np.float32)
        for row, group in enumerate(groups, 1):
            table[row] = bias[group]
        self._table = torch.from_numpy(table).to(self._model.device)
        self._bias = {group: row for row, group in enumerate(groups, 1)}

    def close(self) -> None:
        del self._model
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

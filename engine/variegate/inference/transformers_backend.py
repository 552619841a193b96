"""Hugging Face Transformers as the engine: for comparison, and for models vLLM lacks. Keeps the same contract.

Static batches, padded. Each row draws by noise of its own seed: Gumbel noise is added to the processed logits and the
largest taken, which samples from their softmax (Gumbel-max trick), so `generate` runs greedily and a row's text does not
depend on its batch mates.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import transformers
from jaxtyping import Bool, Float, Int
from torch import Tensor

from variegate.config import ModelConfig
from variegate.errors import BackendError
from variegate.inference.backend import Backend, EngineInfo, OnProgress, Usage, too_long, unserved
from variegate.inference.noise import add_gumbel
from variegate.inference.scoring import Progress, Question, Step, tries_of, walk
from variegate.inference.soft_prompts import SoftPrompts
from variegate.inference.suppression.device_table import DeviceTable
from variegate.inference.suppression.held import HeldRows
from variegate.inference.suppression.sparse import Pairs, SparseRow
from variegate.inference.suppression.transformers import SuppressionProcessor
from variegate.inference.tokenization import PromptEncoder
from variegate.inference.transformers_networks import Prompt, Start, load_network
from variegate.records import Completion, Message, Request, Sampling


class SeededGumbel(transformers.LogitsProcessor):
    """Adds to each row standard Gumbel noise of its own seed. For one call of `generate`: it counts the steps."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self.seeds, self.step = seeds, 0

    def __call__(self, input_ids: Int[Tensor, "b t"], scores: Float[Tensor, "b v"]) -> Float[Tensor, "b v"]:
        self.step += 1
        return add_gumbel(scores, self.seeds, self.step)


class OutputPenalties(transformers.LogitsProcessor):
    """Frequency and presence penalties over the tokens generated so far, as vLLM and OpenAI define them."""

    def __init__(self, prompt_length: int, frequency: float, presence: float) -> None:
        self.prompt_length, self.frequency, self.presence = prompt_length, frequency, presence

    def __call__(self, input_ids: Int[Tensor, "b t"], scores: Float[Tensor, "b v"]) -> Float[Tensor, "b v"]:
        produced = input_ids[:, self.prompt_length :]
        counts = torch.zeros_like(scores).scatter_add_(1, produced, torch.ones_like(produced, dtype=scores.dtype))
        return scores - self.frequency * counts - self.presence * (counts > 0)


class RepetitionPenalty(transformers.RepetitionPenaltyLogitsProcessor):
    """Of the tokens of prompt and completion, not of padding: a row's text must not depend on its batch mates."""

    def __init__(self, penalty: float, real: Bool[Tensor, "b t"]) -> None:
        super().__init__(penalty)
        self.real = real

    def __call__(self, input_ids: Int[Tensor, "b t"], scores: Float[Tensor, "b v"]) -> Float[Tensor, "b v"]:
        width = self.real.shape[1]
        begun = input_ids[:, :width].where(self.real, input_ids[:, -1:])  # a token penalised anyway
        return super().__call__(torch.cat([begun, input_ids[:, width:]], dim=1), scores)


class RawLogprobs(transformers.LogitsProcessor):
    """Keeps the model's own log-probabilities of each step, before any other processor."""

    def __init__(self) -> None:
        self.steps: list[Float[Tensor, "b v"]] = []

    def __call__(self, input_ids: Int[Tensor, "b t"], scores: Float[Tensor, "b v"]) -> Float[Tensor, "b v"]:
        self.steps.append(torch.log_softmax(scores.float(), dim=-1))
        return scores


class TransformersBackend(Backend):
    def __init__(self, model: ModelConfig) -> None:
        engine = model.engine
        unsupported = [name for name in ("tensor_parallel_size",) if getattr(engine, name) != 1]
        if unsupported or engine.extra or engine.load_format not in ("auto", "dummy") or engine.quantization not in (None, "bitsandbytes"):
            raise BackendError(
                f"model {model.name!r}: the transformers backend knows no tensor parallelism, no quantization but bitsandbytes and no engine.extra: use engine.backend: vllm"
            )
        self.prompts = PromptEncoder(model)
        self.usage = Usage()
        self._network = load_network(model, self.prompts)
        self._batch_size = engine.batch_size
        self._rows = HeldRows()
        network = self._network.model
        max_len = self._network.max_len(engine.max_model_len)
        self.info = EngineInfo(
            name="transformers",
            version=transformers.__version__,
            device=torch.cuda.get_device_name() if network.device.type == "cuda" else "cpu",
            runner="",
            dtype=str(network.dtype).removeprefix("torch."),
            max_model_len=max_len,
            vocab_size=int(network.config.vocab_size),
            max_prompt_len=max_len if self.prompts.encoder_decoder else None,
            max_num_seqs=engine.batch_size,
        )
        self._table = DeviceTable(self.info.vocab_size, network.device)

    def generate(
        self,
        requests: Sequence[Request],
        *,
        logprobs: bool = False,
        on_progress: OnProgress | None = None,
    ) -> list[Completion]:
        with self._rows.running(requests):
            return self._generate(requests, logprobs, on_progress)

    def _generate(self, requests: Sequence[Request], logprobs: bool, on_progress: OnProgress | None) -> list[Completion]:
        out: dict[int, Completion] = {}
        batches: dict[Sampling, list[int]] = {}
        soft = SoftPrompts(requests, self._network.width)
        for place, request in enumerate(requests):
            batches.setdefault(request.sampling, []).append(place)
        for sampling, places in batches.items():
            for start in range(0, len(places), self._batch_size):
                chosen: dict[int, Prompt] = {}
                for place in places[start : start + self._batch_size]:
                    prompt = Prompt(self.prompts.encode(requests[place].messages), soft.of(requests[place]))
                    reason = too_long(len(prompt), sampling.max_tokens, self.info.max_model_len, self.info.max_prompt_len)
                    if reason:
                        out[place] = unserved(requests[place], len(prompt), reason)
                    else:
                        chosen[place] = prompt
                if chosen:
                    completions = self._generate_batch([requests[place] for place in chosen], list(chosen.values()), sampling, logprobs)
                    out.update(zip(chosen, completions, strict=True))
                    if on_progress:
                        on_progress(len(chosen))
        return [out[place] for place in range(len(requests))]

    @torch.inference_mode()
    def _generate_batch(self, requests: list[Request], prompts: list[Prompt], sampling: Sampling, logprobs: bool) -> list[Completion]:
        start = self._network.start(prompts)
        raw = RawLogprobs()
        stopping = transformers.StoppingCriteriaList()
        if sampling.stop:
            stopping.append(transformers.StopStringCriteria(self.prompts.tokenizer, list(sampling.stop)))
        sequences = self._network.model.generate(
            **start.arguments,
            max_new_tokens=sampling.max_tokens,
            do_sample=False,
            logits_processor=self._processors(requests, sampling, start, [raw] if logprobs else []),
            stopping_criteria=stopping,
            eos_token_id=None if sampling.ignore_eos else sorted(self._network.ends) or None,
        )
        width = start.ids.shape[1]
        out = []
        for row, (request, prompt) in enumerate(zip(requests, prompts, strict=True)):
            tokens, text, reason = self._finish(sequences[row, width:].tolist(), sampling)
            logprob = sum(float(raw.steps[step][row, token]) for step, token in enumerate(tokens)) if logprobs else None
            out.append(Completion(request.key, text, tuple(tokens), reason, len(prompt), logprob=logprob))
        self.usage += Usage(len(out), prompt_tokens=sum(map(len, prompts)), generated_tokens=sum(len(each.token_ids) for each in out))
        return out

    def _processors(self, requests: list[Request], sampling: Sampling, start: Start, first: list[Any]) -> transformers.LogitsProcessorList:
        """In vLLM's order: suppression, penalties, temperature, min-p, top-k, top-p, then the draw."""
        processors = transformers.LogitsProcessorList(first)
        rows = [self._rows.number(request) for request in requests]
        if any(rows):
            table = self._table.table
            scale = torch.full((len(requests),), sampling.suppression_scale, device=table.device)
            processors.append(SuppressionProcessor(table, torch.tensor(rows, device=table.device), scale))
        if sampling.repetition_penalty != 1.0:
            processors.append(RepetitionPenalty(sampling.repetition_penalty, start.real))
        if sampling.frequency_penalty or sampling.presence_penalty:
            processors.append(OutputPenalties(start.ids.shape[1], sampling.frequency_penalty, sampling.presence_penalty))
        if sampling.temperature > 0:
            if sampling.temperature != 1.0:
                processors.append(transformers.TemperatureLogitsWarper(sampling.temperature))
            if sampling.min_p > 0:
                processors.append(transformers.MinPLogitsWarper(sampling.min_p))
            if sampling.top_k > 0:
                processors.append(transformers.TopKLogitsWarper(sampling.top_k))
            if sampling.top_p < 1.0:
                processors.append(transformers.TopPLogitsWarper(sampling.top_p))
            processors.append(SeededGumbel([request.seed for request in requests]))
        return processors

    def _finish(self, tokens: list[int], sampling: Sampling) -> tuple[list[int], str, str]:
        """Cut a row where it ended: (token ids with the ending token, text without it, finish reason)."""
        tokenizer = self.prompts.tokenizer
        if not sampling.ignore_eos:
            for place, token in enumerate(tokens):
                if token in self._network.ends:
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
        tries = tries_of(self.prompts, prompts, choices, self.info, constrained=constrained)
        progress = Progress(on_progress, len(prompts))
        rows = walk(tries, lambda questions: self._answer(encoded, questions, progress.tell), prune=prune)
        progress.finish()
        return [np.array(row) for row in rows]

    @torch.inference_mode()
    def _answer(self, prompts: list[tuple[int, ...]], questions: list[Question], on_progress: OnProgress) -> list[list[Step]]:
        """One step for each question, in batches of sequences of similar length."""
        lengths = [len(prompts[each.prompt]) + len(each.node) for each in questions]
        order = sorted(range(len(questions)), key=lengths.__getitem__)
        out: list[list[Step]] = [[] for _ in questions]
        for start in range(0, len(order), self._batch_size):
            places = order[start : start + self._batch_size]
            chosen = [questions[place] for place in places]
            logits = self._network.next_logits([prompts[each.prompt] for each in chosen], [each.node for each in chosen])
            for place, row in zip(places, torch.log_softmax(logits.float(), dim=-1), strict=True):
                tokens = questions[place].tokens
                out[place] = [Step(dict(zip(tokens, row[list(tokens)].tolist(), strict=True)), int(row.argmax()))]
            on_progress(len(chosen))
        self.usage += Usage(len(questions), prompt_tokens=sum(lengths), generated_tokens=len(questions))
        return out

    def set_rows(self, rows: Mapping[str, SparseRow]) -> None:
        self._rows.set(rows, self.info.vocab_size, lambda fresh: self._table.add(Pairs.of(fresh)))

    def close(self) -> None:
        del self._network
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

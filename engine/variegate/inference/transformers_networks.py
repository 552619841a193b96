"""The two kinds of networks the Transformers backend runs: how each is loaded and takes its prompts.

Knows token ids and soft prompts; knows no requests and nothing of how tokens are drawn.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError
from torch import Tensor

from variegate.config import ModelConfig
from variegate.devices import cpu_has_bfloat16
from variegate.errors import BackendError
from variegate.inference.backend import DEFAULT_SEQUENCE_LEN
from variegate.inference.tokenization import PromptEncoder, load_config
from variegate.model_folders import describe_missing

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    ids: Tokens
    prefix: Float[Tensor, "p d"] | None = None  # a soft prompt: vectors before the embeddings of `ids`

    def __len__(self) -> int:
        return len(self.ids) + (0 if self.prefix is None else len(self.prefix))


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """How `generate` begins."""

    arguments: dict[str, Any]
    ids: Int[Tensor, "b t"]  # what its rows begin with, before the tokens it generates
    real: Bool[Tensor, "b t"]  # where `ids` are tokens: not padding, nor places that a soft prompt takes


class Network(ABC):
    """default_len: longest sequence, in tokens, where neither the network nor the user sets a limit."""

    default_len: int

    def __init__(self, model: Any, prompts: PromptEncoder) -> None:
        self.model = model.eval()
        tokenizer, config = prompts.tokenizer, model.config.get_text_config()
        # Any end that the tokenizer or the model's files name stops a text, as on vLLM.
        self.ends = _ids(tokenizer.eos_token_id) | _ids(model.generation_config.eos_token_id) or _ids(config.eos_token_id)
        known = (tokenizer.pad_token_id, config.pad_token_id, *sorted(self.ends), 0)  # under the mask any token will do
        self.pad: int = next(each for each in known if isinstance(each, int) and each >= 0)
        self.start_ids = prompts.decoder_start
        # A request says all of how its tokens are drawn: what the model's files add (beams, a shortest length) would alter it.
        model.generation_config = transformers.GenerationConfig(
            pad_token_id=self.pad, decoder_start_token_id=self.start_ids[0] if self.start_ids else None
        )

    @property
    def width(self) -> int:
        """d of the token embeddings, and so of soft prompts."""
        return int(self.model.get_input_embeddings().weight.shape[1])

    def max_len(self, wanted: int | None) -> int:
        """Tokens of the longest sequence: `wanted`, as far as the network has positions for it."""
        positions = getattr(self.model.config, "max_position_embeddings", None)
        if positions is None:
            return wanted or self.default_len
        return min(int(positions), wanted or int(positions))

    @abstractmethod
    def start(self, prompts: Sequence[Prompt]) -> Start: ...

    @abstractmethod
    def next_logits(self, prompts: Sequence[Tokens], nodes: Sequence[Tokens]) -> Float[Tensor, "b v"]:
        """Of the token after each prompt and the tokens of an answer that follow it."""

    def _pad(self, sequences: Sequence[Tokens], *, left: bool = False) -> tuple[Int[Tensor, "b t"], Int[Tensor, "b t"]]:
        """Ids, and a mask that is 1 where they are not padding."""
        width = max(map(len, sequences))
        ids = torch.full((len(sequences), width), self.pad, device=self.model.device)
        mask = torch.zeros_like(ids)
        for row, sequence in enumerate(sequences):
            first = width - len(sequence) if left else 0
            ids[row, first : first + len(sequence)] = torch.tensor(sequence, dtype=torch.long)
            mask[row, first : first + len(sequence)] = 1
        return ids, mask

    def _inputs(self, prompts: Sequence[Prompt], *, left: bool) -> tuple[dict[str, Tensor], Bool[Tensor, "b t"]]:
        """input_ids, attention_mask and, where some prompt has a soft one, inputs_embeds; where the ids are real tokens."""
        ids, mask = self._pad([(self.pad,) * (len(each) - len(each.ids)) + each.ids for each in prompts], left=left)
        real = mask.bool()
        inputs = {"input_ids": ids, "attention_mask": mask}
        if any(each.prefix is not None for each in prompts):
            embeds = self.model.get_input_embeddings()(ids)
            for row, each in enumerate(prompts):
                if each.prefix is not None:
                    first = ids.shape[1] - len(each) if left else 0
                    embeds[row, first : first + len(each.prefix)] = each.prefix.to(embeds)
                    real[row, first : first + len(each.prefix)] = False
            inputs["inputs_embeds"] = embeds
        return inputs, real


class DecoderOnly(Network):
    """Prompt and answer are one sequence."""

    default_len = 2048

    def start(self, prompts: Sequence[Prompt]) -> Start:
        inputs, real = self._inputs(prompts, left=True)
        return Start(inputs, inputs["input_ids"], real)

    def next_logits(self, prompts: Sequence[Tokens], nodes: Sequence[Tokens]) -> Float[Tensor, "b v"]:
        sequences = [prompt + node for prompt, node in zip(prompts, nodes, strict=True)]
        ids, mask = self._pad(sequences)  # on the right: positions need no care
        last = torch.tensor([len(sequence) - 1 for sequence in sequences], device=ids.device)
        # The head's work and memory only for positions that some row ends at, where the model lets one choose.
        keeps = "logits_to_keep" in inspect.signature(self.model.forward).parameters
        ends, column = torch.unique(last, return_inverse=True) if keeps else (None, last)
        options = {"logits_to_keep": ends} if keeps else {}
        logits = self.model(input_ids=ids, attention_mask=mask, use_cache=False, **options).logits
        return logits[torch.arange(len(sequences), device=ids.device), column]


def _ids(named: int | list[int] | None) -> frozenset[int]:
    return frozenset() if named is None else frozenset(named if isinstance(named, list) else [named])


class EncoderDecoder(Network):
    """The encoder reads the prompt; the answer is a sequence of its own, after the token that starts the decoder."""

    default_len = DEFAULT_SEQUENCE_LEN

    def start(self, prompts: Sequence[Prompt]) -> Start:
        inputs, _ = self._inputs(prompts, left=False)
        if "inputs_embeds" in inputs:
            del inputs["input_ids"]  # an encoder takes one of them
        ids = torch.tensor([self.start_ids] * len(prompts), device=self.model.device)
        # The cache that `generate` makes has as many layers as the encoder: too few for a deeper decoder.
        cache = transformers.EncoderDecoderCache(transformers.DynamicCache(), transformers.DynamicCache())
        return Start({**inputs, "decoder_input_ids": ids, "past_key_values": cache}, ids, torch.ones_like(ids, dtype=torch.bool))

    def next_logits(self, prompts: Sequence[Tokens], nodes: Sequence[Tokens]) -> Float[Tensor, "b v"]:
        ids, mask = self._pad(prompts)
        answers, _ = self._pad([self.start_ids + node for node in nodes])  # causal: what is padded on the right is not seen
        logits = self.model(input_ids=ids, attention_mask=mask, decoder_input_ids=answers, use_cache=False).logits
        last = torch.tensor([len(self.start_ids + node) - 1 for node in nodes], device=ids.device)
        return logits[torch.arange(len(nodes), device=ids.device), last]


def load_network(model: ModelConfig, prompts: PromptEncoder) -> Network:
    """Raises BackendError."""
    engine = model.engine
    kind: type[Network] = EncoderDecoder if prompts.encoder_decoder else DecoderOnly
    loader = transformers.AutoModelForSeq2SeqLM if prompts.encoder_decoder else transformers.AutoModelForCausalLM
    device = "cuda" if torch.cuda.is_available() else "cpu"
    quantization = None
    if engine.quantization == "bitsandbytes":
        quantization = transformers.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)
    slow = device == "cpu" and not cpu_has_bfloat16()
    dtype = ("float32" if slow else "auto") if engine.dtype == "auto" else engine.dtype
    try:
        if engine.load_format == "dummy":
            network = loader.from_config(
                load_config(model), trust_remote_code=model.trust_remote_code, dtype=None if dtype == "auto" else getattr(torch, dtype)
            ).to(device)
        else:
            network, loaded = loader.from_pretrained(
                model.path,
                revision=model.revision,
                dtype=dtype,
                quantization_config=quantization,
                device_map=device,
                use_safetensors=True,
                trust_remote_code=model.trust_remote_code,
                output_loading_info=True,
            )
            if missing := sorted(loaded["missing_keys"]):
                raise BackendError(f"model {model.name!r} ({model.path}): {describe_missing(missing, sorted(loaded['unexpected_keys']))}")
            if odd := _odd_width(network):
                raise BackendError(
                    f"model {model.name!r}: a layer of it is {odd} wide, and bitsandbytes' 4 bits on a CPU need multiples of 32: leave"
                    " engine.quantization out"
                )
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError, KeyError, TypeError, AttributeError) as error:
        said = f"unknown name {error}" if isinstance(error, KeyError) else str(error)
        raise BackendError(
            f"Transformers {transformers.__version__} could not load model {model.name!r} ({model.path}): {said}. A model newer than"
            " Transformers needs a newer one"
        ) from error
    return kind(network, prompts)


def _odd_width(network: Any) -> int | None:
    """The width of a 4-bit layer that bitsandbytes' kernel for CPUs with AVX512 would stop at; None where all will do."""
    layers = (each for each in network.modules() if getattr(each, "support_avx512bf16_for_cpu", False))
    return next((each.out_features for each in layers if each.out_features % 32 and each.weight.device.type == "cpu"), None)

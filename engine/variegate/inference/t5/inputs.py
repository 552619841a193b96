"""How an encoder's input reaches the model: as vLLM's multi-modal item "text", since vLLM has no other door for one.

`multi_modal_data={"text": X}` with X one of
    a list or tensor of encoder token ids; a string, tokenized with the model's tokenizer (T5's ends in </s>);
    {"token_ids": [...], "prefix_embeds": Float[Tensor, "p d"]}: a soft prompt before the tokens' embeddings
    (`{"text": "...", "prefix_embeds": ...}` tokenizes). `hooks` wraps plain prompts into this form.
No Hugging Face processor is called: everything passes through to `embed_multimodal`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import BatchFeature
from vllm.multimodal.inputs import MultiModalFieldConfig
from vllm.multimodal.parse import ModalityDataItems, MultiModalDataItems, MultiModalDataParser
from vllm.multimodal.processing import BaseDummyInputsBuilder, BaseProcessingInfo, EncDecMultiModalProcessor, PromptReplacement

MODALITY = "text"
TOKENS, PREFIX = "encoder_token_ids", "encoder_prefix"  # arguments of `embed_multimodal`
_PLACEHOLDER = 0  # token id; the encoder's prompt as vLLM sees it is as many of these as the encoder reads positions


@dataclass(frozen=True, slots=True)
class EncoderInput:
    tokens: Int[Tensor, " m"]
    prefix: Float[Tensor, "p d"]

    def __len__(self) -> int:
        return len(self.prefix) + len(self.tokens)


class EncoderItems(ModalityDataItems[list[EncoderInput], EncoderInput]):  # type: ignore[misc]
    """The one item of a request."""

    def get_count(self) -> int:
        return len(self.data)

    def get(self, index: int) -> EncoderInput:
        return self.data[index]

    def get_item_for_hash(self, index: int) -> object:
        return {TOKENS: self.data[index].tokens, PREFIX: self.data[index].prefix}

    def get_processor_data(self) -> Mapping[str, object]:
        return {}

    def get_passthrough_data(self) -> Mapping[str, object]:
        return {TOKENS: [each.tokens for each in self.data], PREFIX: [each.prefix for each in self.data]}


class EncoderParser(MultiModalDataParser):  # type: ignore[misc]
    def __init__(self, info: ProcessingInfo) -> None:
        super().__init__()
        self._info = info

    def _get_subparsers(self) -> dict[str, Callable[[Any], EncoderItems | None]]:
        return {MODALITY: self._parse}

    def _parse(self, data: Any) -> EncoderItems | None:
        if data is None:
            return None
        several = isinstance(data, Sequence) and not isinstance(data, str) and len(data) > 0 and not isinstance(data[0], int)
        return EncoderItems([self._input(each) for each in (data if several else [data])], MODALITY)

    def _input(self, given: Any) -> EncoderInput:
        if isinstance(given, EncoderInput):
            return given
        prefix = None
        if isinstance(given, Mapping):
            unknown = set(given) - {"token_ids", "text", "prefix_embeds"}
            if unknown or ("token_ids" in given) == ("text" in given):
                raise ValueError(f"encoder input: got keys {sorted(given)}, expected token_ids or text, and prefix_embeds if there is one")
            prefix = given.get("prefix_embeds")
            given = given["token_ids"] if "token_ids" in given else given["text"]
        if isinstance(given, str):
            given = self._info.get_tokenizer().encode(given)
        config = self._info.get_hf_config()
        found = EncoderInput(_token_ids(given, config.vocab_size), _soft_prompt(prefix, config.d_model))
        longest = self._info.max_length
        if not 1 <= len(found) <= longest:
            raise ValueError(
                f"encoder input: got {len(found)} positions ({len(found.prefix)} of a soft prompt), expected 1 to {longest}: "
                "shorten it, or start the engine with a larger max_model_len"
            )
        return found


def _token_ids(given: Any, vocab_size: int) -> Int[Tensor, " m"]:
    tokens = torch.as_tensor(given, dtype=torch.long)
    if tokens.ndim != 1:
        raise ValueError(f"encoder input: got token ids of shape {tuple(tokens.shape)}, expected one sequence")
    if len(tokens) and not 0 <= int(tokens.min()) <= int(tokens.max()) < vocab_size:
        raise ValueError(f"encoder input: got token ids from {int(tokens.min())} to {int(tokens.max())}, expected 0 to {vocab_size - 1}")
    return tokens


def _soft_prompt(given: Any, width: int) -> Float[Tensor, "p d"]:
    if given is None:
        return torch.empty(0, width)
    if not isinstance(given, Tensor) or given.ndim != 2 or given.shape[1] != width or not given.is_floating_point():
        got = f"{given.dtype} of shape {tuple(given.shape)}" if isinstance(given, Tensor) else type(given).__name__
        raise ValueError(f"prefix_embeds: got {got}, expected a floating-point tensor of shape (p, {width})")
    return given.detach().cpu().contiguous()


class ProcessingInfo(BaseProcessingInfo):  # type: ignore[misc]
    @property
    def max_length(self) -> int:
        """Longest encoder input, soft prompt included: the decoder's limit too."""
        return int(self.ctx.model_config.max_model_len)

    def get_supported_mm_limits(self) -> Mapping[str, int | None]:
        return {MODALITY: 1}

    def get_mm_max_tokens_per_item(self, seq_len: int, mm_counts: Mapping[str, int]) -> Mapping[str, int]:
        return {MODALITY: self.max_length}

    def get_data_parser(self) -> EncoderParser:
        return EncoderParser(self)

    @property
    def skip_prompt_length_check(self) -> bool:
        return True  # `EncoderParser` checks; vLLM would want room for a generated token beside the encoder's


class DummyInputs(BaseDummyInputsBuilder[ProcessingInfo]):  # type: ignore[misc]
    """The longest input, for vLLM's memory profile."""

    def get_dummy_text(self, mm_counts: Mapping[str, int]) -> str:
        return ""

    def get_dummy_mm_data(self, seq_len: int, mm_counts: Mapping[str, int], *options: Any, **more: Any) -> dict[str, Any]:
        return {MODALITY: [_PLACEHOLDER] * self.info.max_length}


class Processor(EncDecMultiModalProcessor[ProcessingInfo]):  # type: ignore[misc]
    def create_encoder_prompt(self, prompt: Any, mm_items: MultiModalDataItems) -> list[int]:
        return [_PLACEHOLDER]

    def _get_mm_fields_config(self, hf_inputs: Any, hf_processor_mm_kwargs: Any) -> Mapping[str, MultiModalFieldConfig]:
        return {name: MultiModalFieldConfig.batched(MODALITY) for name in (TOKENS, PREFIX)}

    def _get_prompt_updates(self, mm_items: MultiModalDataItems, hf_processor_mm_kwargs: Any, out_mm_kwargs: Any) -> Sequence[Any]:
        items = mm_items.get_items(MODALITY, EncoderItems)
        return [
            PromptReplacement(modality=MODALITY, target=[_PLACEHOLDER], replacement=lambda index: [_PLACEHOLDER] * len(items.get(index)))
        ]

    def _apply_hf_processor_mm_only(self, mm_items: MultiModalDataItems, *args: Any, **kwargs: Any) -> BatchFeature:
        """vLLM 0.26 would call a Hugging Face processor here; later ones never call this."""
        return BatchFeature({name: data for items in mm_items.values() for name, data in items.get_passthrough_data().items()})

"""T5 as a vLLM model: the encoder once per request, the decoder step by step. v1.0, v1.1, FLAN-T5 and mT5.

Knows vLLM's model interface and the checkpoint's form; knows nothing of how inputs were parsed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from vllm.config import VllmConfig
from vllm.model_executor.layers.logits_processor import LogitsProcessor
from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead, VocabParallelEmbedding
from vllm.model_executor.model_loader.weight_utils import default_weight_loader
from vllm.model_executor.models.interfaces import SupportsMultiModal
from vllm.multimodal import MULTIMODAL_REGISTRY

from variegate.inference.t5.decoder import Decoder
from variegate.inference.t5.encoder import Encoder
from variegate.inference.t5.hooks import install
from variegate.inference.t5.inputs import PREFIX, TOKENS, DummyInputs, ProcessingInfo, Processor
from variegate.inference.t5.weights import EMBEDDINGS, HEAD, target_of

install()  # in the process that runs the model, which may be another than the one that took the configuration


@MULTIMODAL_REGISTRY.register_processor(Processor, info=ProcessingInfo, dummy_inputs=DummyInputs)  # type: ignore[untyped-decorator]
class T5ForConditionalGeneration(nn.Module, SupportsMultiModal):  # type: ignore[misc]
    @classmethod
    def get_placeholder_str(cls, modality: str, i: int) -> str | None:
        return None

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        super().__init__()
        config = vllm_config.model_config.hf_config
        self.config = config
        self.shared = VocabParallelEmbedding(config.vocab_size, config.d_model, prefix="shared")
        self.encoder = Encoder(config, vllm_config.quant_config, "encoder")
        self.decoder = Decoder(vllm_config=vllm_config, embed_tokens=self.shared, prefix="decoder")
        self.lm_head = ParallelLMHead(config.vocab_size, config.d_model, prefix="lm_head")
        # v1.0 scales the decoder's output down, since its head is the embedding table. transformers 5 says so in a field of
        # its own and sets tie_word_embeddings for every T5 and mT5; older ones have only the latter. mT5 never scales.
        scaled = getattr(config, "scale_decoder_outputs", config.model_type == "t5" and config.tie_word_embeddings)
        self.logits_processor = LogitsProcessor(config.vocab_size, scale=config.d_model**-0.5 if scaled else 1.0)

    def get_language_model(self) -> nn.Module:
        return self.decoder

    def embed_input_ids(self, input_ids: Int[Tensor, " t"], *args: Any, **kwargs: Any) -> Float[Tensor, "t d"]:
        return self.shared(input_ids)

    def embed_multimodal(self, **items: Any) -> list[Float[Tensor, "m d"]]:
        """The encoder's output of each item: its soft prompt, then its tokens."""
        tokens: Sequence[Int[Tensor, " m"]] = items[TOKENS]
        prefixes: Sequence[Float[Tensor, "p d"]] = items[PREFIX]
        texts = self.shared(torch.cat(list(tokens))).split([len(ids) for ids in tokens])  # one look-up for all
        return self.encoder(
            [torch.cat([prefix.to(text), text]) if len(prefix) else text for prefix, text in zip(prefixes, texts, strict=True)]
        )

    def forward(
        self,
        input_ids: Int[Tensor, " t"],
        positions: Int[Tensor, " t"],
        intermediate_tensors: Any = None,
        inputs_embeds: Any = None,
        encoder_outputs: Sequence[Float[Tensor, "m d"]] | None = None,
        **kwargs: Any,
    ) -> Float[Tensor, "t d"]:
        """encoder_outputs: of the requests that start in this step, in the batch's order (see hooks)."""
        return self.decoder(input_ids, positions, torch.cat(list(encoder_outputs)) if encoder_outputs else None)

    def compute_logits(self, hidden_states: Float[Tensor, "b d"]) -> Float[Tensor, "b v"] | None:
        return self.logits_processor(self.lm_head, hidden_states)

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> set[str]:
        """The names of the parameters that were filled. A checkpoint without a head of its own has its embeddings there:
        the configuration does not tell."""
        parameters = dict(self.named_parameters())
        loaded: set[str] = set()
        for name, weight in weights:
            target = target_of(name)
            if target is None or (target.name == EMBEDDINGS and EMBEDDINGS in loaded):
                continue
            if target.name not in parameters:
                raise ValueError(f"checkpoint: tensor {name!r} has no place in a T5: is this another architecture?")
            parameter = parameters[target.name]
            load = getattr(parameter, "weight_loader", default_weight_loader)
            if target.shard is None:
                load(parameter, weight)
            else:
                load(parameter, weight, target.shard)
            loaded.add(target.name)
        if HEAD not in loaded:
            self.lm_head = self.lm_head.tie_weights(self.shared)
            loaded.add(HEAD)
        return loaded

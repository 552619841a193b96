"""Do a run's prompts fit its model? Told from tokenizer and configuration, before an engine starts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from variegate.config import RunConfig
from variegate.errors import UsageError
from variegate.inference.backend import DEFAULT_SEQUENCE_LEN, too_long
from variegate.inference.tokenization import PromptEncoder
from variegate.records import Request


def max_model_len(config: RunConfig, encoder: PromptEncoder) -> int | None:
    """Tokens of a prompt and its answer, of an encoder-decoder each; None: unknown before the model was downloaded. Raises UsageError
    where the model's config.json does not parse."""
    if config.model.engine.max_model_len:
        return config.model.engine.max_model_len
    path = Path(config.model.path) / "config.json"
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8")).get("max_position_embeddings")
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}: not valid JSON: {error}") from error
    if found:
        return int(found)
    return DEFAULT_SEQUENCE_LEN if encoder.encoder_decoder else None


def why_too_long(config: RunConfig, encoder: PromptEncoder, length: int, limit: int) -> str | None:
    """Why a prompt of `length` tokens does not fit. limit: of `max_model_len`."""
    return too_long(length, config.decoding.max_tokens, limit, limit if encoder.encoder_decoder else None)


def check_room(config: RunConfig, requests: Sequence[Request]) -> None:
    """Raise UsageError where not one of the prompts fits. Where some do, the others are dropped by name as they are asked."""
    encoder = PromptEncoder(config.model)
    limit = max_model_len(config, encoder)
    if limit is None:
        return
    reason = None
    for request in requests:
        reason = why_too_long(config, encoder, len(encoder.encode(request.messages)), limit)
        if reason is None:
            return
    if reason is not None:
        raise UsageError(
            f"model {config.model.name!r} has room for none of the {len(requests)} prompts ({reason}): show fewer or shorter examples or"
            " classes (`variegate plan` shows the prompts), lower decoding.max_tokens, or raise model.engine.max_model_len where the model"
            " allows it"
        )

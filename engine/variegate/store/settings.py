"""The settings a run folder was made with, as plain values out of its run.yaml, and the same in words.

Knows nothing of the config models: a folder stays readable where a plug-in is not installed. What a setting does is said in one
place, here, for the report and for the data set card.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from variegate.errors import StoreError
from variegate.store.rows import parse_line
from variegate.store.run_folder import ABOUT, RunFolder


def read_settings(folder: RunFolder) -> dict[str, Any]:
    """The mapping in run.yaml, with what about.json holds as `about`. Raises StoreError when one cannot be read, or there is no task."""
    path = folder.path / "run.yaml"
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise StoreError(f"{path}: cannot be read: {error}") from error
    if not (isinstance(settings, dict) and isinstance(settings.get("task"), dict)):
        raise StoreError(f"{path}: expected a resolved run with a task: restore the file that `variegate generate` wrote")
    path = folder.path / ABOUT
    if path.is_file():
        settings["about"] = parse_line(path.read_bytes(), str(path))
    return settings


def labels_of(settings: Mapping[str, Any]) -> list[str]:
    """Sorted; none where the task has none."""
    return sorted(settings["task"].get("labels") or ())


def part(settings: Mapping[str, Any], *path: str) -> Any:
    """The value at `path`, or None where a step is missing: run.yaml and the manifest grow fields over time."""
    value: Any = settings
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def strategy_in_words(settings: Mapping[str, Any]) -> str:
    return part(settings, "about", "words") or str(part(settings, "strategy", "kind") or "unknown")


def decoding_in_words(settings: Mapping[str, Any]) -> str:
    """`temperature 1.3, top-p 0.9, at most 60 tokens, logit suppression by label (...)`: what is off is left out."""
    temperature = part(settings, "decoding", "temperature")
    words = ["greedy (temperature 0)" if temperature == 0 else f"temperature {_short(temperature)}"]
    off = {"top_p": 1, "top_k": 0, "min_p": 0, "frequency_penalty": 0, "presence_penalty": 0, "repetition_penalty": 1}
    for name, neutral in off.items():
        value = part(settings, "decoding", name)
        if value is not None and value != neutral:
            words.append(f"{name.replace('_', '-' if name.startswith(('top', 'min')) else ' ')} {_short(value)}")
    if max_tokens := part(settings, "decoding", "max_tokens"):
        words.append(f"at most {max_tokens} tokens")
    words.append(suppression_in_words(settings))
    return ", ".join(words)


def suppression_in_words(settings: Mapping[str, Any]) -> str:
    """What `decoding.suppression` does, or `no logit suppression`."""
    suppression = part(settings, "decoding", "suppression")
    if not suppression:
        return "no logit suppression"
    whose = "over the whole run" if suppression.get("group") == "run" else f"by {suppression.get('group')}"
    top_k = suppression.get("top_k")
    tokens = f"the {top_k} most frequent tokens" if top_k else "all tokens"
    bias = f"bias {_short(suppression.get('scale'))} for each percent of share, not below {_short(suppression.get('floor'))}"
    exempt = "terminators exempt" if suppression.get("exempt_terminators") else "no token exempt"
    return f"logit suppression {whose} ({tokens}, {bias}, {exempt})"


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else "not stated"

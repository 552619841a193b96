"""What vllm_backend does beside the engine. The engine itself: test_backends.py."""

from __future__ import annotations

from typing import Any

from variegate.inference.vllm_backend import _progress_bar


def test_progress_counts_finished_prompts_only() -> None:
    seen: list[int] = []
    bar_class: Any = _progress_bar(seen.append)
    list(bar_class([1, 2], desc="Rendering prompts"))
    bar_class(desc="Rendering prompts").update(5)
    bar = bar_class(total=3, desc="Processed prompts", dynamic_ncols=True, postfix="")
    bar.update(2)
    bar.update(1)
    assert (seen, bar.n) == ([2, 1], 3)
    assert _progress_bar(None) is False

"""What the docs print is what runs."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_strategy_in_the_docs_is_the_one_that_the_tests_run() -> None:
    module = (ROOT / "tests/support/outside/variegate_outside/lines.py").read_text(encoding="utf-8")
    code = module[module.index("from collections.abc") :].rstrip("\n")
    assert f"```python\n{code}\n```" in (ROOT / "docs/strategies.md").read_text(encoding="utf-8")

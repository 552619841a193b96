from __future__ import annotations

import pytest

from variegate.config import load_model
from variegate.errors import BackendError, UsageError
from variegate.inference.start import start_backend


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(BackendError, match="no backend 'tgi': expected 'vllm' or 'transformers'"):
        start_backend("tgi", load_model("nano-llama"))


def test_the_model_folder_is_looked_at_before_an_engine_is_imported() -> None:
    model = load_model("nano-llama").model_copy(update={"path": "/nowhere/at/all"})
    with pytest.raises(UsageError, match="no folder /nowhere/at/all"):
        start_backend("vllm", model)

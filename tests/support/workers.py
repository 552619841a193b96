"""Several processes for one run of the tests (pytest-xdist): what each has of the machine, and which tests go together.

An engine takes longer to start than most tests to run: tests that use the same one are one group, which one process runs. So are
the tests of a file, whose fixtures are made once. The groups with the most to do come first, so that no process is left with one
of them at the end.

`--dist loadgroup` of pytest-xdist 3.8 does as much by marks, but with pytest 9.2 it ignores them without a word.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Any

# Fixtures that start an engine -> the group of what uses them; the first of them that a test uses decides. "": it starts in a
# second, wherever it is used.
ENGINES = {
    "nano_vllm": "nano_vllm",
    "nano_t5_vllm": "nano_t5_vllm",
    "engines": "engines",
    "nano_transformers": "",
    "nano_t5_transformers": "",
}


def share_machine(environment: MutableMapping[str, str], cores: Sequence[int]) -> None:
    """Give this process its share of the cores, where it is one of several; what is set already stands.

    Every vLLM engine on a CPU binds its threads to cores, and all engines to the same ones.
    """
    worker, count = environment.get("PYTEST_XDIST_WORKER"), int(environment.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if worker is None:
        return
    own = cores[int(worker.removeprefix("gw")) % min(count, len(cores)) :: count]
    environment.setdefault("OMP_NUM_THREADS", str(len(own)))
    environment.setdefault("VLLM_CPU_OMP_THREADS_BIND", ",".join(map(str, own)))


def engines_of(item: Any) -> list[str]:
    """Fixtures of ENGINES that a test uses, by its parameters too: a fixture that takes "vllm" starts `nano_vllm`."""
    callspec = getattr(item, "callspec", None)
    given = [name for value in (callspec.params.values() if callspec else ()) for name in (value if isinstance(value, tuple) else (value,))]
    names = {name for name in given if isinstance(name, str)}
    used = names | {f"nano_{name}" for name in names} | set(getattr(item, "fixturenames", ()))
    return [name for name in ENGINES if name in used]


def place_of(item: Any) -> tuple[int, str]:
    """When a test's group goes, and its name."""
    groups = list(dict.fromkeys(ENGINES.values()))
    group = next((ENGINES[name] for name in engines_of(item) if ENGINES[name]), "")
    if group:
        return groups.index(group), group
    slow = item.get_closest_marker("slow") is not None
    return len(groups) + (not slow), f"{item.nodeid.partition('::')[0]}{' slow' * slow}"


def arrange(items: list[Any]) -> list[str]:
    """Put the groups in order; the tests of one stay in theirs. Returns each test's group."""
    items.sort(key=lambda item: place_of(item)[0])
    return [place_of(item)[1] for item in items]


def groups_file() -> Path:
    """Where the processes of the run whose main process this is tell their groups."""
    return Path(tempfile.gettempdir()) / f"variegate-tests-{os.getpid()}.json"


def write_groups(file: Path, items: list[Any]) -> None:
    """What each process tells `scheduling` before it says which tests it has; all tell the same."""
    groups = arrange(items)
    mine = file.with_suffix(f".{os.getpid()}")
    mine.write_text(json.dumps(dict(zip((item.nodeid for item in items), groups, strict=True))))
    mine.replace(file)

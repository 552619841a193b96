from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from variegate.pipeline.manifest import versions

Run = Callable[..., Any]


def test_the_manifest_tells_what_is_on_disk(config_of: Run, run: Run, tmp_path: Path) -> None:
    summary, backend = run(config_of(tmp_path / "r", decoding={"suppression": {"group": "label"}}, seed=7))
    manifest = json.loads((tmp_path / "r" / "manifest.json").read_bytes())
    for name, stated in manifest["files"].items():
        assert hashlib.sha256((tmp_path / "r" / name).read_bytes()).hexdigest() == stated
    for name, stated in manifest["rounds"].items():
        assert hashlib.sha256((tmp_path / "r" / name / "rows.jsonl").read_bytes()).hexdigest() == stated
    assert len(manifest["rounds"]) == len(backend.calls)
    rows = [json.loads(line) for path in (tmp_path / "r").glob("rounds/*/rows.jsonl") for line in path.read_bytes().splitlines()]
    assert manifest["ledger"]["requested"] == len(rows) == manifest["ledger"]["kept"] + sum(manifest["ledger"]["dropped"].values())
    assert manifest["tokens"]["generated"] == sum(len(row["token_ids"]) for row in rows)
    assert manifest["tokens"]["prompt"] == sum(len(request.prompt.split()) for request in backend.asked)
    assert (manifest["complete"], manifest["seed"], manifest["engine"]["name"], manifest["reused"]) == (True, 7, "scripted", 0)
    assert manifest["tokens_per_second"] == summary.tokens_per_second > 0
    assert manifest["inputs"] == {"about.json": hashlib.sha256((tmp_path / "r" / "about.json").read_bytes()).hexdigest()}
    assert manifest["model"]["hashed_by_samples"] == []
    assert set(manifest["suppression"]) == {"apple", "bread", "cheese"}
    shares = [each["share_percent"] for each in manifest["suppression"]["apple"]]
    assert shares == sorted(shares, reverse=True)


def test_reused_rows_do_not_count_as_speed(config_of: Run, run: Run, tmp_path: Path) -> None:
    run(config_of(tmp_path / "r", 4), clean=True)
    (tmp_path / "r" / "rounds" / "000000").rename(tmp_path / "aside")
    (tmp_path / "r" / "set-aside" / "000" / "rounds").mkdir(parents=True)
    (tmp_path / "aside").rename(tmp_path / "r" / "set-aside" / "000" / "rounds" / "000000")
    summary, _ = run(config_of(tmp_path / "r", 4), clean=True)
    manifest = json.loads((tmp_path / "r" / "manifest.json").read_bytes())
    assert (summary.reused, manifest["tokens_per_second"], manifest["records_per_second"]) == (12, None, None)


def test_versions_are_those_of_the_installed_packages() -> None:
    found = versions()
    assert found["torch"] == metadata.version("torch")
    assert "variegate" in found
    assert "python" in found

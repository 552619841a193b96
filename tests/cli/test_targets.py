"""What stands at an output's place is never taken away, whatever command writes it: as a user gives it, on the command line."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.support.tiny_bert import write_bert
from variegate.cli.main import main
from variegate.store.run_folder import RunFolder

RUN_YAML = "task: subj\nmodel: nano-llama\nstrategy: {kind: zero_shot, form: chung}\ntarget: {per_label: 4}\n"
STUDY_YAML = f"run:\n{''.join(f'  {line}{chr(10)}' for line in RUN_YAML.splitlines())}axes: {{temperature: [0.7]}}\nstudent: null\n"


def variegate(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def refused(*arguments: object, code: int = 2) -> str:
    """Said on standard error, nothing on the other; click's own refusals have a line on usage before."""
    result = variegate(*arguments)
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    return last


def look(path: Path) -> tuple[object, ...]:
    """All that a rename over it, or a write through it, would change."""
    about = path.lstat()
    outside = path.parent / "outside"
    return (
        about.st_ino,
        stat.S_IFMT(about.st_mode),
        about.st_rdev,
        path.readlink() if path.is_symlink() else None,
        {each: each.read_bytes() for each in sorted(outside.rglob("*")) if each.is_file()},
    )


KINDS = ("a pipe", "a socket", "a device", "a link to a file", "a link to nothing", "a link to a folder")


@pytest.fixture
def put(tmp_path: Path) -> Iterator[Callable[[str, Path], Path]]:
    """`put(kind, path)`: one of KINDS stands at `path`; links lead to files and folders in the sibling `outside`."""
    sockets = []

    def put(kind: str, path: Path) -> Path:
        outside = path.parent / "outside"
        (outside / "folder").mkdir(parents=True, exist_ok=True)
        (outside / "file").write_text("mine")
        (outside / "folder" / "file").write_text("mine too")
        if kind == "a pipe":
            os.mkfifo(path)
        elif kind == "a socket":
            sockets.append(socket.socket(socket.AF_UNIX))
            here = Path.cwd()
            os.chdir(path.parent)  # the name of a socket may have 107 characters
            sockets[-1].bind(path.name)
            os.chdir(here)
        elif kind == "a device":
            try:
                os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            except PermissionError:
                pytest.skip("only root makes device nodes")
        else:
            path.symlink_to(outside / {"a link to a file": "file", "a link to nothing": "none", "a link to a folder": "folder"}[kind])
        return path

    yield put
    for each in sockets:
        each.close()


def words(kind: str) -> str:
    return "is a link to" if "link" in kind else f"is {kind}"


@pytest.fixture
def commands(tmp_path: Path, run_folder: RunFolder) -> dict[str, Callable[[Path], tuple[object, ...]]]:
    """name -> what writes a file or folder at a path."""
    run = run_folder.path
    (tmp_path / "labels.csv").write_text("id,label,annotator\n" + "".join(f"i{n},{'ab'[n % 2]},r{m}\n" for n in range(6) for m in range(3)))
    vectors = tmp_path / "set.jsonl"
    vectors.write_text("".join(f'{{"text": "text {n}", "label": "a", "vector": [{n}, 1.0]}}\n' for n in range(6)))
    (tmp_path / "run.yaml").write_text(RUN_YAML)
    (tmp_path / "study.yaml").write_text(STUDY_YAML)
    measure = ("measure", vectors, "--vector-field", "vector")
    return {
        **{
            f"export {format}": lambda path, format=format: ("export", run, "-f", format, "-o", path, "--overwrite")
            for format in ("jsonl", "csv", "parquet", "hf")
        },
        "measure -o": lambda path: (*measure, "-o", path),
        "measure --html": lambda path: (*measure, "--html", path),
        "subjectivity -o": lambda path: ("subjectivity", "instances", tmp_path / "labels.csv", "-o", path),
        "subjectivity --html": lambda path: ("subjectivity", "instances", tmp_path / "labels.csv", "--html", path),
        "evaluate -o": lambda path: ("evaluate", tmp_path / "no-student", vectors, "-o", path),
        "train -o": lambda path: ("train", vectors, "--test", vectors, "-o", path, "--overwrite"),
        "generate -o": lambda path: ("generate", tmp_path / "run.yaml", "-o", path),
        "compare -o": lambda path: ("compare", tmp_path / "study.yaml", "-o", path),
    }


@pytest.fixture
def curation(tmp_path: Path) -> Path:
    (tmp_path / "duplicates.yaml").write_text("stages: [{kind: duplicates}]\n")
    return tmp_path / "duplicates.yaml"


COMMANDS = (
    *(f"export {format}" for format in ("jsonl", "csv", "parquet", "hf")),
    *("measure -o", "measure --html", "subjectivity -o", "subjectivity --html", "evaluate -o", "train -o", "generate -o", "compare -o"),
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", COMMANDS)
def test_an_output_that_is_no_file_of_ours_stays(
    tmp_path: Path, commands: dict[str, Callable[[Path], tuple[object, ...]]], put: Callable[[str, Path], Path], name: str, kind: str
) -> None:
    if name in ("generate -o", "compare -o") and kind == "a link to a folder":
        pytest.skip("that is a run's folder: test_a_run_folder_may_be_a_link")
    target = put(kind, tmp_path / "target")
    before = look(target)
    told = refused(*commands[name](target))
    assert str(target) in told
    if not told.endswith("is a directory."):  # click's own word
        assert words(kind) in told
        assert "choose another name" in told or "delete the link" in told
    assert look(target) == before


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("command", "name"), [("report", "report.html"), ("inspect", "inspected.jsonl")])
def test_what_stands_in_a_run_folder_stays(
    run_folder: RunFolder, put: Callable[[str, Path], Path], command: str, name: str, kind: str
) -> None:
    target = put(kind, run_folder.path / name)
    before = look(target)
    assert words(kind) in refused(command, run_folder.path)
    assert look(target) == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_measurement_is_shown_where_the_run_cannot_keep_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_folder: RunFolder, put: Callable[[str, Path], Path], kind: str
) -> None:
    monkeypatch.setenv("VARIEGATE_CACHE", str(tmp_path / "vectors"))
    target = put(kind, run_folder.path / "measures.json")
    before = look(target)
    result = variegate(
        "measure",
        run_folder.path,
        "--encoder",
        write_bert(
            tmp_path / "bert",
            words=[*["i", "am", "so", "full", "of", "joy", "today", "number", "sad", "mad", "with", "anger"], *"0123456789"],
        ),
    )
    assert result.exit_code == 2, result.output
    assert "remote_clique" in result.stdout.lower().replace("-", "_")
    assert words(kind) in result.stderr or "leads out" in result.stderr
    assert look(target) == before


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["a.task.yaml", "a.run.yaml", "a.train.jsonl"])
def test_init_replaces_nothing(tmp_path: Path, put: Callable[[str, Path], Path], name: str, kind: str) -> None:
    (tmp_path / "examples.jsonl").write_text('{"text": "one", "label": 1}\n{"text": "two", "label": 2}\n')  # numbers: copied as text
    (tmp_path / "to").mkdir()
    target = put(kind, tmp_path / "to" / name)
    before, there = look(target), sorted((tmp_path / "to").iterdir())
    assert words(kind) in refused("init", tmp_path / "examples.jsonl", "--name", "a", "-o", tmp_path / "to")
    assert (look(target), sorted((tmp_path / "to").iterdir())) == (before, there)


@pytest.mark.parametrize("kind", KINDS)
def test_init_leaves_what_stands_in_a_schemas_place(tmp_path: Path, put: Callable[[str, Path], Path], kind: str) -> None:
    (tmp_path / "examples.csv").write_text("text,label\none,1\ntwo,2\n")
    (tmp_path / "to" / "schema").mkdir(parents=True)
    target = put(kind, tmp_path / "to" / "schema" / "task.schema.json")
    before = look(target)
    result = variegate("init", tmp_path / "examples.csv", "--name", "a", "-o", tmp_path / "to")
    assert (result.exit_code, look(target)) == (0, before), result.output


@pytest.mark.parametrize("kind", [each for each in KINDS if each != "a link to a folder"])
def test_a_lock_that_is_none_is_not_written(run_folder: RunFolder, put: Callable[[str, Path], Path], kind: str, curation: Path) -> None:
    """A lock takes the process's number: through a link, into whatever it names."""
    (run_folder.path / "lock").unlink(missing_ok=True)
    target = put(kind, run_folder.path / "lock")
    before = look(target)
    told = refused("curate", run_folder.path, curation)
    assert words(kind) in told or "leads out" in told
    assert look(target) == before


@pytest.mark.parametrize("name", ["rounds", "curations", "curations/duplicates", "set-aside", "records.jsonl"])
def test_a_link_in_a_run_folder_that_leads_out_is_not_followed(tmp_path: Path, run_folder: RunFolder, name: str, curation: Path) -> None:
    outside, place = tmp_path / "outside", run_folder.path / name
    outside.mkdir()
    place.parent.mkdir(exist_ok=True)
    if place.exists():
        place.rename(outside / "there")
        place.symlink_to(outside / "there")
    else:
        place.symlink_to(outside)
    before = sorted(outside.rglob("*"))
    assert f"{place}: is a link that leads out of {run_folder.path}" in refused("curate", run_folder.path, curation)
    assert sorted(outside.rglob("*")) == before


def test_a_run_folder_may_be_a_link(tmp_path: Path, run_folder: RunFolder, curation: Path) -> None:
    shutil.move(run_folder.path, tmp_path / "elsewhere")
    link = tmp_path / "link"
    link.symlink_to("elsewhere", target_is_directory=True)
    for arguments in (("curate", link, curation), ("report", link), ("verify", link)):
        result = variegate(*arguments)
        assert result.exit_code == 0, result.output
    assert (tmp_path / "elsewhere" / "curations" / "duplicates" / "curation.json").is_file()
    assert link.is_symlink()


def test_what_is_no_run_folder_is_not_written_over(tmp_path: Path) -> None:
    """`-o .` beside one's own run file would have replaced that by the resolved one."""
    (tmp_path / "run.yaml").write_text(RUN_YAML)
    (tmp_path / "study.yaml").write_text(STUDY_YAML)
    assert "holds run.yaml, and is no folder that Variegate made" in refused("generate", tmp_path / "run.yaml", "-o", tmp_path)
    (tmp_path / "run.yaml").unlink()
    assert "holds study.yaml, and is no folder that Variegate made" in refused("compare", tmp_path / "study.yaml", "-o", tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["study.yaml"]


@pytest.mark.parametrize("command", ["generate", "plan", "run"])
def test_other_peoples_files_are_left_to_themselves(tmp_path: Path, command: str) -> None:
    """`-o .` in a folder of documents would have strewn a run among them."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("Dear Sir")
    (tmp_path / "mine" / ".hidden").touch()
    (tmp_path / "run.yaml").write_text(RUN_YAML)
    said = refused(command, tmp_path / "run.yaml", "-o", tmp_path / "mine")
    assert "mine: holds letter.txt, and is no folder that Variegate made: a run's files would lie among others" in said
    assert sorted(each.name for each in (tmp_path / "mine").iterdir()) == [".hidden", "letter.txt"]


def test_the_machines_own_null_device_survives(tmp_path: Path, run_folder: RunFolder) -> None:
    """As root, `export -o /dev/null --overwrite` put a file in the device's place. Root gets a /dev of its own for the test."""
    export = f"{sys.executable} -m variegate.cli.main export {run_folder.path} -f jsonl -o /dev/null --overwrite"
    script, see = f"{export} >{tmp_path / 'out'} 2>{tmp_path / 'err'}; echo $?", "stat -c '%F %t %T' /dev/null"
    if os.geteuid() == 0:
        own = "mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/urandom c 1 9"
        if (
            shutil.which("unshare") is None
            or subprocess.run(["unshare", "-m", "sh", "-c", own], capture_output=True, check=False).returncode
        ):
            pytest.skip("root cannot mount a /dev of its own here, and the machine's is not put at stake")
        command = ["unshare", "-m", "sh", "-c", f"{own}; {script}; {see}"]
    else:
        command = ["sh", "-c", f"{script}; {see}"]
    found = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert found.stdout.splitlines() == ["2", "character special file 1 3"], (tmp_path / "err").read_text()
    assert "/dev/null: is a device" in (tmp_path / "err").read_text()

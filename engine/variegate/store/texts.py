"""Reads a set of texts, or of given vectors, from whatever holds one: files of rows, a run folder, a Hugging Face folder.

Streams: what is kept of a row is its text, label, id and vector. The rules for fields and bad rows are in `text_rows`.
Knows nothing of what the texts are read for.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from variegate.errors import UsageError, VariegateError, nearest
from variegate.kinds import TaskKind
from variegate.kinds.text import Text
from variegate.store.kind import kind_of_run
from variegate.store.run_folder import RunFolder
from variegate.store.text_rows import FLOATS, NOT_FINITE, Asked, Collector, Fields
from variegate.store.verdicts import open_curation
from variegate.store.where import Condition, in_words
from variegate.tabular import READERS, Rows, TableError, decode_lines, json_rows, jsonl_rows, line_rows, read_lines, suffix_of

_TABLES = {**READERS, ".txt": line_rows}
SUFFIXES = (*_TABLES, ".parquet", ".npy")
_BATCH = 4096  # rows of Parquet held at once
_CHUNK = 1 << 22  # numbers of an .npy file looked at at once


@dataclass(frozen=True, slots=True)
class TextSet:
    """`texts`, `labels`, `ids` and the rows of `vectors` belong together, in the source's order. Equal texts are all kept."""

    source: str  # as given
    texts: tuple[Text, ...] | None  # None when only vectors were given
    labels: tuple[str, ...] | None  # None when no label field was found and none was asked for
    ids: tuple[str, ...]  # a record's `id` where it has one, else "line 12" or "row 12", counted from 1
    vectors: Float[np.ndarray, "n d"] | None = field(default=None, repr=False, compare=False)  # .npy: memory-mapped, read-only
    skipped: Mapping[str, int] = field(default_factory=dict)  # reason -> rows left out
    text_fields: tuple[str, ...] = field(default=(), compare=False)  # that a text was read from: several make tuples, two are a text pair

    def __len__(self) -> int:
        return len(self.ids)


def read_texts(
    source: str | Path,
    *,
    text_field: str | tuple[str, ...] | None = None,
    label_field: str | None = None,
    vector_field: str | None = None,
    split: str | None = None,
    curation: str | None = None,
    where: Sequence[Condition] = (),
    strict: bool = True,
) -> TextSet:
    """The texts (or vectors) of `source`.

    source: a .jsonl, .ndjson, .csv, .tsv, .json (a list of objects) or .txt (a text a line) file, each also with .gz behind;
        a .parquet file; an .npy file (an array "n d": vectors without texts); a run folder, whose kept records are read also
        while the run goes on; a folder written by `datasets.save_to_disk` or by `variegate export --format hf` (or one with
        *.parquet or data/*.parquet, named SPLIT.parquet or SPLIT-00000-of-00001.parquet); `-`: standard input, JSONL when its
        first line that is not blank begins with {, and else a text a line.
    text_field: `text` when absent, or the one of TEXT_FIELDS or TEXT_PAIRS that is there. "premise,hypothesis", or both names
        as a tuple, gives both texts of a row; a list of words is joined with spaces.
    label_field: `label` when absent, or the one of LABEL_FIELDS that is there. "": read no labels. Whole numbers become their
        class names where the source holds them, else their digits. Of a run, any field of a record's origin can be named, and whatever its strategy noted: `alpha`.
    vector_field: a field that holds lists of numbers of one length. Texts need not be there then. Lists in JSON become float32
        where that loses nothing, else float64.
    split: of a source that has several. When absent, the only one or `train`.
    curation: of a run folder: the name of a curation, whose kept records are read with their final labels (`given_label` is a
        field then). When absent, the records as they were generated.
    where: of a run folder: read only the records of which all of these hold.
    strict: False leaves bad rows out and counts them in `skipped`: a field that is not there, text that is empty or no text, no
        label, a vector that holds NaN or infinity or is of another width than the first, a line that is no JSON object, too
        many or too few cells. Blank lines of plain text are left out and counted in any case.

    Raises UsageError when a bad row is met and `strict` holds; when `source` is nothing of the above, cannot be read or holds no
    record; when an option does not apply to it. Raises VariegateError when a package that reads the format is not installed, and
    StoreError when a run folder is damaged.
    """
    name = str(source)
    asked = Asked(text_field, label_field, vector_field)
    options = {"--text-field": text_field, "--label-field": label_field, "--vector-field": vector_field, "--split": split}
    if curation is not None and not (Path(source) / "run.yaml").is_file():
        raise UsageError(f"{name}: is no run folder, so it has no curation {curation!r}: leave --curation out, or give a run folder")
    if where and not (Path(source) / "run.yaml").is_file():
        raise UsageError(f"{name}: is no run folder, whose records say how they were made: leave --where out, or give a run folder")
    try:
        if name == "-":
            return _read_stdin(asked, options, strict)
        path = Path(source)
        if path.is_dir():
            return _read_folder(path, asked, options, curation, where, strict)
        path.stat()
        suffix = suffix_of(path)
        if suffix not in SUFFIXES or (path.suffix.lower() == ".gz" and suffix not in _TABLES):
            raise UsageError(f"{name}: {_unknown(path, suffix)}")
        if suffix == ".npy":
            return _read_npy(path, options, strict)
        if suffix == ".parquet":
            _refuse(name, "a Parquet file", options, "--split")
            return _read_parquet(name, [path], asked, strict)
        return _read_table(name, name, read_lines(path), _TABLES[suffix], asked, options, strict)
    except FileNotFoundError as error:
        hint = "download it first, URLs are not read" if "://" in name else "check the path"
        raise UsageError(f"{name}: no such file or folder: {hint}") from error
    except OSError as error:
        raise UsageError(f"{name}: cannot be read: {error.strerror or error}") from error
    except TableError as error:
        raise UsageError(str(error)) from error


_NPZ = "it holds several arrays: save the one with the vectors alone, with numpy.save, and give that .npy file"


def _unknown(path: Path, suffix: str) -> str:
    if suffix == ".npz":
        return _NPZ
    return f"expected one of {', '.join(SUFFIXES)}, a folder or -, got {suffix or 'no suffix'!r}: convert it, or rename it to what it is"


def _refuse(name: str, what: str, options: Mapping[str, Any], *refused: str) -> None:
    """An option that is given is used, or it is an error."""
    for option in refused:
        if options[option] is not None and (option, options[option]) != ("--label-field", ""):
            raise UsageError(f"{name}: {what} has no {'splits' if option == '--split' else 'fields'}: leave {option} out")


def _finished(source: str, collector: Collector, vectors: Float[np.ndarray, "n d"] | None = None) -> TextSet:
    fields = collector.check_any()
    return TextSet(
        source=source,
        texts=tuple(collector.texts) if fields.text else None,
        labels=tuple(collector.labels) if fields.label is not None else None,
        ids=tuple(collector.ids),
        vectors=vectors,
        skipped=dict(collector.skipped),
        text_fields=fields.text,
    )


# -- text files ------------------------------------------------------------------------------------------------


def _read_table(
    source: str,
    name: str,
    lines: Iterable[str],
    rows: Callable[[Iterable[str], str], Rows],
    asked: Asked,
    options: Mapping[str, Any],
    strict: bool,
) -> TextSet:
    _refuse(name, "one file", options, "--split")
    if rows is line_rows:
        _refuse(name, "plain text", options, "--text-field", "--label-field", "--vector-field")
    collector = Collector(name, asked, unit="row" if rows is json_rows else "line", strict=strict)
    for number, row in rows(lines, name):
        collector.add(number, row)
    vectors = collector.vectors()
    return _finished(source, collector, None if vectors is None else _narrowed(vectors))


def _narrowed(vectors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """JSON says nothing of precision: numbers that were float32 before they were written become so again."""
    with np.errstate(over="ignore"):
        narrow = vectors.astype(np.float32)
    return narrow if np.array_equal(narrow, vectors) else vectors


def _read_stdin(asked: Asked, options: Mapping[str, Any], strict: bool) -> TextSet:
    name = "standard input"
    lines = decode_lines(sys.stdin.buffer, name)
    head: list[str] = []
    for line in lines:
        head.append(line)
        if line.strip():
            break
    rows = jsonl_rows if head and head[-1].lstrip().startswith("{") else line_rows
    return _read_table("-", name, chain(head, lines), rows, asked, options, strict)


# -- vectors ---------------------------------------------------------------------------------------------------


def _read_npy(path: Path, options: Mapping[str, Any], strict: bool) -> TextSet:
    name = str(path)
    _refuse(name, "an .npy file", options, "--text-field", "--label-field", "--vector-field", "--split")
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UsageError(f"{name}: is not a whole .npy file of numbers ({error}): save the vectors again with numpy.save") from error
    if not isinstance(vectors, np.ndarray):
        raise UsageError(f"{name}: is an .npz file under another name: {_NPZ}")
    if vectors.ndim != 2 or vectors.dtype not in FLOATS:
        raise UsageError(
            f"{name}: expected an array of float16, float32 or float64 with two axes (records, width), got {vectors.dtype} of shape"
            f" {vectors.shape}: convert it"
        )
    if not vectors.size:
        raise UsageError(f"{name}: holds no record (its shape is {vectors.shape}): give a file with at least one")
    collector = Collector(name, Asked(), unit="row", strict=strict)
    step = max(1, _CHUNK // vectors.shape[1])
    good = np.concatenate([np.isfinite(vectors[start : start + step]).all(axis=1) for start in range(0, len(vectors), step)])
    for row in np.flatnonzero(~good):
        collector.leave_out(NOT_FINITE, f"{name}: row {row + 1}: the vector holds NaN or infinity: encode this text again")
    if not good.any():
        raise UsageError(f"{name}: every vector holds NaN or infinity: encode the texts again")
    ids = tuple(f"row {row + 1}" for row in np.flatnonzero(good))
    kept = vectors if good.all() else vectors[good]
    return TextSet(source=name, texts=None, labels=None, ids=ids, vectors=kept, skipped=dict(collector.skipped))


# -- folders ---------------------------------------------------------------------------------------------------


def _read_folder(
    path: Path, asked: Asked, options: Mapping[str, Any], curation: str | None, where: Sequence[Condition], strict: bool
) -> TextSet:
    name = str(path)
    inside = {each.name for each in path.iterdir()}
    if "run.yaml" in inside:
        _refuse(name, "a run", options, "--split")
        return _read_run(path, asked, where, strict) if curation is None else _read_curation(path, curation, asked, where, strict)
    if "dataset_dict.json" in inside:
        splits = _saved_splits(path / "dataset_dict.json")
        return _read_saved(name, path / _chosen_split(name, splits, options["--split"]), asked, strict)
    if {"dataset_info.json", "state.json"} <= inside:
        _refuse(name, "a saved Dataset", options, "--split")
        return _read_saved(name, path, asked, strict)
    place = path / "data" if "data" in inside and (path / "data").is_dir() else path
    files: dict[str, list[Path]] = {}
    for each in sorted(place.iterdir()):
        if each.suffix.lower() == ".parquet":
            files.setdefault(re.sub(r"-\d{5}-of-\d{5}$", "", each.stem), []).append(each)
    if files:
        return _read_parquet(name, files[_chosen_split(name, sorted(files), options["--split"])], asked, strict)
    readable = sorted(each for each in inside if Path(each.lower().removesuffix(".gz")).suffix in SUFFIXES)
    raise UsageError(
        f"{name}: is no run folder (it holds no run.yaml) and no Hugging Face data set folder (no dataset_info.json with state.json, "
        "dataset_dict.json, data/*.parquet or *.parquet): "
        + (f"give one of the files in it: {', '.join(readable[:8])}" if readable else "give a file, or such a folder")
    )


def _chosen_split(name: str, known: list[str], asked: str | None) -> str:
    if asked is not None and asked not in known:
        raise UsageError(f"{name}: no split {asked!r}{nearest(asked, known)} Splits here: {', '.join(known) or 'none'}")
    if asked is None and len(known) != 1 and "train" not in known:
        raise UsageError(f"{name}: has no split 'train'. Splits here: {', '.join(known) or 'none'}. Name one with --split")
    return asked or (known[0] if len(known) == 1 else "train")


def _saved_splits(path: Path) -> list[str]:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise UsageError(f"{path}: not valid JSON ({error}): save the data set again") from error
    splits = content.get("splits") if isinstance(content, dict) else None
    if not isinstance(splits, list) or not all(isinstance(each, str) and Path(each).name == each for each in splits):
        raise UsageError(f"{path}: expected a list of folder names under 'splits': save the data set again")
    return splits


def _read_run(path: Path, asked: Asked, where: Sequence[Condition], strict: bool) -> TextSet:
    run = RunFolder.existing(path)
    kind = kind_of_run(run)
    rows = ({**_flat(record.origin), "id": record.id, **record.fields} for record in run.records())
    return _read_rows(str(path), rows, _of_kind(asked, kind), where, strict)


def _read_curation(path: Path, name: str, asked: Asked, where: Sequence[Condition], strict: bool) -> TextSet:
    curation = open_curation(RunFolder.existing(path), name)
    kind = kind_of_run(curation.run)
    columns = ("id", *kind.columns, "given_label")
    rows = ({**_flat(row["origin"]), **{name: row[name] for name in columns}} for row in curation.rows())
    return _read_rows(f"{path}, curation {name}", rows, _of_kind(asked, kind), where, strict)


def _read_rows(source: str, rows: Iterable[Mapping[str, Any]], asked: Asked, where: Sequence[Condition], strict: bool) -> TextSet:
    source = in_words(source, where)
    collector = Collector(source, asked, unit="row", strict=strict)
    for number, row in enumerate(rows, 1):
        if all(condition.holds(row, f"row {number}") for condition in where):
            collector.add(number, row)
    return _finished(source, collector, collector.vectors())


def _flat(origin: Mapping[str, Any]) -> dict[str, Any]:
    """An origin with what the strategy noted as fields beside the others."""
    return {**origin.get("facts", {}), **{name: value for name, value in origin.items() if name != "facts"}}


def _of_kind(asked: Asked, kind: TaskKind) -> Asked:
    """The texts of the run's task kind, where no others are asked for."""
    return asked if asked.text is not None else replace(asked, text=kind.text_names)


# -- columns ---------------------------------------------------------------------------------------------------


@contextmanager
def _needs(name: str, package: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise VariegateError(
            f"{name}: reading it needs the package {package}, which is not installed ({error}): run `make setup`, or `pip install "
            "'variegate[cpu]'` ('variegate[gpu]' on a GPU machine)"
        ) from error


def _read_parquet(name: str, paths: list[Path], asked: Asked, strict: bool) -> TextSet:
    """The files are shards of one table, in order."""
    with _needs(name, "pyarrow"):
        import pyarrow
        import pyarrow.parquet

    collector = Collector(name, asked, unit="row", strict=strict)
    for path in paths:
        with path.open("rb"):  # where it may not be read, in the system's own words
            pass
        try:
            with pyarrow.parquet.ParquetFile(path) as file:
                schema = file.schema_arrow
                fields = collector.choose(schema.names)
                collector.class_names = _class_names(path, schema.metadata or {}, fields.label)
                _add_batches(collector, fields, file.iter_batches(batch_size=_BATCH, columns=fields.columns(schema.names)))
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path}: cannot be read as Parquet: {error}: write or copy it again") from error
    return _finished(name, collector, collector.vectors())


def _read_saved(name: str, path: Path, asked: Asked, strict: bool) -> TextSet:
    """A Dataset that `datasets.save_to_disk` wrote to `path`."""
    with _needs(name, "datasets"):
        import datasets
        import pyarrow

    collector = Collector(name, asked, unit="row", strict=strict)
    try:
        data = datasets.load_from_disk(str(path))
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError) as error:  # its files are JSON and Arrow
        raise UsageError(f"{path}: cannot be read as a saved data set: {error!r}: save or copy it again") from error
    fields = collector.choose(data.column_names)
    feature = data.features.get(fields.label)
    collector.class_names = feature.names if isinstance(feature, datasets.ClassLabel) else ()
    tables = data.select_columns(fields.columns(data.column_names)).with_format("arrow").iter(batch_size=_BATCH)
    try:
        _add_batches(collector, fields, chain.from_iterable(table.to_batches() for table in tables))
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a saved data set: {error}: save or copy it again") from error
    return _finished(name, collector, collector.vectors())


def _class_names(path: Path, metadata: Mapping[bytes, bytes], label: str | None) -> list[str]:
    """The names behind a label column of numbers, which `datasets` writes into the Parquet files it makes; [] without."""
    try:
        feature: Any = json.loads(metadata.get(b"huggingface", b"{}"))
        for key in ("info", "features", label):
            feature = feature.get(key, {})
    except (ValueError, AttributeError) as error:
        raise UsageError(f"{path}: its metadata 'huggingface' is not as `datasets` writes it ({error}): write the file again") from error
    return list(feature["names"]) if feature.get("_type") == "ClassLabel" else []


def _add_batches(collector: Collector, fields: Fields, batches: Iterable[Any]) -> None:
    """batches: pyarrow record batches with the columns of `fields`."""
    before = len(collector.ids) + collector.skipped.total()
    for batch in batches:
        names = batch.schema.names
        columns = [
            _arrays(values) if each == fields.vector else values.to_pylist() for each, values in zip(names, batch.columns, strict=True)
        ]
        for number, values in enumerate(zip(*columns, strict=True), before + 1):
            collector.add(number, dict(zip(names, values, strict=True)))
        before += batch.num_rows


def _arrays(column: Any) -> Iterator[Any]:
    """A list column's rows as arrays of the stored type, without a Python object per number; other columns as they are."""
    for scalar in column:
        values = getattr(scalar, "values", None)
        yield scalar.as_py() if values is None else values.to_numpy(zero_copy_only=False)

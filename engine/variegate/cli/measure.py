"""`variegate measure SET`: diversity, similarity to a reference, lexical variety."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from variegate.store.texts import TextSet

_DISTANCES = ("cosine", "euclidean", "sqeuclidean", "angular")
_IMPLEMENTATIONS = ("auto", "dense", "tiles", "triton", "triton_fp16x3", "faiss", "estimate")


def _source_options(function: Any) -> Any:
    for side, words in (("reference-", "the reference"), ("", "SET")):
        for option in (
            click.option(f"--{side}split", help=f"Split of {words}, where it is a Hugging Face folder with several."),
            click.option(f"--{side}vector-field", help=f"Field of {words} that holds vectors: nothing is embedded then."),
            click.option(f"--{side}label-field", help=f"Field of {words} that holds the label; '' for none. Otherwise label, intent, category or class."),
            click.option(f"--{side}text-field", help=f"Field of {words} that holds the text; two joined by a comma for pairs. Otherwise text, sentence, utterance and the like."),
        ):  # fmt: skip
            function = option(function)
    return function


@click.command()
@click.argument("source", metavar="SET")
@click.option("-r", "--reference", metavar="REAL", help="The real data to compare with.")
@_source_options
@click.option("--curation", metavar="NAME", help="Where SET is a run folder: the records that this curation of it keeps, with their final labels.")  # fmt: skip
@click.option("--where", multiple=True, metavar="FIELD=VALUE", help="Where SET is a run folder: the records of which this holds, such as 'alpha<0.8': = != < <= > >=, of a field of their origin or of what their strategy noted; may be given more than once. Nothing is then kept in the folder.")  # fmt: skip
@click.option("--skip-bad-rows", is_flag=True, help="Leave bad rows out and count them, rather than stop at the first.")
@click.option("--encoder", default="all-MiniLM-L6-v2", show_default=True, help="Sentence encoder: a name, a folder or a hub id.")
@click.option("--pooling", type=click.Choice(("mean", "cls")), help="For a plain transformers model, e.g. bert-base-uncased as Chung et al. used.")  # fmt: skip
@click.option("--precision", type=click.Choice(("auto", "float32", "bfloat16", "float16")), default="auto", show_default=True, help="Of the encoder. auto: bfloat16 (CPU) or float16 (GPU) where the device is fast in it and the vectors stay within 1e-4.")  # fmt: skip
@click.option("--no-cache", is_flag=True, help="Neither read nor write the cache of vectors.")
@click.option("--distance", type=click.Choice(_DISTANCES), default="cosine", show_default=True)
@click.option("--k", type=click.IntRange(min=1), default=5, show_default=True, help="Neighbours in top-k similarity.")
@click.option("--implementation", type=click.Choice(_IMPLEMENTATIONS), default="auto", show_default=True, help="How pairs are visited; the result says what was used.")  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Of every draw: equal sizes, estimates, the map."
)
@click.option("--radius", type=click.FloatRange(min=0), help="Of coverage. Without it: the median distance of a reference to its nearest other.")  # fmt: skip
@click.option("--leakage-threshold", type=click.FloatRange(-1, 1), default=0.95, show_default=True, help="Cosine from which a text counts as leaked from the reference.")  # fmt: skip
@click.option("--by-label/--no-by-label", default=True, show_default=True, help="Also measure each label.")
@click.option(
    "--map", "map_", type=click.Choice(("pca", "tsne", "none")), default="pca", show_default=True, help="The 2-D map of the report."
)
@click.option("--tsne-radius", type=click.FloatRange(min=0, min_open=True), help="Also measure S3's coverage in a t-SNE plane, with this radius in units of the map's spread.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Also write the measurement as JSON.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Also write it as one HTML page.")
@click.option("--no-save", is_flag=True, help="Where SET is a run folder: leave the folder as it is.")
@click.option("--json", "as_json", is_flag=True, help="Print the measurement as JSON instead of tables.")
def command(
    source: str, reference: str | None, as_json: bool, output: Path | None, html: Path | None, no_save: bool, **options: Any
) -> None:
    """Measure how diverse SET is, and how near to the real data REAL.

    SET and REAL are each a JSONL, CSV, TSV, Parquet, JSON, text or .npy file, a run folder, a Hugging Face data set folder,
    or - for standard input. A run folder keeps the measurement as measures.json, and its report shows it; with --curation it
    keeps both, and the report compares them.
    """
    import json
    import time

    from variegate.cli.progress import make_progress
    from variegate.pipeline.measure import MeasureSettings, measure

    _check(source, reference, options, [each for each in (output, html) if each is not None])
    progress = make_progress()
    try:
        started = time.perf_counter()
        texts = _read(source, "", options, progress)
        real = None if reference is None else _read(reference, "reference_", options, progress)
        seconds = {"read": round(time.perf_counter() - started, 3)}
        settings = MeasureSettings(
            distance=options["distance"],
            k=options["k"],
            implementation=options["implementation"],
            seed=options["seed"],
            radius=options["radius"],
            leakage_threshold=options["leakage_threshold"],
            by_label=options["by_label"],
            map=options["map_"],
            tsne_radius=options["tsne_radius"],
        )
        measurement = measure(texts, real, settings, encoder=_encoder(options, progress, texts, real), progress=progress.update)
    finally:
        progress.stop()
    measurement["seconds"] = seconds | measurement["seconds"]
    text = json.dumps(measurement, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        _write(measurement, text, None if no_save or source == "-" or options["where"] else Path(source), options["curation"], output, html)
    finally:  # a measurement that cannot be written is at least shown
        _print(measurement, text if as_json else None)


def _check(source: str, reference: str | None, options: dict[str, Any], outputs: list[Path]) -> None:
    """Refuse what would be ignored, and what would write over the data."""
    from variegate.errors import UsageError
    from variegate.store.files import check_file

    if source == "-" and reference == "-":
        raise UsageError("SET and --reference are both '-': only one can come from standard input")
    if reference is None:
        for name in ("reference_text_field", "reference_label_field", "reference_vector_field", "reference_split", "radius", "tsne_radius"):
            if options[name] is not None:
                raise UsageError(f"--{name.replace('_', '-')} is about the reference, and there is none: name it with --reference")
    for path in outputs:
        for data in (source, reference):
            if data not in (None, "-") and path.resolve() == Path(data).resolve():
                raise UsageError(f"{path}: would be written over the data that is to be measured: name another file")
        check_file(path)
    if len({path.resolve() for path in outputs}) < len(outputs):
        raise UsageError(f"{outputs[0]}: --output and --html name the same file: name two")


def _read(source: str, prefix: str, options: dict[str, Any], progress: Any) -> TextSet:
    from variegate.store.texts import read_texts
    from variegate.store.where import Condition

    progress.update(f"reading {source}", 0, 1)
    fields = {name: options[f"{prefix}{name}"] for name in ("text_field", "label_field", "vector_field", "split")}
    own = {} if prefix else {"curation": options["curation"], "where": tuple(map(Condition.parse, options["where"]))}
    return read_texts(source, **fields, **own, strict=not options["skip_bad_rows"])


def _encoder(options: dict[str, Any], progress: Any, *sets: TextSet | None) -> Any:
    """The encoder, where some set needs one: loading it costs seconds."""
    if all(each is None or each.vectors is not None for each in sets):
        from variegate.errors import UsageError

        context = click.get_current_context()
        for name in ("encoder", "pooling", "precision"):
            if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                raise UsageError(f"--{name}: the vectors are given, so nothing is encoded: leave it out, or leave --vector-field out")
        return None
    progress.update("loading the encoder", 0, 1)
    from variegate.embeddings import Encoder

    return Encoder(
        options["encoder"], pooling=options["pooling"], precision=options["precision"], cache=None if options["no_cache"] else "default"
    )


def _write(
    measurement: dict[str, Any], text: str, folder: Path | None, curation: str | None, output: Path | None, html: Path | None
) -> None:
    """folder: of the run, if it is one, which keeps the measurement, beside the curation it is of. Says on stderr what was written."""
    from variegate.errors import StoreError
    from variegate.report.visible import visible
    from variegate.store.files import check_inside, write_atomic

    def say(path: Path) -> None:
        click.echo(f"Wrote {visible(str(path))}", err=True)

    data = f"{text}\n".encode()
    if output is not None:
        write_atomic(output, data)
        say(output)
    if html is not None:
        from variegate.report.measures import write_measures_report

        say(write_measures_report(measurement, html))
    if folder is not None and (folder / "run.yaml").is_file():
        from variegate.report import write_report
        from variegate.store.run_folder import MEASURES, RunFolder
        from variegate.store.verdicts import CURATIONS

        path = (folder if curation is None else folder / CURATIONS / curation) / MEASURES
        try:
            check_inside(folder, path)
            write_atomic(path, data)
            say(path)
            say(write_report(RunFolder.existing(folder)))
        except StoreError as error:
            raise StoreError(f"{error}; or leave the run folder as it is with --no-save") from error


def _print(measurement: dict[str, Any], text: str | None) -> None:
    """text: the measurement as JSON; None: print tables. With JSON, notes go to stderr too."""
    if text is None:
        from variegate.cli.measures_table import print_measurement

        print_measurement(measurement, wide=not sys.stdout.isatty())
        return
    from variegate.report.visible import visible

    click.echo(text)
    for warning in measurement["warnings"]:
        click.echo(f"note: {visible(warning)}", err=True)

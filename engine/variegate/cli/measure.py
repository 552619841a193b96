"""`variegate measure SET`: diversity, similarity to a reference, lexical variety."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

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
@click.option("--skip-bad-rows", is_flag=True, help="Leave bad rows out and count them, rather than stop at the first.")
@click.option("--encoder", default="all-MiniLM-L6-v2", show_default=True, help="Sentence encoder: a name, a folder or a hub id.")
@click.option("--pooling", type=click.Choice(("mean", "cls")), help="For a plain transformers model, e.g. bert-base-uncased as Chung et al. used.")  # fmt: skip
@click.option("--precision", type=click.Choice(("auto", "float32", "bfloat16")), default="auto", show_default=True, help="Of the encoder. auto: bfloat16 where the CPU has it and the vectors stay within 1e-4.")  # fmt: skip
@click.option("--no-cache", is_flag=True, help="Neither read nor write the cache of vectors.")
@click.option("--distance", type=click.Choice(_DISTANCES), default="cosine", show_default=True)
@click.option("--k", type=click.IntRange(min=1), default=5, show_default=True, help="Neighbours in top-k similarity.")
@click.option("--implementation", type=click.Choice(_IMPLEMENTATIONS), default="auto", show_default=True, help="How pairs are visited; the result says what was used.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of every draw: equal sizes, estimates, the map.")
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
    or - for standard input. A run folder keeps the measurement as measures.json, and its report shows it.
    """
    import json

    from variegate.cli.measures_table import print_measurement
    from variegate.cli.stages import make_stages
    from variegate.errors import UsageError
    from variegate.pipeline.measure import MeasureSettings, measure
    from variegate.store.files import write_atomic

    if source == "-" and reference == "-":
        raise UsageError("SET and --reference are both '-': only one can come from standard input")
    stages = make_stages()
    try:
        texts = _read(source, "", options, stages)
        real = None if reference is None else _read(reference, "reference_", options, stages)
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
        measurement = measure(texts, real, settings, encoder=_encoder(options, texts, real), progress=stages.update)
    finally:
        stages.stop()
    text = json.dumps(measurement, indent=2, ensure_ascii=False, allow_nan=False)
    written = []
    if not no_save and (Path(source) / "run.yaml").is_file():
        written += _save(Path(source), text)
    if output is not None:
        write_atomic(output, f"{text}\n".encode())
        written.append(output)
    if html is not None:
        from variegate.report.measures import write_measures_report

        written.append(write_measures_report(measurement, html))
    if as_json:
        click.echo(text)
    else:
        print_measurement(measurement, wide=not sys.stdout.isatty())
    for path in written:
        click.echo(f"Wrote {path}", err=True)


def _read(source: str, prefix: str, options: dict[str, Any], stages: Any) -> TextSet:
    from variegate.store.texts import read_texts

    stages.update(f"reading {source}", 0, 1)
    fields = {name: options[f"{prefix}{name}"] for name in ("text_field", "label_field", "vector_field", "split")}
    return read_texts(source, **fields, strict=not options["skip_bad_rows"])


def _encoder(options: dict[str, Any], *sets: TextSet | None) -> Any:
    """The encoder, where some set needs one: loading it costs seconds."""
    if all(each is None or each.vectors is not None for each in sets):
        return None
    from variegate.embeddings import Encoder

    return Encoder(
        options["encoder"], pooling=options["pooling"], precision=options["precision"], cache=None if options["no_cache"] else "default"
    )


def _save(folder: Path, text: str) -> list[Path]:
    from variegate.report import write_report
    from variegate.store.files import write_atomic
    from variegate.store.run_folder import MEASURES, RunFolder

    write_atomic(folder / MEASURES, f"{text}\n".encode())
    return [folder / MEASURES, write_report(RunFolder.existing(folder))]

"""T5's decoder self-attention on a CUDA GPU: the Triton kernel, checked and timed against FlexAttention and the torch reference.

    python benchmarks/gpu_t5_attention.py              FLAN-T5-XL and XXL, batch 64 and 256, 64 to 2048 keys, bf16
    python benchmarks/gpu_t5_attention.py --tune       tiles, warps and splits of the kernel instead, also at batch 4

A step gives each request one new token; all requests are of one length, their blocks in random order. A turn goes through as
many sets of keys and values, as through the layers of a model, as it takes for the device's cache to hold none when its next
turn comes. Times are of one layer, out of a CUDA graph of the whole turn; the reference, which waits for the device, runs
outside of one. FlexAttention gets contiguous keys and values: no blocks to look up.
Bytes moved are what must be: each key, value and query read once, the output written once. Their rate is put beside that of
copying a large tensor on the same device, reads and writes counted.

Prints JSON and writes benchmarks/results/t5-attention-gpu.json (t5-attention-gpu-tune.json). Without a CUDA device nothing is
measured and nothing printed to stdout: exit code 2. Exit code 1: a result was wrong, and no time is worth reading.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / root) for root in ("kernels", "engine")]

from variegate_kernels.t5_attention import PagedStep, paged_attention  # noqa: E402  # needs the path above

SLOTS = 16  # in a block: vLLM's default on GPUs
DISTANCES = 129  # of T5: 0 to 128 and above
ALLOWED = 2**-6  # two roundings to bf16 of an output of size about 1


@dataclass(frozen=True)
class Shape:
    model: str
    heads: int
    width: int
    batch: int
    length: int


@dataclass(frozen=True)
class Case:
    query: Tensor
    keys: list[Tensor]  # of each layer
    values: list[Tensor]
    bias: Tensor
    step: PagedStep
    score_mod: Callable[..., Tensor]  # the same bias, for FlexAttention


MODELS = {"FLAN-T5-XL": (32, 64), "FLAN-T5-XXL": (64, 64)}
SHAPES = [
    Shape(model, *sizes, batch, length)
    for (model, sizes), batch, length in itertools.product(MODELS.items(), (64, 256), (64, 256, 512, 2048))
]
TUNED = [Shape("FLAN-T5-XL", 32, 64, batch, length) for batch, length in itertools.product((4, 64, 256), (64, 512, 2048))]


def make_case(shape: Shape, layers: int, *, dtype: torch.dtype = torch.bfloat16, device: str = "cuda") -> Case:
    generator = torch.Generator(device).manual_seed(shape.batch * shape.length)
    options: dict[str, Any] = {"generator": generator, "dtype": dtype, "device": device}
    each = -(-shape.length // SLOTS)
    blocks = torch.randperm(shape.batch * each, generator=generator, device=device).view(shape.batch, each)
    caches = [torch.randn(shape.batch * each, SLOTS, shape.heads, 2 * shape.width, **options) for _ in range(layers)]
    bias = torch.randn(shape.heads, DISTANCES, generator=generator, device=device)

    def score_mod(score: Tensor, batch: Tensor, head: Tensor, row: Tensor, position: Tensor) -> Tensor:
        return score + bias[head, torch.clamp(shape.length - 1 - position, max=DISTANCES - 1)]

    return Case(
        query=torch.randn(shape.batch, shape.heads, shape.width, **options) / shape.width**0.5,
        keys=[cache[..., : shape.width] for cache in caches],
        values=[cache[..., shape.width :] for cache in caches],
        bias=bias,
        step=PagedStep(
            blocks.int(),
            torch.full((shape.batch,), shape.length, dtype=torch.int32, device=device),
            torch.arange(shape.batch + 1, dtype=torch.int32, device=device),
            1,
        ),
        score_mod=score_mod,
    )


def contiguous(case: Case, layer: int) -> tuple[Tensor, Tensor]:
    """Keys and values as [batch, heads, length, width]."""
    length = int(case.step.seq_lens[0])
    table = case.step.block_table.long()
    keys, values = (blocks[table].flatten(1, 2)[:, :length].transpose(1, 2) for blocks in (case.keys[layer], case.values[layer]))
    return keys.contiguous(), values.contiguous()


def flex(attention: Callable[..., Any], case: Case, keys_values: tuple[Tensor, Tensor]) -> Tensor:
    return attention(case.query[:, :, None], *keys_values, score_mod=case.score_mod, scale=1.0)[:, :, 0]


def bytes_moved(shape: Shape, *, size: int = 2) -> int:
    """`size`: bytes of a number of the query, keys, values and output."""
    rows = shape.heads * shape.width * size
    blocks = -(-shape.length // SLOTS)
    return shape.batch * (2 * shape.length * rows + 2 * rows + 4 * (blocks + 1)) + 4 * shape.heads * DISTANCES


def captured(run: Callable[[], Any]) -> Callable[[], None]:
    """`run` as a CUDA graph, after a turn that compiles."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def seconds(run: Callable[[], Any], repeats: int) -> list[float]:
    """On the device, after one uncounted turn."""
    out = []
    for turn in range(repeats + 1):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        run()
        end.record()
        end.synchronize()
        if turn:
            out.append(start.elapsed_time(end) / 1e3)
    return out


def copy_rate(repeats: int) -> float:
    """Bytes a second, read and written, of a copy of 1 GiB."""
    source = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * len(source) / statistics.median(seconds(lambda: target.copy_(source), repeats))


def num_layers(shape: Shape) -> int:
    """Four times the device's cache, at least."""
    cache = torch.cuda.get_device_properties(0).L2_cache_size
    return max(1, -(-4 * cache // bytes_moved(shape)))


def figures(times: list[float], layers: int, shape: Shape, copying: float) -> dict[str, float]:
    median = statistics.median(times) / layers
    rate = bytes_moved(shape) / median
    return {
        "median_us": 1e6 * median,
        "min_us": 1e6 * min(times) / layers,
        "max_us": 1e6 * max(times) / layers,
        "gb_per_s": rate / 1e9,
        "share_of_copy": rate / copying,
    }


def measure(shape: Shape, copying: float, repeats: int, failures: list[str]) -> dict[str, Any]:
    layers = num_layers(shape)
    case = make_case(shape, layers)
    outs = [torch.zeros_like(case.query) for _ in range(layers)]

    def turn(impl: Any) -> None:
        for keys, values, out in zip(case.keys, case.values, outs, strict=True):
            paged_attention(case.query, keys, values, case.bias, case.step, out=out, impl=impl)

    turn("torch")
    expected = torch.stack(outs)
    report: dict[str, Any] = {"bytes_per_layer": bytes_moved(shape), "layers": layers}

    def check(name: str, got: Tensor) -> None:
        error = float((got.float() - expected.float()).abs().max())
        report.setdefault("largest_error", {})[name] = error
        if not error <= ALLOWED:
            failures.append(f"{shape}: {name} is off by {error}, {ALLOWED} allowed")

    replay = captured(lambda: turn("triton"))
    for out in outs:
        out.zero_()
    replay()  # what is checked is the graph's own result
    check("triton", torch.stack(outs))
    report["triton"] = figures(seconds(replay, repeats), layers, shape, copying)
    report["torch reference"] = figures(seconds(lambda: turn("torch"), min(3, repeats)), layers, shape, copying)
    del replay
    try:
        torch._dynamo.reset()  # else, after eight shapes, it would no longer compile
        from torch.nn.attention.flex_attention import flex_attention

        attention = torch.compile(flex_attention, dynamic=False)
        pairs = [contiguous(case, layer) for layer in range(layers)]
        check("flex_attention", torch.stack([flex(attention, case, pair) for pair in pairs]))
        replay = captured(lambda: [flex(attention, case, pair) for pair in pairs])
        report["flex_attention"] = figures(seconds(replay, repeats), layers, shape, copying)
        report["times_as_fast_as_flex_attention"] = report["flex_attention"]["median_us"] / report["triton"]["median_us"]
    except Exception as error:  # noqa: BLE001  # a peer that does not compile here must not end the run
        report["flex_attention"] = f"unmeasured: {type(error).__name__}: {str(error)[:200]}"
    return report


def tune(shape: Shape, copying: float, repeats: int) -> dict[str, Any]:
    from variegate_kernels._t5_attention_triton import TILE, choose_splits, launch_paged_attention

    layers = num_layers(shape)
    case = make_case(shape, layers)
    out = torch.zeros_like(case.query)
    chosen = choose_splits(shape.batch * shape.heads, shape.length, TILE, out.device)
    report: dict[str, Any] = {"splits_chosen": chosen}
    for tile, warps, splits in itertools.product((16, 32, 64, 128), (1, 2, 4, 8), (1, 2, 4, 8)):
        if splits > 1 and splits * tile > shape.length:
            continue

        def turn(tile: int = tile, warps: int = warps, splits: int = splits) -> None:
            for keys, values in zip(case.keys, case.values, strict=True):
                launch_paged_attention(
                    case.query, keys, values, case.bias, case.step, 1.0, out, splits=splits, tile=tile, num_warps=warps
                )  # fmt: skip

        report[f"tile {tile}, {warps} warps, {splits} splits"] = figures(seconds(captured(turn), repeats), layers, shape, copying)
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--repeats", type=int, default=20, help="counted turns of each; the median is what counts")
    parser.add_argument("--tune", action="store_true", help="time tiles, warps and splits, and nothing else")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("gpu_t5_attention: unmeasured: torch sees no CUDA device: run this on a machine with an NVIDIA GPU", file=sys.stderr)
        return 2
    import harness

    copying = copy_rate(arguments.repeats)
    failures: list[str] = []
    report: dict[str, Any] = {"copy_gb_per_s": copying / 1e9, "shapes": {}, "failures": failures}
    for shape in TUNED if arguments.tune else SHAPES:
        name = f"{shape.model}, batch {shape.batch}, {shape.length} keys"
        print(f"gpu_t5_attention: {name}", file=sys.stderr)
        try:
            report["shapes"][name] = (
                tune(shape, copying, arguments.repeats) if arguments.tune else measure(shape, copying, arguments.repeats, failures)
            )
        except torch.cuda.OutOfMemoryError:
            report["shapes"][name] = "unmeasured: the device's memory does not hold it"
        torch.cuda.empty_cache()
    print(json.dumps(report, indent=1))
    if not failures:
        harness.save("t5-attention-gpu-tune" if arguments.tune else "t5-attention-gpu", report)
    for failure in failures:
        print(f"gpu_t5_attention: wrong: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

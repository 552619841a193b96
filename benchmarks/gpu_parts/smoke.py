"""Does anything run at all? The device, every kernel against its reference, FAISS and a 4-bit load."""

from __future__ import annotations

import argparse
import platform
from typing import Any

import torch

from gpu_parts.notebook import Notebook, run


def device(cpu: bool) -> dict[str, Any]:
    if cpu:
        return {"device": "cpu", "python": platform.python_version(), "torch": torch.__version__}
    properties = torch.cuda.get_device_properties(0)
    x = torch.randn(64, 64, device="cuda")
    torch.testing.assert_close((x @ x.T).cpu(), x.cpu() @ x.cpu().T, atol=1e-3, rtol=1e-3)
    return {
        "device": properties.name,
        "gib": round(properties.total_memory / 2**30, 1),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }


def pairwise(cpu: bool) -> dict[str, float]:
    """Largest error of nearest distances and row sums, each precision, against float64."""
    from variegate_kernels.pairwise import sweep

    generator = torch.Generator().manual_seed(0)
    x = torch.nn.functional.normalize(torch.randn(1500, 384, generator=generator), dim=1)
    expected = sweep(x, function="euclidean", impl="torch")
    found: dict[str, float] = {}
    for precision, allowed in (("fp16", 2e-3), ("fp16x3", 1e-5)):
        got = sweep(x, function="euclidean", impl="tiles") if cpu else sweep(x.cuda(), function="euclidean", precision=precision)
        for name, a, b in (("nearest", got.distance_sq, expected.distance_sq), ("sums", got.sums, expected.sums)):
            error = float(((a.cpu().double() - b.double()) / b.double()).abs().max())
            found[f"{precision} {name}"] = error
            if not error <= allowed:
                raise ValueError(f"{precision}: {name} off by {error}, {allowed} allowed")
    return found


def suppression(cpu: bool) -> float:
    """Largest error of the biased logits against the reference."""
    from variegate_kernels.suppression import apply_bias, apply_bias_torch

    generator = torch.Generator().manual_seed(0)
    logits, table = torch.randn(64, 32_000, generator=generator), -7.5 * torch.rand(9, 32_000, generator=generator)
    rows = torch.randint(0, 9, (64,), generator=generator, dtype=torch.int32)
    where = "cpu" if cpu else "cuda"
    got = apply_bias(logits.to(where, copy=True), table.to(where), rows.to(where)).cpu()
    expected = apply_bias_torch(logits.clone(), table, rows)
    if not torch.equal(got[rows == 0], logits[rows == 0]):
        raise ValueError("a row without a bias was changed")
    error = float((got - expected).abs().max())
    if not error <= 1e-5:
        raise ValueError(f"off by {error}")
    return error


def t5_attention(cpu: bool) -> float:
    """Largest error of the paged T5 attention against the reference."""
    import gpu_t5_attention as whole
    from variegate_kernels.t5_attention import paged_attention

    shape = whole.SHAPES[0]
    case = whole.make_case(shape, 1, **({"dtype": torch.float32, "device": "cpu"} if cpu else {}))
    outs = [torch.zeros_like(case.query) for _ in range(2)]
    for impl, out in zip(("torch", "numba" if cpu else "triton"), outs, strict=True):
        paged_attention(case.query, case.keys[0], case.values[0], case.bias, case.step, out=out, impl=impl)  # type: ignore[arg-type]
    error = float((outs[0].float() - outs[1].float()).abs().max())
    if not error <= whole.ALLOWED:
        raise ValueError(f"off by {error}, {whole.ALLOWED} allowed")
    return error


def faiss(cpu: bool) -> str:
    """One small search against torch."""
    import faiss as library

    if not cpu and not hasattr(library, "StandardGpuResources"):
        raise ImportError(f"faiss {library.__version__} is a CPU build")
    from variegate.neighbors.faiss_search import search

    x = torch.nn.functional.normalize(torch.randn(2000, 64, generator=torch.Generator().manual_seed(0)), dim=1)
    values, _ = search(x[:100], x, 5, inner_product=True)
    expected = (x[:100].double() @ x.double().T).topk(5, dim=1).values
    error = float((values.cpu().double() - expected).abs().max())
    if not error <= 1e-4:
        raise ValueError(f"off by {error}")
    return str(library.__version__)


def four_bit(cpu: bool) -> dict[str, Any]:
    """nano-t5 in 4 bits on the Transformers backend writes something."""
    import bitsandbytes

    from variegate.config import load_model
    from variegate.inference.start import start_backend
    from variegate.records import Message, Request, Sampling

    model = load_model("nano-t5", ['engine.backend="transformers"', 'engine.quantization="bitsandbytes"'])
    backend = start_backend(model)
    request = Request(key="0", messages=(Message("user", "Write a sentence.\n"),), sampling=Sampling(temperature=0.0, max_tokens=8), seed=0)
    (completion,) = backend.generate([request])
    backend.close()
    if completion.error is not None:
        raise ValueError(completion.error.message)
    return {"bitsandbytes": bitsandbytes.__version__, "device": backend.info.device, "tokens": len(completion.token_ids)}


def measure(notebook: Notebook, arguments: argparse.Namespace) -> None:
    for check in (device, pairwise, suppression, t5_attention, faiss, four_bit):
        notebook.attempt(check.__name__, lambda check=check: check(notebook.cpu))


if __name__ == "__main__":
    run(measure)

"""Count the TF32 products of a float32 `tl.dot` compiled for Hopper, in the environment of an engine of a dtype. Not a test.

product_script.py DTYPE
"""

from __future__ import annotations

import sys

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from variegate.config import ModelConfig
from variegate.inference.vllm_start import set_environment


@triton.jit  # type: ignore[untyped-decorator]
def product(a, b, out):  # type: ignore[no-untyped-def]
    """As vLLM's Triton attention multiplies queries with keys: the precision is left open."""
    place = tl.arange(0, 64)[:, None] * 64 + tl.arange(0, 64)[None, :]
    tl.store(out + place, tl.dot(tl.load(a + place), tl.load(b + place)))


set_environment(ModelConfig.model_validate({"name": "m", "path": "/m", "engine": {"dtype": sys.argv[1]}}))
source = ASTSource(product, signature=dict.fromkeys(("a", "b", "out"), "*fp32"))
compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32))
print(compiled.asm["ptx"].count(".tf32"))

"""Puts a fake active "cpu" backend into Triton when FAKE_TRITON=1, so that vLLM takes its Model Runner V2 on a CPU, with
interpreted kernels. Runs at the start of every Python process that has this folder on PYTHONPATH; imports nothing otherwise."""

import os

if os.environ.get("FAKE_TRITON") == "1":
    os.environ["TRITON_INTERPRET"] = "1"
    import triton.backends

    class _Driver:
        @staticmethod
        def is_active() -> bool:
            return True

    class _Backend:
        driver = _Driver
        compiler = None

    triton.backends.backends.setdefault("cpu", _Backend)

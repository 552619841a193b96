"""Generate greedily from T5 folders in real vLLM engines, each in a fork of this process: vLLM is imported once. Not a test:
`parity.Engines` runs it.

Reads jobs from standard input, JSON on a line each: folder, prompts [{"tokens": [...], "num_soft": p}], new (tokens wanted of each,
a number or a list), engine (arguments of `vllm.LLM`), seconds (after which the engine is killed), result (the file to write), and
changes: "no bias", "no order" (Model Runner V1's own order of encoder outputs), "triton" (the GPU kernel, under Triton's interpreter).
A soft prompt of p vectors is the one that `soft_prompt` draws. Writes an exit status a line, and all else to standard error.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import Any


def soft_prompt(num_soft: int, width: int) -> Any:
    """Float[Tensor, "p d"], the same in every process."""
    import torch

    return torch.randn(num_soft, width, generator=torch.Generator().manual_seed(num_soft))


def change(name: str) -> None:
    """Break or replace one part of the engine of this process."""
    from variegate.inference.t5 import attention, hooks
    from variegate.inference.t5.relative_bias import RelativeBias

    if name == "no bias":
        table = RelativeBias.table
        RelativeBias.table = lambda self: table(self).zero_()  # type: ignore[method-assign]
    elif name == "no order":
        hooks._in_batch_order = lambda original: lambda *args: original(*args)
    elif name == "triton":
        attention.paged_attention = partial(attention.paged_attention, impl="triton")
    else:
        raise ValueError(f"no change {name!r}")


def encoder_input(prompt: dict[str, Any], width: int) -> dict[str, Any]:
    given: dict[str, Any] = {"token_ids": prompt["tokens"]}
    if prompt["num_soft"]:
        given["prefix_embeds"] = soft_prompt(prompt["num_soft"], width)
    return {
        "encoder_prompt": {"prompt_token_ids": [], "multi_modal_data": {"text": given}},
        "decoder_prompt": {"prompt_token_ids": [0]},
    }


def watch_admissions(llm: Any) -> list[int]:
    """Of each step, how many requests are scheduled for the first time."""
    scheduler = llm.llm_engine.engine_core.engine_core.scheduler
    schedule, admitted = scheduler.schedule, []

    def counted(*arguments: Any, **options: Any) -> Any:
        output = schedule(*arguments, **options)
        admitted.append(len(output.scheduled_new_reqs))
        return output

    scheduler.schedule = counted
    return admitted


def generate(job: dict[str, Any]) -> dict[str, Any]:
    from vllm import LLM, SamplingParams

    for name in job["changes"]:
        change(name)
    llm = LLM(model=job["folder"], disable_log_stats=False, seed=0, **job["engine"])
    width = llm.llm_engine.model_config.hf_config.d_model
    each = job["new"] if isinstance(job["new"], list) else [job["new"]] * len(job["prompts"])
    sampling = [SamplingParams(temperature=0.0, max_tokens=new, min_tokens=new, ignore_eos=True, detokenize=False) for new in each]
    admitted = watch_admissions(llm)
    outputs = llm.generate([encoder_input(prompt, width) for prompt in job["prompts"]], sampling, use_tqdm=False)
    return {
        "tokens": [list(output.outputs[0].token_ids) for output in outputs],
        "preemptions": sum(each.value for each in llm.get_metrics() if each.name == "vllm:num_preemptions"),
        "admitted": [count for count in admitted if count],
        "runner": llm.collective_rpc(lambda worker: type(worker.model_runner).__module__)[0],
    }


def run_alone(job: dict[str, Any]) -> None:
    """In a fork, which it ends."""
    signal.alarm(job["seconds"])
    os.dup2(2, 1)  # vLLM writes there
    try:
        Path(job["result"]).write_text(json.dumps(generate(job)), encoding="utf-8")
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def main() -> None:
    from vllm import LLM  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            run_alone(json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()

"""Build and load a T5 folder in vLLM as one rank of several would, in this one process, and save its parameters. Not a test.

    shards_script.py FOLDER RANK WORLD OUT.safetensors

Only what a rank asks about itself is replaced, so layers, shapes and weight loaders are vLLM's and ours; nothing is run, and the
ranks never meet.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file


def main(folder: str, rank: int, world: int, out: str) -> None:
    from vllm import distributed
    from vllm.config import set_current_vllm_config
    from vllm.distributed import parallel_state
    from vllm.engine.arg_utils import EngineArgs
    from vllm.model_executor.model_loader import get_model_loader
    from vllm.model_executor.model_loader.utils import initialize_model, process_weights_after_loading
    from vllm.utils.torch_utils import set_default_torch_dtype

    config = EngineArgs(model=folder, dtype="float32", max_model_len=64, enforce_eager=True).create_engine_config()
    with set_current_vllm_config(config), tempfile.TemporaryDirectory() as meeting:
        parallel_state.init_distributed_environment(1, 0, f"file://{meeting}/store", 0, "gloo")
        parallel_state.initialize_model_parallel(1)
        group = parallel_state.get_tp_group()
        group.rank_in_group, group.world_size = rank, world
        assert distributed.get_tensor_model_parallel_world_size() == world
        with set_default_torch_dtype(torch.float32):
            model = initialize_model(vllm_config=config)
            loader = get_model_loader(config.load_config)
            loader.load_weights(model, config.model_config)
            tensors = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
            process_weights_after_loading(model, config.model_config, torch.device("cpu"))  # may pack weights; fills the biases
        tensors |= {name: value.clone() for name, value in model.named_buffers() if name.endswith("bias_table")}
        save_file(tensors, out)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), str(Path(sys.argv[4])))

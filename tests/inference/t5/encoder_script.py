"""Encode prompts of different lengths together in our encoder, each alone there, and each alone in Transformers. Not a test.

    encoder_script.py FOLDER LENGTH,LENGTH,... ALIGNMENT

ALIGNMENT: of a group's length, as on a GPU.

Prints as JSON the largest differences of outputs and what size these have. The model is built and loaded by vLLM.
"""

from __future__ import annotations

import json
import sys
import tempfile

import torch


def main(folder: str, lengths: list[int], alignment: int) -> None:
    from transformers import T5EncoderModel
    from vllm.config import set_current_vllm_config
    from vllm.distributed import parallel_state
    from vllm.engine.arg_utils import EngineArgs
    from vllm.model_executor.model_loader import get_model_loader
    from vllm.model_executor.model_loader.utils import initialize_model, process_weights_after_loading
    from vllm.platforms import current_platform
    from vllm.utils.torch_utils import set_default_torch_dtype

    from variegate.inference.t5.encoder import ALIGNMENT, similar

    ALIGNMENT["cpu"] = alignment

    config = EngineArgs(model=folder, dtype="float32", max_model_len=256, enforce_eager=True).create_engine_config()
    with set_current_vllm_config(config), tempfile.TemporaryDirectory() as meeting, torch.inference_mode():
        parallel_state.init_distributed_environment(1, 0, f"file://{meeting}/store", 0, "gloo")
        parallel_state.initialize_model_parallel(1)
        device = torch.device(current_platform.device_type)
        with set_default_torch_dtype(torch.float32), device:
            model = initialize_model(vllm_config=config)
            get_model_loader(config.load_config).load_weights(model, config.model_config)
            process_weights_after_loading(model, config.model_config, device)
        reference = T5EncoderModel.from_pretrained(folder, dtype=torch.float32).eval()
        generator = torch.Generator().manual_seed(0)
        tokens = [torch.randint(2, 900, (length,), generator=generator) for length in lengths]
        texts = [model.embed_input_ids(ids.to(device)) for ids in tokens]
        together, alone = [each.cpu() for each in model.encoder(texts)], [model.encoder([each])[0].cpu() for each in texts]
        known = [reference(input_ids=ids[None]).last_hidden_state[0] for ids in tokens]
    found = {
        "groups": [sorted(lengths[place] for place in group) for group in similar(lengths, model.encoder.num_heads)],
        "together_or_alone": max(float((a - b).abs().max()) for a, b in zip(together, alone, strict=True)),
        "against_transformers": max(float((a - b).abs().max()) for a, b in zip(together, known, strict=True)),
        "size": min(float(each.abs().max()) for each in known),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], list(map(int, sys.argv[2].split(","))), int(sys.argv[3]))

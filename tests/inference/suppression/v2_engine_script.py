"""Generate greedily from a tiny random Llama under three tables, in one engine, and print the token ids as JSON.

    v2_engine_script.py v1|v2|transformers MODEL_FOLDER

Round "plain" has no table; "counted" has the table counted from round "plain", two groups and unsuppressed requests; "forced"
has new rows under the same numbers, of which row r leaves only token FORCED[r]. There are more requests than seats, of several
lengths, so that seats are recycled and change places. "probes" are the requests that scoring sends: greedy among some tokens,
with the log-probabilities of some. Not a test: test_real_engine_v2.py runs it and compares.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from tests.support.gpu import engine_arguments
from variegate.inference.suppression import ARGUMENT, VLLM_PROCESSOR, VLLM_WORKER_EXTENSION
from variegate.inference.suppression.sparse import Pairs, SparseRow
from variegate.inference.suppression.table import SuppressionTable

NUM_TOKENS = 211
NUM_SEATS = 3
GROUPS = ("a", "b")
FORCED = {1: 100, 2: 200}
WANTED, ALLOWED = (7, 30, 90, 150), (7, 30, 50, 90, 150, 180)
STOPS = ((), (150,), (50, 180))  # of request i: i mod 3


def make_model(folder: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=NUM_TOKENS, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        max_position_embeddings=64, initializer_range=0.2, bos_token_id=0, eos_token_id=1, pad_token_id=2,
    )  # fmt: skip
    LlamaForCausalLM(config).to(torch.float32).save_pretrained(folder)


def make_requests() -> list[tuple[list[int], int, int]]:
    """(prompt, table row, tokens wanted) of each request."""
    return [([3 + 7 * i, 5 + i, 11, 40 + 3 * i][: 2 + i % 3], i % 3, 3 + (2 * i) % 5) for i in range(8)]


def sparse(bias: np.ndarray) -> SparseRow:
    ids = np.flatnonzero(bias)
    return SparseRow(ids.astype(np.int32), bias[ids])


class Vllm:
    def __init__(self, model: Path) -> None:
        from vllm import LLM

        self.llm = LLM(
            model=str(model), skip_tokenizer_init=True, dtype="float32", max_model_len=32, max_num_seqs=NUM_SEATS, enforce_eager=True,
            enable_prefix_caching=False, disable_log_stats=True, logits_processors=[VLLM_PROCESSOR],
            worker_extension_cls=VLLM_WORKER_EXTENSION, **engine_arguments(),
        )  # fmt: skip
        self.runner = self.llm.collective_rpc("variegate_runner")[0]

    def generate(self, table: np.ndarray | None, scale: float) -> list[list[int]]:
        from vllm import SamplingParams

        if table is not None:
            pairs = Pairs.of({row: sparse(bias) for row, bias in enumerate(table) if row})
            assert self.llm.collective_rpc("variegate_add_rows", args=pairs.to_bytes()) == [self.runner]
        requests = make_requests()
        params = [
            SamplingParams(
                temperature=0.0,
                max_tokens=length,
                ignore_eos=True,
                detokenize=False,
                extra_args=None if table is None or row == 0 else {ARGUMENT: {"row": row, "scale": scale}},
            )
            for _, row, length in requests
        ]
        outputs = self.llm.generate([{"prompt_token_ids": prompt} for prompt, _, _ in requests], params, use_tqdm=False)
        return [list(output.outputs[0].token_ids) for output in outputs]

    def probe(self) -> list[list[tuple[int, list[float]]]]:
        from variegate.inference.vllm_backend import probe, steps_of

        prompts = [prompt for prompt, _, _ in make_requests()]
        params = [probe(WANTED, max_tokens=4, allowed=ALLOWED, stop=STOPS[i % 3]) for i in range(len(prompts))]
        outputs = self.llm.generate([{"prompt_token_ids": prompt} for prompt in prompts], params, use_tqdm=False)
        return [[(step.chosen, [step.logprobs[token] for token in WANTED]) for step in steps_of(output.outputs[0])] for output in outputs]


class Transformers:
    runner = "transformers"

    def __init__(self, model: Path) -> None:
        import torch
        from transformers import LlamaForCausalLM

        self.model = LlamaForCausalLM.from_pretrained(model, dtype=torch.float32).eval()

    def generate(self, table: np.ndarray | None, scale: float) -> list[list[int]]:
        import torch
        from transformers import LogitsProcessorList

        from variegate.inference.suppression.transformers import SuppressionProcessor

        biases = None if table is None else torch.from_numpy(table)
        texts = []
        for prompt, row, length in make_requests():
            processors = LogitsProcessorList()
            if biases is not None:
                processors.append(SuppressionProcessor(biases, torch.tensor([row]), torch.tensor([scale])))
            ids = torch.tensor([prompt])
            output = self.model.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=False, min_new_tokens=length, max_new_tokens=length,
                eos_token_id=None, pad_token_id=2, logits_processor=processors,
            )  # fmt: skip
            texts.append(output[0, len(prompt) :].tolist())
        return texts

    def probe(self) -> list[list[tuple[int, list[float]]]]:
        """Step by step, by plain forward passes."""
        import torch

        out = []
        for i, (prompt, _, _) in enumerate(make_requests()):
            ids, steps = list(prompt), []
            for _ in range(4):
                with torch.inference_mode():
                    logits = torch.log_softmax(self.model(torch.tensor([ids])).logits[0, -1], dim=-1)
                chosen = max(ALLOWED, key=lambda token: float(logits[token]))
                steps.append((chosen, [float(logits[token]) for token in WANTED]))
                ids.append(chosen)
                if chosen in STOPS[i % 3]:
                    break
            out.append(steps)
        return out


def main(engine: str, model: Path) -> None:
    started = time.perf_counter()
    backend = Transformers(model) if engine == "transformers" else Vllm(model)
    ready = time.perf_counter()
    plain = backend.generate(None, 1.0)

    counts = SuppressionTable(NUM_TOKENS, top_k=None, floor=-7.5, scale=-7.5, exempt=frozenset())
    for (_, row, _), tokens in zip(make_requests(), plain, strict=True):
        if row:
            counts.add(GROUPS[row - 1], tokens)
    counted = np.zeros((3, NUM_TOKENS), np.float32)
    for row, group in enumerate(GROUPS, 1):
        counted[row, counts.row(group).token_ids] = counts.row(group).biases

    forced = np.zeros((3, NUM_TOKENS), np.float32)
    for row, token in FORCED.items():
        forced[row] = -500.0
        forced[row, token] = 0.0

    rounds = {"plain": plain, "counted": backend.generate(counted, 0.5), "forced": backend.generate(forced, 1.0)}
    print(f"{engine}: start {ready - started:.1f} s, rounds {time.perf_counter() - ready:.1f} s", file=sys.stderr)
    print("RESULT " + json.dumps({"runner": backend.runner, "rounds": rounds, "probes": backend.probe()}))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make_model(Path(sys.argv[2]))
    else:
        main(sys.argv[1], Path(sys.argv[2]))

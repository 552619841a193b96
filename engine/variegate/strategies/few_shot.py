"""Few-shot generation: examples from a pool of real and generated texts stand in the prompt.

Reference: Chung, Kamar and Amershi, ACL 2023, section 3 and appendix (form `chung`: 20 completions a call, one random
example for every label, a pool that grows, seeded with 18 real examples or none); Li, Zhu, Lu and Yin, EMNLP 2023
(form `li`: a few real examples, to be imitated but neither edited nor rewritten).
"""

from __future__ import annotations

import random

from variegate.config import FewShotConfig
from variegate.strategies.asking import Call, Prompt, Writer
from variegate.strategies.pool import Example, Pool
from variegate.strategies.zero_shot import li_prompts


class FewShot:
    def __init__(self, config: FewShotConfig, writer: Writer) -> None:
        self._config, self._writer = config, writer
        self.needs_records = config.grow_pool
        self.history = config.history if config.form == "li" else 0
        self.call_size = config.chats_per_label if self.history else config.completions_per_call

    def prompts(self, call: Call, pool: Pool, rng: random.Random) -> list[Prompt]:
        """While the pool is empty (no seeds, first round), the prompt has no examples."""
        out: list[Prompt] = []
        done = 0
        while done < call.count:  # fresh examples for every call of `completions_per_call` texts
            count = min(self._config.completions_per_call, call.count - done)
            examples = self.draw(call.label, pool, rng)
            if self._config.form == "chung":
                out.append(Prompt(self._writer.chung_messages(call.label, examples), tuple(each.id for each in examples), count))
            else:
                part = Call(call.label, count, call.first_slot + done, call.first_chat + done, call.round)
                out += li_prompts(self._writer, part, pool, examples)
            done += count
        return out

    def draw(self, label: str, pool: Pool, rng: random.Random) -> list[Example]:
        """One example of each of `num_examples` labels drawn at random (all by default), the asked label among them;
        with `own_label_only`, that many of the asked label. Fewer where the pool has fewer."""
        wanted = self._config.num_examples or len(self._writer.task.labels)
        if self._config.own_label_only:
            own = pool.examples(label)
            return rng.sample(list(own), min(wanted, len(own)))
        labels = pool.labels()
        if len(labels) > wanted:
            others = [each for each in labels if each != label]
            labels = [label] * (label in labels) + rng.sample(others, wanted - (label in labels))
        chosen = [rng.choice(pool.examples(each)) for each in sorted(labels)]
        rng.shuffle(chosen)
        return chosen

    def stop(self) -> tuple[str, ...]:
        return self._writer.stop()

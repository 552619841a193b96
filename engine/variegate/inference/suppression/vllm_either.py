"""One class for vLLM's two logits-processor interfaces. vLLM chooses its model runner by itself, from the platform, the model
and what is installed, and each runner's loader refuses the other's class: this one passes both checks.

Knows nothing of suppression beyond its two adapters, and does not guess which runner vLLM will choose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from variegate.inference.suppression.vllm_v1 import SuppressionV1

if TYPE_CHECKING:
    from vllm.config import VllmConfig

try:
    from variegate.inference.suppression.vllm_v2 import SuppressionV2
except ModuleNotFoundError as error:  # a vLLM before that interface, such as 0.26: V1 is the only one to serve
    if not (error.name or "").startswith("vllm."):
        raise
    ADAPTERS: tuple[type[Any], ...] = (SuppressionV1,)
else:
    ADAPTERS = (SuppressionV1, SuppressionV2)


class Suppression(*ADAPTERS):  # type: ignore[misc]
    """Constructing it gives a `SuppressionV1` or a `SuppressionV2`, never a `Suppression`.

    V1's loader calls the class with (vllm_config, device, is_pin_memory), V2's with (vllm_config, req_states).
    """

    def __new__(cls, vllm_config: VllmConfig, *rest: Any) -> Any:
        if len(rest) == 2:
            return SuppressionV1(vllm_config, *rest)
        return SuppressionV2(vllm_config, *rest)

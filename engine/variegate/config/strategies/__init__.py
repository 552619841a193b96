"""The settings of each strategy, one module a strategy, found by the `kind` in a run file.

A module here holds a class derived from `StrategyConfig` and names it CONFIG; its conversation is the module of the same name
in `variegate.strategies`. An installed package adds a strategy by an entry point of the group `variegate.strategies` that
names a module with both CONFIG and STRATEGY. Knows what users set and what is said of it; knows no prompt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import SerializeAsAny

from variegate.config.strategies.base import StrategyConfig
from variegate.config.tagged import Tagged
from variegate.registry import Registry

STRATEGY_CONFIGS: Registry[type[StrategyConfig]] = Registry("strategy", "variegate.config.strategies", "CONFIG", "variegate.strategies")

if TYPE_CHECKING:
    AnyStrategyConfig = StrategyConfig
else:
    AnyStrategyConfig = Annotated[SerializeAsAny[StrategyConfig], Tagged(STRATEGY_CONFIGS, lambda config: config)]

"""Strategies: pure functions from a task, a pool of texts and a random generator to prompts."""

from __future__ import annotations

from variegate.config import TaskConfig, ZeroShotConfig
from variegate.config.strategy import StrategyConfig
from variegate.strategies.asking import Strategy, Writer
from variegate.strategies.few_shot import FewShot
from variegate.strategies.prompts import Prompts
from variegate.strategies.zero_shot import ZeroShot


def make_strategy(config: StrategyConfig, task: TaskConfig, *, chat: bool) -> Strategy:
    """The strategy a run file asks for. Raises ConfigError when a template override is wrong."""
    writer = Writer(task, Prompts(config.templates), chat)
    return ZeroShot(config, writer) if isinstance(config, ZeroShotConfig) else FewShot(config, writer)

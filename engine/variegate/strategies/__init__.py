"""Strategies: each a conversation of its own, found by the name that its settings have. See `conversation` for what one is.

A module here holds a class derived from `Conversation` and names it STRATEGY; its settings are the module of the same name in
`variegate.config.strategies`.
"""

from __future__ import annotations

from variegate.registry import Registry
from variegate.strategies.conversation import Brief, Conversation

STRATEGIES: Registry[type[Conversation]] = Registry("strategy", "variegate.strategies", "STRATEGY", "variegate.strategies")


def begin(brief: Brief) -> Conversation:
    """The conversation that a run file asks for. Raises ConfigError where a template override is wrong."""
    return STRATEGIES.find(brief.config.kind)(brief)

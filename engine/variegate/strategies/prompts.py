"""Prompt templates: Jinja2 files beside this module, each of which a run file can override by name.

Knows how a template becomes text; knows nothing of which strategy uses it or which model reads it.
Templates are sandboxed and strict: an unknown variable is an error, never an empty string. They see plain values only: the
sandbox lets a template call any public method of what it is given, and `parse_raw` of a pydantic model reads pickles.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from variegate.closed import Closed
from variegate.errors import ConfigError, nearest

TEMPLATE_FOLDER = Path(__file__).parent / "templates"
# Jinja2's own, and what an expression in a user's template can raise: 1 / 0, text + 1, a list's tenth of three.
_FILLING_ERRORS = (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def template_names() -> list[str]:
    """Names that a run file's `strategy.templates` may override."""
    return sorted(path.stem for path in TEMPLATE_FOLDER.glob("*.j2"))


def with_article(noun: str) -> str:
    """`question` -> `a question`, `ordinary text` -> `an ordinary text`: by first letter, which suits the text types."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def sentence_case(noun: str) -> str:
    """First letter in upper case, the rest as it stands (`FAQ entry` stays itself)."""
    return noun[:1].upper() + noun[1:]


def plural(noun: str) -> str:
    """`question` -> `questions`, `story about a dog` -> `stories about a dog`: of the first noun, by its ending."""
    head, between, rest = re.match(r"(.*?)(?:( (?:from|to|of|about|in|on|for|with|by|that|which) )(.*))?$", noun, re.DOTALL).groups("")  # type: ignore[union-attr]
    if head[-1:].lower() == "y" and head[-2:-1].lower() not in "aeiou":
        head = f"{head[:-1]}ies"
    elif head.lower().endswith("sis"):
        head = f"{head[:-2]}es"
    else:
        head += "es" if head.lower().endswith(("s", "x", "z", "ch", "sh")) else "s"
    return f"{head}{between}{rest}"


@lru_cache(maxsize=1)
def _environment() -> SandboxedEnvironment:
    # autoescape stays off: the output is a prompt, not HTML.
    environment = SandboxedEnvironment(undefined=StrictUndefined, trim_blocks=False, keep_trailing_newline=False)
    environment.filters.update(with_article=with_article, sentence_case=sentence_case, plural=plural)
    return environment


@lru_cache(maxsize=1)
def _builtin() -> dict[str, Template]:
    """Compiled once in a process: that takes a tenth of a second."""
    files = {name: TEMPLATE_FOLDER / f"{name}.j2" for name in template_names()}
    return {name: _environment().from_string(path.read_text(encoding="utf-8")) for name, path in files.items()}


def plain(value: Any) -> Any:
    """What a template may see of a value: a string, number or None itself; a sequence as a tuple; a mapping as a dict with
    string keys; a config model as its fields alone (`label.title`). A copy throughout: a template changes nothing of ours.

    Raises TypeError for anything else: say what of it the template needs.
    """
    if value is None or type(value) in (str, int, float, bool):
        return value
    if type(value) in (list, tuple):
        return tuple(plain(each) for each in value)
    if type(value) is dict:
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, Closed) or type(value) is SimpleNamespace:
        return SimpleNamespace(**{name: plain(each) for name, each in vars(value).items()})
    raise TypeError(f"a prompt template was given a {type(value).__name__}: plain values only")


class Prompts:
    """The templates of one run: the built-in ones, with the run file's overrides in their place.

    overrides: template name -> template text.
    Raises ConfigError on an unknown name or a template that does not parse.
    """

    def __init__(self, overrides: Mapping[str, str] | None = None) -> None:
        self._templates = {**_builtin()}
        for name, text in (overrides or {}).items():
            if name not in self._templates:
                names = sorted(self._templates)
                raise ConfigError(f"strategy.templates: unknown template {name!r}{nearest(name, names)} Known: {', '.join(names)}")
            try:
                self._templates[name] = _environment().from_string(text)
            except TemplateError as error:
                raise ConfigError(f"strategy.templates.{name}: not a Jinja2 template: {error}") from error

    def render(self, name: str, **values: Any) -> str:
        shown = {each: plain(value) for each, value in values.items()}
        try:
            return self._templates[name].render(**shown)
        except _FILLING_ERRORS as error:
            raise ConfigError(
                f"strategy.templates.{name}: cannot be filled in: {error}. Known values: {', '.join(sorted(values))}"
            ) from error

"""What `variegate inspect` prints: items, choices, help, and the line that is typed into. Decides nothing.

It scrolls rather than fill the window, so that a long text can be read in the terminal's own scroll-back. Texts and labels
are made visible first: nothing that a model wrote can move the cursor.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from variegate.cli.label_search import COMMANDS
from variegate.kinds import TaskKind
from variegate.records import Record
from variegate.report.visible import visible
from variegate.store.inspected import Inspected

_LISTED = 8  # labels listed under what is typed, at most


class Screen:
    """kind: of the records. titles, descriptions: label -> text. keys: key -> label; empty: labels are searched for by typing."""

    def __init__(self, kind: TaskKind, titles: Mapping[str, str], descriptions: Mapping[str, str], keys: Mapping[str, str]) -> None:
        self._kind = kind
        self._titles = {label: _line(title) for label, title in titles.items()}
        self._descriptions = {label: _line(text) for label, text in descriptions.items()}
        self._keys = keys
        self._terminal = sys.stdout.isatty()
        # A pipe gets whole lines.
        self._console = Console(highlight=False, emoji=False, width=None if self._terminal else 1_000_000)
        self.listed = 0  # lines of the list that stand above the cursor's

    # -- items -------------------------------------------------------------------------------------------------

    def show_item(self, record: Record, place: int | None, number: int, before: Inspected | None) -> None:
        """place: in the draw of `number`; None: an undo brought it back from another. before: how it was judged earlier."""
        self._show_head(f"{place} of {number}" if place else "of an earlier draw")
        shown = Text(visible(self._kind.show(record.fields)))
        self._console.print(Padding(shown, (0, 0, 0, 2), expand=False))
        self._console.print()
        title, description = self.title(record.label), self._descriptions.get(record.label, "")
        self._say(Text.assemble(("generated for ", "dim"), (title, "bold cyan"), (f": {description}" if description else "", "dim")))
        if before is not None:
            self._say(Text.assemble(("judged before: ", "dim"), (self.title(before.label), "bold")))
        if self._keys:
            self._say_packed([Text.assemble((key, "bold"), f" {self._titles[label]}") for key, label in self._keys.items()])
        self._show_hint()

    def show_end(self, number: int) -> None:
        self._show_head("the end")
        self._say(Text(f"All {number} items of this draw were shown."))
        self._say_packed([Text(hint, style="dim") for hint in ("Enter the end", "u undo", "? help", "q quit")])

    def show_help(self) -> None:
        self.close()
        key_of = {label: key for key, label in self._keys.items()}
        for label, title in self._titles.items():
            about = self._descriptions.get(label, "")
            self._say(Text.assemble((f"{key_of[label]}  " if self._keys else "", "bold"), (title, "cyan"), f": {about}" if about else ""))
        if self._keys:
            self._say(Text("Press the key of the label that the text has. Enter: the label it was generated for is right."))
        else:
            self._say(
                Text(
                    "Type some letters of the label that the text has, or of its words: the nearest labels are listed. The arrow keys move,"
                    " Enter takes the marked one, Escape clears. Enter with nothing typed: the label it was generated for is right."
                )
            )
        self._say(
            Text(
                "undo takes back what was done last, also in earlier sessions; skip leaves the item for the next session; out of scope:"
                " the text is outside the task, or no label applies. What is judged is on disk at once: q or Ctrl-C loses nothing."
            )
        )
        self._show_hint()

    def show_done(self, what: str, style: str = "green") -> None:
        """What became of the item."""
        self.close()
        self._say(Text(f"→ {what}", style=style))

    def say(self, words: str) -> None:
        self.close()
        self._say(Text(words, style="yellow"))

    def title(self, label: str | None) -> str:
        return "out of scope" if label is None else self._titles.get(label, _line(label))

    def _show_head(self, words: str) -> None:
        self._console.print()
        if self._terminal:
            self._console.rule(Text(words, style="bold"), align="left", style="dim")
        else:
            self._console.print(Text(words))

    def _show_hint(self) -> None:
        slash = "" if self._keys else "/"
        hints = [*([] if self._keys else ["type a label"]), "Enter it is right"]
        hints += [f"{slash}{key} {words}" for key, words in COMMANDS.items()]
        self._say_packed([Text(hint, style="dim") for hint in hints])

    def _say_packed(self, parts: Sequence[Text]) -> None:
        """As many of the parts on a line as fit, none of them broken where it fits on a line of its own."""
        line = Text()
        for part in parts:
            if line and line.cell_len + 3 + part.cell_len > self._console.width - 2:
                self._say(line)
                line = Text()
            line = Text.assemble(line, "   ", part) if line else part
        self._say(line)

    def _say(self, text: Text) -> None:
        self._console.print(Padding(text, (0, 0, 0, 2), expand=False))

    # -- the line that is typed into ---------------------------------------------------------------------------

    def show_typed(self, typed: str, found: Sequence[str], marked: int) -> None:
        """The labels found, the marked one among them in view, and below them what was typed; in place of the last such list."""
        self.close()
        room = max(1, min(_LISTED, self._console.height - 3))
        first = max(0, marked - room + 1)
        lines = []
        for place, label in list(enumerate(found))[first : first + room]:
            sign, style = ("› ", "bold") if place == marked else ("  ", "")
            lines.append(Text.assemble((f"  {sign}{self._titles[label]}", style), (f"  {self._descriptions.get(label, '')}", "dim")))
        if typed == "/":
            lines.append(Text("   ".join(f"{key} {words}" for key, words in COMMANDS.items()), style="dim"))
        elif len(found) > room:
            lines.append(Text(f"    … {len(found)} labels fit", style="dim"))
        elif typed and not found:
            lines.append(Text("  no label is near to this", style="yellow"))
        width = max(4, self._console.width - 1)  # a full line would wrap on some terminals
        for line in lines:
            line.truncate(width, overflow="ellipsis")
            self._console.print(line, no_wrap=True, overflow="crop")
        self.listed = len(lines)
        shown = Text(f"> {visible(typed)}")
        while shown.cell_len > width:  # the end of it is what is being typed
            shown = Text("> …") + shown[4:]
        self._console.print(shown, end="", no_wrap=True, overflow="crop")
        self._console.file.flush()

    def close(self) -> None:
        """Take the list and the typed line away; the cursor then stands where they began."""
        if self._terminal and not self._keys:
            up = f"\x1b[{self.listed}A" if self.listed else ""
            self._console.file.write(f"\r{up}\x1b[J")
            self.listed = 0


def _line(text: str) -> str:
    return " ".join(visible(text).split())

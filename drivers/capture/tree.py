"""A tree of words: how layers and data are shown to people, whatever draws it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Node:
    """A line, and what belongs beneath it."""

    text: str
    children: list[Node] = field(default_factory=list)

    def lines(self, depth: int = 0) -> list[str]:
        """The tree as lines, two blanks deeper beneath each."""
        below = [line for child in self.children for line in child.lines(depth + 1)]
        return ["  " * depth + self.text, *below]

"""How docstrings become pages (an extension of griffe, named in mkdocs.yml)."""

from __future__ import annotations

from typing import Any

import griffe


class Examples(griffe.Extension):
    """The section `Example:` of our docstrings is what griffe knows as `Examples:`, code."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rename the section of a module, class, function or attribute that has been read."""
        if obj.docstring is not None:
            lines = obj.docstring.value.splitlines()
            obj.docstring.value = "\n".join(map(_renamed, lines))


def _renamed(line: str) -> str:
    return line.replace("Example:", "Examples:") if line.strip() == "Example:" else line

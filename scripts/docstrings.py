"""Griffe extension that prepares docstrings for the API page (see mkdocs.yml)."""

from __future__ import annotations

from typing import Any

import griffe


class Examples(griffe.Extension):
    """Turns `Example:` sections into the `Examples:` that griffe renders as code."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rename the section in the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            lines = obj.docstring.value.splitlines()
            obj.docstring.value = "\n".join(map(_renamed, lines))


def _renamed(line: str) -> str:
    return line.replace("Example:", "Examples:") if line.strip() == "Example:" else line

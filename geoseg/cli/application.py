"""The `App` that commands register with, and parameters that several of them take."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

app = App(
    name="geoseg",
    help="Land-cover and flood maps from satellite, aerial and drone rasters.",
    help_epilogue="Add --debug to any command to see where in the code an error came from.",
    version=lambda: version("geoseg"),
    default_parameter=Parameter(negative_iterable=()),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
_position = count()

Out = Annotated[Path, Parameter(alias="-o")]
AsJson = Annotated[bool, Parameter(name="--json", negative=())]


def command[F: Callable[..., object]](name: str, *, of: App = app) -> Callable[[F], F]:
    """Register a function as a command; ``--help`` lists commands in the order they register.

    Without a sort key cyclopts would list them by name, and `tile` after `predict`.
    """
    return of.command(name=name, sort_key=(0, next(_position)))


def group(name: str, help: str) -> App:  # noqa: A002  (as cyclopts calls it)
    """Register a command that has commands of its own; ``--help`` lists it after the others."""
    app.command(commands := App(name=name, help=help, sort_key=(1, next(_position))))
    return commands


def print_paths(paths: Iterable[Path]) -> None:
    """Print what a command made, one path per line, for scripts to read."""
    for path in paths:
        print(path)

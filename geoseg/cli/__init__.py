"""The command line: parse, call one function, print the paths."""

from __future__ import annotations

import logging
import os
import sys
import warnings

from cyclopts import CycloptsError
from pydantic import ValidationError

from geoseg.cli import catalog_commands, model_commands, step_commands  # noqa: F401  (registers them)
from geoseg.cli.application import app
from geoseg.cli.signals import INTERRUPTED, SIGINT_CODE, SIGTERM_CODE, Terminated, handle_signals
from geoseg.errors import GeosegError
from geoseg.options import complaint

__all__ = ["Terminated", "app", "main"]

SIGPIPE_CODE = 141
"""128 and SIGPIPE's number, as shells report it."""


def main() -> None:
    """Run the program and exit with its code."""
    handle_signals()
    sys.exit(_main(sys.argv[1:]))


def _main(arguments: list[str]) -> int:
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    # rasterio warns about plain images; geoseg's own errors say what a missing grid means
    warnings.filterwarnings("ignore", message="Dataset has no geotransform")
    logging.getLogger("geoseg").setLevel(logging.DEBUG if debug else logging.INFO)
    try:
        return _exit_code(arguments)
    except KeyboardInterrupt as error:
        code = SIGTERM_CODE if isinstance(error, Terminated) else SIGINT_CODE
        return _fail(INTERRUPTED, code, debug)
    except GeosegError as error:
        return _fail(f"{type(error).__name__}: {error}", error.exit_code, debug)
    except CycloptsError as error:
        return _fail(_usage(error), 2, debug)
    except MemoryError:
        return _fail(
            "out of memory: use a smaller --window or --region, or fewer workers", 3, debug
        )
    except Exception as error:
        hint = "this is a bug in geoseg; --debug shows where"
        return _fail(f"{type(error).__name__}: {error} ({hint})", 1, debug)


def _exit_code(arguments: list[str]) -> int:
    """Run a command; a reader that closes the pipe early, as `head` does, is no error."""
    try:
        result = app(arguments, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout once more at exit, which would fail again
        # (docs.python.org/3/library/signal.html#note-on-sigpipe)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SIGPIPE_CODE
    return result if isinstance(result, int) else 0


def _fail(message: str, code: int, debug: bool) -> int:
    if debug:
        logging.getLogger("geoseg").exception("")
    print(f"geoseg: {message}", file=sys.stderr)
    return code


def _usage(error: CycloptsError) -> str:
    """One line for a wrong flag or value; pydantic's errors name the field, not the flag."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, ValidationError):
        each = cause.errors()[0]
        flag = "--" + "-".join(str(part) for part in each["loc"]).replace("_", "-")
        return f"{flag}: {complaint(each)}; got {each['input']}"
    return " ".join(str(error).split())

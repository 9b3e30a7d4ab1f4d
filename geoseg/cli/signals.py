"""What Ctrl-C and SIGTERM do: the program ends in order, or after a few seconds in any case."""

from __future__ import annotations

import os
import signal
import sys
import threading

GRACE_S = 8.0
"""Time an interrupted program has to finish the window or file it is at."""
INTERRUPTED = "interrupted; run the same command again to resume"
SIGINT_CODE, SIGTERM_CODE = 130, 143
"""Exit codes as shells report them: 128 and the number of the signal."""


class Terminated(KeyboardInterrupt):
    """SIGTERM was received."""


def handle_signals() -> None:
    """Turn SIGTERM and SIGINT into exceptions of the main thread.

    A process started in the background by a shell without job control ignores SIGINT, and goes on
    ignoring it.
    """
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupt)


def _terminate(*_: object) -> None:
    _exit_after_grace(SIGTERM_CODE)
    raise Terminated


def _interrupt(*_: object) -> None:
    _exit_after_grace(SIGINT_CODE)
    raise KeyboardInterrupt


def _exit_after_grace(code: int) -> None:
    """Python cannot stop threads inside torch or GDAL, so the process exits under them.

    Nothing is lost but the windows they are at: files appear whole or not at all.
    """
    timer = threading.Timer(GRACE_S, _exit, [code])
    timer.daemon = True
    timer.start()


def _exit(code: int) -> None:
    print(f"geoseg: {INTERRUPTED}", file=sys.stderr, flush=True)
    os._exit(code)

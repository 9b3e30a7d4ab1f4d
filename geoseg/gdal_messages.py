"""GDAL's messages, collected instead of printed."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("rasterio", "pyogrio")
MAX_SHOWN, MAX_LENGTH = 3, 200


@contextmanager
def collect_messages() -> Iterator[list[str]]:
    """Collect warnings and errors that GDAL reports, and keep them off the terminal.

    Rasterio and pyogrio pass them on as log records, and as Python warnings, which are dropped.

    Yields:
        A list that fills with the messages.
    """
    messages: list[str] = []
    handler = _Collector(messages)
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield messages
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.propagate = propagate


def summarize(messages: list[str]) -> str:
    """The first few different messages in one line, each cut to `MAX_LENGTH` characters."""
    short = (each.removeprefix("CPLE_AppDefined in ") for each in messages)
    different = list(dict.fromkeys(each[:MAX_LENGTH] for each in short))
    more = f" (and {len(different) - MAX_SHOWN} more)" * (len(different) > MAX_SHOWN)
    return "; ".join(different[:MAX_SHOWN]) + more


class _Collector(logging.Handler):
    def __init__(self, messages: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())

"""GDAL's messages, collected instead of printed."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("rasterio", "pyogrio")
SHOWN, LENGTH = 3, 200


@contextmanager
def quietly() -> Iterator[list[str]]:
    """Keep what GDAL and its readers say off the terminal; the list fills with it."""
    messages: list[str] = []
    handler = _Collect(messages)
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


def summary(messages: list[str]) -> str:
    """The first few different messages, cut where they are long."""
    short = (each.removeprefix("CPLE_AppDefined in ") for each in messages)
    different = list(dict.fromkeys(each[:LENGTH] for each in short))
    more = f" (and {len(different) - SHOWN} more)" * (len(different) > SHOWN)
    return "; ".join(different[:SHOWN]) + more


class _Collect(logging.Handler):
    def __init__(self, messages: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())

"""Errors that say what, where, got, wanted and the next move."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from geoseg import errors
from geoseg.errors import (
    ApartError,
    GeosegError,
    InputError,
    OutputError,
    PartialError,
    RasterError,
    RetryError,
    UnsafeError,
    VectorError,
)

EVERY = [each for each in vars(errors).values() if isinstance(each, type)]
KINDS = [each for each in EVERY if issubclass(each, GeosegError)]


def test_a_message_reads_where_what_got_wanted_next() -> None:
    error = RasterError("has 4 bands", where=Path("a.tif"), got=4, wanted=3, fix="name 3 of them")
    assert str(error) == "a.tif: has 4 bands; got 4; wanted 3. Next: name 3 of them"


def test_what_is_not_known_is_left_out() -> None:
    assert str(GeosegError("is wrong")) == "is wrong"
    assert str(GeosegError("is wrong", got=0)) == "is wrong; got 0"


def test_a_message_is_one_line_even_if_a_file_name_is_not() -> None:
    assert str(GeosegError("is empty", where="new\nline.tif")) == "new\\nline.tif: is empty"


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_comes_back_from_another_process_as_it_was(kind: type[GeosegError]) -> None:
    error = kind("is wrong", where=Path("a.tif"), got=(1, 2), wanted=[3], fix="mend it")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error)
    assert (again.where, again.got, again.fix) == (Path("a.tif"), (1, 2), "mend it")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (GeosegError, 1),
        (InputError, 2),
        (OutputError, 2),
        (RetryError, 3),
        (PartialError, 3),
        (UnsafeError, 2),
    ],
)
def test_exit_codes_say_bug_fix_something_or_run_again(kind: type[GeosegError], code: int) -> None:
    assert kind("x").exit_code == code


def test_every_error_stands_in_the_tree_of_the_module_docstring() -> None:
    assert errors.__doc__ is not None
    assert len(KINDS) == 15
    below = {ApartError: VectorError, PartialError: RetryError}
    for kind in KINDS:
        assert kind.__name__ in errors.__doc__
        if kind not in (GeosegError, InputError, OutputError, RetryError):
            assert kind.__bases__ == (below.get(kind, InputError),)


def test_a_reason_that_cannot_be_pickled_goes_as_its_text() -> None:
    class Odd(Exception):
        """No other process knows it."""

    again = pickle.loads(pickle.dumps(RasterError("is broken", got=Odd("strip 7 is short"))))
    assert str(again) == "is broken; got strip 7 is short"


def test_what_failed_in_part_keeps_its_list_on_the_way() -> None:
    error = PartialError("2 of 9 failed", failures=[("a.tif", "is broken"), ("b.tif", "is not")])
    again = pickle.loads(pickle.dumps(error))
    assert again.failures == (("a.tif", "is broken"), ("b.tif", "is not"))

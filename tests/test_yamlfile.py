"""YAML read strictly (table C of the notes on bad input)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from geoseg import yamlfile
from geoseg.errors import ConfigError

REFUSED = {
    "empty": ("", "not a mapping; got nothing"),
    "a list": ("- a\n- b\n", "not a mapping; got list"),
    "a key twice": ("lr: 1\nlr: 2\n", "the key 'lr' twice, in lines 1 and 2"),
    "a key twice, deep": ("a:\n  b: 1\n  b: 2\n", "the key 'b' twice, in lines 2 and 3"),
    "an alias": ("a: &x [1]\nb: *x\n", "uses an alias in line 2"),
    "a merge key": ("a: &x {b: 1}\nc:\n  <<: *x\n", "uses an alias in line 3"),
    "a Python tag": ("x: !!python/object/apply:os.system [id]", "uses the tag"),
    "an int tag": ("x: !!int abc", "uses the tag"),
    "a tagged mapping": ("x: !thing {a: 1}", "uses the tag '!thing' in line 1"),
    "nesting": ("a: " + "[" * 20_000 + "]" * 20_000, "nested too deep in line 1"),
    "a tab": ("a:\n\tb: 1\n", "line 2, column 1"),
    "an open quote": ("a: 'x", "not valid YAML"),
    "two documents": ("a: 1\n---\nb: 2\n", "not valid YAML"),
    "a list as key": ("? [a, b]\n: 1\n", "a key in line 1 that is not plain text"),
    "a template": ("path: {{ folder }}\n", "a key in line 1 that is not plain text"),
    "no such date": ("when: 2024-13-45\n", "month must be in 1..12"),
    "an endless number": ("seed: " + "1" * 5000, "not valid YAML"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_with_what_and_where(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        yamlfile.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_nesting_up_to_32_levels_is_read() -> None:
    assert yamlfile.parse("a: " + "[" * 31 + "]" * 31)
    with pytest.raises(ConfigError, match="32 levels"):
        yamlfile.parse("a: " + "[" * 32 + "]" * 32)


def test_plain_values_become_what_yaml_says() -> None:
    text = "a: 1\nb: [0.5, x]\nc: {d: null}\n"
    assert yamlfile.parse(text) == {"a": 1, "b": [0.5, "x"], "c": {"d": None}}


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes("\ufeffname: Fédé\r\nsize: 2\r\n".encode())
    assert yamlfile.read(path) == {"name": "Fédé", "size": 2}


def test_latin1_is_named_with_its_byte(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes("name: Fédé\n".encode("latin1"))
    with pytest.raises(ConfigError, match="not UTF-8 at byte 7"):
        yamlfile.read(path)


def test_a_missing_file_and_a_huge_one_are_named(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    with pytest.raises(ConfigError, match="No such file"):
        yamlfile.read(path)
    path.write_bytes(b"#" * (yamlfile.MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="1048577 bytes"):
        yamlfile.read(path)


@pytest.mark.parametrize(
    "number", ["010", "1_000", "12:30", "0x1F", "0b11", "1_0.5", "1:30.5", "-007"]
)
def test_numbers_that_yaml_reads_otherwise_are_refused_with_their_line(number: str) -> None:
    with pytest.raises(ConfigError, match=f"has {re.escape(number)} in line 2, .* in quotes"):
        yamlfile.parse(f"a: 1\nvalues: [{number}]")
    assert yamlfile.parse(f'values: ["{number}"]') == {"values": [number]}


def test_plain_numbers_are_what_they_look_like() -> None:
    found = yamlfile.parse("a: [0, -1, +10, 255, 0.5, .5, 1., -2.50, 1.0e+3, 01.5, .inf]")["a"]
    assert found == [0, -1, 10, 255, 0.5, 0.5, 1.0, -2.5, 1000.0, 1.5, float("inf")]

"""A strict reader of YAML files: no tags, no aliases, no duplicate keys, limited size and depth.

Tags can construct objects, aliases can expand to gigabytes ("billion laughs"), and of a key given
twice PyYAML silently keeps the last. Numbers are written in plain decimals: YAML 1.1 reads 010 as
8, 1_000 as 1000 and 12:30 as 750.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoseg.errors import ConfigError

if TYPE_CHECKING:
    import yaml

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
DECIMAL = re.compile(
    r"[-+]?(0|[1-9][0-9]*|[0-9]*\.[0-9]*(e[-+]?[0-9]+)?|\.(inf|nan))", re.IGNORECASE
)
"""Numbers that mean what they look like."""


def read(path: Path) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping.

    Raises:
        ConfigError: the file is missing, not UTF-8, over 1 MiB, nested deeper than 32 levels, uses
            tags, aliases, a key twice or numbers other than plain decimals, or is not a mapping;
            names the line, if known.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError("cannot be read", where=path, got=error.strerror) from error
    if len(data) > MAX_BYTES:
        raise ConfigError("is too large for a YAML file", where=path, got=f"{len(data)} bytes")
    try:
        return parse(data.decode())
    except UnicodeDecodeError as error:
        raise ConfigError(f"is not UTF-8 at byte {error.start}", where=path) from error
    except ConfigError as error:
        raise ConfigError(error.what, where=path, got=error.got, wanted=error.wanted) from error


def parse(text: str) -> dict[str, Any]:
    """Parse YAML text as `read` does.

    Raises:
        ConfigError: as `read`.

    Example:
        >>> parse("tile: {size: 256}")
        {'tile': {'size': 256}}
    """
    import yaml

    try:
        _check_events(yaml.parse(text, Loader=yaml.SafeLoader))
        value = yaml.load(text, Loader=_strict_loader())  # noqa: S506  (a SafeLoader)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: such as the date 2024-13-45
        raise ConfigError(f"is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(value, dict):
        kind = "nothing" if value is None else type(value).__name__
        raise ConfigError("the top level is not a mapping", got=kind, wanted="key: value")
    return value


def _check_events(events: Any) -> None:
    import yaml

    depth = 0
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise ConfigError(f"uses an alias in line {line}", wanted="the value written out")
        if getattr(event, "tag", None):
            raise ConfigError(f"uses the tag {event.tag!r} in line {line}", wanted="plain values")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ConfigError(f"is nested too deep in line {line}", wanted=f"{MAX_DEPTH} levels")


def _strict_loader() -> type[yaml.SafeLoader]:
    import yaml

    class StrictLoader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen: dict[Any, int] = {}
            for key_node, _ in node.value:
                key, line = self.construct_object(key_node), key_node.start_mark.line + 1
                if not isinstance(key_node, yaml.ScalarNode):
                    raise ConfigError(
                        f"has a key in line {line} that is not plain text", wanted="key: value"
                    )
                if key in seen:
                    raise ConfigError(f"has the key {key!r} twice, in lines {seen[key]} and {line}")
                seen[key] = line
            return super().construct_mapping(node, deep)

        def construct_yaml_int(self, node: Any) -> int:
            _check_decimal(node)
            return int(super().construct_yaml_int(node))

        def construct_yaml_float(self, node: Any) -> float:
            _check_decimal(node)
            return float(super().construct_yaml_float(node))

    number = "tag:yaml.org,2002:"
    StrictLoader.add_constructor(f"{number}int", StrictLoader.construct_yaml_int)
    StrictLoader.add_constructor(f"{number}float", StrictLoader.construct_yaml_float)
    return StrictLoader


def _check_decimal(node: Any) -> None:
    plain = node.value
    if not DECIMAL.fullmatch(plain):
        raise ConfigError(
            f"has {plain} in line {node.start_mark.line + 1}, which YAML does not read as it looks",
            wanted=f'a plain number, or "{plain}" in quotes',
        )

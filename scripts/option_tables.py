"""Write docs/options.md and docs/pipeline.schema.json from the option models (`make docs`)."""

from __future__ import annotations

import json
import sys
from functools import reduce
from operator import getitem
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from geoseg.cli import app
from geoseg.config import PipelineConfig
from geoseg.files import write_bytes
from geoseg.job.pool import WorkerOptions
from geoseg.options import Options, ReadOptions

DOCS = Path(__file__).resolve().parents[1] / "docs"
STEPS = (
    "info", "tile", "train", "predict", "vectorize", "evaluate", "publish", "view", "models export",
    "catalog add", "catalog fetch",
)  # fmt: skip
SHARED = (*ReadOptions.model_fields, *WorkerOptions.model_fields)
TYPES = {"int": "whole number", "float": "number", "bool": "yes or no", "Path": "path"}
LIMITS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "multiple_of": "a multiple of"}
HEAD = """\
# Options

Written by `make docs` from the option models in the code; `geoseg STEP --help` says the same.

A step's option is a flag on the command line, a key in a [pipeline file](#pipeline) and a field of
the step's options in Python: `--min-labelled 0.1`, `tile: {min_labelled: 0.1}` and
`geoseg.TileOptions(min_labelled=0.1)` are one setting. A flag takes a list with commas, as in
`--bands 3,2,1`; YAML takes `[3, 2, 1]`. Every command also takes `--help`, and `--debug`, which
shows where in the code an error came from.

## pipeline

`geoseg run CONFIG` reads one YAML file. Paths in it are relative to the file. `--set a.b=value`
replaces a value; it may be given several times, and the value is YAML. A key under `read` holds
for `tile` and `predict`, unless the step says otherwise.

For completion and checks in an editor, let the file start with the path to the schema:

```yaml
# yaml-language-server: $schema=../docs/pipeline.schema.json
```

"""


def pages() -> dict[Path, str]:
    """The text of each page, by the path it belongs to."""
    rows = [_row([f"`{name}`"], field) for name, field in PipelineConfig.model_fields.items()]
    text = HEAD + _table(["YAML key"], rows) + "".join(map(_section, STEPS))
    schema = json.dumps(PipelineConfig.model_json_schema(), indent=2)
    return {DOCS / "options.md": text, DOCS / "pipeline.schema.json": schema + "\n"}


def _section(step: str) -> str:
    """What a step takes, then its options: its own first, those it shares with others last.

    The comments around it let the step's own page show it too (pymdownx.snippets).
    """
    command = reduce(getitem, step.split(), app)
    arguments = command.assemble_argument_collection(parse_docstring=True)
    takes = "".join(
        f"- {', '.join(f'`{name}`' for name in each.names)}: {each.parameter.help}\n"
        for each in arguments
        if each.show and not each.keys
    )
    model = next(each.hint for each in arguments if each.names == ("*",))
    flags = {each.keys[0]: each for each in arguments if each.keys}
    in_yaml = step in PipelineConfig.model_fields
    rows = []
    for name in sorted(model.model_fields, key=lambda name: name in SHARED):
        field = model.model_fields[name]
        shown = flags[name].names if field.annotation is bool else flags[name].names[:1]
        keys = [f"`{step}.{name}`"] if in_yaml else []
        rows.append(_row([", ".join(f"`{flag}`" for flag in shown), *keys], field))
    table = _table(["flag", *(["YAML key"] if in_yaml else [])], rows)
    part = step.replace(" ", "-")
    body = f"<!-- --8<-- [start:{part}] -->\n{takes}\n{table}<!-- --8<-- [end:{part}] -->\n"
    return f"\n## {step}\n\n{command.help.splitlines()[0]}\n\n{body}"


def _row(keys: list[str], field: FieldInfo) -> list[str]:
    return [*keys, _kind(field), _default(field), " ".join((field.description or "").split())]


def _kind(field: FieldInfo) -> str:
    kinds = [each for each in get_args(field.annotation) if each is not NoneType]
    plain: Any = kinds[0] if NoneType in get_args(field.annotation) else field.annotation
    if get_origin(plain) is Literal:
        return ", ".join(f"`{each}`" for each in get_args(plain))
    if isinstance(plain, type) and issubclass(plain, Options):
        step = plain.__name__.removesuffix("Options").lower()
        keys = ", ".join(f"`{key}`" for key in plain.model_fields)
        return f"keys: see [{step}](#{step})" if step in STEPS else f"keys: {keys}"
    text = "list of texts" if get_origin(plain) is tuple else TYPES.get(plain.__name__, "text")
    return ", ".join([text, *filter(None, map(_limit, field.metadata))])


def _limit(constraint: Any) -> str:
    words = (f"{w} {getattr(constraint, k)}" for k, w in LIMITS.items() if hasattr(constraint, k))
    return "not empty" if hasattr(constraint, "min_length") else next(words, "")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is None or field.default == "" or isinstance(field.default, Options):
        return ""
    return f"`{json.dumps(field.default)}`".replace('`"', "`").replace('"`', "`")


def _table(keys: list[str], rows: list[list[str]]) -> str:
    head = [*keys, "type", "default", "meaning"]
    cells = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', r'\|') for cell in row)} |\n" for row in cells)


if __name__ == "__main__":
    for page, text in pages().items():
        write_bytes(page, text.encode())
        sys.stdout.write(f"{page.relative_to(DOCS.parent)}\n")

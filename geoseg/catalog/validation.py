"""All problems of a catalog at once; works offline."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoseg.catalog import multihash, policy
from geoseg.catalog.tree import FILE, CatalogProblem, Document, Tree, links, local_path, walk
from geoseg.errors import UnsafeError

if TYPE_CHECKING:
    from jsonschema import Draft7Validator

VERSIONS = ("1.0.0", "1.1.0")
SCHEMAS = "https://schemas.stacspec.org/v1.1.0"
KINDS = {"Catalog": "catalog", "Collection": "collection", "Feature": "item"}
ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
STRUCTURE = ("root", "parent", "self", "collection")
DATES = ("datetime", "start_datetime", "end_datetime", "created", "updated", "expires")


def validate(root: str | Path | None = None) -> list[CatalogProblem]:
    """Check a catalog: schema, ids, links, dates, boxes, assets, and geoseg's own requirements.

    Core STAC 1.0 and 1.1 is validated against the schemas bundled with pystac. Those of extensions
    are not bundled, so the fields geoseg reads are checked here. In a project with configs,
    pipelines or docs, one of them has to use each data set.

    Args:
        root: the catalog's folder or its catalog.json; `default_root` if None.

    Returns:
        All problems, file by file; an empty list if the catalog is valid.

    Raises:
        CatalogError: there is no catalog at ``root``.
    """
    tree = walk(root)
    found = list(tree.problems)
    for document in tree.documents:
        for check in (*CHECKS, policy.required_fields, policy.checksums):
            found += check(tree, document)
    for check_all in (_twice, policy.remaps, policy.uses):
        found += check_all(tree)
    return sorted(dict.fromkeys(found), key=lambda each: (each.path != FILE, each.path))


def _schema(tree: Tree, document: Document) -> Iterator[CatalogProblem]:
    content = document.content
    version = content.get("stac_version")
    if version not in VERSIONS:
        text = f"stac_version is {version!r}, not {' or '.join(VERSIONS)}"
        yield tree.problem(document.path, "version", text)
        return
    validator = _validator(KINDS[content["type"]])
    for error in validator.iter_errors({**content, "stac_version": VERSIONS[-1]}):
        where = "/".join(str(part) for part in error.absolute_path)
        text = f"{where + ': ' if where else ''}{error.message[:200]}"
        yield tree.problem(document.path, "schema", text)


@cache
def _validator(kind: str) -> Draft7Validator:
    """The bundled schema; a registry of the bundled ones keeps jsonschema from fetching others."""
    from jsonschema import Draft7Validator
    from pystac.validation.local_validator import get_local_schema_cache
    from referencing import Registry, Resource

    schemas = get_local_schema_cache()
    resources = [(uri, Resource.from_contents(each)) for uri, each in schemas.items()]
    registry: Registry[Any] = Registry().with_resources(resources)
    return Draft7Validator(
        schemas[f"{SCHEMAS}/{kind}-spec/json-schema/{kind}.json"], registry=registry
    )


def _names(tree: Tree, document: Document) -> Iterator[CatalogProblem]:
    name = document.content.get("id")
    if not isinstance(name, str) or not ID.fullmatch(name) or not name.strip("."):
        text = f"the id {name!r} is not a safe name"
        fix = "use up to 128 letters, digits, dots, dashes and underscores"
        yield tree.problem(document.path, "id", text, fix)


def _twice(tree: Tree) -> Iterator[CatalogProblem]:
    first: dict[Any, Path] = {}
    for document in tree.documents:
        name = str(document.content.get("id"))
        if name in first:
            other = tree.problem(first[name], "", "").path
            yield tree.problem(document.path, "id", f"the id {name!r} is also that of {other}")
        first.setdefault(name, document.path)


def _link_targets(tree: Tree, document: Document) -> Iterator[CatalogProblem]:
    """Problems of links other than children and items, which `walk` has followed."""
    for rel, href in links(document.content):
        if rel in ("child", "item"):
            continue
        try:
            target = local_path(href, document.path, tree.folder)
        except UnsafeError as error:
            yield tree.problem(document.path, "unsafe", f"link {rel!r}: {error}")
            continue
        if target is None and rel in STRUCTURE:
            text = f"the link {rel!r} leads out of the catalog: {href}"
            yield tree.problem(document.path, "link", text, "make it relative")
        elif target is not None and not target.is_file():
            text = f"the link {rel!r} leads to a missing file: {href}"
            yield tree.problem(document.path, "link", text)


def _dates(tree: Tree, document: Document) -> Iterator[CatalogProblem]:
    for name, value in _stated_dates(document.content):
        if value is not None and _moment(value) is None:
            text = f"{name} of {document.content.get('id')!r} is not a date and time: {value!r}"
            yield tree.problem(document.path, "datetime", text, "write it as 2024-05-31T10:00:00Z")
    for name, start, end in _spans(document.content):
        first, last = _moment(start), _moment(end)
        if first and last and first > last:
            yield tree.problem(document.path, "datetime", f"{name} ends before it starts")


def _stated_dates(content: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    properties = content.get("properties")
    stated = properties if isinstance(properties, dict) else {}
    yield from ((name, stated.get(name)) for name in DATES)
    for _, start, end in _intervals(content):
        yield "extent/temporal", start
        yield "extent/temporal", end


def _spans(content: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    properties = content.get("properties")
    if isinstance(properties, dict):
        yield "its time span", properties.get("start_datetime"), properties.get("end_datetime")
    yield from _intervals(content)


def _intervals(content: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for each in _listed(content, "extent", "temporal", "interval"):
        if isinstance(each, list) and len(each) == 2:
            yield "extent/temporal", each[0], each[1]


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else None


def _boxes(tree: Tree, document: Document) -> Iterator[CatalogProblem]:
    boxes = _listed(document.content, "extent", "spatial", "bbox")
    if "bbox" in document.content:
        boxes = [*boxes, document.content["bbox"]]
    for box in boxes:
        wrong = _wrong_box(box)
        if wrong:
            yield tree.problem(document.path, "bbox", f"the bbox {box} {wrong}")


def _wrong_box(box: Any) -> str | None:
    if not isinstance(box, list) or len(box) not in (4, 6):
        return "does not have 4 or 6 numbers"
    if not all(isinstance(v, int | float) and math.isfinite(v) for v in box):
        return "has a value that is not a finite number"
    half = len(box) // 2
    west, south, east, north = box[0], box[1], box[half], box[half + 1]
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        return "is not west, south, east, north in degrees"
    return None


def _assets(tree: Tree, document: Document) -> Iterator[CatalogProblem]:
    assets = document.content.get("assets")
    for name, asset in assets.items() if isinstance(assets, dict) else ():
        if not isinstance(asset, dict) or not isinstance(asset.get("href"), str):
            continue
        try:
            path = local_path(asset["href"], document.path, tree.folder)
        except UnsafeError as error:
            yield tree.problem(document.path, "unsafe", f"asset {name!r}: {error}")
            continue
        if path is not None:
            wrong = _wrong_file(path, asset)
            if wrong:
                fix = "fetch the file again, or correct the entry"
                yield tree.problem(document.path, "asset", f"asset {name!r}: {wrong}", fix)


def _wrong_file(path: Path, asset: dict[str, Any]) -> str | None:
    if not path.is_file():
        return f"{asset['href']} is missing"
    checksum = asset.get("file:checksum")
    wrong = multihash.wrong_form(checksum) if checksum is not None else None
    wrong = wrong or multihash.mismatch(path, checksum, asset.get("file:size"))
    return f"{asset['href']} {wrong}" if wrong else None


def _listed(content: dict[str, Any], *keys: str) -> list[Any]:
    value: Any = content
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, list) else []


CHECKS = (_schema, _names, _link_targets, _dates, _boxes, _assets)
"""Checks of STAC itself, document by document."""

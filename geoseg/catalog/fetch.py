"""The files of a data set onto this machine, and its classes as a class file."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from pydantic import Field

from geoseg import files
from geoseg.catalog import download, multihash
from geoseg.catalog.class_tables import scheme_of
from geoseg.catalog.entries import CatalogAsset, Entry, list_entries, show
from geoseg.errors import CatalogError, ConfigError, OutputError
from geoseg.options import Options
from geoseg.remote import Address

logger = logging.getLogger(__name__)
CLASS_FILE = "classes.yaml"
SAFE = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,128}")


class FetchOptions(Options):
    """Options of `fetch`."""

    assets: tuple[str, ...] = ()
    """Files to fetch, by their keys in the catalog; all of them when empty."""

    max_gb: float = Field(20, gt=0)
    """Refuse files that are larger."""


def fetch(
    root: str | Path | None, name: str, to: str | Path, *, options: FetchOptions | None = None
) -> list[Path]:
    """Bring the files of a data set into a folder; what is there already is not fetched again.

    A transfer that broke off goes on when the same call is made again. Every file is compared with
    its checksum, where one is known, before it gets its name.

    Args:
        root: the catalog's folder or its catalog.json; `default_root` without it.
        name: id of a collection or an item; a collection brings its items along.
        to: the folder to write to; the files go into a folder in it that is called like the entry.
        options: which files, and how large.

    Returns:
        The files, and classes.yaml where the entry has classes.

    Raises:
        CatalogError: there is no such entry, it has no files to fetch (says how to get it), or a
            file is not what the catalog says.
        ConfigError: the server has no such file, or it is too large.
        OutputError: another file stands in the way.
        RetryError: the network failed, or the disk is full; what has come is kept.
    """
    options = options or FetchOptions()
    entry = show(root, name)
    wanted = _wanted(root, entry, Path(to), options.assets)
    if not wanted:
        raise _no_files(entry)
    made = [_bring(asset, target, int(options.max_gb * 1e9)) for target, asset in wanted.items()]
    if entry.classes:
        made.append(Path(to) / entry.id / CLASS_FILE)
        files.write_bytes(made[-1], scheme_of(entry).to_yaml().encode())
    return made


def _wanted(
    root: str | Path | None, entry: Entry, to: Path, keys: tuple[str, ...]
) -> dict[Path, CatalogAsset]:
    """What to fetch, by where it goes."""
    items = [each for each in list_entries(root) if each.collection == entry.id]
    known = {key for each in (entry, *items) for key in each.assets}
    unknown = sorted(set(keys) - known)
    if unknown:
        raise ConfigError(
            f"{entry.id} has no file {', '.join(unknown)}", wanted=", ".join(sorted(known)) or None
        )
    found: dict[Path, CatalogAsset] = {}
    for each in (entry, *items):
        folder = to / entry.id if each is entry else to / entry.id / each.id
        for key, asset in each.assets.items():
            if not keys or key in keys:
                target = folder / _file_name(key, asset)
                found[target if target not in found else folder / f"{key}-{target.name}"] = asset
    return found


def _file_name(key: str, asset: CatalogAsset) -> str:
    """The last part of the address where that is a name, else the asset's key."""
    name = PurePosixPath(unquote(urlsplit(asset.href).path)).name
    if SAFE.fullmatch(name):
        return name
    return re.sub(r"[^A-Za-z0-9_-]", "_", key)[:64] or "file"


def _no_files(entry: Entry) -> CatalogError:
    how = entry.fetch
    ways = [how.how, f"at {how.url}" if how.url else ""] if how else ["see its links"]
    if how and how.collection:
        ways.append(f"(collection {how.collection})")
    return CatalogError(
        "has no files to fetch one by one", where=entry.id, fix=" ".join(filter(None, ways))
    )


def _bring(asset: CatalogAsset, target: Path, most: int) -> Path:
    if target.exists():
        wrong = multihash.mismatch(target, asset.checksum, asset.size)
        if wrong:
            fix = "remove it, or name another folder with --to"
            raise OutputError(f"is there and {wrong}", where=target, fix=fix)
        logger.info("%s: is there%s", target, "" if asset.checksum else "; no checksum is known")
        return target
    with files.disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    if asset.path is not None:
        _copy(asset.path, asset, target)
    else:
        _download(asset, target, most)
    if asset.checksum is None:
        logger.info("%s: no checksum is known, so nobody knows whether it came whole", target)
    return target


def _copy(source: Path, asset: CatalogAsset, target: Path) -> None:
    if not source.is_file():
        raise CatalogError("the file of the catalog is not there", where=source)
    with files.whole(target) as temporary:
        shutil.copyfile(source, temporary)
        _check(temporary, asset, str(source))


def _download(asset: CatalogAsset, target: Path, most: int) -> None:
    """The part stays for the next call if the transfer breaks off, and goes if it is wrong."""
    address = Address(asset.href)
    part = target.with_name(f".{target.name}.part")
    download.transfer(address, part, most=most)
    try:
        _check(part, asset, address.name)
    except CatalogError:
        download.discard(part)
        raise
    download.finish(part, target)


def _check(path: Path, asset: CatalogAsset, where: str) -> None:
    wrong = multihash.mismatch(path, asset.checksum, asset.size)
    if wrong:
        raise CatalogError(
            f"is not the file of the catalog: it {wrong}",
            where=where,
            fix="look whether the data set has a new version; the catalog's entry may be old",
        )

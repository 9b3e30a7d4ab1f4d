"""Download the files of a data set, and write its classes as a class file."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from pydantic import Field

from geoseg import files, layout
from geoseg.catalog import download, multihash
from geoseg.catalog.class_tables import scheme_of
from geoseg.catalog.entries import CatalogAsset, Entry, list_entries, show
from geoseg.errors import CatalogError, ConfigError, OutputError
from geoseg.options import Options
from geoseg.remote import Address

logger = logging.getLogger(__name__)
SAFE = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,128}")


class FetchOptions(Options):
    """Options of `fetch`."""

    assets: tuple[str, ...] = ()
    """Files to fetch, by their keys in the catalog; all by default."""

    max_gb: float = Field(20, gt=0)
    """Refuse files larger than this many gigabytes."""


def fetch(
    root: str | Path | None, name: str, to: str | Path, *, options: FetchOptions | None = None
) -> list[Path]:
    """Download the files of a data set into a folder; files already there are only verified.

    Calling it again resumes an interrupted transfer. Every file is checked against its checksum, if
    one is known, before it gets its final name.

    Args:
        root: the catalog's folder or its catalog.json; `default_root` if None.
        name: id of a collection or an item; a collection includes its items.
        to: folder to write to; the files go into a subfolder named like the entry.
        options: which files, and up to what size.

    Returns:
        The files, and classes.yaml if the entry has classes.

    Raises:
        CatalogError: there is no such entry, its files cannot be fetched one by one (the error says
            how to get it), or a file differs from its checksum or size in the catalog.
        ConfigError: the server has no such file, or it is too large.
        OutputError: another file of that name exists.
        RetryError: the network failed, or the disk is full; partial files are kept.
    """
    options = options or FetchOptions()
    entry = show(root, name)
    wanted = _wanted(root, entry, Path(to), options.assets)
    if not wanted:
        raise _no_files(entry)
    made = [_bring(asset, target, int(options.max_gb * 1e9)) for target, asset in wanted.items()]
    if entry.classes:
        made.append(Path(to) / entry.id / layout.CLASS_FILE)
        files.write_bytes(made[-1], scheme_of(entry).to_yaml().encode())
    return made


def _wanted(
    root: str | Path | None, entry: Entry, to: Path, keys: tuple[str, ...]
) -> dict[Path, CatalogAsset]:
    """The assets to fetch, by target path."""
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
    """The last part of the address if that is a safe file name, else the asset's key."""
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
            raise OutputError(f"exists already and {wrong}", where=target, fix=fix)
        logger.info("%s: exists%s", target, "" if asset.checksum else "; no checksum is known")
        return target
    with files.disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    if asset.path is not None:
        _copy(asset.path, asset, target)
    else:
        _download(asset, target, most)
    if asset.checksum is None:
        logger.info("%s: no checksum is known, so it could not be verified", target)
    return target


def _copy(source: Path, asset: CatalogAsset, target: Path) -> None:
    if not source.is_file():
        raise CatalogError("the catalog's file is missing", where=source)
    with files.whole(target) as temporary:
        shutil.copyfile(source, temporary)
        _check(temporary, asset, str(source))


def _download(asset: CatalogAsset, target: Path, most: int) -> None:
    """A partial file is kept if the transfer breaks off, and removed if its checksum is wrong."""
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
            f"is not the file in the catalog: it {wrong}",
            where=where,
            fix="check for a new version of the data set; the catalog's entry may be outdated",
        )

"""The commands of `geoseg catalog`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from geoseg.catalog.fetch import FetchOptions
from geoseg.cli.application import command, group, print_paths
from geoseg.steps.catalog import AddOptions, add_entry

catalog_app = group("catalog", "List, describe, add and download data sets.")


@command("list", of=catalog_app)
def list_(*, root: Path | None = None) -> None:
    """List the data sets.

    Parameters
    ----------
    root:
        Catalog folder, if not data_catalog/.
    """
    from geoseg.catalog import list_entries

    for entry in list_entries(root):
        print(f"{entry.id:18} {entry.license:20} {entry.title}")


@command("show", of=catalog_app)
def show_(
    name: str,
    /,
    *,
    classes: Annotated[bool, Parameter(negative=())] = False,
    like: str | None = None,
    root: Path | None = None,
) -> None:
    """Show a data set as JSON: licence, bands, classes and how to fetch it.

    Parameters
    ----------
    name:
        Its id.
    classes:
        Print a class file for its label rasters instead.
    like:
        Print a class file that maps its labels to the classes of this other data set, where they
        have a counterpart.
    root:
        Catalog folder, if not data_catalog/.
    """
    from geoseg.catalog import scheme_of
    from geoseg.catalog import show as entry_of

    entry = entry_of(root, name)
    if classes or like:
        scheme = scheme_of(entry, entry_of(root, like) if like else None)
        print(scheme.to_yaml(), end="")
    else:
        print(entry.model_dump_json(indent=2))


@command("add", of=catalog_app)
def add_(
    paths: list[Path],
    /,
    *,
    name: str,
    licence: Annotated[str, Parameter(name="--license")],
    root: Path | None = None,
    options: Annotated[AddOptions, Parameter(name="*")] = AddOptions(),
) -> None:
    """Add your own rasters and polygon files to a catalog as a data set.

    Parameters
    ----------
    paths:
        Rasters and polygon files.
    name:
        Id of the new data set.
    licence:
        SPDX id of its licence, such as CC-BY-4.0, or "other".
    root:
        Catalog folder, data_catalog/ by default; a missing catalog is created.
    """
    print_paths(add_entry(paths, name, licence, root=root, options=options))


@command("fetch", of=catalog_app)
def fetch_(
    name: str,
    /,
    *,
    to: Path,
    root: Path | None = None,
    options: Annotated[FetchOptions, Parameter(name="*")] = FetchOptions(),
) -> None:
    """Download a data set; files are verified, and interrupted downloads resume.

    Parameters
    ----------
    name:
        Its id.
    to:
        Folder to write to; the files go into a subfolder named like the data set.
    root:
        Catalog folder, if not data_catalog/.
    """
    from geoseg.catalog import fetch

    print_paths(fetch(root, name, to, options=options))


@command("validate", of=catalog_app)
def validate_(*, root: Path | None = None) -> int:
    """Check every entry: schema, links, licences and checksums.

    Parameters
    ----------
    root:
        Catalog folder, if not data_catalog/.
    """
    from geoseg.catalog import list_entries
    from geoseg.catalog import validate as problems_of

    problems = problems_of(root)
    for problem in problems:
        print(problem)
    if not problems:
        print(f"{len(list_entries(root))} entries are valid")
    return 2 if problems else 0

"""Generate the table of data sets in README.md from data_catalog/ (`make docs`)."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from geoseg.catalog import Entry, list_entries
from geoseg.files import write_bytes

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BLOCK = re.compile(r"(<!-- data sets -->\n).*?(<!-- end -->)", re.DOTALL)
HEAD = ("data set", "what", "pixels", "classes", "licence", "commercial use", "how to get it")
WAYS = {
    "command": "`{how}`",
    "download": "`geoseg catalog fetch {id}`",
    "stac-api": "[STAC API]({url}/collections/{collection})",
    "manual": "[by hand]({url})",
}


def pages() -> dict[Path, str]:
    """The text of each page, by path."""
    rows = [_row(each) for each in list_entries(ROOT / "data_catalog") if each.kind == "collection"]
    cells = [HEAD, ["---"] * len(HEAD), *rows]
    table = "".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |\n" for row in cells)
    text = README.read_text(encoding="utf-8")
    return {README: BLOCK.sub(lambda found: f"{found[1]}{table}{found[2]}", text)}


def _row(entry: Entry) -> list[str]:
    licence = f"[{entry.license}]({entry.license_url})" if entry.license_url else entry.license
    labels = sum(not each.nodata for each in entry.classes)
    return [
        f"`{entry.id}`",
        entry.title,
        _pixels(entry),
        str(labels or ""),
        licence,
        entry.commercial_use,
        _way(entry),
    ]


def _pixels(entry: Entry) -> str:
    sizes = f"{entry.gsd_m[0]:g}" if entry.gsd_m else "not known"
    more = f" to {entry.gsd_m[-1]:g}" if len(entry.gsd_m) > 1 else ""
    return f"{sizes}{more}{' m' if entry.gsd_m else ''}"


def _way(entry: Entry) -> str:
    assert entry.fetch is not None, "every collection has geoseg:fetch"
    return WAYS[entry.fetch.method].format(id=entry.id, **entry.fetch.model_dump())


if __name__ == "__main__":
    for page, text in pages().items():
        write_bytes(page, text.encode())
        sys.stdout.write(f"{page.relative_to(ROOT)}\n")

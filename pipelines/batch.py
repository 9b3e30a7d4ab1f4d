"""Map every scene of a STAC search, or one composite per tile.

python pipelines/batch.py model maps --bbox 13.3 48.8 13.9 49.2 --dates 2024-05/2024-09 --remote
"""

import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Literal

import cyclopts
from pystac_client import Client

import geoseg
from geoseg.catalog import show


def main(model: Path, out: Path, /, *, bbox: tuple[float, float, float, float], dates: str,
         data: str = "sentinel-2-l2a", api: str | None = None, max_cloud: float = 100,
         composite: Literal["none", "clearest", "median"] = "none", clouds: str = "scl",
         shift: int = 0, remote: bool = False) -> int:  # fmt: skip
    """Map the search results; skip finished maps, and list failures at the end.

    :param dates: month, day or range, such as 2024-06 or 2024-06-01/2024-08-31.
    :param composite: map each scene (none), or per tile the clearest pixels or their median.
    :param clouds: asset with Sentinel-2's scene classification; "" if there is none.
    :param shift: added to each pixel; -1000 removes Sentinel-2's offset of 2022.
    """
    way, facts, failed = show(None, data).fetch, geoseg.info([model])[0], {}
    if not remote or way is None or way.collection is None:
        sys.exit(f"batch: {data} is read from a STAC API: say --remote")
    server, scenes = Client.open(api or way.url or "", timeout=60), defaultdict(list)
    for item in server.search(collections=[way.collection], bbox=bbox, datetime=dates).items():
        tile = item.properties.get("grid:code") or item.properties.get("proj:code") or "tile"
        if item.properties.get("eo:cloud_cover", 0) <= max_cloud:
            scenes[item.id if composite == "none" else tile.replace(":", "-")].append(item)
    options = geoseg.CompositeOptions(
        take="median" if composite == "median" else "clearest",
        clouds=clouds, shift=shift, dtype=facts["dtype"], remote=remote,
    )  # fmt: skip
    for number, (name, items) in enumerate(sorted(scenes.items()), start=1):
        print(f"{number}/{len(scenes)} {name}: {len(items)} scene(s)", flush=True)
        try:
            if not re.fullmatch(r"\w[\w.-]*", name):
                raise geoseg.GeosegError("is no name for a folder", got=name)
            pixels = geoseg.composite(items, facts["band_names"], options=options)
            geoseg.predict(pixels, model, out / name)
        except (geoseg.GeosegError, OSError) as error:
            failed[name] = error
    print(f"{len(scenes) - len(failed)} of {len(scenes)} maps are in {out}")
    for name, error in failed.items():
        print(f"failed: {name}: {error}")
    return 3 if failed else 0


if __name__ == "__main__":
    cyclopts.run(main)

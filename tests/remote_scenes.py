"""Scenes on a server on the loopback."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from servers import RangeServer
from small_scene import MakeRaster

from geoseg.grid import Window
from geoseg.options import ReadOptions
from geoseg.raster import FileSource
from geoseg.remote import Address, body

REMOTE = ReadOptions(remote=True)
WINDOW = Window(256, 512, 256, 256)
PIXELS = np.random.default_rng(3).integers(1, 4000, (3, 768, 1280), dtype=np.uint16)


def isolate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset the variables that steer requests, and retry at once."""
    for name in [each for each in os.environ if each.upper().startswith(("AWS_", "CPL_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(body, "PAUSE_S", 0.01)


def write_served(folder: Path, make_raster: MakeRaster) -> Path:
    """scene.tif, a COG of 3 x 768 x 1280 px in blocks of 256 px, compressed and as plain.tif."""
    settings: dict[str, Any] = {"driver": "COG", "blocksize": 256, "overviews": "none"}
    make_raster(folder / "scene.tif", PIXELS, compress="deflate", **settings)
    make_raster(folder / "plain.tif", PIXELS, compress="none", **settings)
    (folder / "empty.tif").touch()
    (folder / "page.tif").write_text("<html>Please log in</html>")
    (folder / "a.vrt").write_text('<VRTDataset rasterXSize="8" rasterYSize="8"/>')
    return folder


def source_at(server: RangeServer, name: str = "scene.tif") -> FileSource:
    return FileSource(Address(f"{server.url}/{name}"))

"""What GDAL may do: both libgdals of a process, each tried in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DRIVERS = """
import json, logging, os, sys
import {first}
import pyogrio, rasterio
with rasterio.Env() as env:
    print(json.dumps({{
        "raster": list(env.drivers()),
        "vector": list(pyogrio.list_drivers()),
        "environment": {{k: v for k, v in os.environ.items() if k.startswith(("GDAL_", "OGR_"))}},
        "cache": rasterio.env.get_gdal_config("GDAL_CACHEMAX"),
    }}))
"""
WORKS = """
import sys
import geoseg.raster
import numpy as np, rasterio, rasterio.shutil
from rasterio.vrt import WarpedVRT
folder, pixels = sys.argv[1], np.arange(96, dtype=np.uint8).reshape(1, 8, 12)
settings = dict(count=1, height=8, width=12, dtype="uint8", crs="EPSG:32633",
                transform=rasterio.Affine(1, 0, 5e5, 0, -1, 5e6))
with rasterio.open(folder + "/a.tif", "w", driver="COG", **settings) as dataset:
    dataset.write(pixels)
rasterio.shutil.copy(folder + "/a.tif", folder + "/a.vrt", driver="VRT")
with rasterio.open(folder + "/a.vrt") as dataset, WarpedVRT(dataset, crs="EPSG:32632") as warped:
    assert (dataset.read() == pixels).all() and warped.read().max() == 95
with rasterio.MemoryFile() as memory, memory.open(driver="MEM", **settings) as dataset:
    dataset.write(pixels)
"""


def run(code: str, *arguments: str, **environment: str) -> str:
    """What a new process prints; it may print nothing else, not even a warning."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("GDAL_", "OGR_"))}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=inherited | environment,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def drivers(first: str, **environment: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(DRIVERS.format(first=first), **environment))
    return found


@pytest.mark.parametrize("first", ["geoseg.raster", "geoseg.vector"])
def test_drivers_that_reach_out_are_gone_from_both_libraries(first: str) -> None:
    found = drivers(first)
    reaching = {"WMS", "WCS", "WMTS", "HTTP", "STACIT", "STACTA", "GTI", "DERIVED", "GDALG"}
    assert not reaching & {*found["raster"]}
    assert {"GTiff", "COG", "VRT", "MEM", "PNG", "JPEG", "JP2OpenJPEG"} <= {*found["raster"]}
    assert not {"OGR_VRT", "GDALG", "ADBC", "PDF"} & {*found["vector"]}
    assert {"GPKG", "GeoJSON", "FlatGeobuf", "ESRI Shapefile", "KML"} <= {*found["vector"]}
    assert found["cache"] == 128 << 20


def test_what_a_user_set_is_kept_and_what_brings_code_is_not() -> None:
    code = dict.fromkeys(("GDAL_VRT_ENABLE_PYTHON", "GDAL_DRIVER_PATH"), "YES")
    found = drivers("geoseg.raster", GDAL_CACHEMAX="64", GDAL_SKIP="MVT MBTiles", **code)
    assert not {"MVT", "MBTiles", "WMS"} & {*found["raster"], *found["vector"]}
    assert found["cache"] == 64 << 20
    assert not {*code} & {*found["environment"]}


@pytest.mark.slow
def test_a_process_started_later_is_bound_alike() -> None:
    first = drivers("geoseg.raster")["environment"]
    assert drivers("rasterio", **first)["environment"] == first
    assert drivers("geoseg.raster", **first)["environment"] == first


def test_what_geoseg_writes_and_arranges_still_works(tmp_path: Path) -> None:
    run(WORKS, str(tmp_path))

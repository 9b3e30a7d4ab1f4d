"""The demo's input files: a scene, label polygons and a class file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
import yaml
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from geoseg.files import whole, write_bytes
from geoseg.synthetic.landscape import draw_landscape
from geoseg.synthetic.materials import CLASS_IDS, COVERS, class_file
from geoseg.synthetic.sensor import GSD_M, photograph
from geoseg.synthetic.shapes import Feature, blob, polygons, ripple

CRS = "EPSG:32633"
SOUTH_WEST = (412_000.0, 5_411_000.0)
BANDS = ("blue", "green", "red", "nir")


def write_scene(folder: Path, *, seed: int = 0, shape: tuple[int, int] = (1536, 2048)) -> None:
    """Write a synthetic scene and its labels: ``scene.tif``, ``labels.gpkg``, ``classes.yaml``.

    What lies in the scene is as dense whatever its shape; in the default one every class occurs
    in every quarter. The same seed and shape give the same pixels and polygons.

    Args:
        folder: where the files go; made if it is not there.
        seed: chooses the landscape.
        shape: (height, width) in pixels of 2.5 m.

    Raises:
        OutputError: the folder cannot be written to.
        RetryError: the disk is full.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_scene(folder, shape=(96, 128))
        >>> sorted(path.name for path in folder.iterdir())
        ['classes.yaml', 'labels.gpkg', 'scene.tif']
    """
    land, survey, sky = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3))
    height_m, width_m = shape[0] * GSD_M, shape[1] * GSD_M
    features = draw_landscape(land, height_m, width_m)
    _write_image(folder / "scene.tif", photograph(features, sky, shape))
    _write_labels(
        folder / "labels.gpkg", features, _unsurveyed(survey, features, height_m, width_m)
    )
    text = yaml.safe_dump(class_file(), sort_keys=False, default_flow_style=None, width=100)
    write_bytes(folder / "classes.yaml", text.encode())


def _write_image(path: Path, pixels: NDArray[np.uint16]) -> None:
    count, height, width = pixels.shape
    west, south = SOUTH_WEST
    grid = Affine(GSD_M, 0, west, 0, -GSD_M, south + height * GSD_M)
    with (
        whole(path) as temporary,
        rasterio.open(
            temporary,
            "w",
            driver="GTiff",
            width=width,
            height=height,
            count=count,
            dtype="uint16",
            crs=CRS,
            transform=grid,
            nodata=0,
            tiled=True,
            blockxsize=512,
            blockysize=512,
            compress="deflate",
            predictor=2,
            interleave="pixel",
        ) as target,
    ):
        target.colorinterp = [ColorInterp[name] for name in BANDS]
        target.descriptions = BANDS
        target.write(pixels)


def _unsurveyed(
    rng: np.random.Generator, features: Sequence[Feature], height_m: float, width_m: float
) -> shapely.Geometry:
    """Unlabelled land: a strip from north to south and two remote patches."""
    size = np.array([width_m, height_m])
    built = shapely.union_all([f.geometry for f in features if f.value in ("house", "barn")])
    south, north = size * [rng.uniform(0.44, 0.6), -0.1], size * [rng.uniform(0.4, 0.64), 1.1]
    course = ripple(rng, 60)(np.linspace(south, north, 40))
    strip = shapely.LineString(course).buffer(0.018 * width_m)
    radius = float(np.sqrt(0.04 * size.prod() / np.pi))
    patches = [
        min(
            (
                blob(rng, rng.uniform((west, 0.1), (west + 0.3, 0.9)) * size, radius)
                for _ in range(24)
            ),
            key=lambda patch: patch.intersection(built).area,
        )
        for west in (0.08, 0.62)
    ]
    return shapely.union_all([strip, *patches])


def _write_labels(path: Path, features: Sequence[Feature], hidden: shapely.Geometry) -> None:
    rows = [
        {"landcover": each.value, "source": COVERS[CLASS_IDS[each.value]].source, "geometry": part}
        for each in features
        for part in polygons(each.geometry.difference(hidden))
    ]
    table = gpd.GeoDataFrame(rows, crs=CRS)
    table.geometry = table.geometry.translate(*SOUTH_WEST)
    with whole(path) as temporary:
        table.to_crs("EPSG:4326").to_file(temporary, layer="landcover", driver="GPKG")

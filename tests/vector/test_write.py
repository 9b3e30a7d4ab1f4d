"""Layers written batch by batch: what is in them, and what is left when something goes wrong."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow
import pyarrow.parquet
import pyogrio
import pyproj
import pytest
import shapely
from fields import SCHEMA, UTM, features, plan

from geoseg.errors import OutputError
from geoseg.vector import Features, LayerPlan, write_features

TESTS = Path(__file__).parents[1]
SUFFIXES = (".gpkg", ".geojson", ".geojsonl", ".ndjson", ".fgb", ".parquet")


def batches() -> Iterator[Features]:
    yield features(4)
    yield features(1, 4)
    yield features(7, 5)


def read(path: Path) -> geopandas.GeoDataFrame:
    if path.suffix == ".parquet":
        return geopandas.read_parquet(path)
    if path.suffix == ".ndjson":
        return geopandas.read_file(f"GeoJSONSeq:{path}")
    return geopandas.read_file(path, layer="fields" if path.suffix == ".gpkg" else None)


def listed(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_all_batches_come_back_with_their_attributes(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"fields{suffix}"
    write_features(path, batches(), plan())
    found = read(path).sort_values("n_pixels")
    known = features(12)
    for name in SCHEMA.names:
        assert found[name].tolist() == pytest.approx(
            known.columns.column(name).to_numpy(zero_copy_only=False).tolist(), nan_ok=True
        ), name
    assert found["confidence"].isna().sum() == 3
    area = shapely.area(found.geometry.to_crs(UTM).values)
    assert area == pytest.approx(shapely.area(known.geometries), rel=5e-3)
    assert listed(tmp_path) == [path.name]


def test_geopackage_and_geojson_hold_the_same_features_in_the_same_order(tmp_path: Path) -> None:
    found = []
    for name in ("a.gpkg", "a.geojson", "a.geojsonl", "a.parquet"):
        write_features(tmp_path / name, batches(), plan())
        found.append(read(tmp_path / name))
    gpkg, *others = found
    for other in others:
        assert other[SCHEMA.names].equals(gpkg[SCHEMA.names].astype(other[SCHEMA.names].dtypes))
        apart = shapely.hausdorff_distance(other.geometry.to_crs(UTM).values, gpkg.geometry.values)
        assert apart.max() < 0.02, "7 decimals are a centimetre"


@pytest.mark.parametrize("suffix", [".geojson", ".geojsonl", ".fgb"])
def test_how_features_come_in_batches_leaves_no_trace(tmp_path: Path, suffix: str) -> None:
    one, other = tmp_path / f"one{suffix}", tmp_path / f"other{suffix}"
    write_features(one, batches(), plan())
    write_features(other, [features(12)], plan())
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("batch", [500, pytest.param(5000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_features_give_the_same_bytes(tmp_path: Path, suffix: str, batch: int) -> None:
    one, other = tmp_path / f"one{suffix}", tmp_path / f"other{suffix}"
    many = [features(batch, start) for start in range(0, 4 * batch, batch)]
    write_features(one, many, plan())
    write_features(other, many, plan())
    assert one.read_bytes() == other.read_bytes()


def points_of(geometry: dict[str, Any]) -> Iterator[tuple[list[Any], list[Any]]]:
    polygons = geometry["coordinates"]
    for outer, *holes in polygons if geometry["type"] == "MultiPolygon" else [polygons]:
        yield outer, holes


def check_rfc7946(feature: dict[str, Any]) -> None:
    """What RFC 7946 says about polygons: 3.1.6 (rings), 3.1.9 (antimeridian), 4 (WGS84), 11.2."""
    assert feature["type"] == "Feature" and "crs" not in feature
    assert feature["geometry"]["type"] in ("Polygon", "MultiPolygon")
    for outer, holes in points_of(feature["geometry"]):
        assert shapely.LinearRing(outer).is_ccw
        assert not any(shapely.LinearRing(hole).is_ccw for hole in holes)
        for ring in (outer, *holes):
            lon, lat = np.transpose(ring)
            assert ring[0] == ring[-1] and len(ring) >= 4
            assert np.abs(lon).max() <= 180 and np.abs(lat).max() <= 90
            assert np.abs(np.diff(lon)).max() < 180
            assert all(each != other for each, other in pairwise(ring))
            assert all(len(repr(x).partition(".")[2]) <= 7 for x in np.ravel(ring).tolist())


def test_geojson_is_what_rfc_7946_says(tmp_path: Path) -> None:
    path = tmp_path / "fields.geojson"
    write_features(path, batches(), plan())
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["type"] == "FeatureCollection" and content["name"] == "fields"
    assert "crs" not in content and len(content["features"]) == 12
    for feature in content["features"]:
        check_rfc7946(feature)
    assert content["features"][1]["properties"]["class_name"] == 'Wälder, "a"'
    assert content["features"][3]["properties"]["confidence"] is None


@pytest.mark.parametrize("suffix", [".geojsonl", ".ndjson"])
def test_every_line_is_a_feature_as_rfc_7946_has_it(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"fields{suffix}"
    write_features(path, batches(), plan())
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 12
    for line in lines:
        check_rfc7946(json.loads(line))


@pytest.mark.parametrize(
    "code",
    [
        "+proj=utm +zone=33 +datum=WGS84 +units=m +no_defs +type=crs",
        "+proj=laea +lat_0=47.3 +lon_0=14.1 +x_0=460000 +y_0=5080000 +ellps=GRS80 +type=crs",
    ],
)
@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".parquet"])
def test_a_crs_without_an_epsg_code_survives(tmp_path: Path, suffix: str, code: str) -> None:
    crs, path = pyproj.CRS(code), tmp_path / f"fields{suffix}"
    write_features(path, batches(), plan(code))
    found = read(path).crs
    to_lonlat = [
        pyproj.Transformer.from_crs(each, "OGC:CRS84", always_xy=True).transform(465000, 5080000)
        for each in (crs, found)
    ]
    assert to_lonlat[0] == pytest.approx(to_lonlat[1], abs=1e-12)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_features_give_an_empty_layer_with_all_columns(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"fields{suffix}"
    write_features(path, iter(()), plan())
    if suffix in (".geojsonl", ".ndjson"):
        assert path.read_bytes() == b""
        return
    found = read(path)
    assert len(found) == 0
    assert suffix == ".geojson" or list(found.columns[:-1]) == SCHEMA.names
    assert suffix == ".geojson" or found.crs.to_epsg() == 32633


class Boom(RuntimeError):
    """GDAL's errors are RuntimeErrors too."""


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", [Boom, OSError, KeyboardInterrupt, StopAsyncIteration])
def test_an_error_in_making_a_batch_is_raised_as_it_is_and_leaves_the_earlier_file(
    tmp_path: Path, suffix: str, kind: type[BaseException]
) -> None:
    path, error = tmp_path / f"fields{suffix}", kind("no more")

    def broken() -> Iterator[Features]:
        yield features(300)
        raise error

    path.write_bytes(b"earlier")
    with pytest.raises(kind) as caught:
        write_features(path, broken(), plan())
    assert caught.value is error
    assert path.read_bytes() == b"earlier" and listed(tmp_path) == [path.name]


def test_a_broken_batch_before_the_first_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[Features]:
        raise Boom
        yield features(1)

    for suffix in SUFFIXES:
        with pytest.raises(Boom):
            write_features(tmp_path / f"fields{suffix}", broken(), plan())
    assert listed(tmp_path) == []


FULL = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from geoseg.errors import RetryError
from geoseg.vector import write_features
from fields import features, plan

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path, many = Path(sys.argv[2]), [features(500, start) for start in range(0, 2000, 500)]
write_features(path, many, plan())
size, before = path.stat().st_size, path.read_bytes()
for room in (size - 2, size - 4500, size // 2, 10):
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    try:
        write_features(path, many, plan())
        print("nothing said at", room, "of", size)
    except RetryError as error:
        print(error.what)
    assert path.read_bytes() == before
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files")
@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".geojsonl", ".fgb", ".parquet"])
def test_a_disk_that_fills_up_at_any_moment_is_noticed(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"fields{suffix}"
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(TESTS), str(path)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["the disk is full"] * 4, done.stderr
    assert listed(tmp_path) == [path.name]


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "fields.gpkg").mkdir()
    with pytest.raises(OutputError, match=r"fields\.gpkg"):
        write_features(tmp_path / "fields.gpkg", batches(), plan())
    with pytest.raises(OutputError, match=r"wanted \.gpkg, \.geojson, .*\.parquet"):
        write_features(tmp_path / "fields.shp", batches(), plan())


def test_a_polygon_that_no_file_holds_is_refused_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geoseg.vector.feature_batches.MAX_VERTICES", 14)
    for suffix in SUFFIXES:
        with pytest.raises(OutputError, match=r"too large.*got 15 vertices.*--split-at"):
            write_features(tmp_path / f"fields{suffix}", batches(), plan())
    assert listed(tmp_path) == []


def test_geoparquet_says_what_it_holds_and_where(tmp_path: Path) -> None:
    path = tmp_path / "fields.parquet"
    write_features(path, batches(), plan())
    geo = json.loads(pyarrow.parquet.read_metadata(path).metadata[b"geo"])
    assert geo["version"] == "1.1.0" and geo["primary_column"] == "geom"
    column = geo["columns"]["geom"]
    assert column["geometry_types"] == ["MultiPolygon", "Polygon"]
    assert column["bbox"] == [465000, 5080000, 465119, 5080029]
    assert column["orientation"] == "counterclockwise" and column["crs"]["id"]["code"] == 32633
    assert column["covering"]["bbox"]["xmax"] == ["bbox", "xmax"]
    near = geopandas.read_parquet(path, bbox=(465000, 5080000, 465009.5, 5080001))
    assert near["n_pixels"].tolist() == [1 << 40]
    outer = shapely.get_exterior_ring(shapely.get_parts(read(path).geometry.values))
    assert shapely.is_ccw(outer).all()


def test_small_batches_are_gathered_into_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "fields.parquet"
    write_features(path, (features(1, i) for i in range(50)), plan())
    assert pyarrow.parquet.read_metadata(path).num_row_groups == 1


def test_the_index_of_a_geopackage_finds_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "fields.gpkg"
    write_features(path, batches(), plan())
    near = pyogrio.read_dataframe(path, layer="fields", bbox=(465000, 5080000, 465009.5, 5080001))
    assert near["n_pixels"].tolist() == [1 << 40]
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT count(*) FROM rtree_fields_geom").fetchone()
        kinds = database.execute("SELECT geometry_type_name FROM gpkg_geometry_columns").fetchone()
        dates = database.execute("SELECT DISTINCT last_change FROM gpkg_contents").fetchall()
    assert rows == (12,) and kinds == ("MULTIPOLYGON",)
    assert dates == [("2000-01-01T00:00:00.000Z",)]


@pytest.mark.parametrize("name", ['odd "name"', "Fläche 1", "a.b-c"])
def test_a_layer_may_have_any_name(tmp_path: Path, name: str) -> None:
    for suffix in SUFFIXES:
        write_features(
            tmp_path / f"fields{suffix}", batches(), LayerPlan(name, SCHEMA, UTM, "<qgis/>")
        )
    assert name in pyogrio.list_layers(tmp_path / "fields.gpkg")[:, 0]


STREAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import numpy as np, psutil, pyarrow, shapely
from geoseg.vector import Features, write_features
from fields import features, plan

def batches(count):
    for start in range(0, count, 10_000):
        x = 465000 + np.arange(10_000) % 100 * 10.0
        y = 5080000 + (start + np.arange(10_000)) // 100 * 10.0
        yield Features(shapely.box(x, y, x + 9, y + 9), pattern)

pattern = features(10_000).columns
memory = psutil.Process()
peak = []
for count in map(int, sys.argv[3:]):
    most = 0
    def watched():
        global most
        for each in batches(count):
            most = max(most, memory.memory_info().rss)
            yield each
    write_features(Path(sys.argv[2]), watched(), plan())
    peak.append(max(most, memory.memory_info().rss) / 1e6)
print(*peak)
"""


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".geojsonl", ".fgb", ".parquet"])
@pytest.mark.parametrize("count", [300_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_many_features_take_no_more_memory_than_a_fifth_of_them(
    tmp_path: Path, suffix: str, count: int
) -> None:
    """What is kept of a feature would be hundreds of bytes."""
    counts = str(count // 5), str(count)
    done = subprocess.run(
        [sys.executable, "-c", STREAM, str(TESTS), str(tmp_path / f"a{suffix}"), *counts],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    few, many = map(float, done.stdout.split())
    assert (many - few) * 1e6 < 150 * count, f"{few:.0f} MB, then {many:.0f} MB"

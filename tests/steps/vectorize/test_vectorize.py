"""Class rasters to layers that open styled."""

from __future__ import annotations

import json
import subprocess
import sys
from math import inf, nan
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyproj
import pytest
import rasterio
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pydantic import ValidationError

from geoseg import polygonize, style
from geoseg.classes import ClassScheme
from geoseg.errors import ClassError, OutputError, RasterError
from geoseg.steps.vectorize import VectorizeOptions, vectorize
from geoseg.steps.vectorize.options import COLUMNS
from geoseg.vector import rasterize, read_polygons

SCHEME = ClassScheme.model_validate(
    {
        "classes": [
            {"name": "land", "color": "#ffffff"},
            {"name": "water", "color": "#2b83ba", "values": [7]},
            {"name": "wood", "color": "#1a9641"},
        ]
    }
)
AFFINE = Affine(10.0, 0, 465180.0, 0, -10.0, 5080250.0)
ROTATED = Affine(8.0, 3.7, 465181.05223, 3.1, -9.3, 5080254.63349)
DEGREES = Affine(0.0001, 0, 14.5523, 0, -0.0001, 45.8731)
SUFFIXES = (".gpkg", ".geojson", ".geojsonl", ".fgb", ".parquet")


def patches() -> NDArray[np.uint8]:
    rng = np.random.default_rng(7)
    values = rng.integers(0, 3, (12, 16), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    values[:20, 100:] = 255
    return values


def noise() -> NDArray[np.uint8]:
    """Small regions in small regions, and ground without data."""
    rng = np.random.default_rng(8)
    values = rng.integers(0, 3, (96, 128), dtype=np.uint8)
    values[rng.random(values.shape) < 0.1] = 255
    return values


def write_tif(
    path: Path, values: NDArray[Any], affine: Affine = AFFINE, crs: Any = 32633, nodata: Any = 255
) -> Path:
    height, width = values.shape
    profile = {"driver": "GTiff", "count": 1, "dtype": values.dtype, "nodata": nodata, "crs": crs}
    with rasterio.open(
        path, "w", height=height, width=width, transform=affine, **profile
    ) as dataset:
        dataset.write(values, 1)
    return path


def read(path: Path) -> geopandas.GeoDataFrame:
    if path.suffix == ".parquet":
        return geopandas.read_parquet(path)
    return geopandas.read_file(path, layer="landcover" if path.suffix == ".gpkg" else None)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_polygons_have_names_and_numbers_and_a_style_beside_them(
    tmp_path: Path, suffix: str
) -> None:
    classes = write_tif(tmp_path / "classes.tif", patches())
    write_tif(tmp_path / "confidence.tif", np.full((96, 128), 80, np.uint8))
    out = vectorize(classes, tmp_path / "out" / f"landcover{suffix}", scheme=SCHEME)
    frame = read(out)
    assert tuple(frame.columns[:-1]) == COLUMNS
    assert {*zip(frame["class_id"], frame["class_name"], strict=True)} == {
        (0, "land"), (1, "water"), (2, "wood"),
    }  # fmt: skip
    assert frame["n_pixels"].sum() == 96 * 128 - 20 * 28
    assert (frame["area_m2"] == frame["n_pixels"] * 100).all()
    assert (frame["confidence"] == 80).all() and (frame["source"] == "classes.tif").all()
    assert (frame["run"] == "").all() and frame["touches_edge"].any()
    assert style.load_scheme(out.with_suffix(".qml")).names == SCHEME.names
    assert sorted(each.name for each in out.parent.iterdir()) == [out.name, "landcover.qml"]


def test_area_perimeter_and_edge_are_those_of_the_region(tmp_path: Path) -> None:
    """A 3 x 4 lake of 10 m pixels with a 1 x 2 island, off the edge of 96 x 128 px of land."""
    values = np.zeros((96, 128), np.uint8)
    values[10:13, 20:24] = 1
    values[11, 21:23] = 0
    frame = read(
        vectorize(write_tif(tmp_path / "c.tif", values), tmp_path / "o.gpkg", scheme=SCHEME)
    )
    facts = ["class_id", "area_m2", "perimeter_m", "n_pixels", "touches_edge"]
    around = 2 * (960 + 1280)
    assert sorted(frame[facts].to_numpy().tolist()) == [
        [0, 200.0, 60.0, 2, False],
        [0, (96 * 128 - 12) * 100.0, around + 140.0, 96 * 128 - 12, True],
        [1, 1000.0, 200.0, 10, False],
    ]


@pytest.mark.parametrize(
    ("values", "affine", "crs"),
    [
        (patches(), AFFINE, 32633),
        (noise(), AFFINE, 32633),
        (noise(), ROTATED, 32633),
        (noise(), DEGREES, 4326),
        (patches(), Affine(0.05, 0, 465180.03, 0, 0.05, 5080250.07), 32633),
    ],
    ids=["patches", "noise", "rotated", "degrees", "south-up"],
)
@pytest.mark.parametrize("connectivity", [4, 8])
def test_the_geopackage_alone_is_enough_to_get_the_map_back(
    tmp_path: Path, values: NDArray[np.uint8], affine: Affine, crs: int, connectivity: Any
) -> None:
    classes = write_tif(tmp_path / "classes.tif", values, affine, crs)
    options = VectorizeOptions(connectivity=connectivity)
    out = vectorize(classes, tmp_path / "landcover.gpkg", scheme=SCHEME, options=options)
    again = read_polygons(out, style.load_scheme(out), crs=f"EPSG:{crs}")
    assert np.array_equal(rasterize(again, GeoBox((96, 128), affine, f"EPSG:{crs}")), values)


def test_geopackage_and_geojson_of_a_map_are_the_same_features(tmp_path: Path) -> None:
    classes = write_tif(tmp_path / "classes.tif", noise())
    gpkg, geojson = (
        read(vectorize(classes, tmp_path / name, scheme=SCHEME)) for name in ("a.gpkg", "a.geojson")
    )
    columns = list(COLUMNS)
    assert gpkg[columns].equals(geojson[columns].astype(gpkg[columns].dtypes))
    there = geojson.geometry.to_crs(32633).values
    assert shapely.hausdorff_distance(there, gpkg.geometry.values).max() < 0.02


def test_a_map_across_the_antimeridian_is_cut_there_in_geojson(tmp_path: Path) -> None:
    to_zone = pyproj.Transformer.from_crs("OGC:CRS84", 32660, always_xy=True)
    x, y = to_zone.transform(180, 52)
    affine = Affine(10.0, 0, round(x) - 640, 0, -10.0, round(y) + 480)
    classes = write_tif(tmp_path / "classes.tif", patches(), affine, 32660)
    frame = read(vectorize(classes, tmp_path / "a.geojson", scheme=SCHEME))
    assert shapely.is_valid(frame.geometry.values).all()
    bounds = shapely.bounds(shapely.get_parts(frame.geometry.values))
    assert (np.abs(bounds[:, [0, 2]]).max() == 180) and (bounds[:, 2] - bounds[:, 0] < 0.02).all()
    geod, total = pyproj.Geod(ellps="WGS84"), 0.0
    for part in shapely.get_parts(frame.geometry.values):
        total += abs(geod.geometry_area_perimeter(shapely.orient_polygons(part))[0])
    scale = pyproj.Proj(32660).get_factors(180, 52).areal_scale
    assert total * scale == pytest.approx(frame["area_m2"].sum(), rel=1e-6)


def test_degrees_give_square_metres_and_metres(tmp_path: Path) -> None:
    classes = write_tif(tmp_path / "classes.tif", patches(), DEGREES, 4326)
    frame = read(vectorize(classes, tmp_path / "a.gpkg", scheme=SCHEME))
    geod = pyproj.Geod(ellps="WGS84")
    dense = shapely.orient_polygons(shapely.segmentize(frame.geometry.values, 0.0001))
    for shape, area, length in zip(dense, frame["area_m2"], frame["perimeter_m"], strict=True):
        parts, rings = shapely.get_parts(shape), shapely.get_rings(shape)
        found = sum(geod.geometry_area_perimeter(part)[0] for part in parts)
        assert area == pytest.approx(found, rel=1e-6)
        assert length == pytest.approx(sum(map(geod.geometry_length, rings)), rel=1e-6)


def test_a_class_file_beside_the_raster_says_what_the_pixels_mean(tmp_path: Path) -> None:
    classes = write_tif(tmp_path / "classes.tif", patches())
    rows = (f"{{name: {name}, color: '#{name * 6}'}}" for name in "abc")
    text = f"classes: [{', '.join(rows)}]"
    (tmp_path / "classes.yaml").write_text(text, encoding="utf-8")
    frame = read(vectorize(classes, tmp_path / "o.gpkg"))
    assert set(frame["class_name"]) == {"a", "b", "c"} and frame["confidence"].isna().all()


def test_a_raster_from_elsewhere_says_it_in_its_own_table(tmp_path: Path) -> None:
    classes = write_tif(tmp_path / "classes.tif", np.array([[10, 10, 80], [10, 80, 80]], np.uint8))
    table = style.raster_pam(SCHEME).replace("<F>0</F><F>land", "<F>10</F><F>land")
    table = table.replace("<F>1</F><F>water", "<F>80</F><F>water")
    (tmp_path / "classes.tif.aux.xml").write_text(table, encoding="utf-8")
    frame = read(vectorize(classes, tmp_path / "o.gpkg"))
    found = frame[["class_id", "class_name"]].to_numpy().tolist()
    assert sorted(found) == [[0, "land"], [1, "water"]]


def test_pixel_values_without_a_class_are_listed(tmp_path: Path) -> None:
    values = np.array([[0, 7, 7], [9, 0, 0], [0, 7, 0]], np.uint8)
    classes = write_tif(tmp_path / "classes.tif", values)
    with pytest.raises(
        ClassError, match=r"2 pixel value.*got 7 \(3 px\), 9 \(1 px\); wanted 0 to 2"
    ):
        vectorize(classes, tmp_path / "o.gpkg", scheme=SCHEME)
    assert not (tmp_path / "o.gpkg").exists()


def test_options_reach_the_tracing(tmp_path: Path) -> None:
    values = np.zeros((6, 8), np.uint8)
    values[2, 3] = 1
    classes = write_tif(tmp_path / "classes.tif", values)
    options = VectorizeOptions(min_area_m2=200, connectivity=8, layer="cover")
    out = vectorize(classes, tmp_path / "o.gpkg", scheme=SCHEME, options=options)
    assert len(geopandas.read_file(out, layer="cover")) == 1


@pytest.mark.parametrize(
    ("options", "rules"),
    [
        ({}, polygonize.Rules()),
        ({"simplify": "dp:2.5"}, polygonize.Rules(simplify=polygonize.DouglasPeucker(2.5))),
        (
            {"simplify": "vw:25", "smooth": 2},
            polygonize.Rules(simplify=polygonize.Visvalingam(25), smooth=2),
        ),
        ({"max_hole_m2": 90, "split_at": 1.5}, polygonize.Rules(max_hole_m2=90, split_at=1500)),
    ],
)
def test_every_option_of_tracing_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Any, rules: polygonize.Rules
) -> None:
    seen = []
    monkeypatch.setattr(
        polygonize, "trace", lambda *_, **given: seen.append(given["rules"]) or iter(())
    )
    classes = write_tif(tmp_path / "classes.tif", patches())
    vectorize(classes, tmp_path / "o.gpkg", scheme=SCHEME, options=VectorizeOptions(**options))
    assert seen == [rules]


@pytest.mark.parametrize("simplify", ["dp:15", "vw:150"])
def test_a_simplified_map_says_its_own_areas_and_leaves_no_gap(
    tmp_path: Path, simplify: str
) -> None:
    classes = write_tif(tmp_path / "classes.tif", patches())
    options = VectorizeOptions(simplify=simplify)
    frame = read(vectorize(classes, tmp_path / "o.gpkg", scheme=SCHEME, options=options))
    shapes = frame.geometry.values
    assert frame["area_m2"].tolist() == pytest.approx(shapely.area(shapes).tolist(), rel=1e-12)
    assert frame["area_m2"].sum() == pytest.approx((96 * 128 - 20 * 28) * 100)
    assert shapely.coverage_is_valid(shapely.get_parts(shapes))


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_area_m2": -1},
        {"min_area_m2": inf},
        {"max_hole_m2": nan},
        {"split_at": inf},
        {"simplify": "vw:1" + 400 * "0"},
        {"simplify": "2.5"},
        {"simplify": "dp:"},
        {"simplify": "dp:-1"},
        {"simplify": "dp:0"},
        {"simplify": "dp:1e3"},
        {"simplify": "rdp:3"},
        {"smooth": -1},
        {"split_at": 0},
        {"stat": ["dsm.tif"]},
        {"stat": ["=dsm.tif"]},
        {"stat": ["2nd=dsm.tif"]},
        {"stat": ["Area_m2=dsm.tif"]},
        {"stat": ["geom=dsm.tif"]},
        {"stat": ["a=b.tif", "A=c.tif"]},
    ],
    ids=str,
)
def test_options_that_say_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"dp:2\.5|=dsm\.tif|already|own|greater|finite"):
        VectorizeOptions(**wrong)


def test_a_statistic_is_the_mean_over_each_polygon(tmp_path: Path) -> None:
    classes = write_tif(tmp_path / "classes.tif", patches())
    heights = np.random.default_rng(1).uniform(0, 50, (96, 128)).astype(np.float32)
    heights[:8, :8] = -9999
    write_tif(tmp_path / "dsm.tif", heights, nodata=-9999)
    coarse = np.full((20, 30), 7, np.uint8)
    write_tif(tmp_path / "far.tif", coarse, Affine(0.001, 0, 14.54, 0, -0.001, 45.88), 4326)
    options = VectorizeOptions(
        stat=(f"height={tmp_path / 'dsm.tif'}", f"seven={tmp_path / 'far.tif'}")
    )
    frame = read(vectorize(classes, tmp_path / "o.gpkg", scheme=SCHEME, options=options))
    assert list(frame.columns[:-1]) == [*COLUMNS[:7], "height", "seven", *COLUMNS[7:]]
    for shape, mean in zip(frame.geometry, frame["height"], strict=True):
        inside = ~rasterio.features.geometry_mask([shape], (96, 128), AFFINE)
        known = heights[inside & (heights != -9999)].astype(np.float64)
        assert mean == pytest.approx(known.mean() if known.size else np.nan, nan_ok=True)
    assert frame["seven"].tolist() == pytest.approx([7] * len(frame))


def test_a_polygon_without_support_has_a_null_statistic(tmp_path: Path) -> None:
    values = np.zeros((96, 128), np.uint8)
    values[40:60, 50:70] = 1
    classes = write_tif(tmp_path / "classes.tif", values)
    heights = np.ones((96, 128), np.float32)
    heights[40:60, 50:70] = np.nan
    write_tif(tmp_path / "dsm.tif", heights, nodata=np.nan)
    options = VectorizeOptions(stat=(f"height={tmp_path / 'dsm.tif'}",))
    out = vectorize(classes, tmp_path / "o.geojson", scheme=SCHEME, options=options)
    features = json.loads(out.read_text(encoding="utf-8"))["features"]
    facts = {each["properties"]["class_id"]: each["properties"]["height"] for each in features}
    assert facts == {0: 1.0, 1: None}


def test_a_statistic_needs_a_raster_of_one_band(tmp_path: Path) -> None:
    classes = write_tif(tmp_path / "classes.tif", patches())
    with rasterio.open(
        tmp_path / "rgb.tif", "w", driver="GTiff", height=9, width=9, count=3, dtype="uint8",
        crs=32633, transform=AFFINE,
    ) as dataset:  # fmt: skip
        dataset.write(np.ones((3, 9, 9), np.uint8))
    options = VectorizeOptions(stat=(f"red={tmp_path / 'rgb.tif'}",))
    with pytest.raises(RasterError, match=r"rgb\.tif: a statistic needs a single band; got 3"):
        vectorize(classes, tmp_path / "o.gpkg", scheme=SCHEME, options=options)


def test_classes_that_ask_for_it_get_right_angles_and_come_last(tmp_path: Path) -> None:
    house = shapely.affinity.rotate(shapely.box(465500, 5079700, 465740, 5079860), 27)
    lake = shapely.Point(465900, 5079900).buffer(150)
    values = rasterio.features.rasterize(
        [(house, 1), (lake, 2)], (96, 128), transform=AFFINE, dtype=np.uint8
    )
    classes = write_tif(tmp_path / "classes.tif", values)
    content = SCHEME.model_dump()
    content["classes"][1]["regularize"] = True
    scheme = ClassScheme.model_validate(content)
    plain = read(vectorize(classes, tmp_path / "a.gpkg", scheme=SCHEME))
    frame = read(vectorize(classes, tmp_path / "b.gpkg", scheme=scheme))
    assert sorted(plain["class_id"]) == sorted(frame["class_id"]) == [0, 1, 2]
    assert frame["class_id"].iloc[-1] == 1
    before, after = (each.set_index("class_id") for each in (plain, frame))
    assert (before.geometry[[0, 2]].values == after.geometry[[0, 2]].values).all()
    assert shapely.get_num_coordinates(after.geometry[1]) == 5
    assert after["area_m2"][1] == pytest.approx(after.geometry[1].area)
    assert after["area_m2"][1] == pytest.approx(house.area, rel=0.05)
    assert after["n_pixels"][1] == before["n_pixels"][1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("classes.tif", "output is also an input"),
        ("classes.gpkg", "would apply the polygons' style, classes.qml, to classes.tif"),
        ("o.kml", "stands for no polygon format"),
    ],
)
def test_outputs_that_would_do_harm_are_refused(tmp_path: Path, name: str, message: str) -> None:
    classes = write_tif(tmp_path / "classes.tif", patches())
    with pytest.raises(OutputError, match=message):
        vectorize(classes, tmp_path / name, scheme=SCHEME)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_map_gives_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    classes = write_tif(tmp_path / "classes.tif", noise())
    one, other = (vectorize(classes, tmp_path / f"{n}{suffix}", scheme=SCHEME) for n in "ab")
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_map_of_nodata_gives_an_empty_layer(tmp_path: Path, suffix: str) -> None:
    classes = write_tif(tmp_path / "classes.tif", np.full((3, 4), 255, np.uint8))
    out = vectorize(classes, tmp_path / f"a{suffix}", scheme=SCHEME)
    assert out.exists() and out.with_suffix(".qml").exists()
    if suffix in (".gpkg", ".fgb", ".parquet"):
        frame = read(out)
        assert len(frame) == 0 and tuple(frame.columns[:-1]) == COLUMNS


def test_a_raster_that_breaks_half_way_leaves_the_earlier_layer(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 3, (4096, 512), dtype=np.uint8)
    classes = write_tif(tmp_path / "classes.tif", values.repeat(2, 1))
    whole = classes.read_bytes()
    small = write_tif(tmp_path / "small.tif", values[:8, :8])
    out = vectorize(small, tmp_path / "land.gpkg", scheme=SCHEME)
    earlier = {path: path.read_bytes() for path in (out, out.with_suffix(".qml"))}
    classes.write_bytes(whole[: len(whole) * 3 // 4])
    with pytest.raises(RasterError, match=r"classes\.tif"):
        vectorize(classes, out, scheme=SCHEME)
    assert {path: path.read_bytes() for path in earlier} == earlier
    assert set(tmp_path.iterdir()) == {classes, small, *earlier}


def test_the_step_imports_nothing_heavy() -> None:
    code = (
        "import sys, geoseg.steps.vectorize;"
        "print([m for m in ('numpy', 'rasterio', 'shapely', 'pyarrow', 'numba', 'torch')"
        " if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

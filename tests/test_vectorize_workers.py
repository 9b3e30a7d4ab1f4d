"""Vectorize on worker processes, on a cluster, and killed: always the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from clusters import Cluster

from geoseg.errors import OutputError, RasterError
from geoseg.files import sha256
from geoseg.job import hold_file
from geoseg.polygonize import strip_codes
from geoseg.steps.vectorize import VectorizeOptions, vectorize

CLASSES = "classes:\n" + "".join(
    f"  - {{name: land {i}, color: '#{60 * i:02x}8040'}}\n" for i in range(4)
)
RULES: dict[str, Any] = {"min_area_m2": 300, "simplify": "vw:150", "smooth": 1}


def write_map(path: Path, shape: tuple[int, int] = (208, 300), block: int = 4) -> Path:
    rng = np.random.default_rng(5)
    height, width = shape
    patches = rng.integers(0, 4, (height // block, width // block), dtype=np.uint8)
    values = patches.repeat(block, 0).repeat(block, 1)
    values[rng.random(shape) < 0.05] = 255
    path.with_name("classes.yaml").write_text(CLASSES)
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=height, width=width, dtype="uint8", nodata=255,
        crs="EPSG:32633", transform=Affine(10, 0, 5e5, 0, -10, 5e6),
    ) as dataset:  # fmt: skip
        dataset.write(values, 1)
    return path


@pytest.fixture
def strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strips of 16 rows: 13 of them, more than workers hold at a time."""
    monkeypatch.setattr(strip_codes, "STRIP_PIXELS", 16 * 300)
    monkeypatch.setattr(strip_codes, "STRIP_ROWS", 16)


def hashes(classes: Path, folder: Path, **options: Any) -> list[str]:
    """Of the GeoPackage and the GeoJSON."""
    return [
        sha256(vectorize(classes, folder / name, options=VectorizeOptions(**options)))
        for name in ("land.gpkg", "land.geojson")
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("strips")
@pytest.mark.parametrize("rules", [{}, RULES], ids=["pixel edges", "drawn smoothly"])
def test_two_worker_processes_write_the_same_bytes(tmp_path: Path, rules: dict[str, Any]) -> None:
    classes = write_map(tmp_path / "classes.tif")
    here = hashes(classes, tmp_path / "here", **rules)
    assert hashes(classes, tmp_path / "there", workers=2, **rules) == here


@pytest.mark.slow
@pytest.mark.usefixtures("strips")
def test_a_running_cluster_writes_the_same_bytes_and_need_not_be_where_we_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_map(tmp_path / "classes.tif")
    monkeypatch.chdir(tmp_path)
    classes = Path("classes.tif")
    here = hashes(classes, tmp_path / "here", **RULES)
    (tmp_path / "cluster").mkdir()
    cluster = Cluster(tmp_path / "cluster")
    try:
        for _ in range(2):
            cluster.add_worker("--no-nanny")
        assert hashes(classes, tmp_path / "there", cluster=str(cluster.file), **RULES) == here
    finally:
        cluster.stop()


@pytest.mark.slow
@pytest.mark.usefixtures("strips")
def test_what_a_worker_cannot_read_is_the_error_of_the_file(tmp_path: Path) -> None:
    classes = write_map(tmp_path / "classes.tif", (208, 300), block=1)
    data = bytearray(classes.read_bytes())
    classes.write_bytes(data[: len(data) // 2])
    with pytest.raises(RasterError, match=r"classes\.tif"):
        vectorize(classes, tmp_path / "o.gpkg", options=VectorizeOptions(workers=1))
    assert not (tmp_path / "o.gpkg").exists()


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    classes, out = write_map(tmp_path / "classes.tif"), tmp_path / "out" / "land.gpkg"
    with (
        hold_file(out),
        pytest.raises(OutputError, match=r"land\.gpkg: another run holds"),
    ):
        vectorize(classes, out)
    other = vectorize(classes, out.with_suffix(".fgb"))
    assert sorted(each.name for each in other.parent.iterdir()) == ["land.fgb", "land.qml"]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("name", ["land.gpkg", "land.geojson", "land.fgb", "land.parquet"])
def test_a_killed_run_leaves_nothing_under_the_name_and_the_next_one_clears_up(
    tmp_path: Path, name: str
) -> None:
    classes = write_map(tmp_path / "classes.tif", (1000, 1200), block=2)
    whole = sha256(vectorize(classes, tmp_path / "whole" / name))
    out = tmp_path / "out" / name
    for enough in (1, 100_000):
        leave_killed(classes, out, enough)
        assert not out.exists()
    assert any(".part" in each.name for each in out.parent.iterdir())
    assert sha256(vectorize(classes, out)) == whole
    assert sorted(each.name for each in out.parent.iterdir()) == sorted([name, "land.qml"])


def leave_killed(classes: Path, out: Path, enough: int) -> None:
    """Start the command, and kill it when its unfinished file has so many bytes."""
    command = [sys.executable, "-m", "geoseg", "vectorize", str(classes), "-o", str(out)]
    before = set(out.parent.glob(".*.part*"))
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            if any(size(each) >= enough for each in set(out.parent.glob(".*.part*")) - before):
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.001)
        assert process.wait() == -signal.SIGKILL


def size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0

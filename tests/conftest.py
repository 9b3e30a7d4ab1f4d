"""What most tests stand on: a small scene made in code, and a way to write any other raster."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from filelock import FileLock, ReadWriteLock
from numpy.typing import NDArray
from small_scene import HEIGHT, NORTH_UP, SCHEME, TINY, WIDTH, MakeRaster, SmallScene, write_labels
from trainings import training_briefly

import geoseg

collect_ignore = ["qgis/look.py"]
"""Run by another Python, which has PyQGIS."""


type BuildOnce = Callable[[str, Callable[[Path], object]], Path]


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(OneAtATime(config), "one-at-a-time")


class OneAtATime:
    """Tests marked ``alone`` come last and run while no other worker runs a test.

    All other tests hold a lock together that those marked ``alone`` hold exclusively.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._machine: ReadWriteLock | None = None

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put the long files first, so that short ones fill the gap at the end.

        One file makes the demo at the very start; by the time others need it, it is there.
        """
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        on_demo = [item.path for item in items if "demo" in item.fixturenames]

        def lane(item: pytest.Item) -> int:
            if item.get_closest_marker("alone"):
                return 4
            if item.path not in slow:
                return 3
            if item.path not in on_demo:
                return 1
            return 0 if item.path == on_demo[0] else 2

        if "GEOSEG_TRIALS" not in os.environ:
            for item in items:
                if item.get_closest_marker("long"):
                    item.add_marker(pytest.mark.skip(reason="long lane: set GEOSEG_TRIALS"))
        items.sort(key=lane)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, bool, bool]:
        if "PYTEST_XDIST_WORKER" not in os.environ:
            return (yield)
        self._machine = self._machine or ReadWriteLock(_shared(item.config) / "machine.lock")
        alone = item.get_closest_marker("alone")
        with self._machine.write_lock() if alone else self._machine.read_lock():
            return (yield)


def _shared(config: pytest.Config) -> Path:
    """The temporary folder that all workers of this run of pytest see."""
    factory: pytest.TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined]
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def build_once(pytestconfig: pytest.Config) -> BuildOnce:
    """A function (name, make) that lets one worker fill a folder and hands it to all of them."""
    built = _shared(pytestconfig) / "built"
    built.mkdir(exist_ok=True)

    def build(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = built / name, built / f"{name}.done"
        with FileLock(built / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # left by one that failed
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return build


@pytest.fixture(scope="session")
def make_raster() -> MakeRaster:
    """A function (path, array, **profile) that writes a GeoTIFF of (bands, rows, columns)."""
    return _make_raster


def _make_raster(path: Path, array: NDArray[Any], **profile: Any) -> Path:
    array = array if array.ndim == 3 else array[None]
    count, height, width = array.shape
    settings: dict[str, Any] = {
        "driver": "GTiff", "count": count, "height": height, "width": width, "dtype": array.dtype,
        "crs": "EPSG:32633", "transform": NORTH_UP,
    }  # fmt: skip
    with rasterio.open(path, "w", **(settings | profile)) as dataset:
        dataset.write(array)
    return path


@pytest.fixture(scope="session")
def scene(build_once: BuildOnce) -> SmallScene:
    """The small scene; written once, so tests leave it as it is."""
    rng = np.random.default_rng(7)
    classes = np.zeros((HEIGHT, WIDTH), np.uint8)
    classes[30:70, 40:100] = 1
    classes[:16, :24] = 255
    pixels = rng.integers(800, 1200, (3, HEIGHT, WIDTH), dtype=np.uint16)
    pixels[:, classes == 1] += 2000
    pixels[:, classes == 255] = 0
    profile = {"nodata": 0, "tiled": True, "blockxsize": 64, "blockysize": 32}
    folder = build_once("scene", lambda to: _make_raster(to / "scene.tif", pixels, **profile))
    return SmallScene(folder / "scene.tif", pixels, classes != 255, classes)


@pytest.fixture(scope="session")
def labels(build_once: BuildOnce) -> Path:
    """In lon/lat: fields west of column 112, a wood over part of them, a house over both."""
    import shapely

    shapes = [
        ("field", shapely.box(500_000, 4_999_952, 500_056, 5_000_000)),
        ("wood", shapely.box(500_010, 4_999_960, 500_050, 4_999_990)),
        ("house", shapely.box(500_020, 4_999_965, 500_050, 4_999_985)),
    ]
    folder = build_once("labels", lambda to: write_labels(to / "labels.gpkg", shapes, "EPSG:4326"))
    return folder / "labels.gpkg"


@pytest.fixture(scope="session")
def chips(build_once: BuildOnce, scene: SmallScene, labels: Path) -> Path:
    """3 x 4 chips of 32 px of the small scene; cut once, so tests leave them as they are."""

    def cut(folder: Path) -> None:
        geoseg.tile(scene.path, labels, folder / "chips", classes=SCHEME, options=TINY)

    return build_once("chips", cut) / "chips"


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    """An s3 server on the loopback."""
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of that server with an empty bucket, s3://maps; the environment leads to it."""
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    client = boto3.client("s3")
    where = {"LocationConstraint": "eu-central-1"}
    client.create_bucket(Bucket="maps", CreateBucketConfiguration=where)
    yield client
    for each in client.list_objects_v2(Bucket="maps").get("Contents", ()):
        client.delete_object(Bucket="maps", Key=each["Key"])
    client.delete_bucket(Bucket="maps")


@pytest.fixture
def brief_training() -> Iterator[None]:
    with training_briefly():
        yield


@pytest.fixture(scope="session")
def demo(build_once: BuildOnce) -> Path:
    """The folder of `geoseg demo`, its network hardly trained; tests work on copies of it."""

    def make(folder: Path) -> None:
        with training_briefly():
            geoseg.demo(folder / "demo")

    return build_once("demo", make) / "demo"

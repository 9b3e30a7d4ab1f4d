"""Maps of scenes at addresses, and maps that go to one; servers on the loopback."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import save_fcn, spec_for
from servers import serve
from small_scene import MakeRaster

import geoseg
from geoseg.errors import ConfigError, OutputError, UnsafeError
from geoseg.files import sha256
from geoseg.remote import body, require_bucket, s3
from geoseg.steps.predict import map_scenes as scenes_module

B3 = ("b1", "b2", "b3")
LOCAL = geoseg.PredictOptions(engine="torch", precision="fp32", window=256)
REMOTE = LOCAL.model_copy(update={"remote": True})
FILES = ("classes.tif", "confidence.tif", "classes.tif.aux.xml", "classes.yaml", "run.json")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [each for each in os.environ if each.upper().startswith(("AWS_", "CPL_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(body, "PAUSE_S", 0.01)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, make_raster: MakeRaster) -> Path:
    """scene.tif and other.tif, COGs of 3 x 300 x 500 px in blocks of 256 px.

    That is one region, read by one thread. Of several, one may hold Python's lock while it waits
    for a lock of GDAL's, and then a server in this process does not get to answer the other.
    """
    folder = tmp_path_factory.mktemp("served")
    settings: dict[str, Any] = {"driver": "COG", "blocksize": 256, "compress": "deflate"}
    for seed, name in enumerate(("scene", "other")):
        pixels = np.random.default_rng(seed).integers(0, 2000, (3, 300, 500), dtype=np.uint16)
        make_raster(folder / f"{name}.tif", pixels, nodata=0, **settings)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_fcn(tmp_path_factory.mktemp("model"), spec_for(B3))


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, folder: Path, model: Path) -> Path:
    """The map of scene.tif as a local file."""
    out = tmp_path_factory.mktemp("local") / "map"
    geoseg.predict(folder / "scene.tif", model, out, options=LOCAL)
    return out


def same(one: Path, other: Path) -> bool:
    return all(sha256(one / name) == sha256(other / name) for name in FILES[:4])


@pytest.fixture
def client(bucket: Any, folder: Path) -> Any:
    """A client of an s3 server on the loopback with one bucket, which holds the scenes."""
    for name in ("scene.tif", "other.tif"):
        bucket.upload_file(str(folder / name), "maps", f"2024/{name}")
    return bucket


def fetched(client: Any, prefix: str, folder: Path) -> dict[str, Any]:
    """What lies below a prefix, written into a folder; and when each was put there."""
    folder.mkdir()
    times = {}
    for each in client.list_objects_v2(Bucket="maps", Prefix=prefix)["Contents"]:
        name = each["Key"].removeprefix(prefix)
        (folder / name).parent.mkdir(exist_ok=True)
        client.download_file("maps", each["Key"], str(folder / name))
        times[name] = each["LastModified"]
    return times


class TestIn:
    @pytest.mark.slow
    def test_a_scene_at_an_http_address_is_mapped_like_its_file(
        self, folder: Path, model: Path, local: Path, tmp_path: Path
    ) -> None:
        with serve(folder) as server:
            url = f"{server.url}/scene.tif"
            (mapped,) = geoseg.predict(url, model, tmp_path / "map", options=REMOTE)
            assert same(mapped, local)
            record = json.loads((mapped / "run.json").read_text(encoding="utf-8"))
            assert record["inputs"][0]["path"] == url
            asked = len(server.requests)
            geoseg.predict(url, model, tmp_path / "map", options=REMOTE)
            assert len(server.requests) - asked <= 4, "it is opened, not read"

    def test_a_server_that_fails_now_and_then_changes_nothing(
        self, folder: Path, model: Path, local: Path, tmp_path: Path
    ) -> None:
        with serve(folder) as server:
            server.busy = 2
            url = f"{server.url}/scene.tif"
            (mapped,) = geoseg.predict(url, model, tmp_path / "map", options=REMOTE)
            assert same(mapped, local)

    @pytest.mark.parametrize("address", ["s3://maps/2024/scene.tif", "http://127.0.0.1:9/a.tif"])
    def test_without_remote_an_address_is_refused_with_what_to_do(
        self, address: str, model: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(UnsafeError, match="--remote"):
            geoseg.predict(address, model, tmp_path / "map", options=LOCAL)
        assert not (tmp_path / "map").exists()

    @pytest.mark.slow
    def test_worker_processes_read_from_s3_too(
        self, client: Any, model: Path, local: Path, tmp_path: Path
    ) -> None:
        options = REMOTE.model_copy(update={"workers": 2})
        (mapped,) = geoseg.predict("s3://maps/2024/scene.tif", model, tmp_path / "map",
                                   options=options)  # fmt: skip
        assert same(mapped, local)


class TestOut:
    def test_a_map_goes_from_s3_to_s3_with_its_record_last(
        self,
        client: Any,
        model: Path,
        local: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        put: list[Path] = []
        upload = scenes_module.upload
        monkeypatch.setattr(
            scenes_module, "upload", lambda paths, url: put.extend(paths) or upload(paths, url)
        )
        scene, out = "s3://maps/2024/scene.tif", "s3://maps/results/map/"
        folders = geoseg.predict(scene, model, out, options=REMOTE)
        times = fetched(client, "results/map/", tmp_path / "fetched")
        assert set(times) == set(FILES)
        assert [path.name for path in put][-1] == "run.json"
        assert times["run.json"] == max(times.values())
        assert same(tmp_path / "fetched", local)
        assert folders == [Path("geoseg-s3/maps/results/map")]
        record = json.loads((tmp_path / "fetched" / "run.json").read_text(encoding="utf-8"))
        assert record["outputs"]["classes.tif"] == sha256(tmp_path / "fetched" / "classes.tif")

    @pytest.mark.slow
    def test_several_maps_get_a_folder_each(
        self, client: Any, folder: Path, model: Path, local: Path, tmp_path: Path
    ) -> None:
        scenes = [folder / "scene.tif", folder / "other.tif"]
        geoseg.predict(scenes, model, "s3://maps/all", options=LOCAL)
        times = fetched(client, "all/", tmp_path / "fetched")
        assert set(times) == {f"{name}/{file}" for name in ("scene", "other") for file in FILES}
        assert same(tmp_path / "fetched" / "scene", local)

    def test_a_map_that_was_put_there_is_put_there_again_but_not_made_again(
        self, client: Any, folder: Path, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scene, out = folder / "scene.tif", "s3://maps/again"
        geoseg.predict(scene, model, out, options=LOCAL)
        client.delete_object(Bucket="maps", Key="again/classes.tif")
        monkeypatch.setattr(scenes_module, "map_region", lambda task: pytest.fail("was made again"))
        geoseg.predict(scene, model, out, options=LOCAL)
        assert client.head_object(Bucket="maps", Key="again/classes.tif")["ContentLength"] > 0

    def test_a_missing_bucket_is_noticed_before_any_work(
        self, client: Any, folder: Path, model: Path, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setattr(scenes_module, "map_region", lambda task: pytest.fail("was mapped"))
        with pytest.raises(OutputError, match="s3://none: does not exist"):
            geoseg.predict(folder / "scene.tif", model, "s3://none/map", options=LOCAL)
        assert not (tmp_path / "geoseg-s3").exists()

    def test_missing_credentials_are_noticed_before_any_work(
        self, client: Any, folder: Path, model: Path, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        with pytest.raises(ConfigError, match="s3 needs credentials"):
            geoseg.predict(folder / "scene.tif", model, "s3://maps/map", options=LOCAL)
        assert not (tmp_path / "geoseg-s3").exists()

    def test_a_bucket_that_may_be_written_but_not_listed_is_taken(
        self, client: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refused = client.exceptions.ClientError({"Error": {"Code": "403"}}, "HeadBucket")

        def refuse(**_: Any) -> None:
            raise refused

        monkeypatch.setattr(s3.reach().client, "head_bucket", refuse)
        require_bucket("s3://maps/map")

    @pytest.mark.parametrize("out", ["https://127.0.0.1:9/map", "http://127.0.0.1:9/map"])
    def test_maps_do_not_go_to_web_addresses(self, out: str, folder: Path, model: Path) -> None:
        with pytest.raises(ConfigError, match="folders or to s3"):
            geoseg.predict(folder / "scene.tif", model, out, options=LOCAL)

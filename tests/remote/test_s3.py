"""Scenes and outputs in S3 buckets."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from remote_scenes import PIXELS, REMOTE, WINDOW, isolate, write_served
from small_scene import MakeRaster

from geoseg.errors import ConfigError, OutputError, RasterError, RetryError
from geoseg.job import describe_inputs
from geoseg.raster import FileSource, open_scene
from geoseg.remote import Address, upload


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, make_raster: MakeRaster) -> Path:
    return write_served(tmp_path_factory.mktemp("served"), make_raster)


S3_SCENE = "s3://maps/2024/scene.tif"


@pytest.fixture
def bucket(bucket: Any, folder: Path) -> Any:
    """It holds the scene."""
    bucket.upload_file(str(folder / "scene.tif"), "maps", "2024/scene.tif")
    return bucket


class TestS3:
    def test_a_scene_is_read(self, bucket: Any) -> None:
        source = open_scene(S3_SCENE, REMOTE)
        assert source.name == S3_SCENE
        np.testing.assert_array_equal(source.read(WINDOW).pixels, PIXELS[:, 256:512, 512:768])

    def test_the_environment_of_boto3_reaches_gdal(
        self, bucket: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also under the other name, without credentials, and in a thread of its own."""
        url = os.environ["AWS_ENDPOINT_URL"]
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
        bucket.put_object_acl(Bucket="maps", Key="2024/scene.tif", ACL="public-read")
        source = FileSource(Address(S3_SCENE))
        with ThreadPoolExecutor(1) as threads:
            block = threads.submit(source.read, WINDOW).result()
        np.testing.assert_array_equal(block.pixels, PIXELS[:, 256:512, 512:768])

    def test_an_input_is_another_when_it_was_written_anew(self, bucket: Any, folder: Path) -> None:
        url = S3_SCENE
        before = describe_inputs({"scene": [Address(url)]})
        assert describe_inputs({"scene": [Address(url)]}) == before
        bucket.upload_file(str(folder / "plain.tif"), "maps", "2024/scene.tif")
        assert describe_inputs({"scene": [Address(url)]}) != before

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("s3://maps/no.tif", r"s3://maps/no\.tif: does not exist; got NoSuchKey"),
            ("s3://none/a.tif", r"s3://none/a\.tif: does not exist; got NoSuchBucket"),
            ("s3://maps/empty.tif", "is empty"),
        ],
    )
    def test_what_is_missing_is_named(self, bucket: Any, name: str, message: str) -> None:
        bucket.put_object(Bucket="maps", Key="empty.tif", Body=b"")
        with pytest.raises(RasterError, match=message):
            open_scene(name, REMOTE)

    def test_without_credentials_it_says_which_to_set(
        self, bucket: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        with pytest.raises(ConfigError, match="needs credentials.*AWS_NO_SIGN_REQUEST"):
            open_scene(S3_SCENE, REMOTE)

    def test_without_boto3_it_says_what_to_install(
        self, bucket: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("boto3", "botocore"):
            monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.setenv("AWS_PROFILE", "nobody-looked-before")
        with pytest.raises(ConfigError, match=r"pip install 'geoseg\[s3\]'"):
            open_scene(S3_SCENE, REMOTE)


class TestUpload:
    @pytest.fixture
    def results(self, tmp_path: Path) -> list[Path]:
        (tmp_path / "classes.tif").write_bytes(bytes(9 << 20))
        (tmp_path / "run.json").write_text("{}")
        return [tmp_path / "classes.tif", tmp_path / "run.json"]

    def test_files_arrive_whole_and_in_order(self, bucket: Any, results: list[Path]) -> None:
        """9 MiB go in parts of 8 MiB."""
        written = upload(results, "s3://maps/2024/map/")
        assert written == ["s3://maps/2024/map/classes.tif", "s3://maps/2024/map/run.json"]
        for path, url in zip(results, written, strict=True):
            key = url.removeprefix("s3://maps/")
            found = bucket.get_object(Bucket="maps", Key=key)
            assert found["Body"].read() == path.read_bytes()

    def test_a_bucket_itself_is_a_place_too(self, bucket: Any, results: list[Path]) -> None:
        assert upload(results[1:], "s3://maps") == ["s3://maps/run.json"]

    def test_a_missing_bucket_is_named(self, bucket: Any, results: list[Path]) -> None:
        with pytest.raises(OutputError, match=r"s3://none/run\.json: does not exist"):
            upload(results[1:], "s3://none")

    @pytest.mark.parametrize("url", ["https://h/a", "/tmp/a", "s3://"])
    def test_other_places_are_refused(self, url: str) -> None:
        with pytest.raises(ConfigError, match="is not a place to write to"):
            upload([], url)

    @pytest.mark.slow
    def test_a_server_that_is_gone_asks_for_another_try(
        self, bucket: Any, results: list[Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with pytest.raises(RetryError, match=r"run\.json: cannot be written") as caught:
            upload(results[1:], "s3://maps")
        assert caught.value.exit_code == 3

"""Download whole files over http(s), and upload files to s3."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from geoseg.errors import ConfigError, OutputError, RetryError
from geoseg.remote.address import Address, is_remote
from geoseg.remote.body import patiently, reason
from geoseg.remote.s3 import DENIED, errors, reach

COPY_BYTES = 1 << 20


def download(url: str, path: Path) -> None:
    """Download a whole file from an http(s) address.

    Args:
        url: the address.
        path: the file to write; an existing one is replaced.

    Raises:
        ConfigError: the server has no such file or refuses it.
        RetryError: the network or the server failed several times.
    """
    if not is_remote(url) or url[:2].lower() == "s3":
        raise ConfigError("is not an http or https address", got=url)
    try:
        patiently(lambda: _fetch(Address(url), path))
    except OSError as error:
        raise RetryError(
            "cannot be fetched", where=url, got=reason(error), fix="run the same command again"
        ) from error


def require_bucket(url: str) -> None:
    """Refuse an s3 address that cannot be written to, before any work is done for it.

    Args:
        url: ``s3://bucket/prefix``.

    Raises:
        ConfigError: this is not an s3 address, boto3 is not installed, or there are no credentials.
        OutputError: the bucket is missing.
        RetryError: the network or the server failed.
    """
    bucket, _ = _place(url)
    where = f"s3://{bucket}"
    client = reach().client
    try:
        with errors(where, OutputError):
            client.head_bucket(Bucket=bucket)
    except OutputError as error:
        if error.got not in DENIED:  # a bucket may be writable without being listable
            raise
    except OSError as error:
        raise RetryError(
            "cannot be reached", where=where, got=error, fix="run the same command again"
        ) from error


def upload(paths: Sequence[Path], url: str) -> list[str]:
    """Upload files below an s3 prefix, one after another; each appears whole or not at all.

    Args:
        paths: finished files; the one that marks the set as complete comes last.
        url: ``s3://bucket/prefix``.

    Returns:
        The addresses of the files.

    Raises:
        ConfigError: this is not an s3 address, boto3 is not installed, or there are no credentials.
        OutputError: the bucket is missing or not writable.
        RetryError: the network or the server failed.
    """
    bucket, prefix = _place(url)
    client = reach().client
    written = []
    for path in paths:
        key = f"{prefix}/{path.name}".lstrip("/")
        address = f"s3://{bucket}/{key}"
        try:
            with path.open("rb") as stream, errors(address, OutputError):
                client.upload_fileobj(stream, bucket, key)
        except OSError as error:
            raise RetryError(
                "cannot be written", where=address, got=error, fix="run the same command again"
            ) from error
        written.append(address)
    return written


def _place(url: str) -> tuple[str, str]:
    """Bucket and prefix of an s3 address to write to."""
    bucket, _, prefix = url[5:].strip("/").partition("/")
    if url[:5].lower() != "s3://" or not bucket:
        raise ConfigError("is not a place to write to", got=url, wanted="s3://bucket/prefix")
    return bucket, prefix


def _fetch(address: Address, path: Path) -> None:
    """Save a response; a transfer that breaks off raises OSError."""
    with address.rest(0) as whole, path.open("wb") as stream:
        assert whole is not None, "every file has a beginning"
        shutil.copyfileobj(whole.stream, stream, COPY_BYTES)
        if whole.total not in (None, stream.tell()):
            raise OSError(f"{stream.tell()} bytes of {whole.total}")

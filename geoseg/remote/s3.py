"""Objects in s3 buckets, read by ranges, and the settings with which boto3 and GDAL reach them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from geoseg.errors import ConfigError, GeosegError
from geoseg.remote.body import CONNECT_S, IDLE_S, RETRIES, Body, reason

MISSING = ("NoSuchBucket", "NoSuchKey", "404")
DENIED = ("AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken")


@contextmanager
def body_of(
    bucket: str, key: str, begin: int, end: int | None, *, kind: type[GeosegError]
) -> Iterator[Body | None]:
    """Request a range of an object.

    Args:
        bucket: the bucket.
        key: the object's key in it.
        begin: the first byte.
        end: the last byte; None for the end of the object.
        kind: the error to raise if there is no such object or it is refused.

    Yields:
        The response; None if the object ends at ``begin``.

    Raises:
        ConfigError: boto3 is not installed, or there are no credentials.
        OSError: the network or the server failed, perhaps for a moment.
    """
    s3 = reach()
    with errors(f"s3://{bucket}/{key}", kind):
        span = f"bytes={begin}-{'' if end is None else end}"
        try:
            found = s3.client.get_object(Bucket=bucket, Key=key, Range=span, **s3.payer)
        except s3.client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "InvalidRange":
                raise
            yield None
            return
        total = int(found["ContentRange"].rpartition("/")[2])
        yield Body(found["Body"], begin, total, found["ETag"], ranged=True)


@contextmanager
def errors(where: str, kind: type[GeosegError]) -> Iterator[None]:
    """Turn boto3's errors into ours.

    Args:
        where: the address, for errors.
        kind: error for an object that does not exist or may not be used.

    Raises:
        ConfigError: there are no credentials.
        GeosegError: of this ``kind``.
        OSError: a retry may help.
    """
    from botocore.exceptions import (  # type: ignore[import-untyped]
        BotoCoreError,
        ClientError,
        NoCredentialsError,
    )

    try:
        yield
    except NoCredentialsError as error:
        raise ConfigError(
            "s3 needs credentials",
            where=where,
            fix="set AWS_PROFILE or AWS_ACCESS_KEY_ID, or AWS_NO_SIGN_REQUEST=YES if it is public",
        ) from error
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in MISSING + DENIED:
            raise OSError(reason(error)) from error
        raise kind(
            "does not exist" if code in MISSING else "may not be used", where=where, got=code
        ) from error
    except BotoCoreError as error:
        raise OSError(reason(error)) from error


@dataclass(frozen=True)
class S3:
    """How boto3 and GDAL reach s3.

    boto3 reads the environment and its configuration files, and GDAL is given the same settings: it
    knows fewer of them.

    Attributes:
        session: boto3 session.
        client: boto3 s3 client.
        signed: whether requests are signed.
    """

    session: Any
    client: Any
    signed: bool

    @property
    def payer(self) -> dict[str, str]:
        """The requester-pays argument of boto3 calls, if set."""
        payer = os.environ.get("AWS_REQUEST_PAYER")
        return {"RequestPayer": payer} if payer else {}

    @property
    def options(self) -> dict[str, str]:
        """GDAL's options for an endpoint other than Amazon's."""
        parts = urlsplit(self.client.meta.endpoint_url)
        if re.search(r"\.amazonaws\.com(\.cn)?$", parts.hostname or ""):
            return {}
        return {
            "AWS_S3_ENDPOINT": f"{parts.netloc}{parts.path}".rstrip("/"),
            "AWS_HTTPS": "YES" if parts.scheme == "https" else "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE",
        }

    def credentials(self) -> Any:
        """A rasterio session: rasterio takes credentials in no other way."""
        from rasterio.session import AWSSession

        if not self.signed:
            return AWSSession(aws_unsigned=True, region_name=self.session.region_name)
        return AWSSession(self.session, aws_unsigned=False)


def reach() -> S3:
    """The settings for s3 under the current environment.

    Raises:
        ConfigError: boto3 is not installed.
    """
    return _reach(frozenset(each for each in os.environ.items() if each[0].startswith("AWS_")))


@lru_cache(maxsize=4)
def _reach(environment: frozenset[tuple[str, str]]) -> S3:
    """Cached by environment, as making a client takes a tenth of a second."""
    try:
        import boto3  # type: ignore[import-untyped]
        from botocore import UNSIGNED  # type: ignore[import-untyped]
        from botocore.config import Config  # type: ignore[import-untyped]
    except ImportError as error:
        raise ConfigError("s3 needs boto3", fix="pip install 'geoseg[s3]'") from error
    unsigned = dict(environment).get("AWS_NO_SIGN_REQUEST", "NO").upper() in ("YES", "TRUE", "1")
    config = Config(
        connect_timeout=CONNECT_S,
        read_timeout=IDLE_S,
        retries={"mode": "standard", "total_max_attempts": RETRIES},
        **({"signature_version": UNSIGNED} if unsigned else {}),
    )
    session = boto3.Session()
    return S3(session, session.client("s3", config=config), not unsigned)

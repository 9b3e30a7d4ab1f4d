"""Files at http(s) and s3 addresses: looked at, read by ranges, put there whole."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from geoseg.errors import (
    ConfigError,
    GeosegError,
    OutputError,
    RasterError,
    RetryError,
    UnsafeError,
)

HEAD_BYTES = 1024
"""As many as GDAL looks at to choose a driver; size and version come with the same request."""
COPY_BYTES = 1 << 20
CONNECT_S = 10
IDLE_S = 30
"""A transfer that stands still for so long is given up."""
SLOW_BYTES_PER_S = 100
RETRIES = 3
PAUSE_S = 0.5
FOR_GOOD = (400, 401, 403, 404, 405, 410)
"""Answers that stay the same however often one asks."""
MISSING = ("NoSuchBucket", "NoSuchKey", "404")
DENIED = ("AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken")

type Place = Path | Address


def is_remote(text: str | Path) -> bool:
    """Whether a text is an http, https or s3 address and not the name of a file.

    Example:
        >>> is_remote("s3://bucket/scene.tif"), is_remote("file:///scene.tif"), is_remote("a.tif")
        (True, False, False)
    """
    return re.match(r"(https?|s3)://", str(text), re.IGNORECASE) is not None


@dataclass(frozen=True)
class Address:
    """A file on a server, as a value; the server is asked once, when that is first needed.

    Attributes:
        url: an http, https or s3 address.

    Raises:
        UnsafeError: another scheme, or a password in the address.
        ConfigError: the address names no file.

    Example:
        >>> Address("https://example.com/2024/scene.tif?token=x").name
        'https://example.com/2024/scene.tif'
        >>> Address("s3://bucket/2024/scene.tif").gdal
        '/vsis3/bucket/2024/scene.tif'
    """

    url: str

    def __post_init__(self) -> None:
        if not is_remote(self.url):
            raise UnsafeError("is no address to read", got=self.url, wanted="https, http or s3")
        parts = urlsplit(self.url)
        if "@" in parts.netloc:
            raise UnsafeError("the address holds a password", got=parts.hostname)
        if not parts.netloc or not parts.path.strip("/") or re.search(r"[\0-\37\177]", self.url):
            raise ConfigError("the address names no file", got=self.url)

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """The address without its query, which is often a secret and new every hour."""
        return self.url if self._bucket else re.split(r"[?#]", self.url, maxsplit=1)[0]

    @property
    def gdal(self) -> str:
        """The name by which GDAL reads it range by range."""
        return f"/vsis3/{self._bucket}/{self._key}" if self._bucket else f"/vsicurl/{self._link}"

    @property
    def head(self) -> bytes:
        """Its first bytes."""
        return self._answer.head

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self._answer.size

    @property
    def ranged(self) -> bool:
        """Whether the server sends parts of it."""
        return self._answer.ranged

    def stamp(self) -> str:
        """A text that changes with the content, as far as the server tells of a change."""
        answer = self._answer
        return f"{self.name if answer.version else self.url} {answer.size} {answer.version}"

    def forget(self) -> None:
        """Drop what GDAL keeps of it."""
        from rasterio.cache import invalidate

        invalidate(self.gdal)

    @contextmanager
    def settings(self) -> Iterator[None]:
        """GDAL with time-outs, with the keys of an s3 bucket, and blind to files beside this."""
        import rasterio
        from rasterio.session import DummySession

        options = {
            "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
            "GDAL_HTTP_CONNECTTIMEOUT": str(CONNECT_S),
            "GDAL_HTTP_LOW_SPEED_LIMIT": str(SLOW_BYTES_PER_S),
            "GDAL_HTTP_LOW_SPEED_TIME": str(IDLE_S),
            "GDAL_HTTP_MAX_RETRY": "5",
            "GDAL_HTTP_RETRY_DELAY": str(PAUSE_S),
            "GDAL_NUM_THREADS": "1",  # several have left blocks blank in silence over /vsicurl/
            "GDAL_PAM_ENABLED": "NO",
        }
        session = DummySession()
        if self._bucket:
            s3 = _s3()
            session, options = s3.credentials(), options | s3.options
        with rasterio.Env(session=session, **options):
            yield

    @contextmanager
    def rest(self, begin: int) -> Iterator[Rest | None]:
        """Its bytes from ``begin`` on, or all of them from a server that sends no parts.

        Yields:
            What the server answers; None where the file ends at ``begin``.

        Raises:
            ConfigError: the server has no such file, or does not hand it out.
            OSError: the network or the server failed; that may pass.
        """
        with (_rest_s3 if self._bucket else _rest_http)(self, begin) as rest:
            yield rest

    @cached_property
    def _answer(self) -> _Answer:
        ask = _ask_s3 if self._bucket else _ask_http
        try:
            return patiently(lambda: ask(self))
        except OSError as error:
            raise RasterError(
                "cannot be reached", where=self.name, got=_reason(error), fix="try again later"
            ) from error

    @property
    def _bucket(self) -> str | None:
        return urlsplit(self.url).netloc if self.url[:2].lower() == "s3" else None

    @property
    def _key(self) -> str:
        """What follows the bucket, letter by letter: a key may hold ? and #."""
        return self.url.split("/", 3)[3]

    @property
    def _link(self) -> str:
        """The address as it is sent."""
        scheme, _, rest = self.url.partition("#")[0].partition(":")
        return f"{scheme.lower()}:{quote(rest, safe="/?:@!$&'()*+,;=%~[]-._")}"


@dataclass(frozen=True)
class Rest:
    """The rest of a file, while it is being sent.

    Attributes:
        stream: what `read` takes bytes from.
        begin: where in the file they begin.
        total: the size of the file, where the server says so.
        version: a text that changes with the file, as far as the server tells.
    """

    stream: Any
    begin: int
    total: int | None
    version: str


def patiently[T](work: Callable[[], T], mend: Callable[[], object] | None = None) -> T:
    """Call ``work`` again after an OSError, a few times and not for long.

    Args:
        work: what may fail.
        mend: called before each further trial.

    Raises:
        OSError: as the last trial did.
    """
    started = time.monotonic()
    for trial in range(1, RETRIES + 1):
        try:
            return work()
        except OSError:
            if time.monotonic() - started > 1.5 * IDLE_S:  # it has stood still twice
                raise
        time.sleep(PAUSE_S * trial)
        if mend:
            mend()
    return work()


def download(url: str, path: Path) -> None:
    """Fetch a file whole from an http(s) address.

    Args:
        url: the address.
        path: where the bytes go; what stands there is replaced.

    Raises:
        ConfigError: the server has no such file, or does not hand it out.
        RetryError: the network or the server failed several times.
    """
    if not is_remote(url) or url[:2].lower() == "s3":
        raise ConfigError("is no http or https address", got=url)
    try:
        patiently(lambda: _fetch(Address(url), path))
    except OSError as error:
        raise RetryError(
            "cannot be fetched", where=url, got=_reason(error), fix="run the same command again"
        ) from error


def require_bucket(url: str) -> None:
    """Refuse an s3 address that nothing can be put at, before work is done for it.

    Args:
        url: ``s3://bucket/prefix``.

    Raises:
        ConfigError: this is no s3 address, boto3 is not installed, or there are no credentials.
        OutputError: the bucket is missing.
        RetryError: the network or the server failed.
    """
    bucket, _ = _place(url)
    where = f"s3://{bucket}"
    client = _s3().client
    try:
        with _s3_errors(where, OutputError):
            client.head_bucket(Bucket=bucket)
    except OutputError as error:
        if error.got not in DENIED:  # what may be written need not be listed
            raise
    except OSError as error:
        raise RetryError(
            "cannot be reached", where=where, got=error, fix="run the same command again"
        ) from error


def upload(paths: Sequence[Path], url: str) -> list[str]:
    """Put files below an s3 address, one after the other; each appears whole or not at all.

    Args:
        paths: finished files; put the one last that says that all are there.
        url: ``s3://bucket/prefix``.

    Returns:
        The addresses of the files.

    Raises:
        ConfigError: this is no s3 address, boto3 is not installed, or there are no credentials.
        OutputError: the bucket is missing, or may not be written to.
        RetryError: the network or the server failed.
    """
    bucket, prefix = _place(url)
    client = _s3().client
    written = []
    for path in paths:
        key = f"{prefix}/{path.name}".lstrip("/")
        address = f"s3://{bucket}/{key}"
        try:
            with path.open("rb") as stream, _s3_errors(address, OutputError):
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
        raise ConfigError("is no place to write to", got=url, wanted="s3://bucket/prefix")
    return bucket, prefix


@dataclass(frozen=True)
class _Answer:
    """What a server says of a file; the version changes when the file does."""

    head: bytes
    size: int
    version: str
    ranged: bool = True


def _fetch(address: Address, path: Path) -> None:
    """Copy what a server sends; a transfer that breaks off is an OSError."""
    request = urllib.request.Request(address._link, headers={"User-Agent": "geoseg"})  # noqa: S310  (http and https only: see _opener)
    try:
        with _opener().open(request, timeout=IDLE_S) as response, path.open("wb") as stream:
            shutil.copyfileobj(response, stream, COPY_BYTES)
            wanted = response.headers.get("Content-Length", "")
            if wanted.isdigit() and stream.tell() != int(wanted):
                raise OSError(f"{stream.tell()} bytes of {wanted}")
    except urllib.error.HTTPError as error:
        error.close()
        if error.code not in FOR_GOOD:
            raise
        raise ConfigError(
            "cannot be fetched", where=address.name, got=f"{error.code} {error.reason}"
        ) from error
    except http.client.HTTPException as error:
        raise OSError(_reason(error)) from error


@contextmanager
def _rest_http(address: Address, begin: int) -> Iterator[Rest | None]:
    headers = {"User-Agent": "geoseg"} | ({"Range": f"bytes={begin}-"} if begin else {})
    request = urllib.request.Request(address._link, headers=headers)  # noqa: S310  (http and https only: see _opener)
    try:
        with _opener().open(request, timeout=IDLE_S) as response:
            yield _rest(response, begin)
    except urllib.error.HTTPError as error:
        error.close()
        if begin and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            yield None
            return
        if error.code not in FOR_GOOD:
            raise
        raise ConfigError(
            "cannot be fetched", where=address.name, got=f"{error.code} {error.reason}"
        ) from error
    except http.client.HTTPException as error:
        raise OSError(_reason(error)) from error


def _rest(response: Any, begin: int) -> Rest:
    headers = response.headers
    part = response.status == http.HTTPStatus.PARTIAL_CONTENT
    text = headers.get("Content-Range" if part else "Content-Length", "").rpartition("/")[2]
    version = headers.get("ETag") or headers.get("Last-Modified") or ""
    return Rest(response, begin if part else 0, int(text) if text.isdigit() else None, version)


def _ask_http(address: Address) -> _Answer:
    request = urllib.request.Request(  # noqa: S310  (http and https only: see _opener)
        address._link, headers={"Range": f"bytes=0-{HEAD_BYTES - 1}", "User-Agent": "geoseg"}
    )
    try:
        with _opener().open(request, timeout=IDLE_S) as response:
            head = response.read(HEAD_BYTES)
            return _answer(head, response.status, response.headers)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return _Answer(b"", 0, "")
        if error.code not in FOR_GOOD:
            raise
        raise RasterError(
            "cannot be fetched", where=address.name, got=f"{error.code} {error.reason}"
        ) from error
    except http.client.HTTPException as error:
        raise OSError(_reason(error)) from error


def _answer(head: bytes, status: int, headers: http.client.HTTPMessage) -> _Answer:
    length = headers.get("Content-Length", "")
    size = int(length) if length.isdigit() else len(head)
    if len(head) < min(size, HEAD_BYTES):
        raise OSError(f"{len(head)} bytes of {min(size, HEAD_BYTES)}")
    ranged = status == http.HTTPStatus.PARTIAL_CONTENT
    total = headers.get("Content-Range", "").rpartition("/")[2]
    if ranged and total.isdigit():
        size = int(total)
    version = headers.get("ETag") or headers.get("Last-Modified") or ""
    return _Answer(head, size, version, ranged)


@lru_cache(maxsize=1)
def _opener() -> urllib.request.OpenerDirector:
    """For http and https, redirects included; urllib's own opens file and ftp addresses too."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _ask_s3(address: Address) -> _Answer:
    with _s3_errors(address.name, RasterError):
        found = _get_s3(address, f"0-{HEAD_BYTES - 1}")
        if found is None:
            return _Answer(b"", 0, "")
        size = int(found["ContentRange"].rpartition("/")[2])
        return _Answer(found["Body"].read(), size, found["ETag"])


@contextmanager
def _rest_s3(address: Address, begin: int) -> Iterator[Rest | None]:
    with _s3_errors(address.name, ConfigError):
        found = _get_s3(address, f"{begin}-")
        if found is None:
            yield None
            return
        total = int(found["ContentRange"].rpartition("/")[2])
        yield Rest(found["Body"], begin, total, found["ETag"])


def _get_s3(address: Address, span: str) -> dict[str, Any] | None:
    """What S3 answers to a request for a range of bytes; None where the object ends before it."""
    s3 = _s3()
    wanted = {"Bucket": address._bucket, "Key": address._key, **s3.payer}
    try:
        found: dict[str, Any] = s3.client.get_object(**wanted, Range=f"bytes={span}")
    except s3.client.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "InvalidRange":
            raise
        return None
    return found


@contextmanager
def _s3_errors(where: str, kind: type[GeosegError]) -> Iterator[None]:
    """What boto3 raises, told as ``kind`` where one has to act, and as OSError where one waits."""
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
            raise OSError(_reason(error)) from error
        raise kind(
            "does not exist" if code in MISSING else "may not be used", where=where, got=code
        ) from error
    except BotoCoreError as error:
        raise OSError(_reason(error)) from error


@dataclass(frozen=True)
class _S3:
    """How boto3 and GDAL reach s3, both by what boto3 makes of the environment and its files."""

    session: Any
    client: Any
    signed: bool

    @property
    def payer(self) -> dict[str, str]:
        payer = os.environ.get("AWS_REQUEST_PAYER")
        return {"RequestPayer": payer} if payer else {}

    @property
    def options(self) -> dict[str, str]:
        """Where s3 is, for GDAL; nothing where it is Amazon's own."""
        parts = urlsplit(self.client.meta.endpoint_url)
        if re.search(r"\.amazonaws\.com(\.cn)?$", parts.hostname or ""):
            return {}
        return {
            "AWS_S3_ENDPOINT": f"{parts.netloc}{parts.path}".rstrip("/"),
            "AWS_HTTPS": "YES" if parts.scheme == "https" else "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE",
        }

    def credentials(self) -> Any:
        """A session of rasterio; it takes keys by no other way."""
        from rasterio.session import AWSSession

        if not self.signed:
            return AWSSession(aws_unsigned=True, region_name=self.session.region_name)
        return AWSSession(self.session, aws_unsigned=False)


def _s3() -> _S3:
    return _s3_of(frozenset(each for each in os.environ.items() if each[0].startswith("AWS_")))


@lru_cache(maxsize=4)
def _s3_of(environment: frozenset[tuple[str, str]]) -> _S3:
    """Costs a tenth of a second, hence once for each environment."""
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
    return _S3(session, session.client("s3", config=config), not unsigned)


def _reason(error: BaseException) -> str:
    if type(error) is urllib.error.URLError:
        return str(error.reason)
    return str(error) or type(error).__name__

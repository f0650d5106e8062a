"""The object store (S3) by obstore: objects are written once, read with limits, and streamed in constant memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, TypeVar

import obstore
import requests
from obstore import exceptions as answers
from obstore.store import S3Store
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from fedsnap.clients.errors import (
    ClientError,
    Conflict,
    InvalidData,
    Misconfigured,
    NotFound,
    PermissionDenied,
    Unavailable,
)

PART_BYTES = 8 * 1024 * 1024
# The largest object that S3 takes in one request; only one request can carry `If-None-Match: *` in constant memory,
# because obstore holds all parts of a conditional multipart upload.
MAX_OBJECT_BYTES = 5 * 1024**3
_UPLOAD_ALLOWED_FOR = timedelta(hours=1)
_TIMEOUT = (5, 60)
_MAX_ANSWER_SHOWN = 300
_MAX_CREDENTIAL_BYTES = 4096
Answer = TypeVar("Answer")


class StoreSettings(BaseModel):
    """Where the bucket is. Holds no secret, only the directory of the mounted credentials."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")
    endpoint: str = Field(min_length=8, max_length=512, pattern=r"^https?://[^\s]+$")
    bucket: str = Field(min_length=1, max_length=128)
    region: str = Field("us-east-1", min_length=1, max_length=64)
    credentials_directory: str | None = Field(
        None, description="Holds `access-key-id` and `secret-access-key`; set from the environment."
    )
    allow_http: bool = False


@dataclass(frozen=True, slots=True)
class Content:
    """What was read or written: size in bytes and SHA-256 as `sha256:<hex>`."""

    digest: str
    size: int


class Store:
    """One bucket. Synchronous; may be shared by threads.

    Every method raises `Unavailable` (StoreUnavailable), `PermissionDenied`, `NotFound` (ObjectNotFound)
    or `InvalidData`; `put_once` also `Conflict` (ObjectConflict).
    """

    def __init__(self, settings: StoreSettings) -> None:
        if settings.endpoint.startswith("http://") and not settings.allow_http:
            raise Misconfigured(
                "PlainHttpRefused", f"{settings.endpoint} is not https; use https, or allowHttp for a test"
            )
        self._settings = settings
        self._store = S3Store(
            settings.bucket,
            endpoint=settings.endpoint,
            region=settings.region,
            access_key_id=_credential(settings, "access-key-id"),
            secret_access_key=_credential(settings, "secret-access-key"),
            virtual_hosted_style_request=False,
            client_options={
                "allow_http": settings.allow_http,
                "connect_timeout": "5s",
                "read_timeout": "30s",
                "timeout": "10m",
            },
            retry_config={"max_retries": 4, "retry_timeout": timedelta(seconds=30)},
        )

    def put_once(self, path: str, content: bytes | Path) -> Content:
        """Create the object, or find that it exists with equal bytes.

        A file is streamed. Nothing is ever overwritten: S3's `If-None-Match: *` decides a race.
        """
        wanted = _content_of(content)
        try:
            if isinstance(content, Path):
                self._upload(path, content, wanted.size)
            else:
                self._ask(path, lambda: obstore.put(self._store, path, content, mode="create", use_multipart=False))
        except Conflict:
            self._expect_equal(path, wanted)
        return wanted

    def _upload(self, path: str, file: Path, size: int) -> None:
        """Stream a file in one conditional request by a presigned address, which is as secret as a token."""
        name = self._name(path)
        if size > MAX_OBJECT_BYTES:
            raise InvalidData("ObjectTooLarge", f"{name} would have {size} bytes, one object holds {MAX_OBJECT_BYTES}")
        address = self._ask(path, lambda: obstore.sign(self._store, "PUT", path, _UPLOAD_ALLOWED_FOR))
        try:
            with file.open("rb") as body:
                answer = requests.put(
                    address, data=body if size else b"", headers={"If-None-Match": "*"}, timeout=_TIMEOUT
                )
        except requests.exceptions.RequestException as error:
            raise Unavailable(
                "StoreUnavailable", f"uploading {name} to {self._settings.endpoint} broke off ({type(error).__name__})"
            ) from None
        self._expect_created(answer.status_code, name)

    def _expect_created(self, status: int, name: str) -> None:
        if status in (HTTPStatus.OK, HTTPStatus.CREATED):
            return
        if status == HTTPStatus.PRECONDITION_FAILED:
            raise Conflict("ObjectConflict", f"{name} exists")
        if status in (HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED):
            raise PermissionDenied(
                "PermissionDenied", f"the store denies writing {name}; check what the credentials may touch"
            )
        raise Unavailable(
            "StoreUnavailable", f"the store at {self._settings.endpoint} answered {status} to the upload of {name}"
        )

    def _expect_equal(self, path: str, wanted: Content) -> None:
        size = self.head(path)
        if size == wanted.size and self.digest(path).digest == wanted.digest:
            return
        raise Conflict(
            "ObjectConflict",
            f"{self._name(path)} exists with other bytes than the {wanted.size} of {wanted.digest} that were to be "
            "written; objects are written once: find out who wrote it, and use a new attempt",
        )

    def head(self, path: str) -> int:
        """Size of the object in bytes."""
        return self._ask(path, lambda: obstore.head(self._store, path)["size"])

    def get(self, path: str, max_bytes: int) -> bytes:
        """The whole object, if it is not larger than `max_bytes`."""
        result = self._ask(path, lambda: obstore.get(self._store, path))
        size = result.meta["size"]
        if size > max_bytes:
            raise InvalidData(
                "ObjectTooLarge", f"expected at most {max_bytes} bytes in {self._name(path)}, it has {size}"
            )
        return self._ask(path, lambda: bytes(result.bytes()))

    def get_range(self, path: str, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start`."""
        if length == 0:
            return b""
        try:
            got = self._ask(path, lambda: bytes(obstore.get_range(self._store, path, start=start, length=length)))
        except Unavailable:
            # A range beyond the end is an error of the server's too (416), and obstore does not tell them apart.
            if (size := self.head(path)) > start:
                raise
            raise self._truncated(path, start, length, max(0, size - start)) from None
        if len(got) != length:
            raise self._truncated(path, start, length, len(got))
        return got

    def _truncated(self, path: str, start: int, length: int, got: int) -> InvalidData:
        return InvalidData("ObjectTruncated", f"expected {length} bytes at {start} of {self._name(path)}, got {got}")

    def stream(self, path: str, chunk_bytes: int = PART_BYTES) -> Iterator[bytes]:
        """The object's bytes in order, in chunks of about `chunk_bytes`."""
        chunks = iter(self._ask(path, lambda: obstore.get(self._store, path)).stream(min_chunk_size=chunk_bytes))
        while chunk := self._ask(path, lambda: bytes(next(chunks, b""))):
            yield chunk

    def digest(self, path: str) -> Content:
        """Size and digest of the stored bytes, read in constant memory."""
        return _hashed(self.stream(path))

    def copy_to(self, path: str, out: BinaryIO) -> Content:
        """Write the object's bytes to an open file, in constant memory."""
        return _hashed(self.stream(path), out.write)

    def download(self, path: str, file: Path) -> Content:
        """Write the object to `file`, which appears only when it is complete."""
        partial = file.with_name(file.name + ".partial")
        with partial.open("wb") as out:
            content = self.copy_to(path, out)
        partial.replace(file)
        return content

    def _name(self, path: str) -> str:
        return f"s3://{self._settings.bucket}/{path}"

    def _ask(self, path: str, ask: Callable[[], Answer]) -> Answer:
        try:
            return ask()
        except (answers.BaseError, FileNotFoundError) as error:
            raise self._translated(error, path) from None

    def _translated(self, error: Exception, path: str) -> ClientError:
        name = self._name(path)
        if isinstance(error, answers.NotFoundError | FileNotFoundError):
            return NotFound("ObjectNotFound", f"no object {name} at {self._settings.endpoint}")
        if isinstance(error, answers.AlreadyExistsError | answers.PreconditionError):
            return Conflict("ObjectConflict", f"{name} exists")
        if isinstance(error, answers.PermissionDeniedError | answers.UnauthenticatedError):
            return PermissionDenied(
                "PermissionDenied", f"the store denies {name}; check the credentials and what they may touch"
            )
        if isinstance(error, answers.InvalidPathError):
            return InvalidData("ObjectPathInvalid", f"{name} is not a path that a store can hold")
        said = " ".join(str(error).split())[:_MAX_ANSWER_SHOWN]
        return Unavailable("StoreUnavailable", f"the store at {self._settings.endpoint} failed for {name}: {said}")


def _credential(settings: StoreSettings, name: str) -> str:
    directory = settings.credentials_directory
    if not directory:
        raise Misconfigured("CredentialsMissing", "no credentials for the store; set FEDSNAP_STORE_CREDENTIALS")
    try:
        with (Path(directory) / name).open(encoding="utf-8") as file:
            return file.read(_MAX_CREDENTIAL_BYTES).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(
            "CredentialsMissing", f"cannot read {name} in {directory} ({type(error).__name__}); mount the Secret"
        ) from None


def _content_of(content: bytes | Path) -> Content:
    if isinstance(content, bytes):
        return _hashed([content])
    with content.open("rb") as file:
        return _hashed(iter(lambda: file.read(PART_BYTES), b""))


def _hashed(chunks: Iterator[bytes] | list[bytes], also: Callable[[bytes], object] = len) -> Content:
    sha256, size = hashlib.sha256(), 0
    for chunk in chunks:
        sha256.update(chunk)
        also(chunk)
        size += len(chunk)
    return Content(f"sha256:{sha256.hexdigest()}", size)

"""Vault or OpenBao: login with a projected token, and the transit engine, by hvac's raw reads and writes.

hvac's typed transit wrapper refuses some key types on the client's side, so it is not used.
"""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import hvac  # type: ignore[import-untyped]
import requests
from hvac import exceptions as answers
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from fedsnap.clients.errors import ClientError, InvalidData, Misconfigured, NotFound, PermissionDenied, Unavailable

# Connection and answer, in seconds: a Job waits longer by being retried, not by hanging.
TIMEOUT = (5, 30)
_MAX_TOKEN_BYTES = 64 * 1024
_MAX_ANSWER_SHOWN = 300
Answer = TypeVar("Answer")


class VaultSettings(BaseModel):
    """Where Vault is and how to log in. Holds no secret, only the path of the token file."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")
    address: str = Field(min_length=8, max_length=512, pattern=r"^https?://[^\s]+$")
    auth_mount: str = Field("jwt", min_length=1, max_length=128)
    role: str = Field(min_length=1, max_length=128)
    token_file: str | None = Field(None, description="Projected service-account token; set from the environment.")
    namespace: str | None = None
    ca_file: str | None = None


class DataKey(NamedTuple):
    """A fresh data key, and the same key wrapped by Vault. The plain half is never shown."""

    plain: bytes
    wrapped: str

    def __repr__(self) -> str:
        return f"DataKey(wrapped={self.wrapped!r})"


class Signature(NamedTuple):
    """A raw Ed25519 signature and the id of the key that made it, `<key>:v<version>`."""

    key_id: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """Versions of a transit key."""

    latest_version: int
    min_decryption_version: int


def wrapped_version(wrapped: str) -> int:
    """Version of the transit key in a ciphertext or signature such as `vault:v3:…`.

    Raises:
        InvalidData: where it is not of that form.
    """
    parts = wrapped.split(":", 2)
    if len(parts) != 3 or parts[0] != "vault" or not parts[1].startswith("v") or not parts[1][1:].isdecimal():  # noqa: PLR2004
        raise InvalidData("WrappedKeyInvalid", "expected text of the form vault:v<version>:<base64> from Vault")
    return int(parts[1][1:])


class VaultClient:
    """The transit calls that fedsnap makes. Synchronous; may be shared by threads.

    Every method raises `Unavailable` (VaultUnavailable, VaultSealed), `PermissionDenied`,
    `NotFound` (KeyNotFound), `InvalidData` or `Misconfigured`.
    """

    def __init__(self, settings: VaultSettings, *, token: str | None = None) -> None:
        """Log in lazily with the projected token, or use `token` as it is (for people at a terminal)."""
        if settings.ca_file and not Path(settings.ca_file).is_file():
            raise Misconfigured("CertificateNotFound", f"no CA file at {settings.ca_file}; mount it or unset caFile")
        self._settings = settings
        self._fixed = token is not None
        self._lock = threading.Lock()
        self._client = hvac.Client(
            url=settings.address,
            token=token or "",
            namespace=settings.namespace,
            verify=settings.ca_file or True,
            timeout=TIMEOUT,
        )

    def key_info(self, mount: str, key: str) -> KeyInfo:
        """Latest version, and the oldest one that may still decrypt."""
        data = self._read_key(mount, key)
        return KeyInfo(int(data["latest_version"]), int(data["min_decryption_version"]))

    def public_keys(self, mount: str, key: str) -> dict[str, bytes]:
        """Raw public keys of all versions of an Ed25519 key, by key id."""
        versions = self._read_key(mount, key)["keys"]
        return {f"{key}:v{number}": _unbase64(one["public_key"]) for number, one in versions.items()}

    def create_data_key(self, mount: str, key: str, context: bytes) -> DataKey:
        """A fresh 256-bit data key, wrapped under a derived `key` with `context`."""
        data = self._write(f"{mount}/datakey/plaintext/{key}", {"context": _base64(context), "bits": 256})
        return DataKey(_unbase64(data["plaintext"]), str(data["ciphertext"]))

    def encrypt(self, mount: str, key: str, plain: bytes, context: bytes) -> str:
        """`plain`, encrypted under a derived `key` with `context`."""
        data = self._write(f"{mount}/encrypt/{key}", {"plaintext": _base64(plain), "context": _base64(context)})
        return str(data["ciphertext"])

    def decrypt(self, mount: str, key: str, wrapped: str, context: bytes) -> bytes:
        """What `encrypt` or `create_data_key` wrapped with the same `context`."""
        data = self._write(f"{mount}/decrypt/{key}", {"ciphertext": wrapped, "context": _base64(context)})
        return _unbase64(data["plaintext"])

    def sign(self, mount: str, key: str, message: bytes) -> Signature:
        """An Ed25519 signature by the latest version of `key`; the private key stays in Vault."""
        data = self._write(f"{mount}/sign/{key}", {"input": _base64(message)})
        made = str(data["signature"])
        return Signature(f"{key}:v{wrapped_version(made)}", _unbase64(made.split(":", 2)[2]))

    def _read_key(self, mount: str, key: str) -> dict[str, Any]:
        path = f"{mount}/keys/{key}"
        answer = self._call(lambda: self._client.read(path), path)
        if answer is None:
            raise NotFound("KeyNotFound", f"Vault at {self._settings.address} has no transit key {path}; create it")
        return self._data(answer, path)

    def _write(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._data(self._call(lambda: self._client.write_data(path, data=body), path), path)

    def _data(self, answer: object, path: str) -> dict[str, Any]:
        if not isinstance(answer, dict) or not isinstance(answer.get("data"), dict):
            raise InvalidData(
                "VaultAnswerInvalid", f"expected a JSON answer with `data` from {self._settings.address}/v1/{path}"
            )
        data: dict[str, Any] = answer["data"]
        return data

    def _call(self, ask: Callable[[], Answer], path: str) -> Answer:
        """Ask; where the token was refused, log in anew and ask once more: tokens end and are revoked."""
        if not self._fixed and not self._client.token:
            self._login(stale="")
        used = str(self._client.token)
        try:
            return self._ask(ask, path)
        except PermissionDenied:
            if self._fixed:
                raise
            self._login(stale=used)
            return self._ask(ask, path)

    def _login(self, *, stale: str) -> None:
        with self._lock:
            if self._client.token and self._client.token != stale:
                return  # another thread was faster
            path = f"auth/{self._settings.auth_mount}/login"
            body = {"role": self._settings.role, "jwt": self._projected_token()}
            self._client.token = ""
            try:
                answer = self._ask(lambda: self._client.write_data(path, data=body), path)
            except InvalidData as refused:
                raise PermissionDenied("LoginRefused", refused.message) from None
            self._client.token = str(answer["auth"]["client_token"])

    def _projected_token(self) -> str:
        path = self._settings.token_file
        if not path:
            raise Misconfigured("TokenFileMissing", "no token file for Vault's login; set FEDSNAP_VAULT_TOKEN_FILE")
        try:
            with Path(path).open(encoding="ascii") as file:
                return file.read(_MAX_TOKEN_BYTES).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(
                "TokenFileMissing", f"cannot read the projected token at {path} ({type(error).__name__})"
            ) from None

    def _ask(self, ask: Callable[[], Answer], path: str) -> Answer:
        try:
            return ask()
        except answers.VaultError as error:
            raise _translated(error, self._settings.address, path) from None
        except requests.exceptions.SSLError:
            raise Misconfigured(
                "CertificateInvalid",
                f"the certificate of {self._settings.address} is not signed by the configured CA; check caFile",
            ) from None
        except requests.exceptions.RequestException as error:
            raise Unavailable(
                "VaultUnavailable", f"no answer from Vault at {self._settings.address} ({type(error).__name__})"
            ) from None


def _translated(error: answers.VaultError, address: str, path: str) -> ClientError:
    said = "; ".join(str(one) for one in error.errors or ()) if isinstance(error.errors, list) else str(error.errors)
    said = " ".join(said.split())[:_MAX_ANSWER_SHOWN]
    where = f"{address}/v1/{path}"
    if isinstance(error, answers.Forbidden | answers.Unauthorized):
        return PermissionDenied("PermissionDenied", f"Vault denies {where}; allow it in the role's policy ({said})")
    if isinstance(error, answers.VaultDown) and "sealed" in said.lower():
        return Unavailable("VaultSealed", f"Vault at {address} is sealed; unseal it")
    if isinstance(error, answers.InvalidPath):
        return NotFound("KeyNotFound", f"nothing at {where}; create the key or correct the mount's name")
    if isinstance(error, answers.InvalidRequest):
        return _refused(said, where)
    return Unavailable("VaultUnavailable", f"Vault failed at {where}: {type(error).__name__} ({said})")


def _refused(said: str, where: str) -> ClientError:
    if "key not found" in said:
        return NotFound("KeyNotFound", f"no key at {where}; create it")
    if "too old" in said or "disallowed by policy" in said:
        return InvalidData("KeyVersionUnusable", f"the key's version is no longer allowed at {where} ({said})")
    return InvalidData("VaultRequestRefused", f"Vault refused what was sent to {where} ({said})")


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _unbase64(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except binascii.Error:
        raise InvalidData("VaultAnswerInvalid", "expected base64 in Vault's answer") from None

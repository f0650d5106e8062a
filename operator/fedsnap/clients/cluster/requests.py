"""One HTTP request to the API server, with errors in our terms and Retry-After honoured."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient

from fedsnap.clients.errors import ClientError, Conflict, InvalidData, NotFound, PermissionDenied, Unavailable

MAX_BODY = 64 * 1024 * 1024
MAX_RETRY_AFTER = 30.0
TRIES = 4


class LostRace(Conflict):
    """Somebody else wrote in the meantime, or the name is taken; read again and decide anew."""


class Expired(Unavailable):
    """The resource version is too old to go on from; list again."""


_BY_CODE: dict[int, type[ClientError]] = {
    401: PermissionDenied,
    403: PermissionDenied,
    404: NotFound,
    409: LostRace,
    400: InvalidData,
    405: InvalidData,
    413: InvalidData,
    415: InvalidData,
    422: InvalidData,
}
GONE = 410


def error_of(code: int, body: bytes, where: str) -> ClientError:
    """The error that an answer stands for; `body` is a Status object where the API server itself answered."""
    reason, message = "", body[:512].decode("utf-8", "replace")
    try:
        status = json.loads(body)
        reason, message = str(status.get("reason") or ""), str(status.get("message") or "")
    except (ValueError, AttributeError):
        pass
    kind = Expired if code == GONE else _BY_CODE.get(code, Unavailable)
    return kind(reason or f"Http{code}", f"{where} answered {code}: {message[:1024]}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to send; `timeout_s` bounds each wait for bytes, not the whole answer."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    content_type: str = "application/json"
    timeout_s: float = 30.0

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Requests:
    """Requests over one connection pool."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def send(self, request: Request) -> dict[str, Any]:
        """The decoded answer.

        A 429 or 503 with Retry-After was refused before it did anything, so every method may be sent again.

        Raises:
            ClientError: the subclass that the answer's code maps to; Unavailable where no answer came.
        """
        for attempt in range(1, TRIES + 1):
            async with self.open(request) as answer:
                content = await _read(answer, str(request))
            if answer.status < 400:  # noqa: PLR2004 - the boundary of HTTP's error classes
                return _decoded(content, str(request))
            pause = _retry_after(answer)
            if pause is None or attempt == TRIES:
                raise error_of(answer.status, content, str(request))
            await asyncio.sleep(pause * random.uniform(1.0, 1.25))  # noqa: S311 - spreads load, guards nothing
        raise AssertionError("unreachable: the last attempt returns or raises")

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer before its body is read; network errors, inside the block too, become Unavailable."""
        try:
            answer = await self._start(request)
            try:
                yield answer
            finally:
                # Releases the connection to the pool after a whole body, and closes it otherwise.
                answer.close()
        except TimeoutError as error:
            raise Unavailable("Timeout", f"{request}: no answer within {request.timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable("Unreachable", f"{request}: {type(error).__name__}: {error}") from error

    async def _start(self, request: Request) -> aiohttp.ClientResponse:
        _, url, headers, _, _ = await self._api.param_serialize(
            method=request.method,
            resource_path=request.path,
            query_params=list(request.query.items()),
            header_params={"Accept": "application/json", "Content-Type": request.content_type},
            auth_settings=["BearerToken"],
        )
        wait = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=request.timeout_s)
        # The body bypasses the generated serializer, which copies objects and rewrites what it takes for models.
        answer = await self._api.rest_client.request(
            request.method, url, headers=headers, body=request.body, _request_timeout=wait
        )
        response: aiohttp.ClientResponse = answer.response
        return response


async def _read(answer: aiohttp.ClientResponse, where: str) -> bytes:
    content = bytearray()
    async for chunk in answer.content.iter_any():
        content += chunk
        if len(content) > MAX_BODY:
            raise InvalidData("TooLarge", f"{where}: expected at most {MAX_BODY} bytes")
    return bytes(content)


def _decoded(content: bytes, where: str) -> dict[str, Any]:
    try:
        decoded = json.loads(content) if content else {}
    except ValueError as error:
        raise InvalidData("NotJson", f"{where}: expected a JSON object: {error}") from error
    if not isinstance(decoded, dict):
        raise InvalidData("NotJson", f"{where}: expected a JSON object, got {type(decoded).__name__}")
    return decoded


def _retry_after(answer: aiohttp.ClientResponse) -> float | None:
    """Seconds to wait before the same request is sent again, or None where it should not be."""
    if answer.status not in (429, 503):
        return None
    try:
        return min(max(float(answer.headers["Retry-After"]), 0.1), MAX_RETRY_AFTER)
    except (KeyError, ValueError):
        return None

"""RFC 8785 JSON: one byte string for one value, and a parser that refuses what has two readings."""

from __future__ import annotations

import json
from typing import NoReturn

import rfc8785
from pydantic import BaseModel

from fedsnap.formats.errors import InvalidFormat

Json = bool | int | float | str | list["Json"] | dict[str, "Json"] | None

MAX_CONTROL_BYTES = 1024 * 1024
_MAX_DEPTH = 32


def dump(value: BaseModel | Json) -> bytes:
    """The RFC 8785 form. A model is written with its wire names and without fields that are unset.

    Raises:
        InvalidFormat: for values that JSON cannot carry exactly (NaN, integers beyond 2^53).
    """
    plain = value.model_dump(mode="json", by_alias=True, exclude_none=True) if isinstance(value, BaseModel) else value
    try:
        return rfc8785.dumps(plain)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise InvalidFormat(f"expected a value that RFC 8785 can write, got one it cannot: {error}") from None


def parse(
    data: bytes | memoryview, *, max_bytes: int = MAX_CONTROL_BYTES, canonical: bool = False, where: str = "JSON"
) -> Json:
    """Parse bounded JSON; with `canonical`, only its RFC 8785 form.

    Args:
        data: UTF-8 text.
        max_bytes: larger input is refused unread.
        canonical: refuse input that differs from its own RFC 8785 form.
        where: name of the object or file, for messages.

    Raises:
        InvalidFormat: too large, too deep, not JSON, a duplicate key, NaN or infinity, or not canonical.
    """
    if len(data) > max_bytes:
        raise InvalidFormat(f"{where}: expected at most {max_bytes} bytes of JSON, got {len(data)}")
    raw = bytes(data)
    try:
        value: Json = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise InvalidFormat(f"{where}: expected at most {_MAX_DEPTH} levels of JSON, got more") from None
    except ValueError as error:
        raise InvalidFormat(f"{where}: expected JSON in UTF-8: {error}") from None
    _refuse_depth(value, where)
    if canonical and dump(value) != raw:
        raise InvalidFormat(
            f"{where}: expected JSON in RFC 8785 form, got another spelling of it; write it canonically"
        )
    return value


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        # In one pass: the object may have a hundred thousand keys. `add` gives None, which counts as false.
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InvalidFormat(f"key {twice[:80]!r} appears twice in one object")
    return made


def _no_constant(text: str) -> NoReturn:
    raise InvalidFormat(f"{text} is not a JSON number")


def _refuse_depth(value: Json, where: str) -> None:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [child for one in level for child in _children(one)]
        if not level:
            return
    raise InvalidFormat(f"{where}: expected at most {_MAX_DEPTH} levels of JSON, got more")


def _children(value: Json) -> list[Json]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []

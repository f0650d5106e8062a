"""Signed control files of a round, read from the store without blocking the event loop."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TypeVar

from fedsnap.api.organization import IdentityKey
from fedsnap.clients.errors import Misconfigured, NotFound
from fedsnap.clients.store import Store
from fedsnap.clients.vault import VaultClient
from fedsnap.formats.canonical_json import MAX_CONTROL_BYTES
from fedsnap.formats.control import Control
from fedsnap.formats.dsse import pinned_keys
from fedsnap.formats.errors import InvalidFormat
from fedsnap.formats.signed import Signed, read_control
from fedsnap.jobs.errors import refusal
from fedsnap.jobs.tasks import MAX_PINNED, TransitKey

ControlT = TypeVar("ControlT", bound=Control)


async def read_signed(
    kind: type[ControlT], store: Store, path: str, keys: Iterable[IdentityKey], now: datetime
) -> Signed[ControlT] | None:
    """The control file at `path`, signed by one of `keys`; None where there is none yet.

    Raises:
        Refused: where it is malformed or not signed by them.
        ClientError: where the store cannot be asked.
    """
    try:
        data = await asyncio.to_thread(store.get, path, MAX_CONTROL_BYTES)
    except NotFound:
        return None
    try:
        # In a thread: a member may store a megabyte that takes long to parse.
        return await asyncio.to_thread(read_control, kind, data, pinned_keys(keys, now), path)
    except InvalidFormat as error:
        raise refusal(error) from None


async def own_public_keys(vault: VaultClient, key: TransitKey) -> tuple[IdentityKey, ...]:
    """The public keys of the latest versions of an own signing key, as many as a task may pin."""
    found = await asyncio.to_thread(vault.public_keys, key.mount, key.key)
    latest = sorted(found, key=lambda name: int(name.rpartition(":v")[2]))[-MAX_PINNED:]
    return identity_keys({name: found[name] for name in latest})


def identity_keys(raw: Mapping[str, bytes]) -> tuple[IdentityKey, ...]:
    """Raw public keys, by id, as tasks carry them."""
    return tuple(
        IdentityKey(id=name, public_key=base64.b64encode(public).decode("ascii"))
        for name, public in sorted(raw.items())
    )


def required(vault: VaultClient | None, whose: str = "Vault") -> VaultClient:
    """The client of a Vault that this role cannot work without.

    Raises:
        Misconfigured: where no address was given.
    """
    if vault is None:
        raise Misconfigured("VaultNotConfigured", f"no address of {whose} is set; give --vault-address")
    return vault

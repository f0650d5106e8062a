"""Service account tokens of a pod: written before it starts, and again long before they end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from fedsnap.clients.errors import ClientError
from fedsnap.local.node.api import NodeApi, Token
from fedsnap.local.node.podspec import Pod
from fedsnap.local.node.volumes import TokenFile, write

MODE = 0o600
# As kubelet does: a new token after 80 % of the old one's life.
USED_SHARE = 0.8
RETRY_S = 10.0

log = logging.getLogger(__name__)


async def write_tokens(api: NodeApi, pod: Pod, files: Sequence[TokenFile]) -> float:
    """Write all tokens, and say after how many seconds they should be written again.

    Raises:
        ClientError: where the API server gives none.
    """
    pauses = [await _write(api, pod, file) for file in files]
    return min(pauses, default=float("inf"))


async def _write(api: NodeApi, pod: Pod, file: TokenFile) -> float:
    token = await api.token(pod, file.audience, file.seconds)
    write(file.path, token.text.encode(), MODE)
    return pause_of(token, file.seconds, datetime.now(UTC))


def pause_of(token: Token, seconds: int, now: datetime) -> float:
    """Seconds until a token should be replaced."""
    return max(1.0, USED_SHARE * min(float(seconds), (token.expires - now).total_seconds()))


async def keep_fresh(api: NodeApi, pod: Pod, files: Sequence[TokenFile], pause: float) -> None:
    """Rewrite the tokens for ever; the first time after `pause` seconds."""
    while files:
        await asyncio.sleep(pause)
        try:
            pause = await write_tokens(api, pod, files)
        except (ClientError, OSError) as error:
            log.warning("cannot refresh tokens", extra={"pod": str(pod), "error": str(error)})
            pause = RETRY_S

"""The few calls that bring up a cluster: readiness, server-side apply, reading."""

from __future__ import annotations

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import requests

from fedsnap.local.certificates import KeyPair
from fedsnap.local.errors import LocalClusterError

FIELD_MANAGER = "fedsnap-local"
_TIMEOUT = (2, 30)


class ApiServer:
    """One API server, with the rights of a client certificate. Synchronous."""

    def __init__(self, server: str, authority: Path, client: KeyPair) -> None:
        self._server = server
        self._session = requests.Session()
        # The environment's proxies and CA bundles are not for a server on loopback.
        self._session.trust_env = False
        self._session.verify = str(authority)
        self._session.cert = (str(client.certificate), str(client.key))

    def answers(self, path: str) -> bool:
        """Whether `path`, for example /readyz, answers 200."""
        try:
            answer = self._session.get(self._server + path, timeout=_TIMEOUT)
        except requests.exceptions.RequestException:
            return False
        return answer.status_code == HTTPStatus.OK

    def get(self, path: str) -> dict[str, Any]:
        """The object at `path`."""
        return self._call("GET", path)

    def apply(self, path: str, obj: dict[str, Any]) -> dict[str, Any]:
        """Create or change the object at `path` by server-side apply."""
        return self._call(
            "PATCH",
            f"{path}?fieldManager={FIELD_MANAGER}&force=true",
            data=json.dumps(obj),
            headers={"Content-Type": "application/apply-patch+yaml"},
        )

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:  # noqa: ANN401 - passed on
        try:
            answer = self._session.request(method, self._server + path, timeout=_TIMEOUT, **options)
        except requests.exceptions.RequestException as error:
            raise LocalClusterError(f"no answer from {self._server}{path} ({type(error).__name__})") from error
        if not answer.ok:
            raise LocalClusterError(
                f"{method} {self._server}{path} answered {answer.status_code}: {answer.text[:1024]}"
            )
        found: dict[str, Any] = answer.json()
        return found

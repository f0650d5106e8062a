from __future__ import annotations

import os
from pathlib import Path

import pytest

from fedsnap.local import cluster as local
from services import run_s3, run_vault


@pytest.fixture(scope="session")
def _state(tmp_path_factory):
    """Directory of this session's own cluster; whatever was started in it ends with the session."""
    directory = tmp_path_factory.mktemp("cluster") / "state"
    yield directory
    local.stop(directory)


@pytest.fixture(scope="session")
def kubeconfig(request) -> Path:
    """Admin kubeconfig of an API server that knows our kinds; the tests make and remove their own objects.

    FEDSNAP_TEST_KUBECONFIG names another one than the embedded.
    """
    if path := os.environ.get("FEDSNAP_TEST_KUBECONFIG"):
        return Path(path)
    state = request.getfixturevalue("_state")
    return local.start(state, services=False, die_with_us=True).kubeconfig


@pytest.fixture(scope="session")
def cluster(_state) -> local.Cluster:
    """The embedded control plane with OpenBao, which trusts its service accounts, and S3."""
    return local.start(_state, die_with_us=True)


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    with run_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def vault(tmp_path_factory):
    with run_vault(tmp_path_factory.mktemp("vault")) as server:
        yield server

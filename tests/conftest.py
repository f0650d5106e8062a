from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    """Admin kubeconfig of an API server that knows our CRDs; the tests make and remove their own objects."""
    path = os.environ.get("FEDSNAP_TEST_KUBECONFIG")
    if not path:
        pytest.skip("set FEDSNAP_TEST_KUBECONFIG to the kubeconfig of a test cluster with the CRDs of crds/")
    return Path(path)

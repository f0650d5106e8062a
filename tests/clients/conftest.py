from __future__ import annotations

import pytest

from services import run_s3, run_vault


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    with run_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def vault(tmp_path_factory):
    with run_vault(tmp_path_factory.mktemp("vault")) as server:
        yield server

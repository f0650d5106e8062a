from __future__ import annotations

import pytest

from hub_and_members import Hub


@pytest.fixture
def hub(s3, vault, tmp_path):
    return Hub.start(s3, vault, tmp_path)

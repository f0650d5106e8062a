from __future__ import annotations

import pytest

from fedsnap.local import cluster
from rounds.hospitals import MEMBERS, begin


@pytest.fixture(scope="session")
def _hospitals(tmp_path_factory):
    directory = tmp_path_factory.mktemp("hospitals")
    try:
        yield begin(directory)
    finally:
        cluster.stop(directory / "state")


@pytest.fixture
def hospitals(_hospitals):
    """The federation with well-behaved trainers and no operator running; what a test leaves behind ends with it."""
    for member in MEMBERS:
        _hospitals.train_with(member)
    yield _hospitals
    _hospitals.stop()

from __future__ import annotations

import pytest

from fedsnap.formats.errors import InvalidFormat
from fedsnap.formats.paths import RoundPaths, SnapshotPaths


def test_objects_of_a_round_lie_where_the_specification_says():
    paths = RoundPaths.of("research", "heart", 3, 2)
    assert paths.prefix == "rounds/research/heart/3/2/"
    assert paths.plan == "rounds/research/heart/3/2/plan.json"
    assert paths.sealed("a", 4) == "rounds/research/heart/3/2/sealed/a/4"
    assert paths.commit("a") == "rounds/research/heart/3/2/commit/a.json"
    assert paths.aggregate(0) == "rounds/research/heart/3/2/aggregate/0"
    assert paths.roster.endswith("/roster.json")
    assert paths.transcript.endswith("/transcript.json")


def test_objects_of_a_snapshot_lie_beside_each_other():
    paths = SnapshotPaths.of("snapshots/heart/", 3, 2)
    assert paths.weights == "snapshots/heart/3/2/model.safetensors.c2sp"
    assert (paths.key, paths.record) == ("snapshots/heart/3/2/key.json", "snapshots/heart/3/2/snapshot.json")


@pytest.mark.parametrize("prefix", ["", "/", "a", "a//b/", "../a/", "a/./", "/a/"])
def test_a_prefix_that_is_not_one_is_refused(prefix):
    with pytest.raises(InvalidFormat):
        RoundPaths(prefix)
    with pytest.raises(InvalidFormat):
        SnapshotPaths(prefix)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b"])
def test_a_name_cannot_leave_its_directory(name):
    with pytest.raises(InvalidFormat):
        RoundPaths("rounds/a/b/1/1/").commit(name)

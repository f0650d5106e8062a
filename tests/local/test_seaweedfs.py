from __future__ import annotations

import signal
from pathlib import Path

import pytest

from fedsnap.clients.errors import PermissionDenied
from fedsnap.clients.store import Store
from fedsnap.local import seaweedfs
from fedsnap.local.ports import COMPANION, free_ports
from fedsnap.local.processes import Processes

pytestmark = pytest.mark.services
BUCKET = "fedsnap"
MEMBER = seaweedfs.generated("north", f"Write:{BUCKET}/rounds/*/sealed/north/*", f"Read:{BUCKET}/rounds/*/plan.json")
SOUTH = seaweedfs.generated("south", f"Read:{BUCKET}/ke*")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    directory, ports = tmp_path_factory.mktemp("s3"), free_ports(seaweedfs.PORTS)
    processes = Processes(directory, die_with_us=True)
    seaweedfs.start(directory, ports, [MEMBER], processes)
    try:
        yield seaweedfs.wait(directory, ports, [BUCKET], processes), directory, ports, processes
    finally:
        seaweedfs.stop(ports, processes)


@pytest.fixture
def member(running):
    return Store(running[0].settings(BUCKET, MEMBER.name))


@pytest.fixture
def admin(running):
    return Store(running[0].settings(BUCKET))


def test_an_identity_writes_under_its_own_prefix_of_any_round(member):
    assert member.put_once("rounds/research/heart/1/1/sealed/north/1", b"sealed").size == 6


@pytest.mark.parametrize(
    "path",
    [
        "rounds/research/heart/1/1/sealed/south/1",
        "rounds/research/heart/1/1/sealed/northern/1",
        "rounds/research/heart/1/1/plan.json",
        "snapshots/heart/1/1/key.json",
        "sealed/north/1",
    ],
)
def test_an_identity_writes_nowhere_else(member, path):
    with pytest.raises(PermissionDenied):
        member.put_once(path, b"x")


def test_a_large_file_is_refused_elsewhere_too(member, tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 1024)
    with pytest.raises(PermissionDenied):
        member.put_once("rounds/research/heart/1/1/sealed/south/2", tmp_path / "file")


def test_an_identity_reads_what_it_may_and_nothing_else(admin, member):
    admin.put_once("rounds/research/heart/2/1/plan.json", b"plan")
    admin.put_once("rounds/research/heart/2/1/sealed/south/1", b"sealed")
    assert member.get("rounds/research/heart/2/1/plan.json", 10) == b"plan"
    with pytest.raises(PermissionDenied):
        member.get("rounds/research/heart/2/1/sealed/south/1", 10)


def test_a_running_server_learns_other_identities(running, admin):
    server, directory, ports, processes = running
    admin.put_once("kept", b"kept")
    before = processes.find(seaweedfs.PROCESS)
    seaweedfs.start(directory, ports, [MEMBER, SOUTH], processes)
    processes.wait_until(seaweedfs.PROCESS, lambda: _may_read(server, "kept"), seconds=10)
    assert processes.find(seaweedfs.PROCESS) == before


def test_objects_and_identities_survive_a_kill(running, admin, member):
    _, directory, ports, processes = running
    admin.put_once("kept", b"kept")
    processes.stop(seaweedfs.PROCESS, how=signal.SIGKILL)
    seaweedfs.start(directory, ports, None, processes)
    seaweedfs.wait(directory, ports, [BUCKET], processes)
    assert admin.get("kept", 10) == b"kept"
    member.put_once("rounds/research/heart/3/1/sealed/north/1", b"sealed")


def _may_read(server, path):
    try:
        return bool(Store(server.settings(BUCKET, SOUTH.name)).get(path, 10))
    except PermissionDenied:
        return False


def test_the_same_identities_restart_nothing(running):
    _, directory, ports, processes = running
    before = processes.find(seaweedfs.PROCESS)
    seaweedfs.start(directory, ports, None, processes)
    assert processes.find(seaweedfs.PROCESS) == before


def test_no_secret_is_shown():
    assert MEMBER.secret_key not in repr(MEMBER)


def test_stopping_leaves_no_socket_behind(tmp_path):
    ports, processes = free_ports(seaweedfs.PORTS), Processes(tmp_path, die_with_us=True)
    seaweedfs.start(tmp_path, ports, (), processes)
    seaweedfs.wait(tmp_path, ports, [BUCKET], processes)
    seaweedfs.stop(ports, processes)
    numbers = [port + above for port in ports.values() for above in (0, COMPANION)]
    assert [found for port in numbers for found in Path("/tmp").glob(f"seaweedfs-*-{port}.sock")] == []  # noqa: S108

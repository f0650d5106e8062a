from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fedsnap.local import binaries
from fedsnap.local.build import build
from fedsnap.local.errors import BuildFailed, ProgramMissing


@pytest.fixture
def module(tmp_path):
    directory = tmp_path / "module"
    directory.mkdir()
    (directory / "go.mod").write_text("module example.dev/one\n\ngo 1.24\n")
    (directory / "go.sum").write_text("")
    (directory / "main.go").write_text("package main\n\nfunc main() {}\n")
    return directory


@pytest.fixture
def builds(tmp_path, monkeypatch):
    """Targets of all builds, with a compiler that takes no minutes."""
    made = []

    def compile_at_once(_go, module, target):
        made.append(target)
        target.write_bytes((module / "main.go").read_bytes())

    monkeypatch.setenv("FEDSNAP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(binaries, "build", compile_at_once)
    monkeypatch.setattr(binaries, "go_version", lambda _: "go1.26.0")
    monkeypatch.setattr(binaries, "_which", lambda name, *_: Path(f"/usr/bin/{name}"))
    return made


def test_a_second_use_builds_nothing(module, builds):
    assert binaries.kubernetes(module) == binaries.kubernetes(module)
    assert len(builds) == 1


def test_all_programs_are_names_of_one_file(module, builds):
    found = binaries.kubernetes(module)
    assert {found.program(name).resolve() for name in binaries.PROGRAMS} == {found.binary}
    assert builds


def test_a_file_that_was_changed_is_built_again(module, builds):
    found = binaries.kubernetes(module)
    found.binary.write_bytes(b"corrupt")
    assert not binaries.intact(found)
    assert binaries.intact(binaries.kubernetes(module))
    assert len(builds) == 2


def test_another_source_is_another_file(module, builds):
    first = binaries.kubernetes(module)
    (module / "main.go").write_text("package main\n\nfunc main() { println() }\n")
    assert binaries.kubernetes(module) != first
    assert len(builds) == 2


def test_two_at_once_build_once(module, builds):
    with ThreadPoolExecutor() as pool:
        found = set(pool.map(binaries.kubernetes, [module] * 4))
    assert len(found) == len(builds) == 1


def test_a_built_file_needs_no_compiler(module, builds, monkeypatch):
    found = binaries.kubernetes(module)
    monkeypatch.setattr(binaries, "_which", lambda *_: None)
    assert binaries.kubernetes(module) == found
    assert len(builds) == 1


def test_without_a_compiler_the_message_says_what_to_install(module, tmp_path, monkeypatch):
    monkeypatch.setenv("FEDSNAP_CACHE", str(tmp_path))
    monkeypatch.setattr(binaries, "_which", lambda *_: None)
    with pytest.raises(ProgramMissing, match="make venv"):
        binaries.kubernetes(module)


def test_a_missing_service_says_what_to_install():
    with pytest.raises(ProgramMissing, match=r"pip install fedsnap\[local\]"):
        binaries.program("no-such-program")


def test_what_the_compiler_says_is_told(module, tmp_path):
    go = shutil.which("go", path=f"{Path(sys.executable).parent}:/usr/local/go/bin:/usr/bin:/usr/local/bin")
    if not go:
        pytest.skip("no Go compiler")
    with pytest.raises(BuildFailed, match=r"k8s\.io/kubernetes"):
        build(Path(go), module, tmp_path / "out")


@pytest.mark.cluster
def test_a_link_says_which_programs_there_are(cluster):
    stranger = cluster.directory / "stranger"
    stranger.symlink_to(cluster.kubectl.resolve())
    answer = subprocess.run([stranger], capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert 'no program is named "stranger"' in answer.stderr

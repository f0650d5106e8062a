"""Where programs come from: OpenBao and SeaweedFS from PyPI, Kubernetes built once from its Go modules."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fedsnap.local.build import build, go_version
from fedsnap.local.errors import ProgramMissing

MODULE = Path(__file__).parents[3] / "images" / "kubernetes"
PROGRAMS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubeadm",
    "kubectl",
    "kubelet",
)
_NEXT_TO_PYTHON = Path(sys.executable).parent
_GO_PLACES = ("/usr/local/go/bin",)
_KEY_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """The multi-call binary, and a directory of links that name its programs."""

    directory: Path

    @property
    def binary(self) -> Path:
        """The one file that all names link to."""
        return self.directory / "kubernetes"

    def program(self, name: str) -> Path:
        """The link by which one program is called, for example `kubectl`."""
        return self.directory / "bin" / name


def program(name: str) -> Path:
    """A program of this virtual environment or of PATH.

    Raises:
        ProgramMissing: where there is none.
    """
    found = _which(name)
    if found is None:
        raise ProgramMissing(f"{name} is not installed; run `make venv`, or `pip install fedsnap[local]`")
    return found


def cache_directory() -> Path:
    """`$FEDSNAP_CACHE`, `$XDG_CACHE_HOME/fedsnap` or `~/.cache/fedsnap`."""
    if chosen := os.environ.get("FEDSNAP_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fedsnap"


def kubernetes(module: Path = MODULE) -> Kubernetes:
    """The Kubernetes programs, built where the cache lacks them or holds a file that was changed.

    Raises:
        ProgramMissing: where there is neither a built file nor a Go compiler.
        BuildFailed: where the compiler fails.
    """
    go = _which("go", *_GO_PLACES)
    cache = cache_directory() / "kubernetes"
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "lock"):
        found = Kubernetes(cache / _key(module, go)) if go else _built_before(cache, module)
        if found is None:
            raise ProgramMissing(
                "the Kubernetes programs are not built yet and there is no Go compiler; run `make venv`, which "
                "takes one from PyPI, or install Go from https://go.dev/dl"
            )
        if not intact(found):
            _build(go, module, found)
        return found


def intact(built: Kubernetes) -> bool:
    """Whether the file is the one that was built, by its recorded SHA-256."""
    try:
        return _recorded(built).read_text(encoding="ascii").strip() == _sha256(built.binary)
    except OSError:
        return False


def _build(go: Path | None, module: Path, target: Kubernetes) -> None:
    if go is None:
        raise ProgramMissing(f"{target.binary} was changed and there is no Go compiler; run `make venv`")
    (target.directory / "bin").mkdir(parents=True, exist_ok=True)
    fresh = target.directory / "kubernetes.new"
    build(go, module, fresh)
    _recorded(target).write_text(f"{_sha256(fresh)}\n", encoding="ascii")
    fresh.replace(target.binary)
    for name in PROGRAMS:
        link = target.program(name)
        link.unlink(missing_ok=True)
        link.symlink_to(Path("..") / target.binary.name)


def _recorded(built: Kubernetes) -> Path:
    return built.directory / "kubernetes.sha256"


def _built_before(cache: Path, module: Path) -> Kubernetes | None:
    """A file that another Go version built from the same source."""
    found = (Kubernetes(path) for path in sorted(cache.glob(f"{_digest(module)}-*")))
    return next((built for built in found if intact(built)), None)


def _key(module: Path, go: Path) -> str:
    return f"{_digest(module)}-{go_version(go)}"


def _digest(module: Path) -> str:
    sha256 = hashlib.sha256()
    for name in ("go.mod", "go.sum", "main.go"):
        path = module / name
        if not path.exists():
            raise ProgramMissing(
                f"expected the Go module of the Kubernetes programs at {module}; use a source checkout"
            )
        sha256.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return sha256.hexdigest()[:_KEY_LENGTH]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _which(name: str, *more: str) -> Path | None:
    places = [str(_NEXT_TO_PYTHON), os.environ.get("PATH", ""), *more]
    found = shutil.which(name, path=os.pathsep.join(places))
    return Path(found) if found else None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock, or wait for whoever holds it; it ends with its process."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write("waiting for another process that prepares the Kubernetes programs\n")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield

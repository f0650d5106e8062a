"""Building the multi-call Kubernetes binary, with progress for whoever waits the minutes it takes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

from fedsnap.local.errors import BuildFailed

# As `go build -v` lists them for images/kubernetes from an empty cache; only progress depends on it.
PACKAGES = 2800
_VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
_SHOWN_LINES = 20
_EVERY_SECONDS = 10.0


def go_version(go: Path) -> str:
    """The compiler's version, as `go1.26.8`."""
    answer = _go(go, "env", "GOVERSION")
    return answer.strip()


def build(go: Path, module: Path, target: Path) -> None:
    """Compile the module to `target`: static, without paths of this machine.

    Raises:
        BuildFailed: with the compiler's last lines.
    """
    sys.stderr.write("building the Kubernetes programs from source: once, 5 to 10 minutes on 2 cores\n")
    command = [str(go), "build", "-v", "-trimpath", "-ldflags", _linker_flags(go, module), "-o", str(target), "."]
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"}
    with subprocess.Popen(command, cwd=module, env=environment, stderr=subprocess.PIPE, text=True) as compiler:
        assert compiler.stderr is not None  # noqa: S101 - it is a pipe
        progress = _Progress()
        for line in compiler.stderr:
            progress.saw(line)
    if compiler.returncode:
        raise BuildFailed(f"`{' '.join(command)}` in {module} failed:\n{progress.last_lines()}")
    progress.end()


def _linker_flags(go: Path, module: Path) -> str:
    version = _go(go, "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes", directory=module).strip()
    major, minor, _ = version.removeprefix("v").split(".", 2)
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    stamps = [f"-X {package}.{name}={value}" for package in _VERSION_PACKAGES for name, value in values.items()]
    return " ".join(["-s", "-w", *stamps])


def _go(go: Path, *arguments: str, directory: Path | None = None) -> str:
    answer = subprocess.run([str(go), *arguments], cwd=directory, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise BuildFailed(f"`{go} {' '.join(arguments)}` failed: {answer.stderr.strip()}")
    return answer.stdout


class _Progress:
    """Tells on stderr how far the compiler is: in place on a terminal, now and then elsewhere."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._told = self._started
        self._packages = 0
        self._downloads = 0
        self._lines: deque[str] = deque(maxlen=_SHOWN_LINES)

    def saw(self, line: str) -> None:
        self._lines.append(line.rstrip())
        if line.startswith("go: downloading"):
            self._downloads += 1
        else:
            self._packages += 1
        self._tell()

    def last_lines(self) -> str:
        return "\n".join(self._lines)

    def end(self) -> None:
        sys.stderr.write(f"{self._start_of_line()}built in {time.monotonic() - self._started:.0f} s\n")

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told < (0.2 if sys.stderr.isatty() else _EVERY_SECONDS):
            return
        self._told = now
        done = f"{self._packages} of about {max(PACKAGES, self._packages)} packages"
        text = f"{now - self._started:4.0f} s: {done}, {self._downloads} modules downloaded"
        sys.stderr.write(f"{self._start_of_line()}{text}" if sys.stderr.isatty() else f"{text}\n")
        sys.stderr.flush()

    @staticmethod
    def _start_of_line() -> str:
        return "\r\033[K" if sys.stderr.isatty() else ""

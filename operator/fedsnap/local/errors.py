"""What can go wrong while a local cluster is built, started or stopped."""

from __future__ import annotations


class LocalClusterError(Exception):
    """A local cluster could not be brought to where it should be; the message says what to do."""


class ProgramMissing(LocalClusterError):  # noqa: N818  # read as an answer
    """A program that the cluster needs is not installed."""


class BuildFailed(LocalClusterError):  # noqa: N818
    """The Kubernetes programs could not be built."""


class NotStarted(LocalClusterError):  # noqa: N818
    """A process ended or did not become ready; the message ends with its log's tail."""

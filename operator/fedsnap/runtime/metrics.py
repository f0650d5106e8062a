"""What the operator counts. Labels are names and words from fixed lists; never free text, a digest or a UID."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from fedsnap.api.federatedround import FINISHED, FederatedRound
from fedsnap.reconcilers.federatedround import messages as say
from fedsnap.reconcilers.loop import Key, Result
from fedsnap.runtime.queue import WorkQueue

# A second series per counter that says when this process began counting; nothing of ours reads it.
disable_created_metrics()  # type: ignore[no-untyped-call]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """All metrics of one operator process, in a registry of their own."""

    def __init__(self, *, version: str, role: str) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._reconciles = Counter(
            "fedsnap_reconcile_total", "Reconciles by kind and result.", ["kind", "result"], registry=self.registry
        )
        self._durations = Histogram(
            "fedsnap_reconcile_duration_seconds",
            "Duration of reconciles.",
            ["kind"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._rounds = Counter(
            "fedsnap_round_finished_total",
            "Finished round attempts by verdict.",
            ["namespace", "model", "verdict"],
            registry=self.registry,
        )
        by_member = ["namespace", "model", "organization"]
        self._clipped = Counter(
            "fedsnap_updates_clipped_total",
            "Updates that were scaled down to the round's clip norm.",
            by_member,
            registry=self.registry,
        )
        self._saturated = Counter(
            "fedsnap_update_saturated_coordinates_total",
            "Coordinates that rounding put beyond the bound of the encoding.",
            by_member,
            registry=self.registry,
        )
        self._activity = Gauge(
            "fedsnap_watch_last_activity_timestamp_seconds",
            "Unix time at which a watch last delivered anything, bookmarks included.",
            ["watch"],
            registry=self.registry,
        )
        self._leader = Gauge("fedsnap_leader", "1 while this replica holds the Lease.", registry=self.registry)
        build = Gauge("fedsnap_build_info", "Always 1.", ["version", "role"], registry=self.registry)
        build.labels(version, role).set(1)

    def observe_queue(self, queue: WorkQueue) -> None:
        """Read depth and age from the queue whenever metrics are scraped."""
        depth = Gauge("fedsnap_queue_depth", "Keys that are due and wait for a worker.", registry=self.registry)
        depth.set_function(queue.depth)
        oldest = Gauge(
            "fedsnap_queue_oldest_seconds", "How long the first key in line has been due.", registry=self.registry
        )
        oldest.set_function(queue.oldest_s)

    def reconciled(self, key: Key, result: Result, duration_s: float) -> None:
        """Count one reconcile, and the verdict where it finished a round."""
        self.ended(key.kind, result.result, duration_s)
        if key.kind != FederatedRound.RESOURCE.kind or result.raw is None:
            return
        model = result.raw["spec"]["modelRef"]["name"]
        for change in result.changed:
            if change.type == FINISHED:
                self._rounds.labels(key.namespace, model, change.reason).inc()
            if change.type == say.TRAINED and change.reason == say.REACHED[say.TRAINED]:
                self._trained(key.namespace, model, (result.status or {}).get("participants") or ())

    def _trained(self, namespace: str, model: str, members: Iterable[Mapping[str, Any]]) -> None:
        """Count whose updates were clipped, and how many coordinates were moved to the encoding's bound."""
        for member in members:
            labels = (namespace, model, member["organization"])
            self._clipped.labels(*labels).inc(int(bool(member.get("clipped"))))
            self._saturated.labels(*labels).inc(member.get("saturated") or 0)

    def ended(self, kind: str, result: str, duration_s: float) -> None:
        """Count one reconcile by its result."""
        self._reconciles.labels(kind, result).inc()
        self._durations.labels(kind).observe(duration_s)

    def active(self, watch: str) -> None:
        """A watch delivered something, if only a bookmark."""
        self._activity.labels(watch).set(time.time())

    def leading(self, *, is_leader: bool) -> None:
        """Whether this replica holds the Lease."""
        self._leader.set(1 if is_leader else 0)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

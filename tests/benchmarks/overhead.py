"""How much of a round of four members is not training: plan, policies, Jobs of the hub, publication."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from benchmarks.table import Row, spread
from fedsnap.local import cluster
from rounds.hospitals import MEMBERS, Hospitals, begin, shared_model

ROUNDS = 4


def measure(directory: Path, _sizes: list[int]) -> list[Row]:
    directory.mkdir()
    try:
        hospitals = begin(directory)
        hospitals.start_all()
        hospitals.apply(shared_model("timed", rounds=ROUNDS))
        hospitals.kubectl("wait", "--for=condition=Ready", "sharedmodel/timed", "-n=research", "--timeout=300s")
        rows = [_row(hospitals, number) for number in range(1, ROUNDS + 1)]
        hospitals.stop()
    finally:
        cluster.stop(directory / "state")
    whole, jobs = zip(*rows, strict=True)
    outside = [one - other for one, other in rows]
    return [
        Row("4 members: a whole round (numpy trainer)", spread(whole)),
        Row("4 members: of it, training Jobs (fetch, train, seal; the slowest member)", spread(jobs)),
        Row("4 members: everything else (plan, policies, aggregate, publish, record)", spread(outside)),
    ]


def _row(hospitals: Hospitals, number: int) -> tuple[float, float]:
    status = hospitals.get("federatedround", f"timed-{number}")["status"]
    whole = _seconds(status["finishedAt"]) - _seconds(status["startedAt"])
    jobs = [hospitals.get("job", f"research-timed-{number}-1-{name}-train-1", name)["status"] for name in MEMBERS]
    begun = min(_seconds(one["startTime"]) for one in jobs)
    return whole, max(_seconds(one["completionTime"]) for one in jobs) - begun


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()

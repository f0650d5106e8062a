"""How much of a round of four members is not training, plain and masked, in one run on one cluster."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from benchmarks.table import Row, spread
from fedsnap.local import cluster
from rounds.hospitals import MEMBERS, Hospitals, begin, masked_model, shared_model

ROUNDS = 4
MODES = {"Plain": shared_model, "Masked": masked_model}


def measure(directory: Path, _sizes: list[int]) -> list[Row]:
    directory.mkdir()
    try:
        hospitals = begin(directory)
        hospitals.start_all()
        rows = [row for mode in MODES for row in _measured(hospitals, mode)]
        hospitals.stop()
    finally:
        cluster.stop(directory / "state")
    return rows


def _measured(hospitals: Hospitals, mode: str) -> list[Row]:
    model = f"timed-{mode.lower()}"
    hospitals.apply(MODES[mode](model, rounds=ROUNDS))
    hospitals.kubectl("wait", "--for=condition=Ready", f"sharedmodel/{model}", "-n=research", "--timeout=300s")
    times = [_times(hospitals, model, number) for number in range(1, ROUNDS + 1)]
    whole, jobs = zip(*times, strict=True)
    return [
        Row(f"4 members, {mode}: a whole round (numpy trainer)", spread(whole)),
        Row(f"4 members, {mode}: of it, training Jobs (fetch, train, seal; the slowest member)", spread(jobs)),
        Row(f"4 members, {mode}: everything else", spread([one - other for one, other in times])),
    ]


def _times(hospitals: Hospitals, model: str, number: int) -> tuple[float, float]:
    status = hospitals.get("federatedround", f"{model}-{number}")["status"]
    whole = _seconds(status["finishedAt"]) - _seconds(status["startedAt"])
    mine = f"fedsnap.dev/participation=research.{model}-{number}.1,fedsnap.dev/stage=train"
    jobs = [job["status"] for name in MEMBERS for job in hospitals.list("job", name, mine)]
    begun = min(_seconds(one["startTime"]) for one in jobs)
    return whole, max(_seconds(one["completionTime"]) for one in jobs) - begun


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()

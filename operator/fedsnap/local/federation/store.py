"""Who may touch which objects of the store: one identity per service account, limited to its own part of a round."""

from __future__ import annotations

from dataclasses import dataclass

from fedsnap.local.federation.layout import Federation, Member

COORDINATOR = "coordinator"
HUB_JOB = "hub-job"
_ROUND = "rounds/*"


@dataclass(frozen=True, slots=True)
class Access:
    """Patterns of object paths that one party may read and write; `*` matches any characters."""

    party: str
    read: tuple[str, ...]
    write: tuple[str, ...] = ()

    def actions(self, bucket: str) -> list[str]:
        """In SeaweedFS' words."""
        return [
            *(f"Read:{bucket}/{pattern}" for pattern in self.read),
            *(f"Write:{bucket}/{pattern}" for pattern in self.write),
        ]


def accesses(federation: Federation) -> list[Access]:
    """Everybody's part."""
    snapshots = f"{federation.snapshot_prefix}/*"
    signed = tuple(f"{_ROUND}/{name}.json" for name in ("plan", "roster", "share-roster", "survivors"))
    results = (f"{_ROUND}/aggregate/*", f"{_ROUND}/transcript.json", snapshots)
    return [
        Access(COORDINATOR, (f"{_ROUND}", snapshots), signed),
        Access(HUB_JOB, (f"{_ROUND}", snapshots), results),
        Access(reader(federation), (snapshots,)),
        *(one for member in federation.members for one in member_accesses(federation, member)),
    ]


def member_accesses(federation: Federation, member: Member) -> list[Access]:
    """An organization's operator reads what the hub signed; its Jobs write its own files, and read no one's update."""
    name = member.name
    hub = tuple(f"{_ROUND}/{file}.json" for file in ("plan", "roster", "share-roster", "survivors"))
    of_all = tuple(f"{_ROUND}/{kind}/*" for kind in ("commit", "shares", "ack"))
    own = (
        f"{_ROUND}/sealed/{name}/*",
        f"{_ROUND}/masked/{name}/*",
        *(f"{_ROUND}/{kind}/{name}.json" for kind in ("commit", "shares", "masked", "ack", "unmask")),
    )
    snapshots = f"{federation.snapshot_prefix}/*"
    return [
        Access(operator_of(member), (*hub, snapshots, *own)),
        # A write that is repeated compares what is there, hence it may read what it may write.
        Access(job_of(member), (*hub, snapshots, *of_all, *own), own),
    ]


def operator_of(member: Member) -> str:
    """The party's name of a member's operator."""
    return f"{member.name}-operator"


def job_of(member: Member) -> str:
    """The party's name of a member's Jobs."""
    return f"{member.name}-job"


def reader(federation: Federation) -> str:
    """The party's name of a person who may read the model's snapshots."""
    return f"{federation.model}-reader"

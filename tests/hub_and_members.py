"""A hub and its members without a cluster: real Vault and store, the Jobs' entry points, a stand-in trainer."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import numpy as np
import obstore
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from obstore.store import S3Store

from fedsnap.api.federatedround import Hyperparameters
from fedsnap.api.organization import IdentityKey
from fedsnap.clients.store import Store, StoreSettings
from fedsnap.clients.vault import VaultClient, VaultSettings
from fedsnap.formats.contexts import round_key_context
from fedsnap.formats.control import Aggregator, BaseSnapshot, Control, EarlierAttempt, Plan, Roster, RosterMember
from fedsnap.formats.digests import digest_of
from fedsnap.formats.paths import RoundPaths, SnapshotPaths
from fedsnap.formats.signed import parse_payload, payload_of, sign_control
from fedsnap.formats.tensorfile import TensorFile
from fedsnap.jobs.aggregate import aggregate
from fedsnap.jobs.entry import run
from fedsnap.jobs.fetch import fetch
from fedsnap.jobs.mask import mask
from fedsnap.jobs.publish import publish
from fedsnap.jobs.reseal import reseal
from fedsnap.jobs.results import PublishResult
from fedsnap.jobs.seal import seal
from fedsnap.jobs.share import share
from fedsnap.jobs.tasks import (
    AggregateTask,
    CohortLimits,
    FetchTask,
    MaskTask,
    PublishTask,
    ResealTask,
    SealTask,
    ShareTask,
    Task,
    TransitKey,
    UnmaskTask,
)
from fedsnap.jobs.unmask import unmask
from fedsnap.secagg.encoding import scale_exponent
from fedsnap.secagg.masking.files import Masked, Sharer, ShareRoster, Shares, Survivor, Survivors
from modelfiles import write_model
from services import ROOT_TOKEN, S3, Vault, projected_token

MEMBERS = ("a", "b", "c")
LIMITS = CohortLimits(least_members=3, assumed_colluders=0, least_honest=2, least_difference=2)
FIRST = {
    "layer.weight": np.linspace(-1, 1, 5000, dtype=np.float32).reshape(50, 100),
    "layer.bias": np.zeros(50, np.float64),
    "half": np.ones(9, np.float16),
    "steps": np.array(0, np.int64),
}
JOBS = {
    FetchTask: fetch,
    SealTask: seal,
    ResealTask: reseal,
    ShareTask: share,
    MaskTask: mask,
    UnmaskTask: unmask,
    AggregateTask: aggregate,
    PublishTask: publish,
}


@dataclass(frozen=True)
class Ended:
    """How a Job's pod ended."""

    code: int
    message: dict

    @property
    def reason(self) -> str:
        return self.message["error"]["reason"]

    @property
    def why(self) -> str:
        return self.message["error"]["message"]


@dataclass(kw_only=True)
class Hub:
    """One model's federation; names are new for every test."""

    s3: S3
    vault: Vault
    directory: Path
    model: str
    members: tuple[str, ...] = MEMBERS
    mode: str = "Plain"
    base: BaseSnapshot | None = None
    layout_digest: str = ""
    coordinates: int = 0
    bucket: str = "snapshots"
    round: int = 1
    attempt: int = 1
    clip_norm: str = "8"
    shards: int = 1
    plan: Plan | None = None
    plan_digest: str = ""
    commits: dict[str, str] = field(default_factory=dict)
    survivors_digest: str = ""
    limits: CohortLimits = LIMITS

    @classmethod
    def start(cls, s3: S3, vault: Vault, directory: Path, **options) -> Hub:
        hub = cls(s3=s3, vault=vault, directory=directory, model=f"m-{uuid.uuid4().hex[:12]}", **options)
        for name in (hub.model, hub.key("data"), *(hub.key("data", one) for one in hub.members)):
            vault.key(name)
        for name in (hub.key("identity"), *(hub.key("identity", one) for one in hub.members)):
            vault.key(name, "ed25519")
        hub.allow_hub_job()
        for one in hub.members:
            hub.allow_member_job(one)
        return hub

    def key(self, purpose: str, owner: str = "hub") -> str:
        return f"{self.model}-{owner}-{purpose}"

    def role(self, owner: str = "hub") -> str:
        return f"{self.model}-{owner}-job"

    def allow_hub_job(self, *without: str) -> None:
        paths = {f"transit/decrypt/{self.key('data')}", f"transit/decrypt/{self.model}"}
        self.vault.allow(self.role(), *(paths | {f"transit/datakey/plaintext/{self.model}"}) - set(without))

    def allow_member_job(self, member: str, *without: str) -> None:
        data, identity = self.key("data", member), self.key("identity", member)
        paths = {f"transit/decrypt/{self.model}", f"transit/datakey/plaintext/{data}", f"transit/decrypt/{data}"}
        paths |= {f"transit/sign/{identity}", f"transit/keys/{identity}"}
        self.vault.allow(self.role(member), *paths - set(without))

    @property
    def root(self) -> VaultClient:
        return VaultClient(VaultSettings(address=self.vault.address, role="root"), token=ROOT_TOKEN)

    @property
    def store(self) -> Store:
        return Store(self.s3.settings(self.bucket))

    @property
    def paths(self) -> RoundPaths:
        return RoundPaths.of("research", self.model, self.round, self.attempt)

    @property
    def snapshot_paths(self) -> SnapshotPaths:
        return SnapshotPaths.of(f"snapshots/{self.model}", self.round, 1)

    def settings(self, owner: str = "hub") -> dict:
        store = StoreSettings(endpoint=self.s3.endpoint, bucket=self.bucket, allow_http=True)
        return {"vault": VaultSettings(address=self.vault.address, role=self.role(owner)), "store": store}

    def pinned(self, owner: str = "hub") -> tuple[IdentityKey, ...]:
        keys = self.root.public_keys("transit", self.key("identity", owner))
        return tuple(IdentityKey(id=name, public_key=base64.b64encode(raw).decode()) for name, raw in keys.items())

    def sign(self, value: Control, owner: str = "hub") -> bytes:
        return sign_control(value, lambda message: self.root.sign("transit", self.key("identity", owner), message))

    def overwrite(self, path: str, content: bytes) -> None:
        """What only an attacker with the store's keys can do."""
        obstore.put(self.raw(self.bucket), path, content)

    def raw(self, bucket: str) -> S3Store:
        keys = self.s3.credentials
        return S3Store(
            bucket,
            endpoint=self.s3.endpoint,
            region="us-east-1",
            access_key_id=(keys / "access-key-id").read_text(),
            secret_access_key=(keys / "secret-access-key").read_text(),
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
        )

    def work(self, owner: str) -> Path:
        work = self.directory / owner
        work.mkdir(exist_ok=True)
        return work

    def environment(self, owner: str, task: Task, index: int = 0) -> dict[str, str]:
        """A pod's environment; its files lie beside the pod's shared directory."""
        pod = self.directory / f"pod-{owner}-{type(task).__name__}-{index}"
        pod.mkdir(exist_ok=True)
        (pod / "task.json").write_text(task.to_json())
        (pod / "token").write_text(projected_token(self.role(owner)))
        return {
            "FEDSNAP_TASK": str(pod / "task.json"),
            "FEDSNAP_WORK": str(self.work(owner)),
            "FEDSNAP_VAULT_TOKEN_FILE": str(pod / "token"),
            "FEDSNAP_STORE_CREDENTIALS": str(self.s3.credentials),
            "FEDSNAP_TERMINATION_LOG": str(pod / "termination-log"),
            "JOB_COMPLETION_INDEX": str(index),
        }

    def run(self, task: Task, owner: str = "hub", index: int = 0) -> Ended:
        environment = self.environment(owner, task, index)
        with mock.patch.dict(os.environ, environment):
            code = run(type(task), JOBS[type(task)])
        return Ended(code, json.loads(Path(environment["FEDSNAP_TERMINATION_LOG"]).read_text()))

    # The steps of a round.

    def initialize_task(self) -> PublishTask:
        prefix = SnapshotPaths.of(f"snapshots/{self.model}", 0, 1).prefix
        return PublishTask(
            mode="Initialize", snapshot_prefix=prefix, model_key=TransitKey(key=self.model), **self.settings()
        )

    def initialize(self, first: dict[str, np.ndarray] | None = None) -> PublishResult:
        write_model(self.work("hub") / "output" / "model.safetensors", first or FIRST)
        return self.adopt(self.run(self.initialize_task()))

    def adopt(self, ended: Ended) -> PublishResult:
        """Take what a publication reported as the base of the next round."""
        assert ended.code == 0, ended.message
        made = PublishResult.model_validate(ended.message)
        self.base = BaseSnapshot(**made.model_dump(exclude={"layout_digest", "coordinates"}))
        self.layout_digest, self.coordinates = made.layout_digest, made.coordinates
        return made

    def write_plan(self, **changes) -> None:
        private, prefix = X25519PrivateKey.generate(), self.paths.prefix
        wrapped = self.root.encrypt("transit", self.key("data"), private.private_bytes_raw(), round_key_context(prefix))
        public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
        fields = {
            "namespace": "research",
            "model": self.model,
            "round": self.round,
            "attempt": self.attempt,
            "organizations": self.members,
            "quorum": 2,
            "image": "trainer:dev",
            "secure_aggregation": self.mode,
            "clip_norm": self.clip_norm,
            "scale_exponent": scale_exponent(len(self.members), self.clip_norm),
            "seed": 7,
            "accept_by": datetime.now(UTC) + timedelta(minutes=5),
            "train_by": datetime.now(UTC) + timedelta(hours=1),
            "bucket": self.bucket,
            "base": self.base,
            "coordinates": self.coordinates,
            "layout_digest": self.layout_digest,
            "hyperparameters": Hyperparameters(),
            "aggregator": Aggregator(public_key=public, wrapped_private_key=wrapped),
            "shards": self.shards,
        }
        self.plan = Plan(**(fields | changes))
        self.plan_digest = digest_of(payload_of(self.plan))
        self.store.put_once(self.paths.plan, self.sign(self.plan))

    def round_task(self, owner: str = "hub") -> dict:
        common = {"round_prefix": self.paths.prefix, "plan_digest": self.plan_digest, "hub_keys": self.pinned()}
        return self.settings(owner) | common

    def fetch_task(self, member: str) -> FetchTask:
        return FetchTask(organization=member, **self.round_task(member))

    def seal_task(self, member: str, attempt: int = 1) -> SealTask:
        return SealTask(
            organization=member,
            train_attempt=attempt,
            data_key=TransitKey(key=self.key("data", member)),
            identity_key=TransitKey(key=self.key("identity", member)),
            **self.round_task(member),
        )

    def reseal(self, member: str) -> Ended:
        task = ResealTask(**self.seal_task(member).model_dump())
        ended = self.run(task, member)
        if ended.code == 0:
            self.commits[member] = ended.message["commitDigest"]
        return ended

    def begin_again(self) -> None:
        """The next attempt, which uses the updates of this one again; its pods are new."""
        for kept in self.directory.glob("*/wrapped-*"):
            kept.unlink()
        reused = EarlierAttempt(attempt=self.attempt, plan_digest=self.plan_digest)
        self.attempt, self.commits = self.attempt + 1, {}
        self.write_plan(reuses=reused)

    def train(self, member: str, trained: dict[str, np.ndarray], examples: int = 100, **report) -> None:
        """What a trainer leaves behind."""
        output = self.work(member) / "output"
        write_model(output / "model.safetensors", trained, metadata={"format": "pt"})
        document = {"examples": examples, "metrics": {"loss": 0.5}, "framework": {"numpy": np.__version__}}
        (output / "report.json").write_text(json.dumps(document | report))

    def seal(self, member: str) -> Ended:
        ended = self.run(self.seal_task(member), member)
        if ended.code == 0:
            self.commits[member] = ended.message["commitDigest"]
        return ended

    def write_roster(self, **changes) -> None:
        members = tuple(RosterMember(organization=name, commit_digest=one) for name, one in self.commits.items())
        self.store.put_once(
            self.paths.roster, self.sign(Roster(**({"plan_digest": self.plan_digest, "members": members} | changes)))
        )

    def aggregate_task(self) -> AggregateTask:
        return AggregateTask(
            shards=self.shards,
            round_key=TransitKey(key=self.key("data")),
            organizations={one: self.pinned(one) for one in self.members},
            **self.round_task(),
        )

    # The steps of a masked round between roster and aggregation.

    def masking_task(self, kind: type[Task], member: str, **more) -> Task:
        return kind(
            organization=member,
            data_key=TransitKey(key=self.key("data", member)),
            identity_key=TransitKey(key=self.key("identity", member)),
            **(self.round_task(member) | self.masking_fields() | more),
        )

    def masking_fields(self) -> dict:
        pinned = {one: self.pinned(one) for one in self.members}
        return {"organizations": pinned, "limits": self.limits, "revealed": ()}

    def share(self, member: str, **more) -> Ended:
        return self.run(self.masking_task(ShareTask, member, **more), member)

    def mask(self, member: str, **more) -> Ended:
        return self.run(self.masking_task(MaskTask, member, **more), member)

    def unmask_task(self, member: str, **more) -> Task:
        given = {"survivors_digest": self.survivors_digest, "wait_s": 30} | more
        return self.masking_task(UnmaskTask, member, **given)

    def unmask(self, members: tuple[str, ...]) -> dict[str, Ended]:
        """Side by side, because each waits for the acks of others."""
        tasks = {one: self.unmask_task(one) for one in members}
        with ThreadPoolExecutor(len(tasks)) as pool:
            ended = {one: pool.submit(self.in_process, task, one) for one, task in tasks.items()}
        return {one: future.result() for one, future in ended.items()}

    def in_process(self, task: Task, owner: str) -> Ended:
        """As a pod does: a process of its own."""
        environment = self.environment(owner, task)
        module = JOBS[type(task)].__module__
        done = subprocess.run([sys.executable, "-m", module], env=os.environ | environment, check=False)
        return Ended(done.returncode, json.loads(Path(environment["FEDSNAP_TERMINATION_LOG"]).read_text()))

    def write_share_roster(self, members: tuple[str, ...]) -> None:
        shares = {one: self.payload_digest(self.paths.shares(one)) for one in members}
        sharers = tuple(Sharer(organization=name, shares_digest=digest) for name, digest in shares.items())
        roster = ShareRoster(context=self.context(Shares, self.paths.shares(members[0])), members=sharers)
        self.store.put_once(self.paths.share_roster, self.sign(roster))

    def write_survivors(self, names: tuple[str, ...], dropped: tuple[str, ...] = (), **changes) -> None:
        masked = {one: self.payload_digest(self.paths.masked(one)) for one in names}
        fields = {
            "context": self.context(Masked, self.paths.masked(names[0])),
            "share_roster_digest": self.payload_digest(self.paths.share_roster),
            "members": tuple(Survivor(organization=name, masked_digest=digest) for name, digest in masked.items()),
            "dropped": dropped,
        }
        survivors = Survivors(**(fields | changes))
        self.survivors_digest = digest_of(payload_of(survivors))
        self.store.put_once(self.paths.survivors, self.sign(survivors))

    def payload_digest(self, path: str) -> str:
        return digest_of(payload(self.store.get(path, 10**6)))

    def context(self, kind: type[Control], path: str) -> str:
        return parse_payload(kind, payload(self.store.get(path, 10**6)), path).context

    def until_masked(self, examples: dict[str, int] | None = None, dropped: tuple[str, ...] = ()) -> dict:
        """Everything before the survivors; `dropped` share, and mask nothing."""
        trained = self.until_sealed(examples)
        self.write_roster()
        for one in self.members:
            assert self.share(one).code == 0
        self.write_share_roster(self.members)
        for one in self.members:
            if one not in dropped:
                ended = self.mask(one)
                assert ended.code == 0, ended.message
        return trained

    def publish_task(self) -> PublishTask:
        return PublishTask(
            mode="Round",
            snapshot_prefix=self.snapshot_paths.prefix,
            model_key=TransitKey(key=self.model),
            round=self.aggregate_task(),
            **self.settings(),
        )

    def aggregate(self) -> list[Ended]:
        return [self.run(self.aggregate_task(), index=index) for index in range(self.shards)]

    def publish(self) -> Ended:
        return self.run(self.publish_task())

    def until_sealed(self, examples: dict[str, int] | None = None) -> dict[str, dict[str, np.ndarray]]:
        """Everything before the roster; what each member trained."""
        self.initialize()
        self.write_plan()
        trained = {}
        for number, member in enumerate(self.members):
            assert self.run(self.fetch_task(member), member).code == 0
            trained[member] = trained_by(number, read_model(self.work(member) / "base" / "model.safetensors"))
            self.train(member, trained[member], (examples or {}).get(member, 100 + number))
            ended = self.seal(member)
            assert ended.code == 0, ended.message
        return trained

    def copy_to(self, bucket: str) -> None:
        """Copy what the round has stored so far, but for what comes from sums, into another bucket."""
        found = [one["path"] for page in obstore.list(self.raw(self.bucket), self.paths.prefix) for one in page]
        other = self.raw(bucket)
        kept = [one for one in found if "/aggregate/" not in one and one != self.paths.transcript]
        for path in [*kept, self.base.path]:
            obstore.put(other, path, self.store.get(path, 10**9))

    def move_to(self, bucket: str) -> None:
        """Copy what the round has stored so far into another bucket, and go on there."""
        self.copy_to(bucket)
        self.bucket = bucket


def payload(envelope: bytes) -> bytes:
    """What lies signed in an envelope."""
    return base64.b64decode(json.loads(envelope)["payload"])


def trained_by(number: int, base: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights after some training, different for each member."""
    random = np.random.default_rng(number)
    moved = {
        name: (array + random.normal(scale=0.01, size=array.shape)).astype(array.dtype)
        for name, array in base.items()
        if array.dtype.kind == "f"
    }
    return base | moved | {"steps": base["steps"] + 1}


def read_model(file: Path) -> dict[str, np.ndarray]:
    """All tensors of a file that has no BF16."""
    kinds = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I64": "<i8"}
    with TensorFile.open(file) as tensors:
        return {
            spec.name: np.frombuffer(b"".join(tensors.raw(spec.name)), kinds[spec.dtype]).reshape(spec.shape)
            for spec in tensors.layout.tensors
        }

"""From what a publication Job reported to the ModelSnapshot that records it."""

from __future__ import annotations

from typing import Any

from fedsnap.api.modelsnapshot import Encryption, Location, ModelSnapshotSpec
from fedsnap.api.schema import NameReference
from fedsnap.api.sharedmodel import SharedModel
from fedsnap.builders import objects
from fedsnap.jobs.results import PublishResult
from fedsnap.reconcilers.jobstate import SeenJob


def published_by(jobs: tuple[SeenJob, ...]) -> PublishResult | None:
    """What the Job that succeeded reported; None where none did, or where its report is lost."""
    reports = (report for job in jobs if job.result.succeeded for report in job.reports)
    return next((report for report in reports if isinstance(report, PublishResult)), None)


def snapshot_record(model: SharedModel, number: int, result: PublishResult) -> dict[str, Any]:
    """The ModelSnapshot of round `number`."""
    encryption = Encryption(
        vault_mount=result.vault_mount,
        vault_key=result.vault_key,
        key_version=result.key_version,
        wrapped_key=result.wrapped_key,
    )
    spec = ModelSnapshotSpec(
        model_ref=NameReference(name=model.metadata.name),
        round=number,
        content_root=result.content_root,
        layout_digest=result.layout_digest,
        coordinates=result.coordinates,
        plaintext_digest=result.plaintext_digest,
        plaintext_size=result.plaintext_size,
        ciphertext_digest=result.ciphertext_digest,
        ciphertext_size=result.ciphertext_size,
        encryption=encryption,
        location=Location(bucket=model.spec.publication.store.bucket, path=result.path),
    )
    return objects.model_snapshot(model.metadata.namespace, spec)

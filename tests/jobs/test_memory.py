"""Peak memory of the hub's Jobs does not grow with the model.

FEDSNAP_TEST_MODEL_MIB sets the size of the model; 1024 is what the design promises, the default is for every day.
"""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from fedsnap.formats.layout import Layout, TensorSpec
from fedsnap.formats.tensorfile import TensorFile, write_canonical
from fedsnap.jobs.tasks import MaskTask
from hub_and_members import Hub

pytestmark = [pytest.mark.services, pytest.mark.round, pytest.mark.timeout(1200)]
MODEL_MIB = int(os.environ.get("FEDSNAP_TEST_MODEL_MIB", "256"))
# Three members, and more than two parts of a masked update.
MASKED_MIB = max(144, MODEL_MIB // 2)
MOST_MIB = 300
TENSORS = 8
# The peak of this program alone: ru_maxrss would begin with that of the process that started it.
DRIVER = """
import runpy, sys
try:
    runpy.run_module(sys.argv[1], run_name="__main__")
except SystemExit as ended:
    assert ended.code == 0, ended.code
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def write_random(file, seed, mib=MODEL_MIB):
    """A model of so many MiB, written in constant memory."""
    random = np.random.default_rng(seed)
    each = mib * 1024 * 1024 // 4 // TENSORS
    layout = Layout(tuple(TensorSpec(f"t{n}", "F32", (each,)) for n in range(TENSORS)))
    file.parent.mkdir(parents=True, exist_ok=True)

    def blocks(spec):
        for start in range(0, spec.elements, 1024 * 1024):
            size = min(1024 * 1024, spec.elements - start)
            yield (random.random(size, dtype=np.float32) * 1e-5).tobytes()

    write_canonical(file, layout, blocks)


def peak_mib(hub, name, owner, task, index=0):
    environment = os.environ | hub.environment(owner, task, index)
    ended = subprocess.run(
        [sys.executable, "-c", DRIVER, f"fedsnap.jobs.{name}"], env=environment, check=False, capture_output=True
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    return int(ended.stdout) / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_model_of_any_size_passes_through_every_job_in_constant_memory(hub, record_property):
    output = hub.work("hub") / "output" / "model.safetensors"
    write_random(output, 0)
    peaks = {"initialize": peak_mib(hub, "publish", "hub", hub.initialize_task())}
    hub.adopt(hub.run(hub.initialize_task()))
    output.unlink()
    hub.write_plan()
    for seed, member in enumerate(("a", "b"), 1):
        peaks["fetch"] = peak_mib(hub, "fetch", member, hub.fetch_task(member))
        hub.train(member, {})
        write_random(hub.work(member) / "output" / "model.safetensors", seed)
        peaks["seal"] = peak_mib(hub, "seal", member, hub.seal_task(member))
        assert hub.seal(member).code == 0
        for file in hub.work(member).rglob("model.safetensors"):
            file.unlink()
    hub.write_roster()
    peaks["aggregate"] = peak_mib(hub, "aggregate", "hub", hub.aggregate_task())
    peaks["publish"] = peak_mib(hub, "publish", "hub", hub.publish_task())
    record_property("peak_mib", peaks)
    assert max(peaks.values()) < MOST_MIB, peaks


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_model_of_many_parts_is_masked_and_summed_in_constant_memory(s3, vault, tmp_path, record_property):
    hub = Hub.start(s3, vault, tmp_path, mode="Masked", shards=2)
    write_random(hub.work("hub") / "output" / "model.safetensors", 0, MASKED_MIB)
    hub.adopt(hub.run(hub.initialize_task()))
    hub.write_plan(quorum=3)
    for seed, member in enumerate(hub.members, 1):
        assert hub.run(hub.fetch_task(member), member).code == 0
        hub.train(member, {})
        write_random(hub.work(member) / "output" / "model.safetensors", seed, MASKED_MIB)
        assert hub.seal(member).code == 0
        for file in hub.work(member).rglob("model.safetensors"):
            file.unlink()
    hub.write_roster()
    for member in hub.members:
        assert hub.share(member).code == 0
    hub.write_share_roster(hub.members)
    peaks = {"mask": peak_mib(hub, "mask", "a", hub.masking_task(MaskTask, "a"))}
    for member in hub.members:
        assert hub.mask(member).code == 0
    hub.write_survivors(hub.members)
    assert {ended.code for ended in hub.unmask(hub.members).values()} == {0}
    for index in range(hub.shards):
        peaks[f"aggregate {index}"] = peak_mib(hub, "aggregate", "hub", hub.aggregate_task(), index)
    peaks["publish"] = peak_mib(hub, "publish", "hub", hub.publish_task())
    record_property("peak_mib", peaks)
    assert max(peaks.values()) < MOST_MIB, peaks


def test_the_random_model_is_as_large_as_it_says(tmp_path):
    write_random(tmp_path / "m", 0)
    with TensorFile.open(tmp_path / "m") as made:
        assert made.layout.coordinates * 4 == MODEL_MIB * 1024 * 1024

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from fedsnap.builders import names
from samples import DIGEST

NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)


@given(NAMES, NAMES, st.integers(1, 1000))
def test_every_name_fits_a_label_and_a_job(namespace, round_name, attempt):
    made = names.participation_name(namespace, round_name, attempt)
    assert re.fullmatch(r"[a-z0-9]([-.a-z0-9]{0,61}[a-z0-9])?", made)
    job = names.member_job_name(DIGEST, round_name, namespace, "train", attempt)
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", job)


def test_long_names_that_differ_at_the_end_stay_apart():
    long = "a" * 63
    made = {names.member_job_name(DIGEST, long, "org", "train", attempt) for attempt in (1, 2)}
    assert len(made) == 2


def test_rounds_of_two_namespaces_never_share_a_mailbox():
    assert names.participation_name("team", "a-heart-1", 1) != names.participation_name("team-a", "heart-1", 1)


def test_jobs_of_two_plans_never_share_a_name():
    other = "sha256:" + "cd" * 32
    made = {names.member_job_name(digest, "heart-1", "cleveland", "train", 1) for digest in (DIGEST, other)}
    assert len(made) == 2


def test_short_names_are_readable():
    assert names.participation_name("research", "heart-1", 2) == "research.heart-1.2"
    made = names.member_job_name(DIGEST, "heart-1", "cleveland", "train", 2)
    assert re.fullmatch(r"heart-1-cleveland-train-2-[0-9a-f]{10}", made)

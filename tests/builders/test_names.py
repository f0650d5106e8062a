from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from fedsnap.builders import names

NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)


@given(NAMES, NAMES, st.integers(1, 1000))
def test_every_name_fits_a_label_and_a_job(namespace, round_name, attempt):
    made = names.participation_name(namespace, round_name, attempt)
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", made)
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", names.train_job_name(made, namespace, attempt))


def test_long_names_that_differ_at_the_end_stay_apart():
    long = "a" * 63
    assert names.train_job_name(long, "org", 1) != names.train_job_name(long, "org", 2)


def test_short_names_are_readable():
    assert names.train_job_name("research-heart-1-1", "cleveland", 2) == "research-heart-1-1-cleveland-train-2"

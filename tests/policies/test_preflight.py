from __future__ import annotations

from dataclasses import replace

import pytest

from fedsnap.policies.preflight import KeyState, Site, Template, check

TEMPLATE = Template(name="gpu", containers={"train": "heart:1"}, requests={"cpu": "2", "nvidia.com/gpu": "1"})
SITE = Site(
    wanted_template="gpu",
    template=TEMPLATE,
    image="heart:1",
    allocatable=({"cpu": "4", "nvidia.com/gpu": "1"},),
    key=KeyState(name="transit/heart", latest_version=3, oldest_usable_version=2),
    key_name="transit/heart",
    key_version=2,
)


def test_a_site_that_has_everything_is_ready():
    assert check(SITE) is None


@pytest.mark.parametrize(
    ("site", "reason", "named"),
    [
        (replace(SITE, template=None), "TemplateNotFound", "'gpu'"),
        (replace(SITE, template=replace(TEMPLATE, containers={"main": "x"})), "TemplateInvalid", "main"),
        (
            replace(SITE, template=replace(TEMPLATE, containers={"train": "heart:1", "spy": "x"})),
            "TemplateInvalid",
            "spy",
        ),
        (replace(SITE, image="heart:2"), "ImageMismatch", "heart:2"),
        (replace(SITE, allocatable=({"cpu": "1", "nvidia.com/gpu": "8"},)), "CapacityInsufficient", "cpu=2"),
        (replace(SITE, allocatable=({"cpu": "4"},)), "CapacityInsufficient", "nvidia.com/gpu=1"),
        (replace(SITE, key=None), "KeyNotFound", "transit/heart"),
        (replace(SITE, key_version=1), "KeyVersionUnusable", "2 to 3"),
    ],
)
def test_what_is_missing_is_named(site, reason, named):
    refusal = check(site)
    assert refusal is not None
    assert refusal.reason == reason
    assert named in refusal.message


def test_requests_must_fit_on_one_node():
    two_halves = ({"cpu": "4"}, {"nvidia.com/gpu": "1"})
    assert check(replace(SITE, allocatable=two_halves)).reason == "CapacityInsufficient"


def test_capacity_that_may_not_be_read_is_left_to_the_scheduler():
    assert check(replace(SITE, allocatable=None)) is None

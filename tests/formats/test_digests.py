from __future__ import annotations

import pytest

from fedsnap.formats.contexts import aggregator_info, round_key_context, sealed_context, snapshot_context
from fedsnap.formats.digests import FileDigest, digest_bytes, digest_of, format_digest, hash_file
from fedsnap.formats.errors import InvalidFormat

EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_digest_has_one_text():
    assert digest_of(b"") == EMPTY
    assert format_digest(digest_bytes(EMPTY)) == EMPTY


@pytest.mark.parametrize("text", ["", EMPTY[7:], EMPTY.upper(), EMPTY + "\n", EMPTY + "0"])
def test_other_texts_are_refused(text):
    with pytest.raises(InvalidFormat, match="expected a digest"):
        digest_bytes(text)


def test_a_file_is_hashed_in_blocks(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 5_000_000)
    assert hash_file(tmp_path / "file") == FileDigest(digest_of(b"x" * 5_000_000), 5_000_000)


def test_every_place_has_a_context_of_its_own():
    other = digest_of(b"other")
    contexts = [
        sealed_context(EMPTY, "a", 1),
        sealed_context(EMPTY, "a", 2),
        sealed_context(EMPTY, "b", 1),
        sealed_context(other, "a", 1),
        aggregator_info(EMPTY, "a"),
        aggregator_info(EMPTY, "b"),
        snapshot_context(EMPTY),
        snapshot_context(other),
        round_key_context("rounds/a/b/1/1/"),
    ]
    assert len(set(contexts)) == len(contexts)
    assert len(round_key_context("rounds/a/b/1/1/")) == 32

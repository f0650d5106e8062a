from __future__ import annotations

import hashlib
import json
import os
import zlib
from pathlib import Path

import pytest
from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsnap.formats.cobblestone import (
    CHUNK_BYTES,
    HEADER_BYTES,
    SALT_BYTES,
    SEALED_CHUNK_BYTES,
    CobblestoneReader,
    ciphertext_size,
    decrypt_file,
    derive_salt,
    encrypt_file,
    plaintext_size,
)
from fedsnap.formats.digests import FileDigest, digest_of
from fedsnap.formats.errors import CiphertextInvalid

VECTORS = Path(__file__).parents[1] / "vectors" / "wycheproof_c2sp_chunked_encryption_aes_256_gcm_test.json"
CASES = [case for group in json.loads(VECTORS.read_text())["testGroups"] for case in group["tests"]]
KEY, CONTEXT, SALT = bytes(range(32)), b"here", b"s" * SALT_BYTES
# Around the sizes where chunks, and our blocks of 256 chunks, begin and end.
SIZES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 256 * CHUNK_BYTES, 256 * CHUNK_BYTES + 5]


def seal(directory, plain):
    (directory / "plain").write_bytes(plain)
    made = encrypt_file(directory / "plain", directory / "sealed", key=KEY, context=CONTEXT, salt=SALT)
    return made, (directory / "sealed").read_bytes()


def reader_of(sealed, key=KEY, context=CONTEXT):
    return CobblestoneReader(
        lambda start, length: sealed[start : start + length], len(sealed), key=key, context=context
    )


def read_all(sealed, key, context):
    reader = reader_of(sealed, key, context)
    return reader.read(0, reader.size)


@pytest.mark.parametrize("case", CASES, ids=[f"{case['tcId']}: {case['comment']}" for case in CASES])
def test_wycheproof_vectors_pass_and_fail_as_they_should(case, tmp_path):
    sealed = zlib.decompress(bytes.fromhex(case["ct"]))
    key, context = bytes.fromhex(case["key"]), bytes.fromhex(case["ctx"])
    (tmp_path / "sealed").write_bytes(sealed)
    if case["result"] == "valid":
        opened = decrypt_file(tmp_path / "sealed", tmp_path / "plain", key=key, context=context)
        plain = (tmp_path / "plain").read_bytes()
        assert hashlib.sha512(plain).hexdigest() == case["msgSha512"]
        assert opened.plaintext == FileDigest(digest_of(plain), case["msgLength"])
        assert reader_of(sealed, key, context).read(0, len(plain)) == plain
        return
    with pytest.raises(CiphertextInvalid):
        decrypt_file(tmp_path / "sealed", tmp_path / "plain", key=key, context=context)
    assert not (tmp_path / "plain").exists()
    with pytest.raises(CiphertextInvalid):
        read_all(sealed, key, context)


@pytest.mark.parametrize("size", SIZES)
def test_other_implementations_open_what_we_seal(size, tmp_path):
    plain = os.urandom(size)
    made, sealed = seal(tmp_path, plain)
    decryptor = Cobblestone256Decryptor(KEY, CONTEXT)
    assert decryptor.update(sealed) + decryptor.finalize() == plain
    assert made.plaintext == FileDigest(digest_of(plain), size)
    assert made.ciphertext == FileDigest(digest_of(sealed), ciphertext_size(size))
    assert plaintext_size(len(sealed)) == size


@pytest.mark.parametrize("size", SIZES)
def test_we_open_what_other_implementations_seal(size, tmp_path):
    plain = os.urandom(size)
    encryptor = Cobblestone256Encryptor(KEY, CONTEXT)
    sealed = encryptor.update(plain) + encryptor.finalize()
    (tmp_path / "sealed").write_bytes(sealed)
    opened = decrypt_file(tmp_path / "sealed", tmp_path / "plain", key=KEY, context=CONTEXT)
    assert (tmp_path / "plain").read_bytes() == plain
    assert opened.plaintext == FileDigest(digest_of(plain), size)
    assert opened.ciphertext == FileDigest(digest_of(sealed), len(sealed))


@given(data=st.data())
def test_ranges_are_those_of_the_plaintext(data, tmp_path_factory):
    plain = os.urandom(data.draw(st.integers(0, 4 * CHUNK_BYTES)))
    _, sealed = seal(tmp_path_factory.mktemp("sealed"), plain)
    start = data.draw(st.integers(0, len(plain)))
    length = data.draw(st.integers(0, len(plain) - start))
    reader = reader_of(sealed)
    assert reader.size == len(plain)
    assert reader.read(start, length) == plain[start : start + length]


def test_a_range_fetches_only_its_chunks(tmp_path):
    _, sealed = seal(tmp_path, bytes(100 * CHUNK_BYTES))
    fetched = []

    def fetch(start, length):
        fetched.append((start, length))
        return sealed[start : start + length]

    reader = CobblestoneReader(fetch, len(sealed), key=KEY, context=CONTEXT)
    fetched.clear()
    reader.read(7 * CHUNK_BYTES + 1, CHUNK_BYTES)
    assert fetched == [(HEADER_BYTES + 7 * SEALED_CHUNK_BYTES, 2 * SEALED_CHUNK_BYTES)]


def test_a_range_beyond_the_end_is_refused(tmp_path):
    _, sealed = seal(tmp_path, b"abc")
    with pytest.raises(ValueError, match="within 3 bytes"):
        reader_of(sealed).read(2, 2)


def test_a_reader_notices_a_store_that_gives_less(tmp_path):
    _, sealed = seal(tmp_path, bytes(2 * CHUNK_BYTES))
    with pytest.raises(CiphertextInvalid):
        CobblestoneReader(
            lambda start, length: sealed[start : start + length - 1], len(sealed), key=KEY, context=CONTEXT
        )


@given(st.integers(0, ciphertext_size(CHUNK_BYTES + 100) - 1), st.integers(1, 255))
@settings(max_examples=50)
def test_no_byte_can_change_unnoticed(tmp_path_factory, position, change):
    _, sealed = seal(tmp_path_factory.mktemp("sealed"), bytes(CHUNK_BYTES + 100))
    altered = bytearray(sealed)
    altered[position] ^= change
    with pytest.raises(CiphertextInvalid):
        reader_of(bytes(altered)).read(0, CHUNK_BYTES + 100)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data):
    with pytest.raises(CiphertextInvalid):
        reader_of(data)


def test_salts_differ_by_key_path_and_plaintext():
    one = derive_salt(KEY, "a/b", digest_of(b"x"))
    assert len(one) == SALT_BYTES
    assert one == derive_salt(KEY, "a/b", digest_of(b"x"))
    others = [derive_salt(bytes(32), "a/b", digest_of(b"x")), derive_salt(KEY, "a/c", digest_of(b"x"))]
    assert one not in [*others, derive_salt(KEY, "a/b", digest_of(b"y"))]


def test_equal_input_gives_equal_ciphertext(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    assert seal(first, b"weights") == seal(second, b"weights")


def test_a_salt_of_another_length_is_refused(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    with pytest.raises(CiphertextInvalid, match="24 bytes"):
        encrypt_file(tmp_path / "plain", tmp_path / "sealed", key=KEY, context=b"", salt=b"short")

from __future__ import annotations

import uuid

import pytest

from fedsnap.clients.errors import Conflict, InvalidData, Misconfigured, NotFound, PermissionDenied, Unavailable
from fedsnap.clients.store import PART_BYTES, Store, StoreSettings

pytestmark = pytest.mark.services


@pytest.fixture
def store(s3):
    return Store(s3.settings())


@pytest.fixture
def path():
    return f"tests/{uuid.uuid4().hex}"


def test_an_object_is_written_once_and_equal_bytes_are_no_error(store, path):
    first = store.put_once(path, b"weights")
    assert store.put_once(path, b"weights") == first
    assert store.get(path, 100) == b"weights"
    with pytest.raises(Conflict, match=path) as conflict:
        store.put_once(path, b"Weights")
    assert conflict.value.reason == "ObjectConflict"
    assert store.get(path, 100) == b"weights"


def test_a_large_file_is_streamed_there_and_back_and_is_not_overwritten(store, path, tmp_path):
    file, other, back = tmp_path / "large", tmp_path / "other", tmp_path / "back"
    file.write_bytes(b"\x01\x02\x03" * PART_BYTES)
    other.write_bytes(b"\x01\x02\x04" * PART_BYTES)
    written = store.put_once(path, file)
    assert store.put_once(path, file) == written
    with pytest.raises(Conflict, match=path):
        store.put_once(path, other)
    assert store.download(path, back) == written
    assert back.read_bytes() == file.read_bytes()
    assert store.head(path) == 3 * PART_BYTES


def test_an_empty_file_can_be_written(store, path, tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    assert store.put_once(path, tmp_path / "empty").size == 0
    assert store.digest(path).size == 0


def test_a_range_is_exact_or_refused(store, path):
    store.put_once(path, b"0123456789")
    assert store.get_range(path, 2, 3) == b"234"
    assert store.get_range(path, 2, 0) == b""
    with pytest.raises(InvalidData, match="expected 8 bytes at 5"):
        store.get_range(path, 5, 8)
    with pytest.raises(InvalidData, match=r"expected 8 bytes at 50 .* got 0"):
        store.get_range(path, 50, 8)


def test_more_than_the_limit_is_not_read(store, path):
    store.put_once(path, b"0123456789")
    with pytest.raises(InvalidData, match="at most 9 bytes"):
        store.get(path, 9)


def test_a_missing_object_is_named(store, path, tmp_path):
    for ask in (lambda: store.get(path, 1), lambda: store.head(path), lambda: store.download(path, tmp_path / "x")):
        with pytest.raises(NotFound, match=path):
            ask()
    assert not (tmp_path / "x").exists()


def test_a_store_that_is_down_is_unavailable(s3, path, tmp_path):
    down = Store(s3.settings().model_copy(update={"endpoint": "http://127.0.0.1:1"}))
    (tmp_path / "f").write_bytes(b"x")
    for ask in (
        lambda: down.get(path, 1),
        lambda: down.put_once(path, b"x"),
        lambda: down.put_once(path, tmp_path / "f"),
    ):
        with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:1"):
            ask()


def test_wrong_credentials_are_permission_denied_and_are_not_shown(s3, path, tmp_path):
    (tmp_path / "access-key-id").write_text("test")
    (tmp_path / "secret-access-key").write_text("not-the-secret")
    (tmp_path / "f").write_bytes(b"x")
    stranger = Store(s3.settings().model_copy(update={"credentials_directory": str(tmp_path)}))
    for content in (b"x", tmp_path / "f"):
        with pytest.raises(PermissionDenied) as denied:
            stranger.put_once(path, content)
        assert "not-the-secret" not in str(denied.value)


def test_plain_http_needs_consent():
    with pytest.raises(Misconfigured, match="allowHttp"):
        Store(StoreSettings(endpoint="http://store.example", bucket="b", credentials_directory="."))


def test_missing_credential_files_are_named(s3, tmp_path):
    with pytest.raises(Misconfigured, match="access-key-id"):
        Store(s3.settings().model_copy(update={"credentials_directory": str(tmp_path)}))

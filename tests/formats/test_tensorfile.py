from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fedsnap.formats.content_root import content_root
from fedsnap.formats.dtypes import SIZES, decode_floats, encode_floats
from fedsnap.formats.errors import InvalidFormat
from fedsnap.formats.layout import Layout, TensorSpec
from fedsnap.formats.tensorfile import TensorFile, canonicalize, write_canonical
from modelfiles import raw_safetensors, write_model

MODEL = {
    "b.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a.weight": np.array([1.5, -2.0], dtype=np.float64),
    "steps": np.array(41, dtype=np.int64),
    "half": np.array([0.5, 65504], dtype=np.float16),
    "brain": np.array([0x3F80, 0xC040], dtype=np.uint16),
    "none": np.zeros((0, 3), dtype=np.float32),
}


def entry(begin=0, end=8, dtype="F32", shape=(2,)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def test_layout_and_values_are_those_of_the_file(tmp_path):
    with TensorFile.open(write_model(tmp_path / "m", MODEL)) as tensors:
        assert [spec.name for spec in tensors.layout.tensors] == sorted(MODEL)
        assert [spec.name for spec in tensors.layout.floating] == ["a.weight", "b.weight", "brain", "half", "none"]
        assert tensors.layout.coordinates == 12
        assert tensors.floats("a.weight", 0, 2).tolist() == [1.5, -2.0]
        assert tensors.floats("b.weight", 2, 5).tolist() == [2.0, 3.0, 4.0]
        assert tensors.floats("half", 1, 2).tolist() == [65504.0]
        assert tensors.floats("brain", 0, 2).tolist() == [1.0, -3.0]
        assert tensors.floats("none", 0, 0).tolist() == []
        assert b"".join(tensors.raw("steps")) == (41).to_bytes(8, "little")


def test_one_file_stands_for_one_set_of_weights(tmp_path):
    one = write_model(tmp_path / "one", MODEL, metadata={"format": "pt"})
    other = write_model(tmp_path / "other", dict(reversed(MODEL.items())))
    made = []
    for file in (one, other):
        with TensorFile.open(file) as tensors:
            canonicalize(tensors, tmp_path / "canonical")
            made.append((content_root(tensors), tensors.layout.digest, (tmp_path / "canonical").read_bytes()))
    assert made[0] == made[1]
    assert b"__metadata__" not in made[0][2]
    with TensorFile.open(tmp_path / "canonical") as again:
        assert content_root(again) == made[0][0]


def test_the_public_reader_opens_the_canonical_file(tmp_path):
    plain = {name: array for name, array in MODEL.items() if name != "brain"}
    with TensorFile.open(write_model(tmp_path / "m", plain)) as tensors:
        canonicalize(tensors, tmp_path / "canonical")
    length = int.from_bytes((tmp_path / "canonical").read_bytes()[:8], "little")
    assert length % 8 == 0
    for name, array in safetensors.numpy.load_file(tmp_path / "canonical").items():
        np.testing.assert_array_equal(array, plain[name])


def test_we_open_what_the_public_writer_writes(tmp_path):
    plain = {name: array for name, array in MODEL.items() if name != "brain"}
    safetensors.numpy.save_file(plain, tmp_path / "m", metadata={"a": "b"})
    with TensorFile.open(tmp_path / "m") as tensors:
        assert tensors.floats("b.weight", 0, 6).tolist() == plain["b.weight"].ravel().tolist()


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "it was cut"),
        (b"\x01", "it was cut"),
        (raw_safetensors({"a": entry()}, bytes(8))[:30], "it was cut"),
        ((2**40).to_bytes(8, "little") + b"{}", "it was cut"),
        (raw_safetensors(b"[]", b""), "begins with a brace"),
        (raw_safetensors(b" {}", b""), "begins with a brace"),
        (raw_safetensors(b'{"a":{},"a":{}}', b""), "appears twice"),
        (raw_safetensors({"a": entry()}, bytes(7)), "expected 8 bytes of tensors, the file has 7"),
        (raw_safetensors({"a": entry()}, bytes(9)), "it was cut or extended"),
        (raw_safetensors({"a": entry(), "b": entry(9, 17)}, bytes(17)), "gap or overlap"),
        (raw_safetensors({"a": entry(), "b": entry(4, 12)}, bytes(12)), "gap or overlap"),
        (raw_safetensors({"a": entry(), "b": entry()}, bytes(8)), "gap or overlap"),
        (raw_safetensors({"a": entry(dtype="F8_E4M3")}, bytes(8)), "one of the types"),
        (raw_safetensors({"a": entry(shape=(3,))}, bytes(8)), "expected 12 bytes"),
        (raw_safetensors({"a": entry(shape=(2.0,))}, bytes(8)), "lists of integers"),
        (raw_safetensors({"a": entry(shape=(True, 2))}, bytes(8)), "lists of integers"),
        (raw_safetensors({"a": entry(shape=(-2,))}, bytes(8)), "lists of integers"),
        (raw_safetensors({"a": entry(shape=(1,) * 17)}, bytes(8)), "dimensions"),
        (raw_safetensors({"a": entry(shape=(2**40, 2**40))}, bytes(8)), "elements"),
        (raw_safetensors({"a": entry() | {"x": 1}}, bytes(8)), "nothing else"),
        (raw_safetensors({"a\n": entry()}, bytes(8)), "printable name"),
        (raw_safetensors({"": entry()}, bytes(8)), "printable name"),
        (raw_safetensors({"a": 1}, b""), "dtype, shape and data_offsets"),
    ],
)
def test_malformed_files_are_refused_with_what_is_wrong(data, complaint, tmp_path):
    (tmp_path / "update.safetensors").write_bytes(data)
    with pytest.raises(InvalidFormat, match=complaint) as refused:
        TensorFile.open(tmp_path / "update.safetensors")
    assert "update.safetensors" in str(refused.value) or "appears twice" in complaint


def test_a_header_above_the_limit_is_refused(tmp_path):
    with (tmp_path / "m").open("wb") as file:
        file.write((17 * 1024 * 1024).to_bytes(8, "little"))
        file.truncate(18 * 1024 * 1024)
    with pytest.raises(InvalidFormat, match="header of at most"):
        TensorFile.open(tmp_path / "m")


@given(st.binary(max_size=300))
@example(raw_safetensors({"a": entry()}, bytes(8)))
def test_any_bytes_are_weights_or_refused(tmp_path_factory, data):
    file = tmp_path_factory.getbasetemp() / "any.safetensors"
    file.write_bytes(data)
    try:
        TensorFile.open(file).close()
    except InvalidFormat:
        return


entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from([*SIZES, "F4"]),
        "shape": st.lists(st.integers(-1, 4), max_size=3),
        "data_offsets": st.lists(st.integers(-1, 32), min_size=1, max_size=3),
    }
)


@given(st.dictionaries(st.text(max_size=4), entries, max_size=3), st.binary(max_size=64))
@settings(max_examples=300)
def test_what_we_accept_the_public_reader_accepts_alike(tmp_path_factory, header, data):
    file = tmp_path_factory.getbasetemp() / "fuzzed.safetensors"
    file.write_bytes(raw_safetensors(header, data))
    try:
        tensors = TensorFile.open(file)
    except InvalidFormat:
        return
    with tensors, safetensors.safe_open(file, framework="numpy") as public:
        assert sorted(public.keys()) == sorted(spec.name for spec in tensors.layout.tensors)


def test_a_file_that_shrinks_while_it_is_read_is_noticed(tmp_path):
    file = write_model(tmp_path / "m", {"a": np.zeros(100, dtype=np.float32)})
    with TensorFile.open(file) as tensors:
        with file.open("r+b") as other:
            other.truncate(100)
        with pytest.raises(InvalidFormat, match="it was cut"):
            tensors.floats("a", 0, 100)


def test_a_writer_that_gives_too_little_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="expected 8 bytes"):
        write_canonical(tmp_path / "m", Layout((TensorSpec("a", "F32", (2,)),)), lambda _spec: [b"1234"])


@pytest.mark.parametrize(
    ("tensors", "difference"),
    [
        ({"a": np.zeros(2, np.float32), "b": np.zeros(2, np.float32)}, None),
        ({"a": np.zeros(2, np.float32)}, "tensor 'b' is missing"),
        ({"a": np.zeros(3, np.float32), "b": np.zeros(2, np.float32)}, r"tensor 'a' has shape \[3\], expected \[2\]"),
        ({"a": np.zeros(2, np.float64), "b": np.zeros(2, np.float32)}, "tensor 'a' has type F64, expected F32"),
        (dict.fromkeys("abc", np.zeros(2, np.float32)), "tensor 'c' is not expected"),
    ],
)
def test_the_first_difference_is_named(tensors, difference, tmp_path):
    expected = write_model(tmp_path / "base", dict.fromkeys("ba", np.zeros(2, np.float32)))
    with TensorFile.open(expected) as base, TensorFile.open(write_model(tmp_path / "m", tensors)) as other:
        found = base.layout.first_difference(other.layout)
        assert (base.layout.digest == other.layout.digest) == (difference is None)
    assert found is None if difference is None else found == difference.replace("\\", "")


@given(st.lists(st.floats(width=32), min_size=1, max_size=50))
def test_bfloat16_is_rounded_as_torch_rounds(values):
    torch = pytest.importorskip("torch")
    array = np.array(values, dtype=np.float32)
    ours = decode_floats("BF16", encode_floats("BF16", array.astype(np.float64)))
    theirs = torch.from_numpy(array).to(torch.bfloat16).to(torch.float32).numpy()
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("dtype", "numpy_dtype"), [("F16", np.float16), ("F32", np.float32), ("F64", np.float64)])
def test_exact_values_survive_a_round_trip(dtype, numpy_dtype):
    values = np.array([0.0, -0.5, 1.25, float(np.finfo(numpy_dtype).max)])
    assert decode_floats(dtype, encode_floats(dtype, values)).tolist() == values.tolist()


def test_layout_digest_is_that_of_the_documented_json(tmp_path):
    with TensorFile.open(write_model(tmp_path / "m", {"a": np.zeros((2, 3), np.float32)})) as tensors:
        assert json.loads('[{"dtype":"F32","name":"a","shape":[2,3]}]') == [tensors.layout.tensors[0].describe()]
        assert tensors.layout.digest == "sha256:733a83c1a25c54836b8eea2bd8d651e928fc2b396e051926772a920e9776f615"

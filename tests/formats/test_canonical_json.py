from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsnap.formats.canonical_json import dump, parse
from fedsnap.formats.errors import InvalidFormat

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(values)
def test_what_is_written_reads_back_and_is_canonical(value):
    assert parse(dump(value), canonical=True) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_refused(data):
    try:
        parse(data)
    except InvalidFormat:
        return


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b'{"a":1,"a":2}', "'a' appears twice"),
        (b'{"a":NaN}', "NaN is not a JSON number"),
        (b'{"a":1', "expected JSON in UTF-8"),
        (b"\xff", "expected JSON in UTF-8"),
        (b"[" * 200 + b"]" * 200, "levels"),
        (b"[" * 100_000, "levels"),
    ],
)
def test_json_with_two_readings_is_refused(data, complaint):
    with pytest.raises(InvalidFormat, match=complaint):
        parse(data)


@pytest.mark.parametrize("data", [b'{"b":1,"a":2}', b'{ "a":1}', b"1.0", b'"\\u0061"'])
def test_another_spelling_is_refused_where_the_canonical_one_is_asked_for(data):
    parse(data)
    with pytest.raises(InvalidFormat, match="RFC 8785"):
        parse(data, canonical=True)


def test_a_document_above_the_limit_is_refused_unread():
    with pytest.raises(InvalidFormat, match=r"plan\.json: expected at most 3 bytes"):
        parse(b"[1,2", max_bytes=3, where="plan.json")


@pytest.mark.parametrize("value", [float("nan"), 2**60, "\ud800"])
def test_what_json_cannot_carry_is_not_written(value):
    with pytest.raises(InvalidFormat):
        dump(value)

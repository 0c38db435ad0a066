import time

import msgspec
import pytest
from orchestrator.actors.fields import MAX_NUMBER_BYTES, FieldReader
from processor import time_scale

from ..hostile import costly_json


class Fields(msgspec.Struct):
    status: object = None
    trip: object = msgspec.field(default=None, name="trip_id")


read = FieldReader(Fields)


@pytest.mark.parametrize("reader", [read, FieldReader(Fields, whole_bytes=1_000)])
def test_simple_fields_are_read(reader: FieldReader[Fields]) -> None:
    assert reader(b'{"other":[1],"status":"ok","trip_id":7}') == Fields("ok", 7)
    assert reader(b'{"status":"\\u0041","trip_id":null}') == Fields("A", None)
    assert reader(b'{"status":true,"trip_id":-1.5e3}') == Fields(True, -1500.0)
    assert reader(b"{}") == Fields()


def test_lists_objects_and_very_long_numbers_are_passed_over() -> None:
    digits = b"9" * (MAX_NUMBER_BYTES + 1)
    found = read(b'{"status": [1], "trip_id": ' + digits + b"}")

    assert type(found.status) is type(found.trip) is msgspec.Raw
    assert type(read(b'{"status":{}}').status) is msgspec.Raw
    assert read(b'{"status":' + b"9" * MAX_NUMBER_BYTES + b"}").status is not None
    assert type(read(b'{"status":"' + digits + b'"}').status) is str


def test_up_to_a_size_they_are_made() -> None:
    payload = b'{"status":[1]}'

    assert FieldReader(Fields, whole_bytes=len(payload))(payload).status == [1]
    assert type(FieldReader(Fields, whole_bytes=len(payload) - 1)(payload).status) is msgspec.Raw


def test_a_mapping_has_what_is_there_by_the_names_in_json() -> None:
    assert read.mapping(b'{"trip_id":"t","status":null}') == {"trip_id": "t"}
    assert read.mapping(b"[1]") == read.mapping(b"no JSON") == read.mapping(b"[" * 9_000) == {}


@pytest.mark.parametrize("payload", [b"{", b'{"status":01}', b'{"status":"\\ud800"}'])
def test_what_is_not_json_is_refused(payload: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        read(payload)


@pytest.mark.parametrize("field", [b"status", b"another"])
def test_no_megabyte_takes_long(field: bytes) -> None:
    for name, document in costly_json(1024 * 1024):
        payload = b'{"%b":%b}' % (field, document)
        began = time.thread_time()
        read.mapping(payload)
        assert time.thread_time() - began < 0.03 * time_scale(), name

# SPDX-License-Identifier: Apache-2.0
"""Protobuf's encoding read by hand is what protobuf itself reads, or is refused."""

import struct
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from inferometer.proto import podresources_pb2 as pb
from inferometer.proto.reading import Message, MessageError, fields, parts, text, texts

TEXTS = st.text(max_size=200)  # more than 127 bytes are counted in two
NUMBERS = st.integers(-(1 << 63), (1 << 63) - 1)
DEVICES = st.builds(
    pb.ContainerDevices,
    resource_name=TEXTS,
    device_ids=st.lists(TEXTS, max_size=3),
    topology=st.builds(pb.TopologyInfo, nodes=st.lists(st.builds(pb.NUMANode, ID=NUMBERS), max_size=2)),
)
CONTAINERS = st.builds(
    pb.ContainerResources,
    name=TEXTS,
    devices=st.lists(DEVICES, max_size=2),
    cpu_ids=st.lists(NUMBERS, max_size=3),
    memory=st.lists(st.builds(pb.ContainerMemory, memory_type=TEXTS, size=st.integers(0, (1 << 64) - 1)), max_size=1),
)


def read_by_hand(message: bytes) -> Any:
    """What a ContainerResources says, as far as it is texts and messages."""
    container: Message = parts(message)
    devices = [(text(each, 1), list(texts(each, 2))) for each in map(parts, container.get(2, ()))]
    return text(container, 1), devices, [text(each, 1) for each in map(parts, container.get(4, ()))]


def read_by_protobuf(message: bytes) -> Any:
    """The same by the library."""
    container = pb.ContainerResources.FromString(message)
    devices = [(each.resource_name, list(each.device_ids)) for each in container.devices]
    return container.name, devices, [each.memory_type for each in container.memory]


@given(CONTAINERS)
def test_a_message_is_read_as_protobuf_reads_it(container: pb.ContainerResources) -> None:
    """Whatever stands in a message, and in whatever is not asked for."""
    message = container.SerializeToString()
    assert read_by_hand(message) == read_by_protobuf(message)


@given(CONTAINERS, st.lists(st.tuples(st.integers(0, 1 << 20), st.binary(max_size=3)), min_size=1, max_size=3))
def test_what_is_no_message_is_refused(container: pb.ContainerResources, damages: list[tuple[int, bytes]]) -> None:
    """Bytes that were cut out or put in: what is read all the same is what protobuf reads, and it reads no less."""
    message = container.SerializeToString()
    for place, inserted in damages:
        at = place % (len(message) + 1)
        message = message[:at] + inserted + message[at + 1 :]
    try:
        found = read_by_hand(message)
    except MessageError:
        return
    try:
        assert read_by_protobuf(message) == found
    except DecodeError:  # of what nobody asked for
        return


@given(st.binary(max_size=100))
def test_any_bytes_are_fields_or_refused(message: bytes) -> None:
    """Nothing else is raised."""
    try:
        list(fields(message))
    except MessageError:
        return


def test_every_kind_of_value_is_understood() -> None:
    """Numbers come as int, texts as bytes."""
    message = b"\x08\x96\x01" + b"\x11" + struct.pack("<Q", 7) + b"\x1a\x02ab" + b"\x25\1\0\0\0"
    assert list(fields(message)) == [(1, 150), (2, 7), (3, b"ab"), (4, 1)]


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"\x0b", "not a protobuf"),  # a group
        (b"\x02\x00", "not a protobuf"),  # field 0
        (b"\x08" + b"\xff" * 11, "not a protobuf"),
        (b"\x08\xff", "cut off"),
        (b"\x0a\x02a", "cut off"),
        (b"\x09\x00", "cut off"),
    ],
)
def test_what_is_wrong_is_said(message: bytes, why: str) -> None:
    """Groups, fields without a number, and what ends too early."""
    with pytest.raises(MessageError, match=why):
        list(fields(message))


def test_a_text_is_the_last_one_and_utf8() -> None:
    """As protobuf has it: a field that stands twice, one that is not there, and one that is no text."""
    message = parts(b"\x0a\x01a\x0a\x01b\x12\x01\xff")
    assert (text(message, 1), text(message, 3)) == ("b", "")
    with pytest.raises(MessageError, match="UTF-8"):
        text(message, 2)

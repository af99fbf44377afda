#!/usr/bin/env python3
"""Decodes the golden vectors of the wire protocol (v1/wire.json) with nothing but docs/protocol.md to go by.

Every vector is decoded and compared with the value beside it, and encoded again and compared with its bytes; vectors that
must be refused must be refused. With --write the bytes of the vectors are written anew from their values: only before the
protocol is released, for a released frame never changes.
"""

import json
import pathlib
import re
import sys

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "protocol.md"
VECTORS = pathlib.Path(__file__).parent / "v1" / "wire.json"


class Malformed(Exception):
    """The bytes are not what the page describes."""


# --- Numbers, texts, options, lists: "How values are written" ---------------------------------------------------------


def take(data, count):
    """The first `count` bytes and the rest."""
    if len(data) < count:
        raise Malformed(f"{count} bytes expected, {len(data)} there")
    return data[:count], data[count:]


def read_varint(data, bits):
    first, data = take(data, 1)
    if first[0] <= 250:
        return first[0], data
    width = {251: 2, 252: 4, 253: 8}.get(first[0], 16)
    if 8 * width > bits:
        raise Malformed(f"{first[0]} does not begin a number of {bits} bits")
    digits, data = take(data, width)
    return int.from_bytes(digits, "little"), data


def write_varint(value):
    if value <= 250:
        return bytes([value])
    for mark, width in ((251, 2), (252, 4), (253, 8)):
        if value < 1 << (8 * width):
            return bytes([mark]) + value.to_bytes(width, "little")
    raise ValueError(value)


class U8:
    def read(self, data):
        byte, data = take(data, 1)
        return byte[0], data

    def write(self, value):
        return bytes([value])


class Unsigned:
    def __init__(self, bits):
        self.bits = bits

    def read(self, data):
        return read_varint(data, self.bits)

    def write(self, value):
        return write_varint(value)


class Signed:
    """Zigzag: 0, -1, 1, -2, 2 … become 0, 1, 2, 3, 4 …"""

    def __init__(self, bits):
        self.bits = bits

    def read(self, data):
        value, data = read_varint(data, self.bits)
        return (value >> 1) ^ -(value & 1), data

    def write(self, value):
        return write_varint(2 * value if value >= 0 else -2 * value - 1)


class Bool:
    def read(self, data):
        byte, data = take(data, 1)
        if byte[0] > 1:
            raise Malformed(f"{byte[0]} is neither true nor false")
        return byte[0] == 1, data

    def write(self, value):
        return bytes([value])


class Fixed:
    """A fixed number of bytes, without their length."""

    def __init__(self, count):
        self.count = count

    def read(self, data):
        value, data = take(data, self.count)
        return value.hex(), data

    def write(self, value):
        return bytes.fromhex(value)


class Bytes:
    def read(self, data):
        count, data = read_varint(data, 64)
        value, data = take(data, count)
        return value.hex(), data

    def write(self, value):
        value = bytes.fromhex(value)
        return write_varint(len(value)) + value


class Text:
    def read(self, data):
        count, data = read_varint(data, 64)
        value, data = take(data, count)
        try:
            return value.decode("utf-8"), data
        except UnicodeDecodeError as error:
            raise Malformed(str(error)) from None

    def write(self, value):
        value = value.encode("utf-8")
        return write_varint(len(value)) + value


class Option:
    def __init__(self, inner):
        self.inner = inner

    def read(self, data):
        mark, data = take(data, 1)
        if mark[0] == 0:
            return None, data
        if mark[0] != 1:
            raise Malformed(f"{mark[0]} is neither absent nor present")
        return self.inner.read(data)

    def write(self, value):
        return b"\0" if value is None else b"\1" + self.inner.write(value)


class List:
    def __init__(self, inner, most):
        self.inner, self.most = inner, most

    def read(self, data):
        count, data = read_varint(data, 64)
        if count > self.most:
            raise Malformed(f"{count} items; at most {self.most} are taken")
        items = []
        for _ in range(count):
            item, data = self.inner.read(data)
            items.append(item)
        return items, data

    def write(self, value):
        return write_varint(len(value)) + b"".join(map(self.inner.write, value))


class Choice:
    """One of several: its number, then its value. In JSON {name: value}."""

    def __init__(self, *variants):
        self.variants = variants

    def read(self, data):
        number, data = read_varint(data, 32)
        if number >= len(self.variants):
            raise Malformed(f"there is no choice {number}")
        name, inner = self.variants[number]
        value, data = inner.read(data)
        return {name: value}, data

    def write(self, value):
        ((name, value),) = value.items()
        number = [known for known, _ in self.variants].index(name)
        return write_varint(number) + self.variants[number][1].write(value)


class Struct:
    """Fields one after another, without names."""

    def __init__(self, **fields):
        self.fields = fields

    def read(self, data):
        value = {}
        for name, field in self.fields.items():
            value[name], data = field.read(data)
        return value, data

    def write(self, value):
        if value.keys() != self.fields.keys():
            raise ValueError(value.keys() ^ self.fields.keys())
        return b"".join(field.write(value[name]) for name, field in self.fields.items())


U16, U32, U64, I32 = Unsigned(16), Unsigned(32), Unsigned(64), Signed(32)
BYTES, TEXT, BOOL, ID16 = Bytes(), Text(), Bool(), Fixed(16)

# --- Frames: "The frames" ---------------------------------------------------------------------------------------------

OFFLINE_PUSH = Struct(title=TEXT, desc=TEXT, ex=TEXT, ios_push_sound=TEXT, ios_badge_count=BOOL)
MESSAGE_ENTRY = Struct(
    place=Struct(kind=U8(), peer=TEXT),
    conversation_seq=U64,
    sender=TEXT,
    server_msg_id=ID16,
    client_msg_id=TEXT,
    content_type=U32,
    notification_type=I32,
    options_off=U16,
    sender_nickname=TEXT,
    sender_face_url=TEXT,
    sender_platform=I32,
    created=Option(U64),
    offline_push=Option(OFFLINE_PUSH),
    erased=BOOL,
    content=BYTES,
)


NOTE_ENTRY = Struct(
    place=Struct(kind=U8(), peer=TEXT),
    conversation_seq=U64,
    by=TEXT,
    server_msg_id=Option(ID16),
    settings=Option(Struct(pinned=BOOL, receive_option=U8(), hidden=BOOL)),
    messages=List(U64, 256),
    confirmed=BOOL,
)
# Kind: what a payload of this kind is called here, and its fields.
PAYLOADS = {1: ("message", MESSAGE_ENTRY), **{kind: ("note", NOTE_ENTRY) for kind in range(2, 8)}}


class Entry:
    """seq, kind, time, payload; the payload of a kind that is known here is decoded too."""

    outer = Struct(seq=U64, kind=U8(), time=U64, payload=BYTES)

    def read(self, data):
        value, data = self.outer.read(data)
        if value["kind"] in PAYLOADS:
            name, kind = PAYLOADS[value["kind"]]
            value[name], rest = kind.read(bytes.fromhex(value.pop("payload")))
            if rest:
                raise Malformed(f"{len(rest)} bytes follow a {name}")
        return value, data

    def write(self, value):
        if value["kind"] in PAYLOADS:
            name, kind = PAYLOADS[value["kind"]]
            value = {**value, "payload": kind.write(value[name]).hex()}
            del value[name]
        return self.outer.write(value)


FAILURE = Struct(code=U16, retryable=BOOL, retry_after_ms=U32, message=TEXT)
OUTGOING = Struct(
    sender=TEXT,
    receiver=TEXT,
    conversation_kind=U8(),
    content_type=U32,
    client_msg_id=TEXT,
    key=TEXT,
    operation_id=TEXT,
    sender_nickname=TEXT,
    sender_face_url=TEXT,
    sender_platform=I32,
    options_off=U16,
    created=Option(U64),
    offline_push=Option(OFFLINE_PUSH),
    content=BYTES,
)
SENT_MESSAGE = Struct(
    server_msg_id=ID16, client_msg_id=TEXT, time=U64, seq=Option(U64), new_receiver=BOOL, repeated=BOOL
)
LIMITS = Struct(
    frame_bytes=U32,
    sends_in_flight=U32,
    batch=U32,
    pulls_in_flight=U32,
    page_entries=U32,
    tails=U32,
    idle_ms=U32,
)

LIVE_CONNECTION = Struct(device=TEXT, platform=U8(), transport=TEXT)
USER_PRESENCE = Struct(user=TEXT, connections=List(LIVE_CONNECTION, 16))

FRAMES = {
    1: (
        "Hello",
        Struct(token=TEXT, device=Struct(id=TEXT, name=TEXT, platform=U8()), software=TEXT, capabilities=U64),
    ),
    2: (
        "Welcome",
        Struct(epoch=ID16, user=TEXT, head=U64, floor=U64, time=U64, limits=LIMITS, capabilities=U64),
    ),
    3: ("Pull", Struct(request=U64, user=TEXT, after=U64, limit=U32)),
    4: (
        "Page",
        Struct(request=U64, epoch=ID16, floor=U64, head=U64, more=BOOL, entries=List(Entry(), 1000)),
    ),
    5: ("Send", Struct(request=U64, message=OUTGOING)),
    6: ("Sent", Struct(request=U64, message=SENT_MESSAGE)),
    7: ("SendBatch", Struct(request=U64, messages=List(OUTGOING, 1024))),
    8: (
        "BatchSent",
        Struct(request=U64, answers=List(Choice(("sent", SENT_MESSAGE), ("failure", FAILURE)), 1024)),
    ),
    9: ("Acknowledge", Struct(request=U64, seq=U64)),
    10: ("Acknowledged", Struct(request=U64, seq=U64)),
    11: ("Tail", Struct(request=U64, user=TEXT, after=U64)),
    12: ("TailOpened", Struct(request=U64, epoch=ID16, floor=U64, head=U64)),
    13: ("Refused", Struct(request=U64, failure=FAILURE)),
    14: ("Bye", Struct(code=U16, retry_after_ms=U32, reason=TEXT)),
    15: ("Online", Struct(time=U64, message=MESSAGE_ENTRY)),
    16: ("WatchPresence", Struct(request=U64, users=List(TEXT, 256))),
    17: ("Presence", Struct(request=U64, users=List(USER_PRESENCE, 256))),
}
MAX_FRAME = 1024 * 1024


def read_frame(data):
    """The name and value of the frame that `data` begins with, and the rest; the name is None for an unknown kind."""
    header, data = take(data, 4)
    length = int.from_bytes(header, "little")
    if not 1 <= length <= MAX_FRAME:
        raise Malformed(f"a frame of {length} bytes")
    body, data = take(data, length)
    if body[0] not in FRAMES:
        return None, {"kind": body[0], "payload": body[1:].hex()}, data
    name, payload = FRAMES[body[0]]
    value, rest = payload.read(body[1:])
    if rest:
        raise Malformed(f"{len(rest)} bytes follow a {name}")
    return name, value, data


def write_frame(name, value):
    if name is None:
        body = bytes([value["kind"]]) + bytes.fromhex(value["payload"])
    else:
        ((number, payload),) = [(number, p) for number, (known, p) in FRAMES.items() if known == name]
        body = bytes([number]) + payload.write(value)
    return len(body).to_bytes(4, "little") + body


# --- The vectors ------------------------------------------------------------------------------------------------------


def check(vectors):
    for vector in vectors["frames"]:
        data = bytes.fromhex(vector["bytes"])
        name, value, rest = read_frame(data)
        where = vector["name"]
        assert not rest, f"{where}: {len(rest)} bytes are left"
        assert name == vector["frame"], f"{where}: is a {name}"
        assert value == vector["value"], f"{where}: decodes to {json.dumps(value)}"
        assert write_frame(name, value) == data, f"{where}: encodes to other bytes"
    assert {vector["frame"] for vector in vectors["frames"]} >= {name for name, _ in FRAMES.values()}
    for vector in vectors["refused"]:
        try:
            read_frame(bytes.fromhex(vector["bytes"]))
        except Malformed:
            continue
        raise AssertionError(f"{vector['name']}: was not refused")
    stream = b"".join(bytes.fromhex(vector["bytes"]) for vector in vectors["frames"])
    for vector in vectors["frames"]:
        name, value, stream = read_frame(stream)
        assert (name, value) == (vector["frame"], vector["value"])
    assert not stream


def check_examples(page):
    """The examples of the page are whole frames of known kinds."""
    section = page.split("\n## 12. Examples\n")[1].split("\n## ")[0]
    examples = section.split("```")[1::2]
    for example in examples:
        digits = re.findall(r"^((?:[0-9a-f]{2} )+) ", example, re.MULTILINE)
        name, value, rest = read_frame(bytes.fromhex("".join(digits)))
        assert name and not rest, example
    return len(examples)


def main():
    vectors = json.loads(VECTORS.read_text("utf-8"))
    if sys.argv[1:] == ["--write"]:
        for vector in vectors["frames"]:
            vector["bytes"] = write_frame(vector["frame"], vector["value"]).hex()
        VECTORS.write_text(json.dumps(vectors, ensure_ascii=False, indent=1) + "\n", "utf-8")
    check(vectors)
    examples = check_examples(PAGE.read_text("utf-8"))
    counts = f"{len(vectors['frames'])} frames, {len(vectors['refused'])} refusals and {examples} examples"
    print(f"wire: {counts} are as described")


if __name__ == "__main__":
    main()

"""Frames and values of docs/protocol.md, sections 3 to 6: bytes from and to Python's own values. No I/O."""

LONGEST = 1 << 20
MARKS = {0xFB: 2, 0xFC: 4, 0xFD: 8}


class Malformed(Exception):
    """Bytes that are not what the page says."""


class Reader:
    """Bytes, read from the front."""

    def __init__(self, data):
        self.data, self.at = bytes(data), 0

    def take(self, count):
        if count > len(self.data) - self.at:
            raise Malformed("too short")
        self.at += count
        return self.data[self.at - count : self.at]

    def end(self):
        if self.at != len(self.data):
            raise Malformed("bytes left over")


class Byte:
    def read(self, reader):
        return reader.take(1)[0]

    def write(self, value):
        return bytes([value])


class Truth:
    def read(self, reader):
        value = reader.take(1)[0]
        if value > 1:
            raise Malformed("neither true nor false")
        return value == 1

    def write(self, value):
        return bytes([bool(value)])


class Number:
    """A varint of a type of so many bytes."""

    def __init__(self, size):
        self.size = size

    def read(self, reader):
        first = reader.take(1)[0]
        if first <= 250:
            return first
        more = MARKS.get(first)
        if more is None or more > self.size:
            raise Malformed("a mark that the type does not have")
        return int.from_bytes(reader.take(more), "little")

    def write(self, value):
        if value <= 250:
            return bytes([value])
        mark, size = next((mark, size) for mark, size in MARKS.items() if value < 1 << 8 * size)
        return bytes([mark]) + value.to_bytes(size, "little")


class Signed:
    """An i32, zigzag."""

    def read(self, reader):
        value = U32.read(reader)
        return value >> 1 if value % 2 == 0 else -(value >> 1) - 1

    def write(self, value):
        return U32.write(value * 2 if value >= 0 else -value * 2 - 1)


class Id:
    """16 bytes, shown as 32 hexadecimal digits."""

    def read(self, reader):
        return reader.take(16).hex()

    def write(self, value):
        return bytes.fromhex(value)


class Bytes:
    def read(self, reader):
        return reader.take(U64.read(reader))

    def write(self, value):
        return U64.write(len(value)) + value


class Text:
    def read(self, reader):
        try:
            return BYTES.read(reader).decode()
        except UnicodeDecodeError as error:
            raise Malformed("not UTF-8") from error

    def write(self, value):
        return BYTES.write(value.encode())


class Maybe:
    def __init__(self, inner):
        self.inner = inner

    def read(self, reader):
        return self.inner.read(reader) if TRUTH.read(reader) else None

    def write(self, value):
        return b"\0" if value is None else b"\1" + self.inner.write(value)


class List:
    def __init__(self, inner, most):
        self.inner, self.most = inner, most

    def read(self, reader):
        count = U64.read(reader)
        if count > self.most:
            raise Malformed("too many elements")
        return [self.inner.read(reader) for _ in range(count)]

    def write(self, value):
        return U64.write(len(value)) + b"".join(map(self.inner.write, value))


class Structure:
    """Fields in their order; a dictionary in Python."""

    def __init__(self, **fields):
        self.fields = fields

    def read(self, reader):
        return {name: field.read(reader) for name, field in self.fields.items()}

    def write(self, value):
        return b"".join(field.write(value[name]) for name, field in self.fields.items())


class Choice:
    """One of several variants; a pair of its name and its value."""

    def __init__(self, **variants):
        self.variants = list(variants.items())

    def read(self, reader):
        number = U32.read(reader)
        if number >= len(self.variants):
            raise Malformed("no such variant")
        name, variant = self.variants[number]
        return name, variant.read(reader)


U8, TRUTH, ID, BYTES, TEXT = Byte(), Truth(), Id(), Bytes(), Text()
U16, U32, U64, I32 = Number(2), Number(4), Number(8), Signed()

OFFLINE_PUSH = Structure(title=TEXT, desc=TEXT, ex=TEXT, iOSPushSound=TEXT, iOSBadgeCount=TRUTH)
MESSAGE_OUT = Structure(
    sender=TEXT, receiver=TEXT, conversation_kind=U8, content_type=U32, client_message_id=TEXT, key=TEXT, operation_id=TEXT,
    sender_nickname=TEXT, sender_face_url=TEXT, sender_platform=I32, options_off=U16, created=Maybe(U64),
    offline_push=Maybe(OFFLINE_PUSH), content=BYTES,
)
SENT = Structure(server_message_id=ID, client_message_id=TEXT, time=U64, seq=Maybe(U64), new_receiver=TRUTH, repeated=TRUTH)
FAILURE = Structure(code=U16, retryable=TRUTH, retry_after=U32, message=TEXT)
ENTRY = Structure(seq=U64, kind=U8, time=U64, payload=BYTES)
# The payload of an entry of kind 1, and what an online-only message is.
MESSAGE = Structure(
    conversation_kind=U8, conversation_peer=TEXT, conversation_seq=U64, sender=TEXT, server_message_id=ID, client_message_id=TEXT,
    content_type=U32, notification_type=I32, options_off=U16, sender_nickname=TEXT, sender_face_url=TEXT, sender_platform=I32,
    created=Maybe(U64), offline_push=Maybe(OFFLINE_PUSH), erased=TRUTH, content=BYTES,
)
# The payload of entries of kinds 2 to 8.
EVENT = Structure(
    conversation_kind=U8, conversation_peer=TEXT, conversation_seq=U64, by=TEXT, server_message_id=Maybe(ID),
    settings=Maybe(Structure(pinned=TRUTH, receiveOption=U8, hidden=TRUTH)), messages=List(U64, 256), confirmed=TRUTH,
)
PRESENCE = Structure(user=TEXT, connections=List(Structure(device=TEXT, platform=U8, transport=TEXT), 16))

FRAMES = {
    1: ("Hello", Structure(token=TEXT, device=TEXT, device_name=TEXT, platform=U8, software=TEXT, capabilities=U64)),
    2: ("Welcome", Structure(
        epoch=ID, user=TEXT, head=U64, floor=U64, time=U64, frame_bytes=U32, sends_in_flight=U32, batch=U32, pulls_in_flight=U32,
        page_entries=U32, tails=U32, idle=U32, capabilities=U64)),
    3: ("Pull", Structure(request=U64, user=TEXT, after=U64, limit=U32)),
    4: ("Page", Structure(request=U64, epoch=ID, floor=U64, head=U64, more=TRUTH, entries=List(ENTRY, 1000))),
    5: ("Send", Structure(request=U64, message=MESSAGE_OUT)),
    6: ("Sent", Structure(request=U64, sent=SENT)),
    7: ("SendBatch", Structure(request=U64, messages=List(MESSAGE_OUT, 1024))),
    8: ("BatchSent", Structure(request=U64, answers=List(Choice(sent=SENT, failure=FAILURE), 1024))),
    9: ("Acknowledge", Structure(request=U64, seq=U64)),
    10: ("Acknowledged", Structure(request=U64, seq=U64)),
    11: ("Tail", Structure(request=U64, user=TEXT, after=U64)),
    12: ("TailOpened", Structure(request=U64, epoch=ID, floor=U64, head=U64)),
    13: ("Refused", Structure(request=U64, failure=FAILURE)),
    14: ("Bye", Structure(code=U16, retry_after=U32, reason=TEXT)),
    15: ("Online", Structure(time=U64, message=MESSAGE)),
    16: ("WatchPresence", Structure(request=U64, users=List(TEXT, 256))),
    17: ("Presence", Structure(request=U64, users=List(PRESENCE, 256))),
}
KINDS = {name: kind for kind, (name, _) in FRAMES.items()}


def exactly(kind, data):
    """A value that is all of the bytes."""
    reader = Reader(data)
    value = kind.read(reader)
    reader.end()
    return value


def encode(name, value):
    """A whole frame, its length in front."""
    payload = FRAMES[KINDS[name]][1].write(value)
    return (len(payload) + 1).to_bytes(4, "little") + bytes([KINDS[name]]) + payload


def decode(body):
    """Name and value of a frame without its length; nothing when its kind is unknown."""
    if body[0] not in FRAMES:
        return None
    name, payload = FRAMES[body[0]]
    return name, exactly(payload, body[1:])


class Stream:
    """Cuts the bytes of a stream into frames, however they come."""

    def __init__(self):
        self._held = bytearray()

    def feed(self, data):
        """The frames that are complete now, as names and values. Those of unknown kinds are skipped."""
        self._held += data
        while len(self._held) >= 4:
            length = int.from_bytes(self._held[:4], "little")
            if not 1 <= length <= LONGEST:
                raise Malformed(f"a frame of {length} bytes")
            if len(self._held) < 4 + length:
                return
            body = bytes(self._held[4 : 4 + length])
            del self._held[: 4 + length]
            frame = decode(body)
            if frame:
                yield frame

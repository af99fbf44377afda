"""docs/formats.md, section 2: how values are written.

Every type here has `read(data, at) -> (value, at)` and `write(value) -> bytes`. Values are those of the golden JSON files: byte
strings as hexadecimal text, options as None or the value, variants as a name or as {name: value}.
"""


class Malformed(Exception):
    """The bytes are not what the page describes."""


def take(data, at, count):
    if at + count > len(data):
        raise Malformed(f"{count} bytes expected at {at}, {len(data) - at} there")
    return data[at : at + count], at + count


class U8:
    def read(self, data, at):
        byte, at = take(data, at, 1)
        return byte[0], at

    def write(self, value):
        return bytes([value])


class Bool:
    def read(self, data, at):
        byte, at = take(data, at, 1)
        if byte[0] > 1:
            raise Malformed(f"{byte[0]} is no bool")
        return byte[0] == 1, at

    def write(self, value):
        return b"\x01" if value else b"\x00"


class Varint:
    """A number of 2, 4 or 8 bytes."""

    def __init__(self, width):
        self.width = width

    def read(self, data, at):
        first, at = take(data, at, 1)
        if first[0] <= 250:
            return first[0], at
        width = {251: 2, 252: 4, 253: 8}.get(first[0], 99)
        if width > self.width:
            raise Malformed(f"marker {first[0]} in a number of {self.width} bytes")
        digits, at = take(data, at, width)
        return int.from_bytes(digits, "little"), at

    def write(self, value):
        if not 0 <= value < 1 << (8 * self.width):
            raise ValueError(f"{value} does not fit into {self.width} bytes")
        if value <= 250:
            return bytes([value])
        for marker, width in ((251, 2), (252, 4), (253, 8)):
            if value < 1 << (8 * width):
                return bytes([marker]) + value.to_bytes(width, "little")
        raise ValueError(value)


class Zigzag:
    """A signed number of 4 bytes."""

    def read(self, data, at):
        folded, at = U32.read(data, at)
        return (folded // 2 if folded % 2 == 0 else -(folded + 1) // 2), at

    def write(self, value):
        return U32.write(2 * value if value >= 0 else -2 * value - 1)


class Fixed:
    """So many bytes, without a length."""

    def __init__(self, length):
        self.length = length

    def read(self, data, at):
        value, at = take(data, at, self.length)
        return value.hex(), at

    def write(self, value):
        value = bytes.fromhex(value)
        if len(value) != self.length:
            raise ValueError(f"{len(value)} bytes instead of {self.length}")
        return value


class Bytes:
    def read(self, data, at):
        length, at = U64.read(data, at)
        value, at = take(data, at, length)
        return value.hex(), at

    def write(self, value):
        value = bytes.fromhex(value)
        return U64.write(len(value)) + value


class Text:
    def read(self, data, at):
        length, at = U64.read(data, at)
        value, at = take(data, at, length)
        try:
            return value.decode("utf-8"), at
        except UnicodeDecodeError as error:
            raise Malformed(f"not UTF-8: {error}") from None

    def write(self, value):
        value = value.encode("utf-8")
        return U64.write(len(value)) + value


class Option:
    def __init__(self, inner):
        self.inner = inner

    def read(self, data, at):
        there, at = take(data, at, 1)
        if there[0] > 1:
            raise Malformed(f"{there[0]} begins no option")
        return self.inner.read(data, at) if there[0] else (None, at)

    def write(self, value):
        return b"\x00" if value is None else b"\x01" + self.inner.write(value)


class ListOf:
    def __init__(self, inner):
        self.inner = inner

    def read(self, data, at):
        count, at = U64.read(data, at)
        values = []
        for _ in range(count):
            value, at = self.inner.read(data, at)
            values.append(value)
        return values, at

    def write(self, values):
        return U64.write(len(values)) + b"".join(self.inner.write(value) for value in values)


class Struct:
    """Named fields, in order."""

    def __init__(self, **fields):
        self.fields = fields

    def read(self, data, at):
        value = {}
        for name, kind in self.fields.items():
            value[name], at = kind.read(data, at)
        return value, at

    def write(self, value):
        if set(value) != set(self.fields):
            raise ValueError(f"fields {sorted(value)} instead of {sorted(self.fields)}")
        return b"".join(kind.write(value[name]) for name, kind in self.fields.items())


class Tuple:
    """Fields without names, in order."""

    def __init__(self, *kinds):
        self.kinds = kinds

    def read(self, data, at):
        values = []
        for kind in self.kinds:
            value, at = kind.read(data, at)
            values.append(value)
        return values, at

    def write(self, values):
        return b"".join(kind.write(value) for kind, value in zip(self.kinds, values, strict=True))


class Choice:
    """Variants by number; None as a type means: no fields."""

    def __init__(self, *variants):
        self.variants = variants

    def read(self, data, at):
        number, at = U32.read(data, at)
        if number >= len(self.variants):
            raise Malformed(f"there is no variant {number}")
        name, kind = self.variants[number]
        if kind is None:
            return name, at
        value, at = kind.read(data, at)
        return {name: value}, at

    def write(self, value):
        name, fields = (value, None) if isinstance(value, str) else next(iter(value.items()))
        for number, (known, kind) in enumerate(self.variants):
            if known == name:
                return U32.write(number) + (b"" if kind is None else kind.write(fields))
        raise ValueError(f"there is no variant {name}")


U16, U32, U64 = Varint(2), Varint(4), Varint(8)


def decode(kind, data):
    """Exactly one value from all of `data`."""
    value, at = kind.read(data, 0)
    if at != len(data):
        raise Malformed(f"{len(data) - at} bytes are left over")
    return value


def decode_canonical(kind, data):
    """As decode, and only the one form in which the value is written."""
    value = decode(kind, data)
    if kind.write(value) != data:
        raise Malformed("not in canonical form")
    return value

"""docs/formats.md, sections 3, 9 and 10: hashes and message ids."""

import hashlib
import hmac

from . import aes
from .kinds import FAMILIES


def u64(number):
    return number.to_bytes(8, "big")


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def leaf(record):
    return sha256(b"\x00", record)


def commitment(opening, body):
    return sha256(opening, body)


def chain_start(epoch, user):
    return sha256(b"waybill/log/1", epoch, u64(user))


def chain_link(before, seq, kind, delivering, message):
    return sha256(before, u64(seq), bytes([kind]), delivering, message)


USER, DEVICE, TOKEN, KEY, CONVERSATION, REQUEST = range(1, 7)
LENGTHS = {USER: 16, DEVICE: 16, TOKEN: 16, KEY: 8, CONVERSATION: 8, REQUEST: 8}


def keyed(secret, domain, *parts, length=None):
    text = bytes([domain]) + b"".join(u64(len(part)) + part for part in parts)
    full = hmac.new(secret, text, hashlib.sha256).digest()
    return full[: length or LENGTHS[domain]]


def dedup(secret, sender, key, kind, receiver):
    first = keyed(secret, KEY, sender.encode(), key.encode())
    return first + keyed(secret, CONVERSATION, bytes([kind]), receiver.encode())


def state_hash(rows, views_version):
    """Of {(family name, key): encoded value}."""
    order = sorted((FAMILIES[family][0], key, value) for (family, key), value in rows.items() if FAMILIES[family][1])
    out = hashlib.sha256(b"waybill/state/" + str(views_version).encode())
    for number, key, value in order:
        out.update(bytes([number]))
        for part in (key, value):
            out.update(len(part).to_bytes(4, "big") + part)
    return out.digest()


def message_id(secret, epoch, partition, position, ordinal):
    block = epoch.to_bytes(2, "big") + partition.to_bytes(2, "big") + u64(position) + ordinal.to_bytes(4, "big")
    return aes.encrypt(secret, block).hex()


def open_message_id(secret, text):
    block = aes.decrypt(secret, bytes.fromhex(text))
    number = lambda start, end: int.from_bytes(block[start:end], "big")
    return number(0, 2), number(2, 4), number(4, 12), number(12, 16)

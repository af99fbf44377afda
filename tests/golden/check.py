#!/usr/bin/env python3
"""Checks the golden files of tests/golden/v1/ by nothing but docs/formats.md: no line of this script, nor of the package beside
it, was made from the program. Python's standard library is all it needs.

Prints a line for each section. Exits with 1 and says where, when anything is not as the page describes.
"""

import json
import pathlib
import subprocess
import sys

sys.dont_write_bytecode = True

from formats import hashes, kinds
from formats.encoding import (
    U16,
    U32,
    U64,
    ListOf,
    Malformed,
    Option,
    decode,
    decode_canonical,
)
from formats.fold import Fold

HERE = pathlib.Path(__file__).parent
FOLDER = HERE / "v1"


class Difference(Exception):
    """Something is not as the page describes."""


def same(what, found, expected):
    if found != expected:
        raise Difference(f"{what}\n  here:     {found}\n  expected: {expected}")


def refused(what, action):
    try:
        action()
    except Malformed:
        return
    raise Difference(f"{what}: was not refused")


def both_ways(kind, vector, what):
    """The bytes decode to the value, and the value encodes to the bytes."""
    data = bytes.fromhex(vector["hex"])
    same(f"{what}, decoded", decode_canonical(kind, data), vector["value"])
    same(f"{what}, encoded", kind.write(vector["value"]).hex(), vector["hex"])
    refused(f"{what}, one byte short", lambda: decode(kind, data[:-1]))
    refused(f"{what}, one byte long", lambda: decode(kind, data + b"\0"))


# --- vectors.json ---------------------------------------------------------------------------------------------------------


def plain(vectors):
    names = {
        "u8": kinds.U8,
        "u16": U16,
        "u32": U32,
        "u64": U64,
        "i32": kinds.I32,
        "bool": kinds.BOOL,
        "text": kinds.TEXT,
        "option u64": Option(U64),
        "list of u64": ListOf(U64),
    }
    for vector in vectors["plain"]:
        both_ways(names[vector["kind"]], vector, f"{vector['kind']} {vector['value']}")
    same("kinds of plain values", {vector["kind"] for vector in vectors["plain"]}, set(names))
    return len(vectors["plain"])


def variants(vectors, name, kind):
    """All vectors of a choice; every variant must be among them."""
    seen = set()
    for number, vector in enumerate(vectors[name]):
        both_ways(kind, vector, f"{name} {number}")
        value = vector["value"]
        seen.add(value if isinstance(value, str) else next(iter(value)))
    same(f"variants among {name}", seen, {known for known, _ in kind.variants})
    return len(vectors[name])


def facts(vectors):
    return variants(vectors, "facts", kinds.FACT)


def records(vectors):
    for vector in vectors["records"]:
        position = vector["value"]["position"]
        both_ways(kinds.RECORD, vector, f"record {vector['hex']}")
        data = bytes.fromhex(vector["hex"])
        same("a record", kinds.read_record(position, data), vector["value"])
        same("its leaf", hashes.leaf(data).hex(), vector["leaf"])
        refused("a record at another position", lambda: kinds.read_record(position + 1, data))
    for vector in vectors["refused_records"]:
        data = bytes.fromhex(vector["hex"])
        refused(f"{vector['why']} ({vector['hex']})", lambda: kinds.read_record(vector["position"], data))
    return len(vectors["records"]) + len(vectors["refused_records"])


def bodies(vectors):
    variants(vectors, "bodies", kinds.BODY)
    for vector in vectors["bodies"]:
        opening, body = bytes.fromhex(vector["opening"]), bytes.fromhex(vector["hex"])
        same("a stored body", (opening + body).hex(), vector["stored"])
        same("a commitment", hashes.commitment(opening, body).hex(), vector["commitment"])
    return len(vectors["bodies"])


def commands(vectors):
    for number, vector in enumerate(vectors["commands"]):
        both_ways(kinds.STAMPED, vector, f"command {number}")
    asks = {next(iter(vector["value"]["command"]["ask"])) for vector in vectors["commands"]}
    same("asks among the commands", asks, {known for known, _ in kinds.ASK.variants})
    variants(vectors, "answers", kinds.ANSWER)
    told = {json.dumps(vector["value"]) for vector in vectors["answers"]}
    for name, _ in kinds.OUTCOME.variants + kinds.REFUSAL.variants:
        if not any(f'"{name}"' in text for text in told):
            raise Difference(f"no answer says {name}")
    return len(vectors["commands"]) + len(vectors["answers"])


def rows(vectors):
    for vector in vectors["rows"]:
        number, _, _, kind = kinds.FAMILIES[vector["family"]]
        what = f"row of {vector['family']} {vector['key']}"
        same(f"{what}, number of its family", vector["number"], number)
        same(f"{what}, key", kinds.row_key(vector["family"], *vector["key_parts"]).hex(), vector["key"])
        both_ways(kind, vector, what)
    same("families among the rows", {vector["family"] for vector in vectors["rows"]}, set(kinds.FAMILIES))
    for vector in vectors["conversation_keys"]:
        same("a conversation's key", kinds.KEY_CONVERSATION.write(vector["conversation"]).hex(), vector["key"])
    return len(vectors["rows"]) + len(vectors["conversation_keys"])


def hash_vectors(vectors):
    secret = bytes.fromhex(vectors["secrets"]["hash"])
    for vector in vectors["commitments"]:
        opening, body = bytes.fromhex(vector["opening"]), bytes.fromhex(vector["body"])
        same("a commitment", hashes.commitment(opening, body).hex(), vector["commitment"])
    for vector in vectors["leafs"]:
        same("a leaf", hashes.leaf(bytes.fromhex(vector["record"])).hex(), vector["leaf"])
    chains = vectors["chains"]
    chain = hashes.chain_start(bytes.fromhex(chains["epoch"]), chains["user"])
    same("the start of a chain", chain.hex(), chains["start"])
    for link in chains["links"]:
        leaves = bytes.fromhex(link["delivering"]), bytes.fromhex(link["message"])
        chain = hashes.chain_link(chain, link["seq"], link["kind"], *leaves)
        same(f"link {link['seq']} of a chain", chain.hex(), link["chain"])
    for vector in vectors["keyed_hashes"]:
        parts = [bytes.fromhex(part) for part in vector["parts"]]
        # The file gives 16 bytes of every domain.
        found = hashes.keyed(secret, vector["domain"], *parts, length=16)
        same(f"a keyed hash of domain {vector['domain']}", found.hex(), vector["hash"])
    for vector in vectors["dedup_keys"]:
        parts = (vector[name] for name in ("sender", "key", "kind", "receiver"))
        same("a dedup key", hashes.dedup(secret, *parts).hex(), vector["hash"])
    names = "commitments", "leafs", "keyed_hashes", "dedup_keys"
    return sum(len(vectors[name]) for name in names) + 1 + len(chains["links"])


def message_ids(vectors):
    secret = bytes.fromhex(vectors["secrets"]["message_id"])
    for vector in vectors["message_ids"]:
        parts = tuple(vector[name] for name in ("epoch", "partition", "position", "ordinal"))
        same(f"the id of {parts}", hashes.message_id(secret, *parts), vector["id"])
        same(f"what {vector['id']} stands for", hashes.open_message_id(secret, vector["id"]), parts)
    return len(vectors["message_ids"])


# --- The golden ledger ----------------------------------------------------------------------------------------------------


def pairs(name):
    """Pairs of pieces, each after its length."""
    data = (FOLDER / name).read_bytes()
    pieces, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        pieces.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    same(f"the end of {name}", at, len(data))
    same(f"pieces of {name} without a partner", len(pieces) % 2, 0)
    return list(zip(pieces[::2], pieces[1::2]))


def ledger_records(golden):
    ledger = [
        (kinds.read_record(position, data), data, stored or None)
        for position, (data, stored) in enumerate(pairs("ledger.bin"), start=1)
    ]
    same("records", len(ledger), golden["records"])
    versions = {"Genesis": {"epoch": golden["epoch"], "rules": golden["rules_version"]}}
    same("the first fact", ledger[0][0]["fact"], versions)
    same("the ledger format", kinds.LEDGER_FORMAT, golden["ledger_format"])
    last, data, _ = ledger[-1]
    found = {"position": last["position"], "time": last["time"], "leaf": hashes.leaf(data).hex()}
    same("the last record", found, golden["last"])
    leaves = hashes.sha256(*(hashes.leaf(data) for _, data, _ in ledger))
    same("the hash of all leaves", leaves.hex(), golden["leaves"])
    return ledger


def ledger_bodies(ledger):
    """Every body opens its commitment; what is missing was erased, and what was erased is missing."""
    erased = {record["fact"]["BodyErased"]["position"] for record, _, _ in ledger if "BodyErased" in record["fact"]}
    count = 0
    for record, _, stored in ledger:
        position, committed = record["position"], record["commitment"]
        same(f"whether record {position} has a body", stored is not None, committed is not None and position not in erased)
        if stored is not None:
            found = hashes.commitment(stored[:16], stored[16:]).hex()
            same(f"the commitment of record {position}", found, committed)
            decode_canonical(kinds.BODY, stored[16:])
            if len(stored) - 16 > kinds.MAX_BODY_BYTES:
                raise Difference(f"the body of record {position} is too long")
            count += 1
    return f"{count} bodies and {len(erased)} erasures"


def ledger_keyed_hashes(ledger, golden):
    """Wherever the bodies say what was hashed."""
    secret = bytes.fromhex(golden["secrets"]["hash"])
    ids, count = {}, 0
    for record, _, stored in ledger:
        if stored is None:
            continue
        what = f"a keyed hash in record {record['position']}"
        ((name, fact),) = record["fact"].items()
        ((_, body),) = decode(kinds.BODY, stored[16:]).items()
        if name == "UserSeen":
            ids[fact["user"]] = body["id"]
            same(what, hashes.keyed(secret, hashes.USER, body["id"].encode()).hex(), fact["id"])
        elif name == "DeviceSeen" and fact["user"] in ids:
            parts = ids[fact["user"]].encode(), body["id"].encode()
            same(what, hashes.keyed(secret, hashes.DEVICE, *parts).hex(), fact["id"])
        elif name == "MessageSent":
            key = body["key"] or body["client_msg_id"]
            same(f"whether record {record['position']} has a key", fact["key"] is not None, key != "")
            ((kind, parties),) = fact["conversation"].items()
            one, other = parties.values()
            receiver = other if one == fact["sender"] else one
            if not key or fact["sender"] not in ids or receiver not in ids:
                continue
            kind = {"Single": 1, "Notification": 4}[kind]
            found = hashes.dedup(secret, ids[fact["sender"]], key, kind, ids[receiver])
            same(what, found.hex(), fact["key"])
        else:
            continue
        count += 1
    return f"{count} keyed hashes"


def ledger_fold(ledger, golden):
    fold = Fold()
    for record, data, stored in ledger:
        fold.record(record, data, stored)
    encoded = fold.encoded()
    counts = dict.fromkeys(kinds.FAMILIES, 0)
    for family, _ in encoded:
        counts[family] += 1
    same("rows", counts, golden["rows"])
    logs = [
        {"user": int.from_bytes(key, "big"), **row} for (family, key), row in fold.rows.items() if family == "user_heads"
    ]
    same("heads and chain hashes of the user logs", sorted(logs, key=lambda log: log["user"]), golden["user_logs"])
    joined = [
        [family, key.hex(), value.hex()]
        for (family, key), value in sorted(encoded.items(), key=lambda row: (kinds.FAMILIES[row[0][0]][0], row[0][1]))
        if not kinds.FAMILIES[family][1]
    ]
    same("joined rows", joined, golden["joined"])
    found = hashes.state_hash(encoded, golden["views_version"]).hex()
    same("the state hash", found, golden["state_hash"])
    same("the state hash of no rows", hashes.state_hash({}, 2).hex(), "697cd95fa24185c20c781ec013d11dce6b39ee9744083caf7b85d83ac7039c1d")
    return fold


def ledger_commands(golden, fold):
    """The commands decode, what they seal opens, and their answers are what the fold says of the messages."""
    secret = bytes.fromhex(golden["secrets"]["hash"])
    answered = 0
    for number, (command, answer) in enumerate(pairs("commands.bin")):
        ask = decode_canonical(kinds.STAMPED, command)["command"]["ask"]
        answer = decode_canonical(kinds.ANSWER, answer)
        ((_, fields),) = ask.items()
        for value in fields.values():
            if isinstance(value, dict) and "commitment" in value:
                found = hashes.commitment(bytes.fromhex(value["opening"]), bytes.fromhex(value["bytes"]))
                same(f"the commitment in command {number}", found.hex(), value["commitment"])
            if isinstance(value, dict) and "hash" in value:
                found = hashes.keyed(secret, hashes.USER, value["id"].encode())
                same(f"the hash of a user in command {number}", found.hex(), value["hash"])
        sent = answer.get("Ok", {}).get("Sent") if isinstance(answer.get("Ok"), dict) else None
        if sent:
            repeated = sent.pop("repeated")
            same(f"answer {number}", sent, fold.sent[sent["position"]])
            answered += not repeated
    same("messages answered", answered, len(fold.sent))
    return number + 1


def main():
    vectors = json.loads((FOLDER / "vectors.json").read_text("utf-8"))
    golden = json.loads((FOLDER / "ledger.json").read_text("utf-8"))
    print(f"plain values: {plain(vectors)} as described")
    print(f"facts: {facts(vectors)} as described")
    print(f"records: {records(vectors)} as described, or refused as described")
    print(f"bodies: {bodies(vectors)} as described")
    print(f"commands and answers: {commands(vectors)} as described")
    print(f"rows: {rows(vectors)} as described")
    print(f"hashes: {hash_vectors(vectors)} as described")
    print(f"message ids: {message_ids(vectors)} as described")
    ledger = ledger_records(golden)
    print(f"golden ledger: {len(ledger)} records, dense and canonical")
    print(f"golden ledger: {ledger_bodies(ledger)} as committed to")
    print(f"golden ledger: {ledger_keyed_hashes(ledger, golden)} as described")
    fold = ledger_fold(ledger, golden)
    print(f"golden ledger: folds to {len(fold.rows)} rows and state hash {golden['state_hash'][:16]}…")
    print(f"golden ledger: {ledger_commands(golden, fold)} commands and their answers as described")


def wire():
    """The frames have a page and a script of their own."""
    script = HERE / "check_wire.py"
    return subprocess.run([sys.executable, script], check=False).returncode


if __name__ == "__main__":
    try:
        main()
    except (Difference, Malformed, ValueError, ArithmeticError) as difference:
        sys.exit(f"not as docs/formats.md describes: {difference}")
    except LookupError as missing:
        sys.exit(f"not as docs/formats.md describes: {missing!r} is missing")
    sys.exit(wire())

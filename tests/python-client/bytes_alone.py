"""Scenarios without a server: what the client makes of bytes, by the examples of the pages and the golden frames."""

import json
import re
from pathlib import Path

from waybill import entries, events, wire
from waybill.codes import CODES
from waybill.log import Broken, Log
from world import expect, same, scenario

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "protocol.md").read_text()
GOLDEN = json.loads((ROOT / "tests" / "golden" / "v1" / "wire.json").read_text())


def golden(name):
    return next(bytes.fromhex(one["bytes"]) for one in GOLDEN["frames"] if one["name"] == name)


@scenario("the examples of the page")
async def examples(_):
    section = PAGE.split("## 12. Examples")[1].split("## 13.")[0]
    found = []
    for block in re.findall(r"```\n(.*?)```", section, re.DOTALL):
        found.append(bytes.fromhex("".join(re.split(r"\s{2,}", line)[0] for line in block.splitlines())))
    hello = {"token": "t", "device": "p1", "device_name": "", "platform": 2, "software": "", "capabilities": 0}
    same(found, [
        wire.encode("Pull", {"request": 1, "user": "", "after": 0, "limit": 200}),
        wire.encode("Acknowledge", {"request": 6, "seq": 253}),
        wire.encode("Hello", hello),
    ], "the examples")


@scenario("the codes of the page are those of the client")
async def codes(_):
    section = PAGE.split("## 10. Codes")[1].split("## 11.")[0]
    rows = {(int(number), name) for number, name in re.findall(r"^\| (\d+) \| `([A-Z_]+)` \|", section, re.MULTILINE)}
    same(rows ^ set(CODES.items()), set(), "codes of one of them alone")


@scenario("golden frames are read, whole and byte by byte, and broken ones refused")
async def golden_frames(_):
    every = b"".join(bytes.fromhex(one["bytes"]) for one in GOLDEN["frames"])
    known = [one["frame"] for one in GOLDEN["frames"] if one["frame"]]
    whole = list(wire.Stream().feed(every))
    same([name for name, _ in whole], known, "frames")
    stream = wire.Stream()
    same([one for place in range(len(every)) for one in stream.feed(every[place : place + 1])], whole, "byte by byte")
    for one in GOLDEN["refused"]:
        try:
            list(wire.Stream().feed(bytes.fromhex(one["bytes"])))
        except wire.Malformed:
            continue
        expect(False, f"{one['name']}: it was taken")


@scenario("an entry of an unknown kind is stored, and the cursor passes it")
async def unknown_entry(_):
    ((_, value),) = wire.Stream().feed(golden("page with a message, an erased one and a kind that is not known"))
    page = entries.page(value)
    log = Log()
    log.cursor = page["entries"][0]["seq"] - 1
    log.take(page)
    unknown = log.entries[-1]
    expect(unknown["kind"] not in range(1, 9), f"{unknown}")
    same(unknown["payload"], value["entries"][-1]["payload"], "its payload")
    same(log.cursor, unknown["seq"], "the cursor")
    # In JSON it has fields that are not known, and they are kept too.
    stranger = {"seq": log.cursor + 1, "time": 1, "kind": 99, "conversation": {"kind": "later", "peer": "x"}, "what": {"ever": []}}
    log.take({"epoch": log.epoch, "entries": [stranger]})
    same(log.entries[-1], stranger, "the entry")


@scenario("an entry of kind 9, a place that was left out")
async def left_out(_):
    # Seq 5, kind 9, time 1, and a payload of no bytes, then of one.
    value = wire.exactly(wire.ENTRY, bytes([5, 9, 1, 0]))
    same(entries.from_wire(value), {"seq": 5, "kind": 9, "time": 1}, "the entry")
    try:
        entries.from_wire(wire.exactly(wire.ENTRY, bytes([5, 9, 1, 1, 0])))
    except wire.Malformed:
        return
    expect(False, "a payload was taken")


@scenario("a hole, a repetition and another epoch are not taken")
async def holes(_):
    for page in (
        {"epoch": "a", "entries": [{"seq": 3}]},
        {"epoch": "a", "entries": [{"seq": 1}]},
        {"epoch": "b", "entries": [{"seq": 2}]},
    ):
        log = Log()
        log.take({"epoch": "a", "entries": [{"seq": 1}]})
        try:
            log.take(page)
        except Broken:
            continue
        expect(False, f"{page} was taken")


@scenario("events are read as browsers read them")
async def event_lines(_):
    lines = (
        "retry: 2000\n\n: a comment\nid: 2\nevent: entry\ndata: {\"a\":\ndata: 1}\n\nevent: later\nid:3\ndata:x\n\nevent: nothing\n\n"
        "id: 4\ndata: cut off"
    ).splitlines(keepends=True)
    same(list(events.parse(lines)), [
        {"event": "", "retry": 2000},
        {"event": "entry", "data": '{"a":\n1}', "id": "2"},
        {"event": "later", "data": "x", "id": "3"},
    ], "events")

"""Scenarios: what is told to live connections alone: online-only messages, and who is online."""

import asyncio

from harness import PATIENCE
from world import WAYS, expect, refused, same, scenario, soon, text

BOTH = WAYS[:2]


async def counted(world, user, count):
    """Waits until a user has so many live connections."""
    found = []
    end = asyncio.get_running_loop().time() + PATIENCE
    while len(found) != count:
        expect(asyncio.get_running_loop().time() < end, f"{found}")
        found = (await world.server.done("GET", f"/v1/users/{user}/presence"))["connections"]


@scenario("a message for those online only")
async def online_only(world):
    (user, token), (other, other_token) = await world.user("ona"), await world.user("oni")
    body = text(user, "ring, ring", "ring", onlineOnly=True)
    same((await world.server.done("POST", "/v1/messages", body))["connections"], 0, "connections")
    opened = {way: await world.open(way, user, token) for way in WAYS}
    # One over QUIC is counted a moment after its welcome, when the server has the end of the handshake.
    await counted(world, user, 3)
    # Somebody else's log does not make one a receiver.
    await world.open("sse", user, world.server.admin)
    sender = await world.open("websocket", other, other_token)
    same((await sender.send(text(user, "ring, ring", "ring 2", onlineOnly=True)))["connections"], 3, "connections")
    again = await world.server.done("POST", "/v1/messages", text(user, "ring, ring", "ring 2", onlineOnly=True), other_token)
    same((again["connections"], again["repeated"]), (3, True), "the same again")
    await world.server.notice(user, "z" * 3000, onlineOnly=True)
    for way, connection in opened.items():
        both = [await soon(anext(connection.online), f"a message over {way}") for _ in range(2)]
        # What comes by datagram and what comes on the control stream have no order between them.
        ring, notice = sorted(both, key=lambda message: message["contentType"])
        found = (ring["sender"], ring["content"], ring["contentType"])
        same(found, (other, {"text": "ring, ring"}, 101), f"the message over {way}")
        same(ring["conversation"], {"kind": "single", "peer": other}, "the conversation")
        same((notice["contentType"], notice["notificationType"], len(notice["content"]["text"])), (1400, 1, 3000), "the notice")
        expect("seq" not in ring and ring["serverMsgID"] and ring["time"], f"{ring}")
        if way == "quic":
            same((ring["datagram"], notice["datagram"]), (True, False), "by datagram; what is too large, on the control stream")
    same(await world.whole_log(user), [], "the log")


@scenario("who is online, watched", BOTH)
async def presence(world, way):
    (user, token), (other, other_token) = await world.user("pre"), await world.user("poe")
    watcher = await world.open(way, None, world.server.admin)
    watch = await soon(watcher.watch([user, other]), "presence")
    same(sorted(one["user"] for one in watch.opened), sorted([user, other]), "users")
    expect(not any(one["connections"] for one in watch.opened), f"{watch.opened}")
    transports = []
    for number, kind in enumerate(WAYS, 1):
        await world.open(kind, user, token, device=f"device {number}")
        transports.append(kind)
        (change,) = await soon(anext(watch), "a change")
        same(change["user"], user, "who has come")
        found = {one["device"]: one["transport"] for one in change["connections"]}
        same(found, {f"device {place}": name for place, name in enumerate(transports, 1)}, "connections")
        # That of the token: Web, when none was asked for.
        same({one["platform"] for one in change["connections"]}, {5}, "platforms")
    told = await world.server.done("GET", f"/v1/users/{user}/presence")
    same((told["online"], len(told["connections"])), (True, 3), "presence over HTTP")
    leaver = await world.open("quic", other, other_token)
    same([one["user"] for one in await soon(anext(watch), "a change")], [other], "who has come")
    await leaver.bye()
    same([(one["user"], one["connections"]) for one in await soon(anext(watch), "a change")], [(other, [])], "who has gone")
    # A user may watch themselves alone.
    own = await world.open(way, other, other_token)
    await refused(own.watch([user]), "FORBIDDEN")
    (me,) = (await soon(own.watch([other]), "presence")).opened
    same([one["transport"] for one in me["connections"]], [way], "one's own connection")

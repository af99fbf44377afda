"""Scenarios: messages are sent, kept or not, and every kind of entry that comes of it."""

import asyncio

from waybill.codes import Refused
from world import WAYS, expect, refused, same, scenario, soon, text, until

BOTH = WAYS[:2]


@scenario("send, and again with the same key on another connection", BOTH)
async def send(world, way):
    (one, token), (other, _) = await world.user("sam"), await world.user("tom")
    connection = await world.open(way, one, token)
    first = await soon(connection.send(text(other, "once", "key 1")), "sent")
    same((first["clientMsgID"], first["repeated"]), ("key 1", False), "the first answer")
    same(first["seq"], None, "seq, which is for business")
    # A connection that breaks before the answer: whether it was done is not known, so it is asked again.
    broken = asyncio.create_task(connection.send(text(other, "twice?", "key 2")))
    await asyncio.sleep(0)
    connection.drop()
    await asyncio.gather(broken, return_exceptions=True)
    connection = await world.open(way, one, token)
    again = await soon(connection.send(text(other, "once", "key 1")), "sent again")
    same(again, first | {"repeated": True}, "the second answer")
    await soon(connection.send(text(other, "twice?", "key 2")), "sent again")
    await refused(connection.send(text(other, "something else", "key 1")), "KEY_REUSED")
    same([entry["content"]["text"] for entry in await world.whole_log(other)], ["once", "twice?"], "the receiver's log")
    # Who sends has it in their own log too.
    same([entry["serverMsgID"] for entry in await world.whole_log(one)][0], first["serverMsgID"], "the sender's log")


@scenario("a batch: some are done, others refused", BOTH)
async def batch(world, way):
    (one, token), (other, _) = await world.user("bat"), await world.user("bea")
    connection = await world.open(way, one, token)
    messages = [text(other, f"{number}") for number in range(50)]
    messages[7] = text(other, "a link", sender="somebody else")
    messages[9] = text("", "nobody")
    messages[11] = {"to": {"user": other}, "contentType": 101, "content": {"no": "text"}}
    messages[13] = {"to": {"user": other}, "contentType": 7777, "content": {}}
    answers = await soon(connection.send_batch(messages), "the answers")
    names = {number: answer.name for number, answer in enumerate(answers) if isinstance(answer, Refused)}
    # What is wrong with a message is the same over both, but for the receiver, which JSON has as a field of `to`.
    same(names, {7: "FORBIDDEN", 9: names[9], 11: "CONTENT_RULES", 13: "UNKNOWN_CONTENT_TYPE"}, "the refusals")
    expect(names[9] in ("NO_RECEIVER", "INVALID_FIELD", "INVALID_ID"), names[9])
    log = await world.whole_log(other)
    same([entry["content"]["text"] for entry in log], [str(n) for n in range(50) if n not in names], "the receiver's log")
    done = [answer["serverMsgID"] for answer in answers if isinstance(answer, dict)]
    same([entry["serverMsgID"] for entry in log], done, "the ids")


@scenario("a business account sees the seq, and every field goes through", BOTH)
async def fields(world, way):
    user, _ = await world.user("fay")
    connection = await world.open(way, None, world.server.admin)
    message = text(
        user, "你好", "k", sender="openIM123456", operationID="trace", senderNickname="办公", senderFaceURL="https://f/1", senderPlatformID=8,
        createTime=1700000000000, options={"unreadCount": False, "offlinePush": False},
        offlinePush={"title": "t", "desc": "d", "ex": "e", "iOSPushSound": "s", "iOSBadgeCount": True})
    sent = await soon(connection.send(message), "sent")
    same(sent["seq"], 1, "seq")
    (entry,) = (await connection.pull(0, user=user))["entries"]
    expected = {
        "seq": 1, "kind": 1, "conversation": {"kind": "single", "peer": "openIM123456"}, "conversationSeq": 1,
        "serverMsgID": sent["serverMsgID"], "time": sent["time"], "contentType": 101, "content": {"text": "你好"},
    }
    names = ("clientMsgID", "sender", "senderNickname", "senderFaceURL", "senderPlatformID", "options", "offlinePush")
    same(entry, expected | {name: message[name] for name in names}, "the entry")
    if way == "websocket":
        same(set((await connection._ask("send", message=message))["receivers"][0]), {"user", "seq", "new"}, "fields for business")


@scenario("a message for those online only")
async def online_only(world):
    (user, token), (other, other_token) = await world.user("ona"), await world.user("oni")
    body = text(user, "ring, ring", "ring", onlineOnly=True)
    same((await world.server.done("POST", "/v1/messages", body))["connections"], 0, "connections")
    opened = {way: await world.open(way, user, token) for way in WAYS}
    # Somebody else's log does not make one a receiver.
    await world.open("sse", user, world.server.admin)
    sender = await world.open("websocket", other, other_token)
    same((await sender.send(text(user, "ring, ring", "ring 2", onlineOnly=True)))["connections"], 3, "connections")
    again = await world.server.done("POST", "/v1/messages", text(user, "ring, ring", "ring 2", onlineOnly=True), other_token)
    same((again["connections"], again["repeated"]), (3, True), "the same again")
    await world.server.notice(user, "z" * 3000, onlineOnly=True)
    for way, connection in opened.items():
        first = await soon(anext(connection.online), f"a message over {way}")
        same((first["sender"], first["content"], first["contentType"]), (other, {"text": "ring, ring"}, 101), f"the message over {way}")
        same(first["conversation"], {"kind": "single", "peer": other}, "the conversation")
        second = await soon(anext(connection.online), f"a notice over {way}")
        same((second["contentType"], second["notificationType"], len(second["content"]["text"])), (1400, 1, 3000), "the notice")
        expect("seq" not in first and first["serverMsgID"] and first["time"], f"{first}")
        if way == "quic":
            same((first["datagram"], second["datagram"]), (True, False), "by datagram; what is too large, on the control stream")
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


async def every_kind(world, kim, lee, kim_token, lee_token):
    """Makes entries of every kind in the log of kim, and gives what is expected of each: its kind and some fields."""
    server = world.server
    boss = "openIM123456"
    chat, notices = f"/v1/users/{kim}/conversations/single:{lee}", f"/v1/users/{kim}/conversations/notification:{boss}"
    single, notification = {"kind": "single", "peer": lee}, {"kind": "notification", "peer": boss}
    expected = []

    def entry(kind, conversation, seq, **more):
        expected.append({"kind": kind, "conversation": conversation, "conversationSeq": seq} | more)

    async def message(to, said, token):
        return (await server.done("POST", "/v1/messages", text(to, said), token))["serverMsgID"]

    async def notice(said, **more):
        return (await server.notice(kim, said, **more))["serverMsgID"]

    first = await message(kim, "hello", lee_token)
    entry(1, single, 1, sender=lee, serverMsgID=first, content={"text": "hello"})
    await message(lee, "hello yourself", kim_token)
    entry(1, single, 2, sender=kim, content={"text": "hello yourself"})
    second = await message(kim, "two", lee_token)
    entry(1, single, 3, serverMsgID=second)
    await server.done("PUT", f"{chat}/read", {"conversationSeq": 3}, kim_token)
    entry(2, single, 3, by=kim)
    await message(lee, "are you there?", kim_token)
    entry(1, single, 4, sender=kim)
    await server.done("PUT", f"/v1/users/{lee}/conversations/single:{kim}/read", {"conversationSeq": 4}, lee_token)
    entry(2, single, 4, by=lee)
    await server.done("PATCH", chat, {"pinned": True, "receiveOption": 2}, kim_token)
    entry(3, single, 0, by=kim, settings={"pinned": True, "receiveOption": 2, "hidden": False})
    await server.done("POST", f"/v1/messages/{second}/recall", token=lee_token)
    entry(4, single, 3, by=lee, serverMsgID=second, reason="recalled")
    await server.done("DELETE", f"{chat}/messages", {"conversationSeqs": [1, 2]}, kim_token)
    entry(5, single, 2, by=kim, conversationSeqs=[1, 2])
    await server.done("DELETE", f"{chat}/messages", {"upTo": 3}, kim_token)
    entry(6, single, 3, by=kim)
    old = await notice("draft", collapseKey="c")
    entry(1, notification, 1, serverMsgID=old, notificationType=1, contentType=1400)
    new = await notice("final", collapseKey="c")
    entry(4, notification, 1, by=boss, serverMsgID=old, reason="superseded")
    entry(1, notification, 2, serverMsgID=new)
    await server.done("POST", f"/v1/messages/{new}/opened", {}, kim_token)
    entry(7, notification, 2, by=kim, serverMsgID=new, mark="opened")
    await server.done("POST", f"/v1/messages/{new}/confirmed", {}, kim_token)
    entry(7, notification, 2, by=kim, serverMsgID=new, mark="confirmed")
    changed = {"notificationName": "OA", "notificationType": 1, "text": "changed"}
    await server.done("PATCH", f"/v1/messages/{new}", {"content": changed})
    entry(8, notification, 2, by=boss, serverMsgID=new, content=changed)
    await server.done("PATCH", f"/v1/messages/{new}", {"statusLine": {"text": "Approved", "color": "#00aa00"}})
    entry(8, notification, 2, by=boss, serverMsgID=new, statusLine={"text": "Approved", "color": "#00aa00"})
    return expected


def matches(entry, expected):
    return all(entry.get(name) == value for name, value in expected.items())


@scenario("every kind of entry, over all transports at once")
async def kinds(world):
    (kim, kim_token), (lee, lee_token) = await world.user("kim"), await world.user("lee")
    async with (
        world.following("quic", kim, kim_token) as quic,
        world.following("websocket", kim, kim_token) as websocket,
        world.following("sse", kim, kim_token) as sse,
    ):
        # What others have read is told to those who have a device.
        await world.server.done("PUT", f"/v1/users/{kim}/devices/phone/cursor", {"seq": 0}, kim_token)
        expected = await every_kind(world, kim, lee, kim_token, lee_token)
        for log in (quic, websocket, sse):
            await until(lambda log=log: log.cursor >= len(expected), "all entries")
    whole = await world.whole_log(kim)
    for found, wanted in zip(whole, expected):
        expect(matches(found, wanted), f"{found}, not {wanted}")
    same(len(whole), len(expected), "entries")
    same({entry["kind"] for entry in whole}, set(range(1, 9)), "kinds")
    same(websocket.entries, whole, "the log over WebSocket")
    same(sse.entries, whole, "the log over SSE")
    # Over QUIC why something was withdrawn, and what a message says now, are asked for by its id.
    same(quic.entries, [without(entry) for entry in whole], "the log over QUIC")
    for entry in whole:
        if entry["kind"] == 4:
            found = await world.server.done("GET", f"/v1/messages/{entry['serverMsgID']}", token=kim_token)
            same((found["recalled"], found["reason"]), (True, entry["reason"]), "the message")
    changed = await world.server.done("GET", f"/v1/messages/{whole[-1]['serverMsgID']}", token=kim_token)
    same((changed["content"], changed["statusLine"]), (whole[-2]["content"], whole[-1]["statusLine"]), "the message")


def without(entry):
    """An entry as QUIC tells it."""
    gone = {4: ("reason",), 8: ("content", "statusLine")}.get(entry["kind"], ())
    return {name: value for name, value in entry.items() if name not in gone}

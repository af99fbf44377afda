"""Scenarios: messages are sent, once."""

import asyncio

from waybill.codes import Refused
from world import WAYS, expect, refused, same, scenario, soon, text

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
        user, "你好", "k", sender="openIM123456", operationID="trace", senderNickname="办公", senderFaceURL="https://f/1",
        senderPlatformID=8, createTime=1700000000000, options={"unreadCount": False, "offlinePush": False},
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

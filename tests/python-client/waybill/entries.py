"""Entries: what QUIC says of them in bytes, as the JSON of docs/protocol.md, section 16, which all transports then share."""

import json

from . import wire

CONVERSATIONS = {1: "single", 2: "notification"}
# Bits of "options off".
OPTIONS = {
    1: "history", 2: "persistent", 4: "offlinePush", 8: "unreadCount", 16: "conversationUpdate", 32: "senderSync",
    64: "notPrivate", 128: "senderConversationUpdate", 256: "senderNotificationPush",
}


def from_wire(entry):
    """An entry of a page. One of an unknown kind keeps its payload as it is."""
    shown = {"seq": entry["seq"], "time": entry["time"], "kind": entry["kind"]}
    if entry["kind"] == 1:
        return shown | message(wire.exactly(wire.MESSAGE, entry["payload"]))
    if 2 <= entry["kind"] <= 8:
        return shown | _event(entry["kind"], wire.exactly(wire.EVENT, entry["payload"]))
    if entry["kind"] == 9:
        return shown | wire.exactly(wire.Structure(), entry["payload"])
    return shown | {"payload": entry["payload"]}


def page(value):
    """A page of a pull or a tail."""
    return value | {"entries": [from_wire(entry) for entry in value["entries"]]}


def message(said):
    """A message, in an entry or online-only."""
    shown = _place(said) | {
        "sender": said["sender"],
        "serverMsgID": said["server_message_id"],
        "clientMsgID": said["client_message_id"],
        "contentType": said["content_type"],
        "content": None if said["erased"] else json.loads(said["content"]),
    }
    if said["content_type"] == 1400:
        shown["notificationType"] = said["notification_type"]
    options = {name: False for bit, name in OPTIONS.items() if said["options_off"] & bit}
    more = {
        "senderNickname": said["sender_nickname"],
        "senderFaceURL": said["sender_face_url"],
        "senderPlatformID": said["sender_platform"],
        "options": options,
        "offlinePush": said["offline_push"],
        "erased": said["erased"],
    }
    return shown | {name: value for name, value in more.items() if value}


def _place(said):
    kind = said["conversation_kind"]
    return {
        "conversation": {"kind": CONVERSATIONS.get(kind, kind), "peer": said["conversation_peer"]},
        "conversationSeq": said["conversation_seq"],
    }


def _event(kind, said):
    shown = _place(said) | {"by": said["by"]}
    if kind == 3:
        shown["settings"] = said["settings"]
    if kind in (4, 7, 8):
        shown["serverMsgID"] = said["server_message_id"]
    if kind == 5:
        shown["conversationSeqs"] = said["messages"]
    if kind == 7:
        shown["mark"] = "confirmed" if said["confirmed"] else "opened"
    return shown

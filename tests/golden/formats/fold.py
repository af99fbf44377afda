"""docs/formats.md, section 8: the fold under rules version 1."""

from . import hashes
from .kinds import BODY, BODY_OF_FACT, FAMILIES, POLICY, row_key
from .encoding import Malformed, decode

MOST_DEVICES = 64
MOST_AHEAD_MS = 1_000
MARK_EVERY = 64
MESSAGE_KIND = 1


def parties(conversation):
    ((_, fields),) = conversation.items()
    return list(fields.values())


def receiver_of(message):
    one, other = parties(message["conversation"])
    return other if one == message["sender"] else one


class Fold:
    """Rows by family and key, and the ledger so far."""

    def __init__(self):
        self.rows = {}
        self.records = []
        self.time = 0
        # Where each message came to stand: position → what an answer says of it.
        self.sent = {}

    def get(self, family, *key):
        return self.rows.get((family, row_key(family, *key)))

    def put(self, family, *key_and_row):
        *key, row = key_and_row
        self.rows[family, row_key(family, *key)] = row

    def encoded(self):
        return {(family, key): FAMILIES[family][3].write(row) for (family, key), row in self.rows.items()}

    def record(self, record, data, stored):
        """The next record, its bytes, and its stored body where that exists."""
        position = len(self.records) + 1
        ((name, fact),) = record["fact"].items()
        if record["position"] != position or record["time"] < self.time:
            raise Malformed(f"record {position} does not follow the one before")
        if (position == 1) != (name == "Genesis"):
            raise Malformed(f"record {position}: a ledger begins with one Genesis")
        if (record["commitment"] is not None) != (name in BODY_OF_FACT):
            raise Malformed(f"record {position}: a {name} and its commitment do not fit")
        self.records.append(record)
        self.time = record["time"]
        body = None
        if stored is not None:
            body = decode(BODY, stored[16:])
            ((kind, body),) = body.items()
            if kind != BODY_OF_FACT[name]:
                raise Malformed(f"record {position}: a {name} with a body of {kind}")
        getattr(self, "on_" + name)(position, fact, body, data)

    def on_Genesis(self, _position, fact, _body, _data):
        self.epoch = bytes.fromhex(fact["epoch"])
        self.put("settings", 1, {"Genesis": fact["epoch"]})
        self.put("settings", 2, {"Rules": fact["rules"]})

    def on_RulesChanged(self, _position, fact, _body, _data):
        self.put("settings", 2, {"Rules": fact["rules"]})

    def on_PolicyChanged(self, _position, policy, _body, _data):
        self.put("settings", 3, {"Policy": policy})

    def on_UserSeen(self, position, fact, body, _data):
        self.put("user_ids", fact["id"], {"position": position, "user": fact["user"]})
        self.put("settings", 4, {"Users": fact["user"]})
        if body:
            self.put("users", fact["user"], {"position": position, "id": body["id"]})

    def on_UserRegistered(self, position, fact, body, _data):
        user = fact["user"]
        self.put("registrations", user, {"position": position})
        if body:
            self.put("profiles", user, {"position": position, "profile": body})
        else:
            self.rows.pop(("profiles", row_key("profiles", user)), None)

    def on_DeviceSeen(self, position, fact, body, _data):
        user, device = fact["user"], fact["device"]
        row = self.get("devices", user) or {"last": 0, "devices": []}
        devices = list(row["devices"])
        if len(devices) >= MOST_DEVICES:
            devices.remove(min(devices, key=lambda known: (known["heard"], known["device"])))
        new = {
            "device": device,
            "id": fact["id"],
            "platform": fact["platform"],
            "reached": 0,
            "heard": position,
        }
        self.put("devices", user, {"last": device, "devices": devices + [new]})
        if body:
            self.put("device_names", user, device, {"position": position, "id": body["id"]})

    def on_TokenIssued(self, position, fact, _body, _data):
        row = {
            "position": position,
            "user": fact["user"],
            "platform": fact["platform"],
            "expires": fact["expires"],
            "revoked": None,
        }
        self.put("tokens", fact["token"], row)

    def on_TokensRevoked(self, position, fact, _body, _data):
        user, which = fact["user"], fact["which"]
        if isinstance(which, dict) and "One" in which:
            if row := self.get("tokens", which["One"]):
                self.put("tokens", which["One"], {**row, "revoked": position})
            return
        row = self.get("token_cuts", user) or {"all": 0, "platforms": []}
        platforms = dict(row["platforms"])
        if which == "All":
            row = {**row, "all": position}
        else:
            platforms[which["Platform"]] = position
        platforms = [[platform, cut] for platform, cut in sorted(platforms.items())]
        self.put("token_cuts", user, {**row, "platforms": platforms})

    def on_MessageSent(self, position, message, _body, data):
        conversation = message["conversation"]
        before = self.get("conversations", conversation) or {"head": 0, "last_time": -1}
        shown = min(max(self.time, before["last_time"] + 1), self.time + MOST_AHEAD_MS)
        seq = before["head"] + 1
        self.put("conversations", conversation, {"head": seq, "last": position, "last_time": shown})
        ahead = shown - self.time
        row = {"position": position, "ahead_ms": ahead, "changed_by": None}
        self.put("conversation_log", conversation, seq, row)
        if message["key"] is not None:
            self.put("dedup", message["key"], {"position": position})
        receiver = receiver_of(message)
        leaf = hashes.leaf(data)
        user_seq = self.deliver(receiver, position, seq, ahead, leaf)
        if message["echo"]:
            self.deliver(message["sender"], position, seq, ahead, leaf)
        self.sent[position] = {
            "position": position,
            "time": shown,
            "conversation_seq": seq,
            "receiver": receiver,
            "seq": user_seq,
            "new_receiver": message["new_receiver"],
        }

    def deliver(self, user, position, conversation_seq, ahead, leaf):
        head = self.get("user_heads", user)
        if head is None:
            head = {"head": 0, "floor": 1, "chain": hashes.chain_start(self.epoch, user).hex()}
        seq = head["head"] + 1
        chain = hashes.chain_link(bytes.fromhex(head["chain"]), seq, MESSAGE_KIND, leaf, leaf).hex()
        entry = {
            "position": position,
            "kind": "Message",
            "message": None,
            "conversation_seq": conversation_seq,
            "ahead_ms": ahead,
            "mark": chain if seq % MARK_EVERY == 0 else None,
        }
        self.put("user_log", user, seq, entry)
        self.put("user_heads", user, {"head": seq, "floor": head["floor"], "chain": chain})
        return seq

    def on_Reached(self, position, fact, _body, _data):
        user = 0
        for cursor in fact["cursors"]:
            user += cursor["user_step"]
            if user >= 1 << 64:
                return
            row = self.get("devices", user)
            for known in row["devices"] if row else []:
                if known["device"] == cursor["device"]:
                    known["reached"] = max(known["reached"], cursor["seq"])
                    known["heard"] = position

    def on_BodyErased(self, position, fact, _body, _data):
        whose = fact["position"]
        if not 0 < whose < position:
            raise Malformed(f"record {position} erases what does not exist")
        self.put("erased", whose, {"position": position})
        ((name, erased),) = self.records[whose - 1]["fact"].items()
        if name == "MessageSent":
            prefix = row_key("conversations", erased["conversation"])
            for (family, key), row in self.rows.items():
                if family == "conversation_log" and key.startswith(prefix) and row["position"] == whose:
                    row["changed_by"] = position
        joined = {
            "UserSeen": ("users", ["user"]),
            "UserRegistered": ("profiles", ["user"]),
            "DeviceSeen": ("device_names", ["user", "device"]),
        }
        if name in joined:
            family, parts = joined[name]
            key = [erased[part] for part in parts]
            row = self.get(family, *key)
            if row and row["position"] == whose:
                del self.rows[family, row_key(family, *key)]

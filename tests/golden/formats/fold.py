"""docs/formats.md, section 8: the fold under rules version 1."""

from collections import namedtuple

from . import hashes
from .kinds import BODY, BODY_OF_FACT, FAMILIES, POLICY, row_key
from .encoding import Malformed, decode

MOST_DEVICES = 64
MOST_AHEAD_MS = 1_000
MARK_EVERY = 64
UNREAD_COUNT = 8
ENTRY_KINDS = {"Message": 1, "Read": 2, "Settings": 3, "Recalled": 4, "Removed": 5, "Cleared": 6, "Marked": 7, "Changed": 8}
NO_MEMBERSHIP = {
    "read": 0,
    "read_counted": 0,
    "removed": 0,
    "cleared": 0,
    "until": None,
    "pinned": False,
    "receive_option": 0,
    "hidden_at": 0,
}

# What the entries of one record have in common; `message` is None where it is the message's own.
Passage = namedtuple("Passage", "position message time leaf message_leaf")


def parties(conversation):
    ((_, fields),) = conversation.items()
    return list(fields.values())


def receiver_of(message):
    one, other = parties(message["conversation"])
    return other if one == message["sender"] else one


def other_of(conversation, user):
    one, other = parties(conversation)
    return other if one == user else one


def readers_of(conversation):
    if "Notification" in conversation:
        return [conversation["Notification"]["receiver"]]
    return sorted(set(parties(conversation)))


def between(message, receiver):
    """The conversation in which a receiver gets a message to several."""
    sender = message["sender"]
    if message["kind"] == "Single":
        return {"Single": {"low": min(sender, receiver), "high": max(sender, receiver)}}
    return {"Notification": {"account": sender, "receiver": receiver}}


def running_sum(steps):
    total = 0
    for step in steps:
        total += step
        if total >= 1 << 64:
            return
        yield total


class Fold:
    """Rows by family and key, and the ledger so far."""

    def __init__(self):
        self.rows = {}
        self.records = []
        self.leaves = []
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
        self.leaves.append(hashes.leaf(data))
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

    def on_Restored(self, position, fact, _body, _data):
        restores = (self.get("settings", 8) or {"Restores": []})["Restores"]
        restore = {"position": position, "epoch": fact["epoch"], "gap": fact["gap"]}
        self.put("settings", 8, {"Restores": [*restores, restore]})

    def leave_out(self, log, position, head, before):
        """How many places a log leaves out that goes on with this record."""
        restores = (self.get("settings", 8) or {"Restores": []})["Restores"]
        count = 0
        for restore in reversed(restores):
            if self.get("gaps", log, restore["position"]):
                break
            count += restore["gap"]
        if count:
            row = {"position": position, "first": head + 1, "count": count, "before": before}
            self.put("gaps", log, restores[-1]["position"], row)
        return count

    def on_UserSeen(self, position, fact, body, _data):
        self.put("user_ids", fact["id"], {"position": position, "user": fact["user"]})
        self.put("settings", 4, {"Users": fact["user"]})
        if body:
            self.put("users", fact["user"], {"position": position, "id": body["id"]})

    def on_UserRegistered(self, position, fact, body, _data):
        user = fact["user"]
        self.put("registrations", user, {"position": position, "turns": []})
        self.on_UserUpdated(position, fact, body, _data)

    def on_UserUpdated(self, position, fact, body, _data):
        user = fact["user"]
        if body:
            self.put("profiles", user, {"position": position, "profile": body})
        else:
            self.rows.pop(("profiles", row_key("profiles", user)), None)

    def on_UserUnregistered(self, position, fact, _body, _data):
        row = self.get("registrations", fact["user"])
        self.put("registrations", fact["user"], {**row, "turns": [*fact["turns"], position]})

    def on_UserRegisteredAgain(self, position, fact, body, data):
        self.on_UserUnregistered(position, fact, body, data)
        self.on_UserUpdated(position, fact, body, data)

    def on_LogTrimmed(self, _position, fact, _body, _data):
        row = self.get("user_heads", fact["user"])
        self.put("user_heads", fact["user"], {**row, "floor": fact["floor"]})

    def on_DeviceSeen(self, position, fact, body, _data):
        user, device = fact["user"], fact["device"]
        row = self.get("devices", user) or {"last": 0, "devices": [], "furthest": 0}
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
        self.put("devices", user, {**row, "last": device, "devices": devices + [new]})
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
        if message["key"] is not None:
            self.put("dedup", message["key"], {"position": position})
        self.set_timers(position, message)
        receiver = receiver_of(message)
        passage = Passage(position, None, self.time, hashes.leaf(data), hashes.leaf(data))
        entry, sent = self.enter(message, message["conversation"], receiver, passage)
        if message["echo"]:
            self.deliver(message["sender"], entry, passage)
        self.sent[position] = {**sent, "new_receiver": message["new_receiver"]}

    def set_timers(self, position, message):
        terms = message["terms"]
        if terms and terms["expires"] is not None:
            self.put("timers", terms["expires"], position, {"position": position, "due": "Expire"})
        if terms and terms["not_before"] is not None and terms["not_before"] > self.time:
            self.put("timers", terms["not_before"], position, {"position": position, "due": "Release"})

    def clear_timers(self, whose, *names):
        ((_, message),) = self.records[whose - 1]["fact"].items()
        for name in names:
            if message["terms"] and message["terms"][name] is not None:
                self.rows.pop(("timers", row_key("timers", message["terms"][name], whose)), None)

    def on_MessagePosted(self, position, message, _body, data):
        self.set_timers(position, message)
        ((name, audience),) = message["audience"].items()
        key = message["key"]
        if name != "Listed":
            if key is not None:
                self.put("dedup", key + "03" + "00" * 7, {"position": position})
            fanout = {"next": 1, "delivered": 0, "early": 0, "cut": None, "recalled": 0}
            fanout |= {"since": 0, "since_time": 0, "done": False, "withdrawn": None}
            self.put("fanouts", position, fanout)
            waits = message["terms"] and message["terms"]["not_before"]
            if not waits or waits <= self.time:
                self.begin(position, position, message)
            return
        leaf = hashes.leaf(data)
        for receiver in running_sum(audience["receivers"]):
            if key is not None:
                kind = {"Single": 1, "Notification": 2}[message["kind"]]
                half = bytes([kind]) + receiver.to_bytes(7, "big")
                self.put("dedup", key + half.hex(), {"position": position})
            passage = Passage(position, None, self.time, leaf, leaf)
            self.enter(message, between(message, receiver), receiver, passage)

    def enter(self, message, conversation, receiver, passage):
        """A message comes to the ends of its conversation and of its receiver's log."""
        before = self.get("conversations", conversation)
        if before is None:
            before = {"head": 0, "counted": 0, "last_time": -1}
            for user in readers_of(conversation):
                self.put("user_conversations", user, conversation, {"position": passage.position})
                self.put("versions", user, 1, {"position": passage.position})
        shown = min(max(passage.time, before["last_time"] + 1), passage.time + MOST_AHEAD_MS)
        ahead = shown - passage.time
        earlier = before["head"]
        log = {"Conversation": conversation}
        seq = earlier + self.leave_out(log, passage.position, earlier, before["counted"]) + 1
        counted = before["counted"] + (0 if message["options_off"] & UNREAD_COUNT else 1)
        last = passage.message or passage.position
        end = {"head": seq, "counted": counted, "last": last, "last_time": shown}
        self.put("conversations", conversation, end)
        row = {
            "position": passage.position,
            "message": passage.message,
            "ahead_ms": ahead,
            "notification_type": message["notification_type"],
            "counted": counted,
            "recalled_by": None,
            "changed_by": None,
        }
        self.put("conversation_log", conversation, seq, row)
        if message["terms"] and message["terms"]["collapse"] is not None:
            self.put("collapses", conversation, message["terms"]["collapse"], {"conversation_seq": seq})
        if "Single" in conversation:
            before = self.get("memberships", message["sender"], conversation) or NO_MEMBERSHIP
            self.tell_read(passage.position, message["sender"], conversation, before["read"], earlier)
            own = {"read": seq, "read_counted": counted, "removed": 0}
            self.change_membership(message["sender"], conversation, **own)
        entry = {"kind": "Message", "conversation_seq": seq, "ahead_ms": ahead}
        sent = {
            "position": last,
            "time": shown,
            "conversation_seq": seq,
            "receiver": receiver,
            "seq": self.deliver(receiver, entry, passage),
        }
        return entry, sent

    def change_membership(self, user, conversation, **changes):
        row = self.get("memberships", user, conversation) or NO_MEMBERSHIP
        self.put("memberships", user, conversation, {**row, **changes})

    def deliver(self, user, entry, passage):
        head = self.get("user_heads", user)
        if head is None:
            start = hashes.chain_start(self.epoch, user).hex()
            head = {"head": 0, "floor": 1, "control": 0, "chain": start}
        left_out = self.leave_out({"User": user}, passage.position, head["head"], head["control"])
        seq, control = head["head"] + left_out + 1, head["control"] + left_out
        if entry["kind"] != "Message":
            control += 1
            self.put("control_log", user, control, {"position": passage.position, "seq": seq})
        before, kind = bytes.fromhex(head["chain"]), ENTRY_KINDS[entry["kind"]]
        chain = hashes.chain_link(before, seq, kind, passage.leaf, passage.message_leaf).hex()
        row = {
            "position": passage.position,
            "message": passage.message,
            "mark": chain if seq % MARK_EVERY == 0 else None,
            **entry,
        }
        self.put("user_log", user, seq, row)
        head = {"head": seq, "floor": head["floor"], "control": control, "chain": chain}
        self.put("user_heads", user, head)
        return seq

    def note(self, user, position, kind, conversation_seq, data):
        """An entry that is no message."""
        entry = {"kind": kind, "conversation_seq": conversation_seq, "ahead_ms": 0}
        leaf = hashes.leaf(data)
        self.deliver(user, entry, Passage(position, None, self.time, leaf, leaf))

    def tell(self, position, account, receiver, kind, state, places, message=None):
        """A change for the status log of an account, if the account is tracked."""
        row = self.get("accounts", account)
        if account == receiver or not row or not row["tracked"]:
            return
        first, last = places
        left_out = self.leave_out({"Status": account}, position, row["last"], 0)
        row = {**row, "last": row["last"] + left_out + 1}
        self.put("accounts", account, row)
        change = {
            "position": position,
            "time": self.time,
            "receiver": receiver,
            "kind": kind,
            "state": state,
            "conversation_seq": last,
            "message": message,
        }
        self.put("status_log", account, row["last"], change)
        if message is None:
            key = [{"Single": 1, "Notification": 2}[kind], {"Delivered": 1, "Read": 2}[state], last]
            since = {"position": position, "time": self.time, "first": first}
            self.put("status_times", account, receiver, *key, since)

    def tell_read(self, position, user, conversation, before, now):
        if now > before:
            (kind,) = conversation
            account = other_of(conversation, user)
            self.tell(position, account, user, kind, "Read", (before + 1, now))

    def on_Marked(self, position, fact, _body, data):
        user, conversation, seq = fact["user"], fact["conversation"], fact["conversation_seq"]
        if fact["first"]:
            row = {"position": position, "opened": self.time, "confirmed": None}
        else:
            row = self.get("marks", fact["message"], user)
        if fact["mark"] == "Confirmed":
            row = {**row, "confirmed": self.time}
        self.put("marks", fact["message"], user, row)
        self.note(user, position, "Marked", seq, data)
        (kind,) = conversation
        account = other_of(conversation, user)
        self.tell(position, account, user, kind, fact["mark"], (seq, seq), fact["message"])

    def on_AccountTracked(self, _position, fact, _body, _data):
        row = self.get("accounts", fact["account"]) or {"tracked": False, "last": 0}
        count = (self.get("settings", 7) or {"Tracked": 0})["Tracked"]
        count += fact["on"] - row["tracked"]
        self.put("accounts", fact["account"], {**row, "tracked": fact["on"]})
        self.put("settings", 7, {"Tracked": count})

    def on_OnlineTold(self, _position, _fact, _body, _data):
        """It is for auditors alone."""

    def on_ConversationRead(self, position, fact, _body, data):
        user, conversation = fact["user"], fact["conversation"]
        before = self.get("memberships", user, conversation) or NO_MEMBERSHIP
        self.tell_read(position, user, conversation, before["read"], fact["up_to"])
        self.change_membership(
            user,
            conversation,
            read=fact["up_to"],
            read_counted=fact["counted"],
            removed=fact["removed"],
        )
        self.note(user, position, "Read", fact["up_to"], data)
        if fact["told"]:
            self.note(other_of(conversation, user), position, "Read", fact["up_to"], data)

    def on_ConversationSet(self, position, fact, _body, data):
        user, settings = fact["user"], fact["settings"]
        self.change_membership(user, fact["conversation"], **settings)
        self.put("versions", user, 1, {"position": position})
        self.note(user, position, "Settings", settings["hidden_at"], data)

    def on_MessagesRemoved(self, position, fact, _body, data):
        user, conversation = fact["user"], fact["conversation"]
        taken = 0
        for message in fact["messages"]:
            counted = message["counted"]
            row = {"position": position, "counted": counted != "Not", "by_user": True}
            self.put("removed", user, conversation, message["conversation_seq"], row)
            taken += counted == "Now"
        if taken:
            self.take_out(user, conversation, taken)
        last = fact["messages"][-1]["conversation_seq"] if fact["messages"] else 0
        self.note(user, position, "Removed", last, data)

    def take_out(self, user, conversation, count):
        row = self.get("memberships", user, conversation) or NO_MEMBERSHIP
        self.change_membership(user, conversation, removed=row["removed"] + count)

    def on_ConversationCleared(self, position, fact, _body, data):
        user, conversation = fact["user"], fact["conversation"]
        before = self.get("memberships", user, conversation) or NO_MEMBERSHIP
        self.tell_read(position, user, conversation, before["read"], fact["read"])
        self.change_membership(
            user,
            fact["conversation"],
            cleared=fact["cleared"],
            read=fact["read"],
            read_counted=fact["counted"],
            removed=fact["removed"],
        )
        self.note(user, position, "Cleared", fact["cleared"], data)

    def on_MessageRecalled(self, position, fact, _body, data):
        if fact["why"] == "Expired" and fact["next"] is None:
            self.clear_timers(fact["message"], "expires", "not_before")
        for place in fact["places"]:
            conversation, seq = place["conversation"], place["conversation_seq"]
            receiver = place["receiver"]
            row = self.get("conversation_log", conversation, seq)
            row = {**row, "recalled_by": position, "changed_by": position}
            self.put("conversation_log", conversation, seq, row)
            if place["counted"]:
                removed = {"position": position, "counted": True, "by_user": False}
                self.put("removed", receiver, conversation, seq, removed)
                self.take_out(receiver, conversation, 1)
            self.note(receiver, position, "Recalled", seq, data)
            if fact["echo"]:
                self.note(other_of(conversation, receiver), position, "Recalled", seq, data)
        if fact["next"] is not None:
            row = self.get("fanouts", fact["message"])
            recalled = row["recalled"] + len(fact["places"])
            row = {**row, "next": fact["next"], "recalled": recalled}
            self.put("fanouts", fact["message"], row)
            if fact["next"] == 0:
                self.stop(fact["message"])

    def on_Delivered(self, position, fact, _body, data):
        whose = fact["message"]
        record = self.records[whose - 1]
        message = record["fact"]["MessagePosted"]
        row = self.get("fanouts", whose)
        passage = Passage(position, whose, row["since_time"], hashes.leaf(data), self.leaves[whose - 1])
        receivers = list(running_sum(fact["receivers"]))
        for receiver in receivers:
            self.enter(message, between(message, receiver), receiver, passage)
            if fact["early"]:
                self.put("early", whose, receiver, {"position": position})
        row = self.get("fanouts", whose)
        row = {**row, "delivered": row["delivered"] + len(receivers)}
        if fact["early"]:
            row["early"] += len(receivers)
        else:
            row["next"] = fact["next"]
            if receivers:
                self.put("fanout_chunks", whose, receivers[-1], {"position": position})
            if fact["next"] == 0:
                row["done"] = True
                self.stop(whose)
        self.put("fanouts", whose, row)

    def on_FanoutRecalled(self, position, fact, _body, _data):
        whose = fact["message"]
        row = self.get("fanouts", whose)
        cut = {"cut": 0 if row["done"] else row["next"], "next": 1, "withdrawn": position}
        self.put("fanouts", whose, {**row, **cut})
        self.follow(whose, {"Withdraw": fact["why"]})
        self.clear_timers(whose, "expires", "not_before")

    def on_FanoutReleased(self, position, fact, _body, _data):
        whose = fact["message"]
        self.clear_timers(whose, "not_before")
        self.begin(position, whose, self.records[whose - 1]["fact"]["MessagePosted"])

    def on_FanoutChanged(self, position, fact, _body, _data):
        row = self.get("fanouts", fact["message"])
        self.put("fanouts", fact["message"], {**row, "next": 1})
        self.follow(fact["message"], {"Change": {"change": position, "part": fact["part"]}})

    def on_MessageChanged(self, position, fact, _body, data):
        self.change(position, position, fact["part"], fact["places"], fact["echo"], data)

    def on_ChangeTold(self, position, fact, _body, data):
        whose, change = fact["message"], fact["change"]
        part = self.records[change - 1]["fact"]["FanoutChanged"]["part"]
        self.change(position, change, part, fact["places"], False, data)
        self.put("fanouts", whose, {**self.get("fanouts", whose), "next": fact["next"]})
        if fact["next"] == 0:
            self.stop(whose)

    def change(self, position, change, part, places, echo, data):
        for place in places:
            conversation, seq = place["conversation"], place["conversation_seq"]
            row = self.get("changes", conversation, seq) or {"content": None, "status_line": None}
            name = {"Content": "content", "StatusLine": "status_line"}[part]
            self.put("changes", conversation, seq, {**row, name: change})
            row = self.get("conversation_log", conversation, seq)
            self.put("conversation_log", conversation, seq, {**row, "changed_by": position})
            self.note(place["receiver"], position, "Changed", seq, data)
            if echo:
                self.note(other_of(conversation, place["receiver"]), position, "Changed", seq, data)

    def running(self):
        return (self.get("settings", 5) or {"Running": []})["Running"]

    def begin(self, position, whose, message):
        """Receivers are served from this record on."""
        row = {**self.get("fanouts", whose), "since": position, "since_time": self.time}
        self.put("fanouts", whose, row)
        self.run(whose, message, position, "Deliver")

    def follow(self, whose, errand):
        """Those who have the message are served something else."""
        self.stop(whose)
        since = max(self.get("fanouts", whose)["since"], whose)
        self.run(whose, self.records[whose - 1]["fact"]["MessagePosted"], since, errand)

    def run(self, whose, message, since, errand):
        running = self.running() + [
            {
                "message": whose,
                "sender": message["sender"],
                "kind": message["kind"],
                "since": since,
                "errand": errand,
            }
        ]
        running.sort(key=lambda one: one["since"])
        self.put("settings", 5, {"Running": running})

    def stop(self, position):
        running = [one for one in self.running() if one["message"] != position]
        self.put("settings", 5, {"Running": running})

    def on_AudienceBegun(self, position, fact, _body, _data):
        row = {
            "begun": position,
            "by": self.records[-1]["by"],
            "name": fact["name"],
            "lines": 0,
            "members": 0,
            "refused": 0,
            "complete": None,
        }
        self.put("audiences", fact["audience"], row)
        self.put("settings", 6, {"Audiences": fact["audience"]})

    def on_AudienceFilled(self, position, fact, _body, _data):
        audience = fact["audience"]
        members = list(running_sum(fact["members"]))
        for member in members:
            self.put("audience_members", audience, member, {"position": position})
        row = self.get("audiences", audience)
        row = {**row, "lines": row["lines"] + fact["lines"], "members": row["members"] + len(members)}
        self.put("audiences", audience, row)

    def on_ReceiversRefused(self, position, fact, _body, _data):
        audience, count = fact["audience"], fact["count"]
        row = self.get("audiences", audience)
        self.put("audiences", audience, {**row, "refused": row["refused"] + count})
        self.put("refused", audience, position, {"position": position, "count": count})

    def on_AudienceCommitted(self, position, fact, _body, _data):
        audience = fact["audience"]
        row = {**self.get("audiences", audience), "complete": position}
        self.put("audiences", audience, row)
        self.put("audience_names", row["name"], {"audience": audience})

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
                    row["furthest"] = max(row["furthest"], cursor["seq"])
        receiver = 0
        for passed in fact["passed"]:
            receiver += passed["receiver_step"]
            if receiver >= 1 << 64:
                return
            places = (passed["first"], passed["up_to"])
            self.tell(position, passed["account"], receiver, passed["kind"], "Delivered", places)

    def on_BodyErased(self, position, fact, _body, _data):
        whose = fact["position"]
        if not 0 < whose < position:
            raise Malformed(f"record {position} erases what does not exist")
        self.put("erased", whose, {"position": position})
        ((name, erased),) = self.records[whose - 1]["fact"].items()
        if name in ("MessageSent", "MessagePosted"):
            # What other records deliver has their positions, and is not marked.
            for (family, _), row in self.rows.items():
                if family == "conversation_log" and row["position"] == whose:
                    row["changed_by"] = position
        joined = {
            "UserSeen": ("users", ["user"]),
            "UserRegistered": ("profiles", ["user"]),
            "UserUpdated": ("profiles", ["user"]),
            "UserRegisteredAgain": ("profiles", ["user"]),
            "DeviceSeen": ("device_names", ["user", "device"]),
        }
        if name in joined:
            family, parts = joined[name]
            key = [erased[part] for part in parts]
            row = self.get(family, *key)
            if row and row["position"] == whose:
                del self.rows[family, row_key(family, *key)]

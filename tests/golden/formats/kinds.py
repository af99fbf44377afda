"""docs/formats.md, sections 4, 5, 7 and 11: what is written, field by field."""

from .encoding import (
    U8,
    U16,
    U32,
    U64,
    Bool,
    Bytes,
    Choice,
    Fixed,
    ListOf,
    Malformed,
    Option,
    Struct,
    Text,
    Tuple,
    Zigzag,
    decode_canonical,
)

U8, BOOL, I32, TEXT = U8(), Bool(), Zigzag(), Text()
HASH, KEYED, OPENING, DIGEST, EPOCH = Fixed(32), Fixed(16), Fixed(16), Fixed(8), Fixed(16)

LEDGER_FORMAT = 1
MAX_RECORD_BYTES = 61_440
MAX_BODY_BYTES = 147_456

# --- Section 4: records ---------------------------------------------------------------------------------------------------

SURFACE = Choice(("Server", None), ("NativeHttp", None), ("NativeQuic", None), ("OpenImV2", None), ("OpenImV3", None))
POLICY = Struct(unknown_receiver=Choice(("Accept", None), ("Refuse", None)))
REVOKED = Choice(("One", KEYED), ("Platform", U8), ("All", None))
CONVERSATION = Choice(
    ("Single", Struct(low=U64, high=U64)),
    ("Notification", Struct(account=U64, receiver=U64)),
)
TERMS = Struct(collapse=Option(DIGEST), expires=Option(U64), not_before=Option(U64))
WITHDRAWAL = Choice(("Recalled", None), ("Superseded", None), ("Expired", None))
PART = Choice(("Content", None), ("StatusLine", None))
CHANGED_PLACE = Struct(conversation=CONVERSATION, conversation_seq=U64, receiver=U64)
MESSAGE_SENT = Struct(
    conversation=CONVERSATION,
    sender=U64,
    content_type=U32,
    notification_type=I32,
    options_off=U16,
    echo=BOOL,
    new_receiver=BOOL,
    key=Option(KEYED),
    digest=DIGEST,
    terms=Option(TERMS),
)
CONVERSATION_KIND = Choice(("Single", None), ("Notification", None))
AUDIENCE = Choice(
    ("Listed", Struct(receivers=ListOf(U64), new=ListOf(U16))),
    ("Members", Struct(audience=U64, count=U64)),
    ("Registered", Struct(last=U64)),
    ("Seen", Struct(last=U64)),
)
MESSAGE_POSTED = Struct(
    sender=U64,
    kind=CONVERSATION_KIND,
    content_type=U32,
    notification_type=I32,
    options_off=U16,
    key=Option(DIGEST),
    digest=DIGEST,
    audience=AUDIENCE,
    terms=Option(TERMS),
)
SETTINGS_OF_CONVERSATION = Struct(pinned=BOOL, receive_option=U8, hidden_at=U64)
REMOVED_MESSAGE = Struct(
    conversation_seq=U64,
    counted=Choice(("Not", None), ("Before", None), ("Now", None)),
)
RECALLED_PLACE = Struct(conversation=CONVERSATION, conversation_seq=U64, receiver=U64, counted=BOOL)
MARK = Choice(("Opened", None), ("Confirmed", None))
FACT = Choice(
    ("Genesis", Struct(epoch=EPOCH, rules=U32)),
    ("RulesChanged", Struct(rules=U32)),
    ("PolicyChanged", POLICY),
    ("UserSeen", Struct(user=U64, id=KEYED)),
    ("UserRegistered", Struct(user=U64)),
    ("DeviceSeen", Struct(user=U64, device=U32, id=KEYED, platform=U8)),
    ("TokenIssued", Struct(user=U64, platform=U8, token=KEYED, expires=U64)),
    ("TokensRevoked", Struct(user=U64, which=REVOKED)),
    ("MessageSent", MESSAGE_SENT),
    (
        "Reached",
        Struct(
            cursors=ListOf(Struct(user_step=U64, device=U32, seq=U64)),
            passed=ListOf(
                Struct(receiver_step=U64, account=U64, kind=CONVERSATION_KIND, first=U64, up_to=U64)
            ),
        ),
    ),
    ("BodyErased", Struct(position=U64)),
    ("MessagePosted", MESSAGE_POSTED),
    (
        "ConversationRead",
        Struct(user=U64, conversation=CONVERSATION, up_to=U64, counted=U64, removed=U64, told=BOOL),
    ),
    ("ConversationSet", Struct(user=U64, conversation=CONVERSATION, settings=SETTINGS_OF_CONVERSATION)),
    ("MessagesRemoved", Struct(user=U64, conversation=CONVERSATION, messages=ListOf(REMOVED_MESSAGE))),
    (
        "ConversationCleared",
        Struct(user=U64, conversation=CONVERSATION, cleared=U64, read=U64, counted=U64, removed=U64),
    ),
    (
        "MessageRecalled",
        Struct(message=U64, why=WITHDRAWAL, echo=BOOL, places=ListOf(RECALLED_PLACE), next=Option(U64)),
    ),
    ("Delivered", Struct(message=U64, receivers=ListOf(U64), next=U64, early=BOOL)),
    ("FanoutRecalled", Struct(message=U64, why=WITHDRAWAL)),
    ("AudienceBegun", Struct(audience=U64, name=KEYED)),
    ("AudienceFilled", Struct(audience=U64, lines=U32, members=ListOf(U64))),
    ("ReceiversRefused", Struct(audience=U64, count=U32)),
    ("AudienceCommitted", Struct(audience=U64)),
    ("UserUpdated", Struct(user=U64)),
    ("UserUnregistered", Struct(user=U64, turns=ListOf(U64))),
    ("UserRegisteredAgain", Struct(user=U64, turns=ListOf(U64))),
    ("LogTrimmed", Struct(user=U64, floor=U64)),
    ("FanoutReleased", Struct(message=U64)),
    ("MessageChanged", Struct(message=U64, part=PART, echo=BOOL, places=ListOf(CHANGED_PLACE))),
    ("FanoutChanged", Struct(message=U64, part=PART)),
    ("ChangeTold", Struct(message=U64, change=U64, places=ListOf(CHANGED_PLACE), next=U64)),
    (
        "Marked",
        Struct(
            user=U64,
            message=U64,
            conversation=CONVERSATION,
            conversation_seq=U64,
            mark=MARK,
            first=BOOL,
        ),
    ),
    ("AccountTracked", Struct(account=U64, on=BOOL)),
    ("Restored", Struct(epoch=EPOCH, **{"from": EPOCH}, gap=U64)),
    ("OnlineTold", Struct(sender=U64, audience=U32, commitment=HASH)),
)
RECORD = Struct(
    version=U8,
    position=U64,
    time=U64,
    by=U64,
    surface=SURFACE,
    fact=FACT,
    commitment=Option(HASH),
)


def read_record(position, data):
    """The record at `position`, in the one form in which records are written."""
    if len(data) > MAX_RECORD_BYTES:
        raise Malformed(f"{len(data)} bytes are too long for a record")
    if not data or data[0] != LEDGER_FORMAT:
        raise Malformed("not a record of a known format")
    record = decode_canonical(RECORD, data)
    if record["position"] != position:
        raise Malformed(f"record {record['position']} at position {position}")
    return record


# --- Section 5: bodies ----------------------------------------------------------------------------------------------------

PROFILE = Struct(nickname=TEXT, face_url=TEXT, rest=TEXT)
OFFLINE_PUSH = Struct(title=TEXT, desc=TEXT, ex=TEXT, ios_push_sound=TEXT, ios_badge_count=BOOL)
MESSAGE = Struct(
    client_msg_id=TEXT,
    key=TEXT,
    operation_id=TEXT,
    sender_nickname=TEXT,
    sender_face_url=TEXT,
    sender_platform=I32,
    content=TEXT,
    offline_push=Option(OFFLINE_PUSH),
    created=Option(U64),
    address=TEXT,
)
BODY = Choice(
    ("User", Struct(id=TEXT)),
    ("Profile", PROFILE),
    ("Device", Struct(id=TEXT)),
    ("Message", MESSAGE),
    ("Audience", Struct(name=TEXT)),
    ("Refused", Struct(ids=ListOf(TEXT))),
    ("Change", Choice(("Content", TEXT), ("StatusLine", Struct(text=TEXT, color=TEXT)))),
)
BODY_OF_FACT = {
    "UserSeen": "User",
    "UserRegistered": "Profile",
    "DeviceSeen": "Device",
    "MessageSent": "Message",
    "MessagePosted": "Message",
    "AudienceBegun": "Audience",
    "ReceiversRefused": "Refused",
    "UserUpdated": "Profile",
    "UserRegisteredAgain": "Profile",
    "MessageChanged": "Change",
    "FanoutChanged": "Change",
}

# --- Section 7: rows of the views -----------------------------------------------------------------------------------------


class Fixed32:
    """A number of a key, big-endian."""

    def __init__(self, width):
        self.width = width

    def write(self, value):
        return value.to_bytes(self.width, "big")


class ConversationKey:
    """A conversation as a key: kind, and the two user numbers."""

    def write(self, value):
        ((name, parties),) = value.items()
        kind, first, second = {
            "Single": (1, "low", "high"),
            "Notification": (2, "account", "receiver"),
        }[name]
        return bytes([kind]) + parties[first].to_bytes(8, "big") + parties[second].to_bytes(8, "big")


class LogKey:
    """A log whose places are numbered, as a key: kind, and whose or which."""

    def write(self, value):
        ((name, which),) = value.items()
        if name == "Conversation":
            return bytes([3]) + ConversationKey().write(which)
        return bytes([{"User": 1, "Status": 2}[name]]) + which.to_bytes(8, "big")


KEY_U8, KEY_U32, KEY_U64, KEY_CONVERSATION = Fixed32(1), Fixed32(4), Fixed32(8), ConversationKey()
ERRAND = Choice(
    ("Deliver", None), ("Withdraw", WITHDRAWAL), ("Change", Struct(change=U64, part=PART))
)
RUNNING = Struct(message=U64, sender=U64, kind=CONVERSATION_KIND, since=U64, errand=ERRAND)
SETTINGS = Choice(
    ("Genesis", EPOCH),
    ("Rules", U32),
    ("Policy", POLICY),
    ("Users", U64),
    ("Running", ListOf(RUNNING)),
    ("Audiences", U64),
    ("Tracked", U64),
    ("Restores", ListOf(Struct(position=U64, epoch=EPOCH, gap=U64))),
)
DEVICE = Struct(device=U32, id=KEYED, platform=U8, reached=U64, heard=U64)
TOKEN = Struct(position=U64, user=U64, platform=U8, expires=U64, revoked=Option(U64))
USER_LOG = Struct(
    position=U64,
    kind=Choice(
        ("Message", None),
        ("Read", None),
        ("Settings", None),
        ("Recalled", None),
        ("Removed", None),
        ("Cleared", None),
        ("Changed", None),
        ("Marked", None),
    ),
    message=Option(U64),
    conversation_seq=U64,
    ahead_ms=U16,
    mark=Option(HASH),
)

MEMBERSHIP = Struct(
    read=U64,
    read_counted=U64,
    removed=U64,
    cleared=U64,
    until=Option(U64),
    pinned=BOOL,
    receive_option=U8,
    hidden_at=U64,
)
FANOUT = Struct(
    next=U64,
    delivered=U64,
    early=U64,
    cut=Option(U64),
    recalled=U64,
    since=U64,
    since_time=U64,
    done=BOOL,
    withdrawn=Option(U64),
)
AUDIENCE_ROW = Struct(
    begun=U64, by=U64, name=KEYED, lines=U64, members=U64, refused=U64, complete=Option(U64)
)
STATUS = Struct(
    position=U64,
    time=U64,
    receiver=U64,
    kind=CONVERSATION_KIND,
    state=Choice(("Delivered", None), ("Read", None), ("Opened", None), ("Confirmed", None)),
    conversation_seq=U64,
    message=Option(U64),
)
AT = Struct(position=U64)

# Name: (number, folded, parts of the key, value).
FAMILIES = {
    "settings": (1, True, [KEY_U8], SETTINGS),
    "user_ids": (2, True, [KEYED], Struct(position=U64, user=U64)),
    "users": (3, False, [KEY_U64], Struct(position=U64, id=TEXT)),
    "registrations": (4, True, [KEY_U64], Struct(position=U64, turns=ListOf(U64))),
    "profiles": (5, False, [KEY_U64], Struct(position=U64, profile=PROFILE)),
    "devices": (6, True, [KEY_U64], Struct(last=U32, devices=ListOf(DEVICE), furthest=U64)),
    "device_names": (7, False, [KEY_U64, KEY_U32], Struct(position=U64, id=TEXT)),
    "tokens": (8, True, [KEYED], TOKEN),
    "token_cuts": (9, True, [KEY_U64], Struct(all=U64, platforms=ListOf(Tuple(U8, U64)))),
    "user_heads": (10, True, [KEY_U64], Struct(head=U64, floor=U64, control=U64, chain=HASH)),
    "user_log": (11, True, [KEY_U64, KEY_U64], USER_LOG),
    "conversations": (12, True, [KEY_CONVERSATION], Struct(head=U64, counted=U64, last=U64, last_time=U64)),
    "conversation_log": (
        13,
        True,
        [KEY_CONVERSATION, KEY_U64],
        Struct(
            position=U64,
            message=Option(U64),
            ahead_ms=U16,
            notification_type=I32,
            counted=U64,
            recalled_by=Option(U64),
            changed_by=Option(U64),
        ),
    ),
    "dedup": (14, True, [KEYED], Struct(position=U64)),
    "erased": (15, True, [KEY_U64], Struct(position=U64)),
    "memberships": (16, True, [KEY_U64, KEY_CONVERSATION], MEMBERSHIP),
    "user_conversations": (17, True, [KEY_U64, KEY_CONVERSATION], AT),
    "removed": (
        18,
        True,
        [KEY_U64, KEY_CONVERSATION, KEY_U64],
        Struct(position=U64, counted=BOOL, by_user=BOOL),
    ),
    "control_log": (19, True, [KEY_U64, KEY_U64], Struct(position=U64, seq=U64)),
    "versions": (20, True, [KEY_U64, KEY_U8], AT),
    "fanouts": (21, True, [KEY_U64], FANOUT),
    "fanout_chunks": (22, True, [KEY_U64, KEY_U64], AT),
    "early": (23, True, [KEY_U64, KEY_U64], AT),
    "audiences": (24, True, [KEY_U64], AUDIENCE_ROW),
    "audience_names": (25, True, [KEYED], Struct(audience=U64)),
    "audience_members": (26, True, [KEY_U64, KEY_U64], AT),
    "refused": (27, True, [KEY_U64, KEY_U64], Struct(position=U64, count=U32)),
    "timers": (
        28,
        True,
        [KEY_U64, KEY_U64],
        Struct(position=U64, due=Choice(("Release", None), ("Expire", None))),
    ),
    "collapses": (29, True, [KEY_CONVERSATION, DIGEST], Struct(conversation_seq=U64)),
    "changes": (
        30,
        True,
        [KEY_CONVERSATION, KEY_U64],
        Struct(content=Option(U64), status_line=Option(U64)),
    ),
    "marks": (31, True, [KEY_U64, KEY_U64], Struct(position=U64, opened=U64, confirmed=Option(U64))),
    "accounts": (32, True, [KEY_U64], Struct(tracked=BOOL, last=U64)),
    "status_log": (33, True, [KEY_U64, KEY_U64], STATUS),
    "status_times": (
        34,
        True,
        [KEY_U64, KEY_U64, KEY_U8, KEY_U8, KEY_U64],
        Struct(position=U64, time=U64, first=U64),
    ),
    "gaps": (35, True, [LogKey(), KEY_U64], Struct(position=U64, first=U64, count=U64, before=U64)),
}


def row_key(family, *parts):
    kinds = FAMILIES[family][2]
    return b"".join(kind.write(part) for kind, part in zip(kinds, parts, strict=True))


# --- Section 11: commands and answers -------------------------------------------------------------------------------------

REFERENCE = Struct(id=TEXT, hash=KEYED, opening=OPENING)
SEALED = Struct(opening=OPENING, commitment=HASH, bytes=Bytes())
SEND = Struct(
    sender=REFERENCE,
    receiver=REFERENCE,
    kind=CONVERSATION_KIND,
    account=BOOL,
    content_type=U32,
    notification_type=I32,
    options_off=U16,
    key=Option(KEYED),
    digest=DIGEST,
    terms=Option(TERMS),
    body=SEALED,
)
POST = Struct(
    sender=REFERENCE,
    to=Choice(("Users", ListOf(REFERENCE)), ("Audience", U64), ("Registered", None), ("Seen", None)),
    kind=CONVERSATION_KIND,
    content_type=U32,
    notification_type=I32,
    options_off=U16,
    key=Option(DIGEST),
    digest=DIGEST,
    terms=Option(TERMS),
    body=SEALED,
)
DEED = Choice(
    ("Read", Struct(up_to=U64)),
    ("Set", Struct(pinned=Option(BOOL), receive_option=Option(U8), hidden=Option(BOOL))),
    ("Remove", Struct(messages=ListOf(U64))),
    ("Clear", Struct(up_to=U64)),
)
ASK = Choice(
    ("Found", Struct(epoch=EPOCH, rules=U32)),
    ("ChangeRules", Struct(rules=U32)),
    ("ChangePolicy", POLICY),
    ("Register", Struct(user=REFERENCE, profile=SEALED)),
    (
        "IssueToken",
        Struct(
            user=REFERENCE,
            unknown=Choice(("See", None), ("Refuse", None)),
            platform=U8,
            token=KEYED,
            expires=U64,
            ends=ListOf(REVOKED),
        ),
    ),
    ("RevokeTokens", Struct(user=U64, which=REVOKED)),
    ("Send", SEND),
    ("SeeDevice", Struct(user=U64, id=KEYED, platform=U8, body=SEALED)),
    ("Reach", Struct(cursors=ListOf(Tuple(U64, U32, U64)))),
    ("Erase", Struct(position=U64)),
    ("Post", POST),
    ("Tend", Struct(user=U64, conversation=CONVERSATION, deed=DEED)),
    ("Recall", Struct(message=U64, receiver=Option(U64))),
    ("BeginAudience", Struct(name=KEYED, body=SEALED)),
    ("FillAudience", Struct(audience=U64, line=U64, users=ListOf(REFERENCE), opening=OPENING)),
    ("CommitAudience", Struct(audience=U64)),
    ("FanoutNext", Struct(message=U64, **{"from": U64}, most=U16)),
    ("UpdateProfile", Struct(user=U64, base=Option(U64), profile=SEALED)),
    ("Unregister", Struct(user=U64)),
    ("TrimLog", Struct(user=U64, floor=U64)),
    ("Expire", Struct(message=U64)),
    ("Release", Struct(message=U64)),
    ("Change", Struct(message=U64, receiver=Option(U64), part=PART, body=SEALED)),
    ("Mark", Struct(user=U64, message=U64, mark=MARK)),
    ("Track", Struct(account=REFERENCE, on=BOOL)),
    ("Restore", Struct(epoch=EPOCH, last=U64, gap=U64)),
    ("NoteOnline", Struct(sender=REFERENCE, audience=U32, commitment=HASH)),
)
STAMPED = Struct(time=U64, command=Struct(by=U64, surface=SURFACE, ask=ASK))

SENT = Struct(
    position=U64,
    time=U64,
    conversation_seq=U64,
    receiver=U64,
    seq=Option(U64),
    new_receiver=BOOL,
    repeated=BOOL,
)
REFUSAL = Choice(
    *(
        (name, None)
        for name in (
            "KeyReused UnknownReceiver UnknownUser AlreadyRegistered NothingToErase "
            "AlreadyFounded NotFounded BadRules TooLarge BadBody "
            "UnknownConversation BeyondConversation UnknownMessage BadSetting NamedTwice "
            "UnknownAudience AudienceState Underway Stale TooManyRunning BeyondLog "
            "Expired TooFarAhead Withdrawn BadEpoch"
        ).split()
    )
)
OUTCOME = Choice(
    ("Done", None),
    ("Sent", SENT),
    ("User", Struct(user=U64, new=BOOL)),
    ("Device", Struct(device=U32)),
    ("Posted", ListOf(Choice(("Ok", SENT), ("Err", REFUSAL)))),
    ("Read", Struct(up_to=U64, unread=U64)),
    ("Recalled", Struct(receivers=U32)),
    ("Begun", Struct(position=U64, time=U64, repeated=BOOL)),
    ("Audience", Struct(audience=U64)),
    ("Filled", Struct(lines=U64, members=U64, refused=U64)),
    ("Progress", Struct(next=U64, served=U32)),
    ("Changed", Struct(position=U64, receivers=U32)),
    ("ReachedPartly", None),
    ("Marked", Struct(confirmed=BOOL)),
)
ANSWER = Choice(("Ok", OUTCOME), ("Err", REFUSAL))

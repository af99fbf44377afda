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

SURFACE = Choice(("Server", None), ("NativeHttp", None), ("NativeQuic", None), ("OpenImV2", None))
POLICY = Struct(unknown_receiver=Choice(("Accept", None), ("Refuse", None)))
REVOKED = Choice(("One", KEYED), ("Platform", U8), ("All", None))
CONVERSATION = Choice(
    ("Single", Struct(low=U64, high=U64)),
    ("Notification", Struct(account=U64, receiver=U64)),
)
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
)
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
    ("Reached", Struct(cursors=ListOf(Struct(user_step=U64, device=U32, seq=U64)))),
    ("BodyErased", Struct(position=U64)),
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
)
BODY_OF_FACT = {
    "UserSeen": "User",
    "UserRegistered": "Profile",
    "DeviceSeen": "Device",
    "MessageSent": "Message",
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


KEY_U8, KEY_U32, KEY_U64, KEY_CONVERSATION = Fixed32(1), Fixed32(4), Fixed32(8), ConversationKey()
SETTINGS = Choice(("Genesis", EPOCH), ("Rules", U32), ("Policy", POLICY), ("Users", U64))
DEVICE = Struct(device=U32, id=KEYED, platform=U8, reached=U64, heard=U64)
TOKEN = Struct(position=U64, user=U64, platform=U8, expires=U64, revoked=Option(U64))
USER_LOG = Struct(
    position=U64,
    kind=Choice(("Message", None)),
    message=Option(U64),
    conversation_seq=U64,
    ahead_ms=U16,
    mark=Option(HASH),
)

# Name: (number, folded, parts of the key, value).
FAMILIES = {
    "settings": (1, True, [KEY_U8], SETTINGS),
    "user_ids": (2, True, [KEYED], Struct(position=U64, user=U64)),
    "users": (3, False, [KEY_U64], Struct(position=U64, id=TEXT)),
    "registrations": (4, True, [KEY_U64], Struct(position=U64)),
    "profiles": (5, False, [KEY_U64], Struct(position=U64, profile=PROFILE)),
    "devices": (6, True, [KEY_U64], Struct(last=U32, devices=ListOf(DEVICE))),
    "device_names": (7, False, [KEY_U64, KEY_U32], Struct(position=U64, id=TEXT)),
    "tokens": (8, True, [KEYED], TOKEN),
    "token_cuts": (9, True, [KEY_U64], Struct(all=U64, platforms=ListOf(Tuple(U8, U64)))),
    "user_heads": (10, True, [KEY_U64], Struct(head=U64, floor=U64, chain=HASH)),
    "user_log": (11, True, [KEY_U64, KEY_U64], USER_LOG),
    "conversations": (12, True, [KEY_CONVERSATION], Struct(head=U64, last=U64, last_time=U64)),
    "conversation_log": (
        13,
        True,
        [KEY_CONVERSATION, KEY_U64],
        Struct(position=U64, ahead_ms=U16, changed_by=Option(U64)),
    ),
    "dedup": (14, True, [KEYED], Struct(position=U64)),
    "erased": (15, True, [KEY_U64], Struct(position=U64)),
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
    kind=Choice(("Single", None), ("Notification", None)),
    account=BOOL,
    content_type=U32,
    notification_type=I32,
    options_off=U16,
    key=Option(KEYED),
    digest=DIGEST,
    body=SEALED,
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
        ),
    ),
    ("RevokeTokens", Struct(user=U64, which=REVOKED)),
    ("Send", SEND),
    ("SeeDevice", Struct(user=U64, id=KEYED, platform=U8, body=SEALED)),
    ("Reach", Struct(cursors=ListOf(Tuple(U64, U32, U64)))),
    ("Erase", Struct(position=U64)),
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
OUTCOME = Choice(
    ("Done", None),
    ("Sent", SENT),
    ("User", Struct(user=U64, new=BOOL)),
    ("Device", Struct(device=U32)),
)
REFUSAL = Choice(
    *(
        (name, None)
        for name in (
            "KeyReused UnknownReceiver UnknownUser AlreadyRegistered NothingToErase "
            "AlreadyFounded NotFounded BadRules TooLarge BadBody"
        ).split()
    )
)
ANSWER = Choice(("Ok", OUTCOME), ("Err", REFUSAL))

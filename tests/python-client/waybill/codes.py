"""The codes of docs/protocol.md, section 10, and the two ways in which they come."""

CODES = {
    0: "CLOSED", 3: "BODY_TOO_LARGE", 6: "MALFORMED", 7: "INVALID_FIELD", 8: "INVALID_ID", 9: "UNKNOWN_CONTENT_TYPE",
    10: "CONTENT_SHAPE", 11: "CONTENT_RULES", 12: "CONTENT_TOO_LARGE", 13: "NO_RECEIVER", 14: "UNKNOWN_SESSION_TYPE",
    15: "UNKNOWN_GROUP", 16: "NOT_OFFERED", 20: "NO_TOKEN", 21: "TOKEN_MALFORMED", 22: "TOKEN_EXPIRED",
    23: "TOKEN_NOT_YET_VALID", 24: "TOKEN_UNKNOWN", 25: "TOKEN_REVOKED", 26: "TOKEN_STATE_UNAVAILABLE", 27: "FORBIDDEN",
    30: "KEY_REUSED", 31: "UNKNOWN_RECEIVER", 32: "UNKNOWN_USER", 33: "ALREADY_REGISTERED", 34: "UNKNOWN_MESSAGE",
    35: "TOO_OLD", 36: "AHEAD", 37: "OTHER_EPOCH", 38: "UNKNOWN_CONVERSATION", 39: "BEYOND_CONVERSATION", 40: "BUSY",
    41: "STOPPING", 42: "TOO_MANY_CONNECTIONS", 43: "OUTCOME_UNKNOWN", 44: "UNKNOWN_AUDIENCE", 45: "AUDIENCE_STATE",
    46: "STALE", 47: "TOO_MANY_RUNNING", 48: "UNDERWAY", 49: "UNKNOWN_TASK", 50: "INTERNAL", 51: "MESSAGE_RECALLED",
    52: "EXPIRED", 53: "TOO_FAR_AHEAD", 54: "FOREIGN_ORIGIN", 55: "TICKET_UNKNOWN", 56: "RATE_LIMITED", 100: "MALFORMED_FRAME",
    101: "FRAME_TOO_LONG", 102: "HELLO_EXPECTED", 103: "HELLO_REPEATED", 104: "UNEXPECTED_FRAME", 105: "HELLO_TIMEOUT",
    106: "EARLY_DATA", 107: "TOO_MANY_PULLS", 108: "TOO_MANY_TAILS", 109: "STREAM_BROKEN", 110: "NO_DEVICE", 111: "SUPERSEDED",
    112: "TOO_SLOW", 113: "SILENT", 114: "LOGGED_IN_ELSEWHERE",
}

# After these a device does not come back by itself (section 15).
FINAL = ("SUPERSEDED", "LOGGED_IN_ELSEWHERE", "TOKEN_REVOKED", "TOKEN_EXPIRED")


class Refused(Exception):
    """The answer to a request that fails."""

    def __init__(self, name, message, retryable=False, retry_after=0, **more):
        super().__init__(f"{name}: {message}")
        self.name, self.message, self.retryable, self.retry_after, self.more = name, message, retryable, retry_after, more


class Ended(Exception):
    """The connection is gone. `name` is None when it broke and nothing was said, and `retry_after` is in milliseconds."""

    # The code of QUIC itself, when it was that which ended the connection.
    transport_error = None

    def __init__(self, name, reason="", retry_after=0, said_bye=False):
        super().__init__(f"{name or 'broken'}: {reason}")
        self.name, self.reason, self.retry_after, self.said_bye = name, reason, retry_after, said_bye


def name_of(code):
    """The name of a code; an unknown one has none but its number."""
    return CODES.get(code, f"code {code}")

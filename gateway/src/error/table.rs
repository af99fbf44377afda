//! The rows of the error table.

/// What one kind of error is on every surface.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// The kind.
    pub kind: Kind,
    /// The last part of the problem type (`urn:waybill:problem:<slug>`): stable, programs may compare it.
    pub slug: &'static str,
    /// The title of the problem: one sentence, the same for all errors of the kind.
    pub title: &'static str,
    /// HTTP status of the native surface.
    pub http: u16,
    /// HTTP status in OpenIM's v2 dialect: 200 for what the original finds in its services, 400 for what it finds in
    /// the request.
    pub v2_http: u16,
    /// errCode in OpenIM's v2 dialect.
    pub v2: i32,
    /// errCode in OpenIM's v3 dialect, whose HTTP status is always 200.
    pub v3: i32,
    /// Code in native frames: never given to another kind.
    pub wire: u16,
    /// Seconds after which a retry makes sense (`Retry-After`); 0 for none.
    pub retry_after: u32,
}

macro_rules! table {
    ($($(#[doc = $doc:literal])+ $kind:ident: $slug:literal, $title:literal,
       $http:literal, v2 $v2_http:literal $v2:literal, v3 $v3:literal, wire $wire:literal, retry $retry:literal;)+) => {
        /// The kinds of error that a caller can meet.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[doc = $doc])+ $kind,)+
        }

        /// All rows, in the order of the kinds.
        pub const TABLE: &[Row] = &[$(Row {
            kind: Kind::$kind,
            slug: $slug,
            title: $title,
            http: $http,
            v2_http: $v2_http,
            v2: $v2,
            v3: $v3,
            wire: $wire,
            retry_after: $retry,
        }),+];
    };
}

table! {
    /// There is no such path.
    NoRoute: "no-route", "There is nothing at this address.",
        404, v2 404 404, v3 1004, wire 1, retry 0;
    /// The path does not take this method.
    Method: "method-not-allowed", "This address does not take this method.",
        405, v2 404 404, v3 1004, wire 2, retry 0;
    /// The body is longer than allowed.
    BodyTooLarge: "body-too-large", "The request is too large.",
        413, v2 413 400, v3 1001, wire 3, retry 0;
    /// The body did not come in time.
    BodyTimeout: "body-timeout", "The body of the request did not come in time.",
        408, v2 408 400, v3 1001, wire 4, retry 0;
    /// The body is compressed, or no JSON by its own account.
    Encoding: "unsupported-encoding", "Bodies are plain JSON: no other media type and no compression.",
        415, v2 415 400, v3 1001, wire 5, retry 0;
    /// The body is not JSON, or nested too deeply.
    Malformed: "malformed", "The request cannot be read.",
        400, v2 400 400, v3 1001, wire 6, retry 0;
    /// A field is missing, unknown, of the wrong type or out of range.
    InvalidField: "invalid-field", "A field of the request is missing or wrong.",
        400, v2 400 400, v3 1001, wire 7, retry 0;
    /// An id is empty, too long, or holds control characters.
    InvalidId: "invalid-id", "An id has 1 to 64 bytes and no control characters.",
        400, v2 400 403, v3 1001, wire 8, retry 0;
    /// The contentType is not one that may be sent.
    ContentType: "unknown-content-type", "Messages of this contentType cannot be sent.",
        400, v2 400 404, v3 1001, wire 9, retry 0;
    /// Values of the content have the wrong type.
    ContentShape: "content-shape", "The content does not have the shape of its contentType.",
        400, v2 400 401, v3 1001, wire 10, retry 0;
    /// Required values of the content are missing, or a text of it is not fit to be shown or a link not to be opened.
    ContentRules: "content-rules", "The content breaks a rule of its contentType.",
        400, v2 400 403, v3 1001, wire 11, retry 0;
    /// The content is longer than allowed.
    ContentTooLarge: "content-too-large", "The content is too large.",
        413, v2 400 403, v3 1001, wire 12, retry 0;
    /// A receiver is missing.
    NoReceiver: "no-receiver", "The request names no receiver.",
        400, v2 400 405, v3 1001, wire 13, retry 0;
    /// There is no such kind of conversation.
    SessionType: "unknown-session-type", "There is no such kind of conversation.",
        400, v2 200 203, v3 1001, wire 14, retry 0;
    /// There is no such group.
    UnknownGroup: "unknown-group", "There is no such group.",
        404, v2 200 802, v3 1201, wire 15, retry 0;
    /// The server does not do this yet.
    NotOffered: "not-offered", "This server does not offer that.",
        501, v2 200 801, v3 1002, wire 16, retry 0;
    /// There is no token.
    NoToken: "no-token", "The request carries no token.",
        401, v2 400 703, v3 1507, wire 20, retry 0;
    /// The token is no token.
    TokenMalformed: "token-malformed", "That is not even a token.",
        401, v2 400 703, v3 1503, wire 21, retry 0;
    /// The token has expired.
    TokenExpired: "token-expired", "The token has expired: ask for a new one.",
        401, v2 400 701, v3 1501, wire 22, retry 0;
    /// The token is not valid yet.
    TokenEarly: "token-not-yet-valid", "The token is not valid yet.",
        401, v2 400 704, v3 1504, wire 23, retry 0;
    /// The token was not issued here.
    TokenUnknown: "token-unknown", "The token was not issued by this server.",
        401, v2 400 705, v3 1505, wire 24, retry 0;
    /// The token was revoked.
    TokenRevoked: "token-revoked", "The token was revoked: log in again.",
        401, v2 400 706, v3 1506, wire 25, retry 0;
    /// The state of the token cannot be read now.
    TokenState: "token-state-unavailable", "The token cannot be checked now.",
        503, v2 400 702, v3 500, wire 26, retry 1;
    /// The caller may not do this.
    Forbidden: "forbidden", "The caller may not do this.",
        403, v2 400 400, v3 1002, wire 27, retry 0;
    /// The secret of `/auth/*` is wrong.
    WrongSecret: "wrong-secret", "The secret is wrong.",
        401, v2 400 401, v3 1002, wire 28, retry 0;
    /// The key was used for another request.
    KeyReused: "key-reused", "The idempotency key was used before, for another request.",
        422, v2 200 803, v3 1003, wire 30, retry 0;
    /// The receiver was never seen, and the server is configured to refuse such.
    UnknownReceiver: "unknown-receiver", "The receiver is not known here.",
        422, v2 200 802, v3 1101, wire 31, retry 0;
    /// There is no such user.
    UnknownUser: "unknown-user", "There is no such user.",
        404, v2 200 802, v3 1101, wire 32, retry 0;
    /// The user is registered already.
    AlreadyRegistered: "already-registered", "The user is registered already.",
        409, v2 500 500, v3 1102, wire 33, retry 0;
    /// There is no such message, or not for this caller.
    UnknownMessage: "unknown-message", "There is no such message.",
        404, v2 200 802, v3 1004, wire 34, retry 0;
    /// The client's log ends before the first entry still there.
    TooOld: "too-old", "Entries after this place are no longer there.",
        410, v2 200 802, v3 1004, wire 35, retry 0;
    /// The client's log is longer than the server's.
    Ahead: "ahead", "This place is beyond the end of the log: the client's log is of another history.",
        409, v2 200 803, v3 1001, wire 36, retry 0;
    /// The client's log is of another epoch.
    OtherEpoch: "other-epoch", "The client's log is of another history: it must start anew.",
        409, v2 200 803, v3 1001, wire 37, retry 0;
    /// The user has no such conversation.
    UnknownConversation: "unknown-conversation", "The user has no such conversation.",
        404, v2 200 802, v3 1004, wire 38, retry 0;
    /// The conversation seq is 0 or beyond the end of the conversation.
    BeyondConversation: "beyond-conversation", "The conversation seq is none of the conversation.",
        422, v2 200 803, v3 1001, wire 39, retry 0;
    /// The server has too much to do. Nothing was done.
    Busy: "busy", "The server is busy: nothing was done, try again.",
        503, v2 503 500, v3 500, wire 40, retry 1;
    /// The server is stopping. Nothing was done.
    Stopping: "stopping", "The server is stopping: nothing was done, try again.",
        503, v2 503 500, v3 500, wire 41, retry 2;
    /// Too many connections of this user, this address or in all.
    Connections: "too-many-connections", "There are too many connections.",
        503, v2 503 500, v3 1601, wire 42, retry 5;
    /// It is not known whether it was done.
    OutcomeUnknown: "outcome-unknown", "It is not known whether this was done: ask again with the same key.",
        504, v2 500 500, v3 500, wire 43, retry 1;
    /// There is no such audience.
    UnknownAudience: "unknown-audience", "There is no such audience.",
        404, v2 200 802, v3 1004, wire 44, retry 0;
    /// The audience takes no more members, or cannot be sent to yet.
    AudienceState: "audience-state", "The audience is complete, or is not.",
        409, v2 200 803, v3 1001, wire 45, retry 0;
    /// Something has moved on since the request was made.
    Stale: "stale", "This has moved on: look where it stands, and go on from there.",
        409, v2 200 803, v3 1001, wire 46, retry 0;
    /// Too many fan-outs run. Nothing was done.
    TooManyRunning: "too-many-running", "Too many messages to many receivers are on their way: nothing was done, try again.",
        503, v2 503 500, v3 500, wire 47, retry 5;
    /// The message has not reached the receiver yet.
    Underway: "underway", "The message is on its way to this receiver and cannot be recalled from them yet.",
        409, v2 200 803, v3 1001, wire 48, retry 0;
    /// There is no such task.
    UnknownTask: "unknown-task", "There is no such task.",
        404, v2 200 802, v3 1004, wire 49, retry 0;
    /// The time at which the message was to be withdrawn has passed.
    Expired: "expired", "The message's time is over already.",
        422, v2 200 803, v3 1001, wire 52, retry 0;
    /// The message was to wait too long, or until after its own end.
    TooFarAhead: "too-far-ahead", "The message was to wait longer than 366 days, or until after its own end.",
        422, v2 200 803, v3 1001, wire 53, retry 0;
    /// The sender sends, or the receiver gets, more messages than one may. Nothing was done.
    RateLimited: "rate-limited", "Too many messages in a short time: nothing was done, try again later.",
        429, v2 503 500, v3 500, wire 56, retry 1;
    /// The message was recalled, superseded or has expired. Nobody can open, confirm or change it.
    MessageRecalled: "message-recalled", "The message was recalled, superseded or has expired.",
        409, v2 200 803, v3 1404, wire 51, retry 0;
    /// The page that asks is of an origin that is not allowed.
    ForeignOrigin: "foreign-origin", "Pages of this origin may not ask here.",
        403, v2 400 400, v3 1002, wire 54, retry 0;
    /// The ticket is none that could be used.
    TicketUnknown: "ticket-unknown", "The ticket was used, has run out, or was never given: ask for a new one.",
        401, v2 400 703, v3 1505, wire 55, retry 0;
    /// The server failed.
    Internal: "internal", "The server failed.",
        500, v2 500 500, v3 500, wire 50, retry 0;
}

impl Kind {
    /// Its row.
    #[must_use]
    pub const fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The kind with this code in native frames.
    #[must_use]
    pub fn of_wire(code: u16) -> Option<Self> {
        TABLE
            .iter()
            .find(|row| row.wire == code)
            .map(|row| row.kind)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_kind_finds_its_own_row() {
        for row in TABLE {
            assert_eq!(row.kind.row(), row);
            assert_eq!(Kind::of_wire(row.wire), Some(row.kind));
        }
        assert_eq!(Kind::of_wire(0), None);
    }

    #[test]
    fn every_row_is_complete_and_names_are_given_once() {
        let mut slugs = HashSet::new();
        let mut wires = HashSet::new();
        for row in TABLE {
            let name = row.slug;
            assert!(slugs.insert(name), "{name}");
            assert!(wires.insert(row.wire), "{name}");
            assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                "{name}"
            );
            assert!(row.title.ends_with('.'), "{name}");
            assert!((400..600).contains(&row.http), "{name}");
            assert!(
                row.v2_http == 200 || (400..600).contains(&row.v2_http),
                "{name}"
            );
            assert_ne!(row.v2, 0, "{name}: 0 is success");
            assert!(row.v3 == 500 || (1000..2000).contains(&row.v3), "{name}");
            let temporary = matches!(row.http, 429 | 503 | 504);
            assert_eq!(
                row.retry_after > 0,
                temporary,
                "{name}: Retry-After stands with 429, 503 and 504"
            );
        }
    }

    #[test]
    fn token_states_have_the_codes_of_the_original() {
        let codes = [
            (Kind::TokenExpired, 701),
            (Kind::TokenState, 702),
            (Kind::TokenMalformed, 703),
            (Kind::TokenEarly, 704),
            (Kind::TokenUnknown, 705),
            (Kind::TokenRevoked, 706),
        ];
        for (kind, code) in codes {
            assert_eq!(kind.row().v2, code);
        }
    }

    #[test]
    fn the_pages_say_what_to_do_about_each() {
        for page in [
            include_str!("../../../docs/business.md"),
            include_str!("../../../docs/business.zh.md"),
        ] {
            for row in TABLE {
                let name = format!("`{}`", row.slug);
                assert!(page.contains(&name), "{name} is missing");
            }
        }
    }
}

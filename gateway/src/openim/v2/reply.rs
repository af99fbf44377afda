//! The answers of the v2 dialect, byte for byte: the original's envelope, and its error bodies, whose keys it sorts.

use crate::error::Error;
use crate::openim::go::text::quote_into;
use crate::service::TaskSent;

/// An answer: HTTP status and JSON body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body, as `application/json` without a charset.
    pub body: Vec<u8>,
}

impl Reply {
    /// The answer to `OPTIONS` on any path.
    #[must_use]
    pub fn options() -> Self {
        Self {
            status: 200,
            body: b"\"Options Request!\"".to_vec(),
        }
    }

    /// The message is durable. An id that is empty is left out, as in the original.
    #[must_use]
    pub fn sent(server_msg_id: &str, client_msg_id: &str, send_time: u64) -> Self {
        let mut out = Vec::with_capacity(160);
        out.extend_from_slice(b"{\"errCode\":0,\"errMsg\":\"\",\"data\":{\"serverMsgID\":");
        quote_into(&mut out, server_msg_id);
        out.extend_from_slice(b",\"clientMsgID\":");
        quote_into(&mut out, client_msg_id);
        number(&mut out, ",\"sendTime\":", send_time);
        out.extend_from_slice(b"}}");
        Self {
            status: 200,
            body: out,
        }
    }

    /// A batch was sent: what each receiver has got, and who has got nothing. Lists without elements are `null`, as in the
    /// original, and `FailedIDList` has its capital.
    #[must_use]
    pub fn batch_sent(sent: &[(String, TaskSent)], failed: &[String]) -> Self {
        let mut out = b"{\"errCode\":0,\"errMsg\":\"\",\"data\":{\"resultList\":".to_vec();
        list(&mut out, sent, |out, (user, one)| {
            out.extend_from_slice(b"{\"serverMsgID\":");
            quote_into(out, &one.server_msg_id);
            out.extend_from_slice(b",\"clientMsgID\":");
            quote_into(out, &one.client_msg_id);
            number(out, ",\"sendTime\":", one.time.0);
            out.extend_from_slice(b",\"recvID\":");
            quote_into(out, user);
            out.push(b'}');
        });
        out.extend_from_slice(b",\"FailedIDList\":");
        list(&mut out, failed, |out, id| quote_into(out, id));
        out.extend_from_slice(b"}}");
        Self {
            status: 200,
            body: out,
        }
    }

    /// A token was issued; `expires` in seconds since the Unix epoch.
    #[must_use]
    pub fn token(user_id: &str, token: &str, expires: u64) -> Self {
        let mut out = Vec::with_capacity(384);
        out.extend_from_slice(b"{\"errCode\":0,\"errMsg\":\"\",\"data\":{\"userID\":");
        quote_into(&mut out, user_id);
        out.extend_from_slice(b",\"token\":");
        quote_into(&mut out, token);
        number(&mut out, ",\"expiredTime\":", expires);
        out.extend_from_slice(b"}}");
        Self {
            status: 200,
            body: out,
        }
    }

    /// No token was issued: the envelope of [`Reply::token`] with an error and an empty token.
    #[must_use]
    pub fn no_token(code: i32, text: &str, user_id: &str) -> Self {
        let mut out = Vec::with_capacity(128);
        code_and_text(&mut out, "{", code, text);
        out.extend_from_slice(b",\"data\":{\"userID\":");
        quote_into(&mut out, user_id);
        out.extend_from_slice(b",\"token\":\"\",\"expiredTime\":0}}");
        Self {
            status: 200,
            body: out,
        }
    }

    /// A token is valid until `expires`, in seconds since the Unix epoch; the original's capital E.
    #[must_use]
    pub fn parsed_token(expires: u64) -> Self {
        let mut out = b"{\"errCode\":0,\"errMsg\":\"\",\"data\":{".to_vec();
        number(&mut out, "\"ExpireTimeSeconds\":", expires);
        out.extend_from_slice(b"}}");
        Self {
            status: 200,
            body: out,
        }
    }

    /// Something is wrong with the request.
    #[must_use]
    pub fn error(status: u16, code: i32, text: &str) -> Self {
        let mut out = Vec::with_capacity(64 + text.len());
        code_and_text(&mut out, "{", code, text);
        out.push(b'}');
        Self { status, body: out }
    }

    /// The caller may not send, or names no receiver: the older body with `MsgID` and `sendTime`.
    #[must_use]
    pub fn denied(code: i32, text: &str) -> Self {
        let mut out = Vec::with_capacity(96 + text.len());
        code_and_text(&mut out, "{\"MsgID\":\"\",", code, text);
        out.extend_from_slice(b",\"sendTime\":0}");
        Self {
            status: 400,
            body: out,
        }
    }

    /// The service refused: HTTP 200, and the data of an answer in which at most the caller's `clientMsgID` is set. (The
    /// original makes one up for every call; here a message that does not exist has none.)
    #[must_use]
    pub fn refused(code: i32, text: &str, client_msg_id: &str) -> Self {
        let mut out = Vec::with_capacity(128 + text.len());
        code_and_text(&mut out, "{", code, text);
        out.extend_from_slice(b",\"data\":{");
        if !client_msg_id.is_empty() {
            out.extend_from_slice(b"\"clientMsgID\":");
            quote_into(&mut out, client_msg_id);
        }
        out.extend_from_slice(b"}}");
        Self {
            status: 200,
            body: out,
        }
    }

    /// The original's common answer: code, text, and `data` as JSON where there is any.
    #[must_use]
    pub fn common(code: i32, text: &str, data: Option<&str>) -> Self {
        let mut out = Vec::with_capacity(64 + data.map_or(0, str::len));
        code_and_text(&mut out, "{", code, text);
        if let Some(data) = data {
            out.extend_from_slice(b",\"data\":");
            out.extend_from_slice(data.as_bytes());
        }
        out.push(b'}');
        Self {
            status: 200,
            body: out,
        }
    }

    /// Any JSON.
    #[must_use]
    pub fn json(body: String) -> Self {
        Self {
            status: 200,
            body: body.into_bytes(),
        }
    }

    /// An error from the table, with its own text.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        let row = error.row();
        Self::error(row.v2_http, row.v2, &error.detail)
    }
}

fn code_and_text(out: &mut Vec<u8>, start: &str, code: i32, text: &str) {
    out.extend_from_slice(start.as_bytes());
    out.extend_from_slice(format!("\"errCode\":{code},\"errMsg\":").as_bytes());
    quote_into(out, text);
}

/// A JSON array; `null` without elements.
fn list<T>(out: &mut Vec<u8>, items: &[T], each: impl Fn(&mut Vec<u8>, &T)) {
    if items.is_empty() {
        out.extend_from_slice(b"null");
        return;
    }
    for (at, item) in items.iter().enumerate() {
        out.push(if at == 0 { b'[' } else { b',' });
        each(out, item);
    }
    out.push(b']');
}

fn number(out: &mut Vec<u8>, key: &str, number: u64) {
    out.extend_from_slice(format!("{key}{number}").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn text(reply: Reply) -> (u16, String) {
        (reply.status, String::from_utf8(reply.body).unwrap())
    }

    #[test]
    fn bodies_are_those_of_the_original() {
        let table = [
            (
                Reply::sent("aa", "bb", 1_645_697_804_432),
                200,
                r#"{"errCode":0,"errMsg":"","data":{"serverMsgID":"aa","clientMsgID":"bb","sendTime":1645697804432}}"#,
            ),
            (
                Reply::token("u", "a.b.c", 5),
                200,
                r#"{"errCode":0,"errMsg":"","data":{"userID":"u","token":"a.b.c","expiredTime":5}}"#,
            ),
            (
                Reply::no_token(802, "db failed", "u"),
                200,
                r#"{"errCode":802,"errMsg":"db failed","data":{"userID":"u","token":"","expiredTime":0}}"#,
            ),
            (
                Reply::parsed_token(7),
                200,
                r#"{"errCode":0,"errMsg":"","data":{"ExpireTimeSeconds":7}}"#,
            ),
            (
                Reply::denied(400, "not authorized"),
                400,
                r#"{"MsgID":"","errCode":400,"errMsg":"not authorized","sendTime":0}"#,
            ),
            (
                Reply::refused(203, "unknown sessionType", "c"),
                200,
                r#"{"errCode":203,"errMsg":"unknown sessionType","data":{"clientMsgID":"c"}}"#,
            ),
            (
                Reply::refused(203, "unknown sessionType", ""),
                200,
                r#"{"errCode":203,"errMsg":"unknown sessionType","data":{}}"#,
            ),
            (
                Reply::error(400, 404, "contentType err"),
                400,
                r#"{"errCode":404,"errMsg":"contentType err"}"#,
            ),
            (Reply::options(), 200, "\"Options Request!\""),
        ];
        for (reply, status, body) in table {
            assert_eq!(text(reply), (status, body.to_owned()));
        }
    }

    #[test]
    fn errors_of_the_table_keep_their_codes() {
        let error = Error::new(Kind::ContentTooLarge, "a <b> & \"c\"");
        let (status, body) = text(Reply::of(&error));
        assert_eq!(status, 400);
        assert_eq!(
            body,
            r#"{"errCode":403,"errMsg":"a \u003cb\u003e \u0026 \"c\""}"#
        );
    }
}

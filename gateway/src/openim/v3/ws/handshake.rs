//! The address of a connection: who connects, how its frames are to be, and whether it may.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::frame::Codec;
use crate::auth::Principal;
use crate::error::{Error, Kind};
use crate::openim::v3::platform;
use crate::service::Service;

/// Longest query that is looked at, in bytes: a token and some short texts.
const MAX_QUERY: usize = 8 * 1024;

/// What the client says of itself. It holds a token, so it is never printed.
#[derive(Default)]
pub struct Hello {
    /// The user.
    pub send_id: String,
    /// The token.
    pub token: String,
    /// OpenIM's number of the platform.
    pub platform: u8,
    /// The trace id.
    pub operation_id: String,
    /// Whether the first frame is to say that it is welcome.
    pub wants_answer: bool,
    /// How its frames are encoded.
    pub codec: Option<Codec>,
}

/// All of it in one parameter.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Packed {
    token: String,
    #[serde(rename = "userID")]
    user_id: String,
    #[serde(rename = "platformID")]
    platform_id: u8,
    #[serde(rename = "operationID")]
    operation_id: String,
    compression: String,
    sdk_type: String,
    send_response: bool,
}

fn wrong(name: &'static str) -> Error {
    Error::at(
        Kind::InvalidField,
        name,
        format!("{name} is missing or wrong"),
    )
}

impl Hello {
    /// Reads a query: what can be read of it, and what is missing or wrong.
    pub fn read(query: &str, header_compression: &str) -> (Self, Result<(), Error>) {
        let mut hello = Self::default();
        let read = hello.take(query, header_compression);
        (hello, read)
    }

    fn take(&mut self, query: &str, header_compression: &str) -> Result<(), Error> {
        if query.len() > MAX_QUERY {
            return Err(wrong("query"));
        }
        let (mut compression, mut sdk_type) = (header_compression.to_owned(), String::new());
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = decoded(value).ok_or_else(|| wrong("query"))?;
            match name {
                "v" => {
                    let packed = self.unpack(&value).ok_or_else(|| wrong("v"))?;
                    compression = packed.compression;
                    sdk_type = packed.sdk_type;
                }
                "sendID" => self.send_id = value,
                "token" => self.token = value,
                "platformID" => self.platform = value.parse().map_err(|_| wrong("platformID"))?,
                "operationID" => self.operation_id = value,
                "compression" => compression = value,
                "sdkType" => sdk_type = value,
                "isMsgResp" => self.wants_answer = flag(&value, "isMsgResp")?,
                // Others are of later clients. Whether one is in the background makes no difference here.
                _ => {}
            }
        }
        self.codec = match sdk_type.as_str() {
            "" | "go" => Some(Codec::Gob {
                gzip: compression == "gzip",
            }),
            "js" => Some(Codec::Json),
            _ => return Err(wrong("sdkType")),
        };
        for (name, text) in [
            ("operationID", &self.operation_id),
            ("token", &self.token),
            ("sendID", &self.send_id),
        ] {
            if text.is_empty() {
                return Err(wrong(name));
            }
        }
        if platform::native(self.platform).is_none() {
            return Err(wrong("platformID"));
        }
        Ok(())
    }

    fn unpack(&mut self, value: &str) -> Option<Packed> {
        let bytes = URL_SAFE_NO_PAD.decode(value.trim_end_matches('=')).ok()?;
        let mut packed: Packed = serde_json::from_slice(&bytes).ok()?;
        self.send_id = std::mem::take(&mut packed.user_id);
        self.token = std::mem::take(&mut packed.token);
        self.operation_id = std::mem::take(&mut packed.operation_id);
        self.platform = packed.platform_id;
        self.wants_answer = packed.send_response;
        Some(packed)
    }

    /// Who connects. The token must be of the user and of the platform that the query names; one of no platform is of each.
    ///
    /// # Errors
    /// When it is not.
    pub fn authenticate(&self, service: &Service) -> Result<Arc<Principal>, Error> {
        let principal = service.authenticate(&self.token)?;
        let same_platform =
            principal.platform == 0 || Some(principal.platform) == platform::native(self.platform);
        if principal.user != self.send_id || !same_platform {
            let what = "the token is of another user or platform";
            return Err(Error::new(Kind::TokenUnknown, what));
        }
        Ok(principal)
    }
}

fn flag(value: &str, name: &'static str) -> Result<bool, Error> {
    match value {
        "true" | "1" | "t" | "T" | "TRUE" | "True" => Ok(true),
        "false" | "0" | "f" | "F" | "FALSE" | "False" | "" => Ok(false),
        _ => Err(wrong(name)),
    }
}

/// The text behind percent signs; one client sends none. `None` when it is no UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let Some((first, rest)) = bytes.split_first() {
        let pair = (*first == b'%').then(|| rest.split_at_checked(2)).flatten();
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let byte = pair.and_then(|(pair, _)| Some(digit(pair[0])? * 16 + digit(pair[1])?));
        match (byte.and_then(|byte| u8::try_from(byte).ok()), pair) {
            (Some(byte), Some((_, after))) => {
                out.push(byte);
                bytes = after;
            }
            _ => {
                out.push(if *first == b'+' { b' ' } else { *first });
                bytes = rest;
            }
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(query: &str, header: &str) -> Hello {
        let (hello, read) = Hello::read(query, header);
        read.unwrap();
        hello
    }

    #[test]
    fn the_queries_of_the_clients_are_read() {
        let web = "compression=gzip&isBackground=false&isMsgResp=true&operationID=1&platformID=5&sendID=u%201&token=a.b";
        let hello = good(web, "");
        assert_eq!(hello.send_id, "u 1");
        assert_eq!(hello.codec, Some(Codec::Gob { gzip: true }));
        assert!(hello.wants_answer);
        let js = "sendID=u1&token=t&platformID=5&operationID=o&isBackground=false&isMsgResp=true&sdkType=js";
        assert_eq!(good(js, "").codec, Some(Codec::Json));
        let python = "sendID=u1&token=t&platformID=7&operationID=o&isBackground=false&sdkVersion=x";
        let hello = good(python, "gzip");
        assert!(!hello.wants_answer);
        assert_eq!(hello.codec, Some(Codec::Gob { gzip: true }));
        let packed = URL_SAFE_NO_PAD.encode(
            r#"{"token":"t","userID":"u","platformID":1,"operationID":"o","sdkType":"js","sendResponse":true}"#,
        );
        let hello = good(&format!("v={packed}"), "");
        assert_eq!((hello.send_id.as_str(), hello.platform), ("u", 1));
        assert!(hello.wants_answer);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let good = [
            ("sendID", "u"),
            ("token", "t"),
            ("platformID", "5"),
            ("operationID", "o"),
        ];
        let query = |skip: &str, more: &str| {
            let pairs = good.iter().filter(|(name, _)| *name != skip);
            let pairs: Vec<_> = pairs
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            format!("{}{more}", pairs.join("&"))
        };
        let pointer = |query: &str| Hello::read(query, "").1.unwrap_err().pointer.unwrap();
        for (name, _) in good {
            assert_eq!(pointer(&query(name, "")), name);
        }
        for (more, name) in [
            ("&platformID=0", "platformID"),
            ("&platformID=12", "platformID"),
            ("&platformID=x", "platformID"),
            ("&sdkType=java", "sdkType"),
            ("&isMsgResp=maybe", "isMsgResp"),
            ("&v=***", "v"),
            ("&x=%ff", "query"),
        ] {
            assert_eq!(pointer(&query("", more)), name, "{more}");
        }
        assert_eq!(pointer(&"a".repeat(MAX_QUERY + 1)), "query");
    }
}

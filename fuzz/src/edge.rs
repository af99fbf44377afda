//! What comes with every request: the parts of its address, and its token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use waybill_gateway::auth::KeyRing;
use waybill_gateway::fuzzing::address::{Query, segment};
use waybill_gateway::telemetry::Secret;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

pub fn query(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(decoded) = segment(text) {
        assert!(decoded.len() <= text.len());
    }
    let known = ["after", "limit", "wait", "user"];
    if let Ok(query) = Query::read(Some(text), &known) {
        for name in known {
            assert!(
                query
                    .text(name)
                    .is_none_or(|value| value.len() <= text.len())
            );
            if let Ok(Some(number)) = query.number(name, 1, 1_000) {
                assert!((1..=1_000).contains(&number));
            }
        }
    }
}

/// What is signed with our key under this head, whatever it says.
fn signed(head: &[u8], claims: &[u8]) -> String {
    let parts = [head, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    let text = parts.join(".");
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    let mac = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{text}.{mac}")
}

pub fn tokens(input: &[u8]) {
    let ring = KeyRing::new(&Secret::new(SECRET.to_owned()), None);
    if let Ok(text) = std::str::from_utf8(input) {
        assert!(ring.verify(text, 0).is_err(), "nobody has signed this");
    }
    let head = br#"{"typ":"JWT","alg":"HS256"}"#;
    if let Ok(claims) = ring.verify(&signed(head, input), 0) {
        // A member that nobody looks at may hold anything, even what is no text.
        let read = serde_json::from_slice::<serde_json::Value>(input).ok();
        if let Some(user) = read.as_ref().and_then(|read| read.get("UID")) {
            assert_eq!(*user, *claims.user);
        }
    }
    // Another algorithm is refused, whoever has signed.
    if let Ok(read) = serde_json::from_slice::<serde_json::Value>(input)
        && read["alg"] != "HS256"
    {
        let claims = br#"{"UID":"u","Platform":"Web","exp":9,"nbf":0,"iat":0}"#;
        assert!(ring.verify(&signed(input, claims), 0).is_err());
    }
}

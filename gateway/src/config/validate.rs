//! Checks that the values of a configuration go together. Reports every problem; changes nothing.

use waybill_core::content::Meaning;
use waybill_core::id::check_id;
use waybill_core::limits::MAX_TEXT_BYTES;

use super::problem::{Problem, Source};
use super::{Config, OpenIm};
use crate::telemetry::{Secret, same_secret};

/// Most managers: each has rows of its own in memory.
const MAX_MANAGERS: usize = 1_000;

/// Most listeners of HTTP.
const MAX_LISTENERS: usize = 16;

/// Most origins that may ask: each request of a page is compared with all of them.
const MAX_ORIGINS: usize = 64;

/// Shortest secret that `/auth/*` may ask for; OpenIM's callers can send 32 characters at most.
const SECRET_CHARS: std::ops::RangeInclusive<usize> = 16..=32;

/// Shortest and longest key of HS256: at least as long as its hash (RFC 8725, section 3.5).
const ACCESS_SECRET_BYTES: std::ops::RangeInclusive<usize> = 32..=1024;

impl Config {
    /// Adds every problem that the values have together.
    pub(super) fn validate(&self, problems: &mut Vec<Problem>) {
        let mut report = |key: &str, what: String| {
            problems.push(Problem {
                key: key.to_owned(),
                source: Source::Together,
                what,
            });
        };
        self.check_listeners(&mut report);
        check_origins(
            self.allowed_origins.as_deref().unwrap_or_default(),
            &mut report,
        );
        check_managers(&self.openim, &mut report);
        check_secrets(&self.openim, &mut report);
        if let Some(what) = unfit(&self.push_title, Meaning::Name) {
            report("push.title", what);
        }
        if let Err(error) = self.log.parse::<tracing_subscriber::EnvFilter>() {
            report("log", format!("is no filter: {error}"));
        }
        if self.recovery.mib * 4 > self.memory_mib {
            report(
                "recovery.mib",
                "must be at most a quarter of memory_mib".to_owned(),
            );
        }
    }

    fn check_listeners(&self, report: &mut impl FnMut(&str, String)) {
        let http = &self.listen.http;
        if http.is_empty() {
            report("listen.http", "must name at least one address".to_owned());
        }
        if http.len() > MAX_LISTENERS {
            report(
                "listen.http",
                format!("must name at most {MAX_LISTENERS} addresses"),
            );
        }
        let taken = http
            .iter()
            .chain([&self.listen.ws, &self.listen.ops])
            .filter(|address| address.port() != 0);
        let mut taken: Vec<_> = taken.collect();
        taken.sort_unstable();
        if let Some(twice) = taken.windows(2).find(|pair| pair[0] == pair[1]) {
            report("listen", format!("{} is named twice", twice[0]));
        }
        if let Some(tls) = &self.tls {
            for (key, path) in [("tls.cert", &tls.cert), ("tls.key", &tls.key)] {
                if path.as_os_str().is_empty() {
                    report(
                        key,
                        "must be set too: a certificate and its key belong together".into(),
                    );
                }
            }
        }
    }
}

/// An origin is written as browsers write it: a scheme, a host in lower case, and a port that is not the scheme's own.
fn check_origins(origins: &[String], report: &mut impl FnMut(&str, String)) {
    const KEY: &str = "allowed_origins";
    if origins.len() > MAX_ORIGINS {
        report(KEY, format!("must name at most {MAX_ORIGINS} origins"));
    }
    for origin in origins {
        let host = ["https://", "http://"]
            .iter()
            .find_map(|scheme| origin.strip_prefix(scheme));
        let fit =
            |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b':' | b'[' | b']');
        if !host.is_some_and(|host| !host.is_empty() && host.bytes().all(fit)) {
            report(
                KEY,
                format!(
                    "{origin:?} is no origin such as https://oa.example.com or http://localhost:8080"
                ),
            );
        }
    }
}

fn check_managers(openim: &OpenIm, report: &mut impl FnMut(&str, String)) {
    const KEY: &str = "openim.managers";
    let managers = &openim.managers;
    if managers.is_empty() {
        report(KEY, "must name at least one account".to_owned());
    }
    if managers.len() > MAX_MANAGERS {
        report(KEY, format!("must name at most {MAX_MANAGERS} accounts"));
    }
    let mut seen = std::collections::HashSet::new();
    for manager in managers {
        if let Err(error) = check_id(&manager.id) {
            report(KEY, format!("the id {:?} {error}", manager.id));
        } else if !seen.insert(manager.id.as_str()) {
            report(KEY, format!("the id {:?} is there twice", manager.id));
        }
        let texts = [
            ("nickname", &manager.nickname, Meaning::Name),
            ("face", &manager.face, Meaning::Link),
        ];
        for (name, text, meaning) in texts {
            if let Some(what) = unfit(text, meaning) {
                report(KEY, format!("{name} {what}"));
            }
        }
    }
}

/// What keeps a text from being shown, if anything does.
fn unfit(text: &str, meaning: Meaning) -> Option<String> {
    if text.len() > MAX_TEXT_BYTES {
        return Some(format!("is longer than {MAX_TEXT_BYTES} bytes"));
    }
    meaning.check(text).err().map(|unfit| unfit.to_string())
}

fn check_secrets(openim: &OpenIm, report: &mut impl FnMut(&str, String)) {
    if let Some(secret) = &openim.secret
        && !SECRET_CHARS.contains(&secret.expose().chars().count())
    {
        let (min, max) = (SECRET_CHARS.start(), SECRET_CHARS.end());
        report(
            "openim.secret",
            format!("must have {min} to {max} characters"),
        );
    }
    let keys = [
        ("openim.access_secret", &openim.access_secret),
        ("openim.access_secret_old", &openim.access_secret_old),
    ];
    for (key, secret) in keys {
        let length = secret.as_ref().map(|secret| secret.expose().len());
        if length.is_some_and(|length| !ACCESS_SECRET_BYTES.contains(&length)) {
            let (min, max) = (ACCESS_SECRET_BYTES.start(), ACCESS_SECRET_BYTES.end());
            report(key, format!("must have {min} to {max} bytes"));
        }
    }
    match (&openim.access_secret_old, openim.access_secret_old_until) {
        (Some(_), None) => report(
            "openim.access_secret_old_until",
            "must be set too: an old secret is accepted until a date".to_owned(),
        ),
        (None, Some(_)) => report(
            "openim.access_secret_old",
            "must be set too: access_secret_old_until is about it".to_owned(),
        ),
        _ => {}
    }
    if let (Some(new), Some(old)) = (&openim.access_secret, &openim.access_secret_old)
        && equal(new, old)
    {
        report(
            "openim.access_secret_old",
            "is the same as access_secret".to_owned(),
        );
    }
}

fn equal(one: &Secret, other: &Secret) -> bool {
    same_secret(one.expose().as_bytes(), other.expose().as_bytes())
}

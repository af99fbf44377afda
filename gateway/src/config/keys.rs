//! The one table of keys: name, form, meaning, and how a value takes its place in the configuration.

use std::net::SocketAddr;

use toml::Value;
use toml::value::Datetime;
use waybill_core::limits::MAX_RESTORE_GAP;
use waybill_core::policy::UnknownReceiver;

use super::limits::LIMITS;
use super::{Config, Manager, Tls, moment};
use crate::telemetry::Secret;

/// In which form an environment variable holds a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text.
    Text,
    /// A whole number.
    Number,
    /// Texts with commas between them.
    Texts,
    /// An array of tables, in TOML.
    Tables,
}

struct Key {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    set: fn(&mut Config, &Value) -> Result<(), String>,
}

/// One key, for a help text.
#[derive(Clone, Debug)]
pub struct Help {
    /// Its name in the file.
    pub key: String,
    /// Its name in the environment.
    pub variable: String,
    /// What it means.
    pub text: String,
}

const KEYS: &[Key] = &[
    Key {
        name: "data",
        kind: Kind::Text,
        help: "the data directory (default ./data)",
        set: |config, value| text(value).map(|text| config.data = text.into()),
    },
    Key {
        name: "listen.http",
        kind: Kind::Texts,
        help: "addresses of HTTP (default 127.0.0.1:10002 and 127.0.0.1:10000)",
        set: |config, value| addresses(value).map(|list| config.listen.http = list),
    },
    Key {
        name: "listen.quic",
        kind: Kind::Text,
        help: "address of QUIC (default 127.0.0.1:10003)",
        set: |config, value| address(value).map(|address| config.listen.quic = address),
    },
    Key {
        name: "listen.ws",
        kind: Kind::Text,
        help: "address of WebSocket for OpenIM's client SDKs (default 127.0.0.1:10001)",
        set: |config, value| address(value).map(|address| config.listen.ws = address),
    },
    Key {
        name: "listen.ops",
        kind: Kind::Text,
        help: "address of health and metrics (default 127.0.0.1:9464)",
        set: |config, value| address(value).map(|address| config.listen.ops = address),
    },
    Key {
        name: "tls.cert",
        kind: Kind::Text,
        help: "certificate chain of HTTP and QUIC, a PEM file",
        set: |config, value| text(value).map(|text| tls(config).cert = text.into()),
    },
    Key {
        name: "tls.key",
        kind: Kind::Text,
        help: "its private key, a PEM file",
        set: |config, value| text(value).map(|text| tls(config).key = text.into()),
    },
    Key {
        name: "allowed_origins",
        kind: Kind::Texts,
        help: "origins of web pages that may ask /v1, such as https://oa.example.com (default: pages of this machine when \
               only it can reach HTTP, else none)",
        set: |config, value| texts(value).map(|list| config.allowed_origins = Some(list)),
    },
    Key {
        name: "openim.managers",
        kind: Kind::Tables,
        help: "accounts that may send in anybody's name and issue tokens: [{ id, nickname, face, \
               operation_id_is_key }] (default openIM123456)",
        set: |config, value| managers(value).map(|list| config.openim.managers = list),
    },
    Key {
        name: "openim.secret",
        kind: Kind::Text,
        help: "what /auth/* asks for; generated when absent",
        set: |config, value| secret(value).map(|secret| config.openim.secret = Some(secret)),
    },
    Key {
        name: "openim.access_secret",
        kind: Kind::Text,
        help: "signs tokens; generated when absent",
        set: |config, value| secret(value).map(|it| config.openim.access_secret = Some(it)),
    },
    Key {
        name: "openim.access_secret_old",
        kind: Kind::Text,
        help: "a former access_secret, which verifies tokens until access_secret_old_until",
        set: |config, value| secret(value).map(|it| config.openim.access_secret_old = Some(it)),
    },
    Key {
        name: "openim.access_secret_old_until",
        kind: Kind::Text,
        help: "a date, such as 2027-01-31, or a date and time (UTC unless it says otherwise)",
        set: |config, value| {
            instant(value).map(|at| config.openim.access_secret_old_until = Some(at))
        },
    },
    Key {
        name: "openim.token_days",
        kind: Kind::Number,
        help: "lifetime of tokens from /auth/* (default 3650)",
        set: |config, value| number(value, 1, 36_500).map(|days| config.openim.token_days = days),
    },
    Key {
        name: "openim.v1_token_seconds",
        kind: Kind::Number,
        help: "lifetime of tokens from POST /v1/tokens when the caller names none (default 86400)",
        set: |config, value| {
            number(value, 60, 315_360_000).map(|it| config.openim.v1_token_seconds = it)
        },
    },
    Key {
        name: "track_managers",
        kind: Kind::Text,
        help: "on or off: keep what becomes of the managers' messages, and when (default on)",
        set: |config, value| {
            config.track_managers = match text(value)? {
                "on" => true,
                "off" => false,
                _ => return Err("must be \"on\" or \"off\"".to_owned()),
            };
            Ok(())
        },
    },
    Key {
        name: "audit_online_only",
        kind: Kind::Text,
        help: "on or off: note in the ledger who told how many a message for those online only, and what by its hash (default on)",
        set: |config, value| {
            config.audit_online_only = match text(value)? {
                "on" => true,
                "off" => false,
                _ => return Err("must be \"on\" or \"off\"".to_owned()),
            };
            Ok(())
        },
    },
    Key {
        name: "unknown_receiver",
        kind: Kind::Text,
        help: "accept or refuse messages to users never seen before (default accept)",
        set: |config, value| {
            config.unknown_receiver = match text(value)? {
                "accept" => UnknownReceiver::Accept,
                "refuse" => UnknownReceiver::Refuse,
                _ => return Err("must be \"accept\" or \"refuse\"".to_owned()),
            };
            Ok(())
        },
    },
    Key {
        name: "push.title",
        kind: Kind::Text,
        help: "title of pushes whose sender gives none (default none: the kind of message decides)",
        set: |config, value| text(value).map(|text| config.push_title = text.to_owned()),
    },
    Key {
        name: "memory_mib",
        kind: Kind::Number,
        help: "memory of the process, from which caches and buffers follow (default 1024)",
        set: |config, value| number(value, 192, 1 << 20).map(|mib| config.memory_mib = mib),
    },
    Key {
        name: "recovery.records",
        kind: Kind::Number,
        help: "records that a restart may have to apply again (default 50000)",
        set: |config, value| {
            number(value, 100, 10_000_000).map(|records| config.recovery.records = records)
        },
    },
    Key {
        name: "recovery.mib",
        kind: Kind::Number,
        help: "effects that a restart may have to apply again (default 48)",
        set: |config, value| number(value, 1, 4_096).map(|mib| config.recovery.mib = mib),
    },
    Key {
        name: "recovery.seconds",
        kind: Kind::Number,
        help: "age of the oldest record that a restart may have to apply again (default 60)",
        set: |config, value| {
            number(value, 1, 3_600).map(|seconds| config.recovery.seconds = seconds)
        },
    },
    Key {
        name: "restore.gap",
        kind: Kind::Number,
        help: "places that each log leaves out after waybill restore (default 1000): more than any log can grow between a copy and \
               its use",
        set: |config, value| number(value, 1, MAX_RESTORE_GAP).map(|gap| config.restore.gap = gap),
    },
    Key {
        name: "restore.erasures",
        kind: Kind::Text,
        help: "the register of erasures, best on another disk than the data (default the file erasures in the data directory)",
        set: |config, value| text(value).map(|text| config.restore.erasures = Some(text.into())),
    },
    Key {
        name: "log",
        kind: Kind::Text,
        help: "which log lines are written, such as info or waybill_gateway=debug,info",
        set: |config, value| text(value).map(|text| config.log = text.to_owned()),
    },
];

/// Puts a value in its place.
pub(super) fn set(config: &mut Config, name: &str, value: &Value) -> Result<(), String> {
    if let Some(key) = KEYS.iter().find(|key| key.name == name) {
        return (key.set)(config, value);
    }
    let limit = name
        .strip_prefix("limits.")
        .and_then(|name| LIMITS.iter().find(|limit| limit.name == name))
        .ok_or_else(|| "is not known; no such key".to_owned())?;
    (limit.set)(&mut config.limits, number(value, limit.min, limit.max)?);
    Ok(())
}

/// The key that an environment variable sets, and its form.
pub(super) fn of_variable(variable: &str) -> Option<(String, Kind)> {
    all()
        .find(|(name, _, _)| self::variable(name) == variable)
        .map(|(name, kind, _)| (name, kind))
}

/// Every key, for a help text.
#[must_use]
pub fn help() -> Vec<Help> {
    all()
        .map(|(key, _, text)| Help {
            variable: variable(&key),
            key,
            text,
        })
        .collect()
}

fn all() -> impl Iterator<Item = (String, Kind, String)> {
    let plain = KEYS
        .iter()
        .map(|key| (key.name.to_owned(), key.kind, key.help.to_owned()));
    plain.chain(LIMITS.iter().map(|limit| {
        let text = format!(
            "{} (default {}, from {} to {})",
            limit.help.trim(),
            limit.default,
            limit.min,
            limit.max
        );
        (format!("limits.{}", limit.name), Kind::Number, text)
    }))
}

fn variable(key: &str) -> String {
    format!("WAYBILL_{}", key.replace('.', "_").to_uppercase())
}

fn tls(config: &mut Config) -> &mut Tls {
    config.tls.get_or_insert_with(|| Tls {
        cert: "".into(),
        key: "".into(),
    })
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| "must be a text".to_owned())
}

fn secret(value: &Value) -> Result<Secret, String> {
    text(value).map(|text| Secret::new(text.to_owned()))
}

fn number(value: &Value, min: u64, max: u64) -> Result<u64, String> {
    value
        .as_integer()
        .and_then(|number| u64::try_from(number).ok())
        .filter(|number| (min..=max).contains(number))
        .ok_or_else(|| format!("must be a whole number from {min} to {max}"))
}

fn address(value: &Value) -> Result<SocketAddr, String> {
    text(value)?
        .parse()
        .map_err(|_| "must be an address such as 127.0.0.1:10002".to_owned())
}

fn addresses(value: &Value) -> Result<Vec<SocketAddr>, String> {
    match value {
        Value::Array(list) => list.iter().map(address).collect(),
        one => address(one).map(|address| vec![address]),
    }
}

fn texts(value: &Value) -> Result<Vec<String>, String> {
    let text = |value: &Value| text(value).map(str::to_owned);
    match value {
        Value::Array(list) => list.iter().map(text).collect(),
        one => text(one).map(|text| vec![text]),
    }
}

fn instant(value: &Value) -> Result<u64, String> {
    let parsed: Option<Datetime> = match value {
        Value::Datetime(moment) => Some(*moment),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    parsed
        .and_then(|moment| moment::seconds(&moment))
        .ok_or_else(|| "must be a date such as 2027-01-31, or a date and time".to_owned())
}

fn managers(value: &Value) -> Result<Vec<Manager>, String> {
    let list = value
        .as_array()
        .ok_or_else(|| "must be an array of tables".to_owned())?;
    list.iter().map(manager).collect()
}

fn manager(value: &Value) -> Result<Manager, String> {
    let table = value
        .as_table()
        .ok_or_else(|| "must be an array of tables".to_owned())?;
    let mut manager = Manager::named("");
    for (name, value) in table {
        let fault = |what: String| format!("{name}: {what}");
        match name.as_str() {
            "id" => manager.id = text(value).map_err(fault)?.to_owned(),
            "nickname" => manager.nickname = text(value).map_err(fault)?.to_owned(),
            "face" => manager.face = text(value).map_err(fault)?.to_owned(),
            "operation_id_is_key" => {
                manager.operation_id_is_key = value
                    .as_bool()
                    .ok_or_else(|| fault("must be true or false".to_owned()))?;
            }
            _ => return Err(fault("is not known; no such key".to_owned())),
        }
    }
    Ok(manager)
}

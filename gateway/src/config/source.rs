//! Reads settings from a TOML file and from the environment into one list of (key, value). Knows the form of keys, not
//! what they mean.

use std::path::Path;

use toml::{Table, Value};

use super::keys::{self, Kind};
use super::problem::{Problem, Source};

/// Longest configuration file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Prefix of the variables that are read.
const PREFIX: &str = "WAYBILL_";

/// Variables with our prefix that belong to the command line or to the build, not to the configuration.
const FOREIGN: [&str; 5] = [
    "WAYBILL_CONFIG",
    "WAYBILL_SERVER",
    "WAYBILL_TARGET_CPU",
    "WAYBILL_TEST_",
    "WAYBILL_TOKEN",
];

/// One value and where it came from.
pub(super) struct Setting {
    pub key: String,
    pub value: Value,
    pub source: Source,
}

/// The settings of a file. What cannot be read at all is one problem.
pub(super) fn file(path: &Path, problems: &mut Vec<Problem>) -> Vec<Setting> {
    let source = Source::File(path.to_owned());
    let mut whole = |what: String| {
        problems.push(Problem {
            key: String::new(),
            source: source.clone(),
            what,
        });
        Vec::new()
    };
    match std::fs::metadata(path) {
        Ok(found) if found.len() > MAX_FILE_BYTES => {
            return whole(format!("is longer than {MAX_FILE_BYTES} bytes"));
        }
        Ok(_) => {}
        Err(error) => return whole(format!("cannot be read: {error}")),
    }
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return whole(format!("cannot be read: {error}")),
    };
    match text.parse::<Table>() {
        Ok(table) => {
            let mut settings = Vec::new();
            flatten("", table, &source, &mut settings);
            settings
        }
        // Only the place and the kind of the fault: the parser's own text quotes the line, which may hold a secret.
        Err(error) => whole(match error.span() {
            Some(span) => {
                let line = text[..span.start.min(text.len())].matches('\n').count() + 1;
                format!("is not TOML: line {line}: {}", error.message())
            }
            None => format!("is not TOML: {}", error.message()),
        }),
    }
}

fn flatten(prefix: &str, table: Table, source: &Source, out: &mut Vec<Setting>) {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name
        } else {
            format!("{prefix}.{name}")
        };
        match value {
            Value::Table(inner) => flatten(&key, inner, source, out),
            value => out.push(Setting {
                key,
                value,
                source: source.clone(),
            }),
        }
    }
}

/// The settings of `WAYBILL_*` variables; an unknown one is a problem, so that a typing error does not go unnoticed.
pub(super) fn environment<I>(variables: I, problems: &mut Vec<Problem>) -> Vec<Setting>
where
    I: IntoIterator<Item = (String, String)>,
{
    let mut settings = Vec::new();
    for (name, text) in variables {
        if !name.starts_with(PREFIX) || FOREIGN.iter().any(|foreign| name.starts_with(foreign)) {
            continue;
        }
        let source = Source::Environment(name.clone());
        let Some((key, kind)) = keys::of_variable(&name) else {
            let what = "is not known; no such key".to_owned();
            problems.push(Problem {
                key: String::new(),
                source,
                what,
            });
            continue;
        };
        match value(kind, &text) {
            Ok(value) => settings.push(Setting { key, value, source }),
            Err(what) => problems.push(Problem { key, source, what }),
        }
    }
    settings
}

fn value(kind: Kind, text: &str) -> Result<Value, String> {
    match kind {
        Kind::Text => Ok(Value::String(text.to_owned())),
        Kind::Number => text
            .trim()
            .parse()
            .map(Value::Integer)
            .map_err(|_| "must be a whole number".to_owned()),
        Kind::Texts => Ok(Value::Array(
            text.split(',')
                .map(|part| Value::String(part.trim().to_owned()))
                .collect(),
        )),
        Kind::Tables => format!("value = {text}")
            .parse::<Table>()
            .ok()
            .and_then(|mut table| table.remove("value"))
            .ok_or_else(|| "must be TOML, such as [{ id = \"a\", nickname = \"b\" }]".to_owned()),
    }
}

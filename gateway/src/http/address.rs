//! The parts of a request's address: path segments and query fields, decoded.

use crate::error::{Error, Kind};

/// Most fields of a query.
const MAX_FIELDS: usize = 16;

/// The fields of a query, each at most once.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

/// The text of a path segment or query field. `+` stands for a space in a query only.
fn decode(text: &str, query: bool) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' if query => b' ',
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

/// The text of a path segment.
///
/// # Errors
/// When its escapes do not decode to a text.
pub fn segment(text: &str) -> Result<String, Error> {
    decode(text, false)
        .ok_or_else(|| Error::new(Kind::InvalidField, "the path does not decode to a text"))
}

impl Query {
    /// Reads a query; only the fields in `known` may be there, so that a typing error does not go unnoticed.
    ///
    /// # Errors
    /// When a field is unknown, there twice, or no text.
    pub fn read(query: Option<&str>, known: &[&str]) -> Result<Self, Error> {
        let mut fields: Vec<(String, String)> = Vec::new();
        let pairs = query
            .unwrap_or("")
            .split('&')
            .filter(|pair| !pair.is_empty());
        for pair in pairs {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name, true), decode(value, true)) else {
                return Err(Error::new(
                    Kind::InvalidField,
                    "the query does not decode to texts",
                ));
            };
            if fields.len() >= MAX_FIELDS || fields.iter().any(|(other, _)| *other == name) {
                return Err(Error::at(
                    Kind::InvalidField,
                    name,
                    "is there more than once",
                ));
            }
            if !known.contains(&name.as_str()) {
                let detail = format!("is not known; known are: {}", known.join(", "));
                return Err(Error::at(Kind::InvalidField, name, detail));
            }
            fields.push((name, value));
        }
        Ok(Self(fields))
    }

    /// The text of a field, if it is there.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The number of a field, if it is there.
    ///
    /// # Errors
    /// When it is no whole number, or not from `min` to `max`.
    pub fn number(&self, name: &'static str, min: u64, max: u64) -> Result<Option<u64>, Error> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        // A plus sign, which `parse` takes, is none of a number here.
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits
            .then(|| text.parse().ok())
            .flatten()
            .filter(|number| (min..=max).contains(number));
        number.map(Some).ok_or_else(|| {
            Error::at(
                Kind::InvalidField,
                name,
                format!("{name} must be a whole number from {min} to {max}"),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_and_queries_are_decoded() {
        assert_eq!(segment("a%20b+c%E5%A4%A7").unwrap(), "a b+c大");
        for bad in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(segment(bad).unwrap_err().kind, Kind::InvalidField, "{bad}");
        }
        let query = Query::read(Some("a=1+2&b=%26&c"), &["a", "b", "c", "d"]).unwrap();
        assert_eq!(query.text("a"), Some("1 2"));
        assert_eq!(
            (query.text("b"), query.text("c"), query.text("d")),
            (Some("&"), Some(""), None)
        );
        assert!(Query::read(None, &[]).is_ok() && Query::read(Some("&&"), &[]).is_ok());
    }

    #[test]
    fn odd_queries_are_refused() {
        let known = ["after", "limit"];
        for bad in ["limit=1&limit=2", "Limit=1", "after=%", "x"] {
            let error = Query::read(Some(bad), &known).unwrap_err();
            assert_eq!(error.kind, Kind::InvalidField, "{bad}");
        }
    }

    #[test]
    fn numbers_keep_their_bounds() {
        let known = ["n"];
        let number = |text: &str| {
            Query::read(Some(text), &known).and_then(|query| query.number("n", 1, 1_000))
        };
        assert_eq!(number(""), Ok(None));
        assert_eq!(number("n=1"), Ok(Some(1)));
        assert_eq!(number("n=1000"), Ok(Some(1_000)));
        for bad in [
            "n=0",
            "n=1001",
            "n=1000000000",
            "n=-1",
            "n=%2B1",
            "n=",
            "n=1.5",
            "n=99999999999999999999999",
        ] {
            assert_eq!(number(bad).unwrap_err().kind, Kind::InvalidField, "{bad}");
        }
    }
}

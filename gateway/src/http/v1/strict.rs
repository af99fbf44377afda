//! Types that read JSON more strictly than serde does by itself, and numbers as JSON has them. They know no field of any body.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Unexpected, Visitor};

/// A part of a body that is a JSON object. A list of values would else be taken for the fields in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer
            .deserialize_map(Fields(PhantomData))
            .map(Object)
    }
}

/// Flags by name, none of them twice: which of two counts, readers do not agree on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags(pub BTreeMap<String, bool>);

impl<'de> Deserialize<'de> for Flags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Named;

        impl<'de> Visitor<'de> for Named {
            type Value = Flags;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object of flags")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Flags, A::Error> {
                let mut flags = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    if flags.contains_key(&name) {
                        return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
                    }
                    flags.insert(name, map.next_value()?);
                }
                Ok(Flags(flags))
            }
        }

        deserializer.deserialize_map(Named)
    }
}

/// Whole numbers up to here are exact in a double (RFC 7493, section 2.2).
const EXACT: f64 = 9_007_199_254_740_991.0;

/// A whole number. JSON has one kind of number, so `5.0` and `5e0` are 5, as JSON Schema has it too; writers without whole
/// numbers of their own write that.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Whole<T>(pub T);

impl<'de, T: TryFrom<i128>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number<T>(PhantomData<T>);

        impl<T: TryFrom<i128>> Number<T> {
            fn fit<E: Error>(&self, number: i128, found: Unexpected<'_>) -> Result<Whole<T>, E> {
                let fitting = T::try_from(number).map(Whole);
                fitting.map_err(|_| E::invalid_value(found, &"a whole number that is in range"))
            }
        }

        impl<T: TryFrom<i128>> Visitor<'_> for Number<T> {
            type Value = Whole<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Whole<T>, E> {
                self.fit(number.into(), Unexpected::Unsigned(number))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Whole<T>, E> {
                self.fit(number.into(), Unexpected::Signed(number))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Whole<T>, E> {
                let found = Unexpected::Float(number);
                if number.fract() != 0.0 || number.abs() > EXACT {
                    return Err(E::invalid_value(found, &self));
                }
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "it is whole, and far within the range"
                )]
                self.fit(number as i128, found)
            }
        }

        deserializer.deserialize_any(Number(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole<T: TryFrom<i128>>(text: &str) -> Option<T> {
        serde_json::from_str::<Whole<T>>(text)
            .ok()
            .map(|whole| whole.0)
    }

    #[test]
    fn whole_numbers_may_have_a_fraction_of_nothing() {
        for (text, number) in [("5", 5), ("5.0", 5), ("5e0", 5), ("-0.0", 0), ("50e-1", 5)] {
            assert_eq!(whole::<u64>(text), Some(number), "{text}");
        }
        assert_eq!(whole::<u64>("18446744073709551615"), Some(u64::MAX));
        assert_eq!(whole::<i32>("-2147483648.0"), Some(i32::MIN));
        for text in [
            "5.5",
            "1e300",
            "9007199254740993.0",
            "9007199254740994.0",
            "18446744073709551616",
            "\"5\"",
            "true",
            "null",
            "[5]",
        ] {
            assert_eq!(whole::<u64>(text), None, "{text}");
        }
        assert_eq!(whole::<u64>("-1"), None);
        assert_eq!(whole::<u8>("256.0"), None);
        assert_eq!(whole::<i32>("2147483648"), None);
    }

    #[test]
    fn flags_are_named_once() {
        let read = |text| {
            serde_json::from_str::<Flags>(text)
                .ok()
                .map(|flags| flags.0)
        };
        assert_eq!(
            read(r#"{"a":true,"b":false}"#).map(|flags| flags.len()),
            Some(2)
        );
        for text in [r#"{"a":true,"a":true}"#, r#"{"a":1}"#, "[]", "null"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn objects_are_no_lists() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Pair<'a> {
            #[serde(borrow)]
            one: Option<&'a serde_json::value::RawValue>,
            two: u8,
        }
        let read = |text| serde_json::from_str::<Object<Pair<'_>>>(text);
        let pair = read(r#"{"two":2,"one":[ 1 ]}"#).unwrap().0;
        assert_eq!(
            (pair.one.map(|raw| raw.get()), pair.two),
            (Some("[ 1 ]"), 2)
        );
        for text in [
            "[[1],2]",
            "null",
            r#"{"two":2,"three":3}"#,
            r#"{"two":2,"two":2}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}

use waybill_core::content::Meaning;

use super::*;
use crate::openim::go::scan::first_value;

const N: Path<'static> = Path {
    parent: None,
    step: Step::Field("n"),
};

fn decoded(object: &str) -> Result<Decoded, ContentError> {
    decode(first_value(object, 8).unwrap().root(), &NOTE)
}

const fn field(json: &'static str, go: &'static str, kind: Kind, need: Need) -> Field {
    Field {
        json,
        go,
        kind,
        need,
        meaning: Meaning::Plain,
    }
}

static SIZE: Element = Element {
    name: "Size",
    fields: &[field("width", "Width", Kind::Int32, Need::Optional)],
};

static NOTE: Element = Element {
    name: "Note",
    fields: &[
        field("name", "Name", Kind::Text, Need::Required),
        field("type", "Type", Kind::Int32, Need::Required),
        field("size", "Size", Kind::Int64, Need::Optional),
        field("picture", "Picture", Kind::Element(&SIZE), Need::Optional),
        field("at", "At", Kind::Float, Need::Optional),
        field("flag", "Flag", Kind::Flag, Need::Optional),
        field("words", "Words", Kind::Texts, Need::Optional),
        field("more", "More", Kind::Elements(&SIZE), Need::Optional),
    ],
};

fn number(object: &str, json: &str) -> i64 {
    decoded(object).unwrap().number(&NOTE, json)
}

#[test]
fn types_are_taken_leniently() {
    let table = [
        ("{\"name\":\"a\",\"type\":1}", 1),
        ("{\"NAME\":true,\"Type\":\"7\"}", 7),
        ("{\"name\":5,\"type\":1.9}", 1),
        ("{\"name\":\"a\",\"type\":true}", 1),
        ("{\"name\":\"a\",\"type\":\"0x1F\"}", 31),
        ("{\"name\":\"a\",\"type\":\"-0b11\"}", -3),
        ("{\"name\":\"a\",\"type\":\"010\"}", 8),
        ("{\"name\":\"a\",\"type\":\"0x_1_0\"}", 16),
        ("{\"name\":\"a\",\"type\":2,\"TYPE\":3}", 2),
        ("{\"name\":\"a\",\"type\":2,\"type\":3}", 3),
        (
            "{\"name\":\"a\",\"type\":4,\"picture\":null,\"extra\":{\"x\":[]}}",
            4,
        ),
        (
            "{\"name\":\"a\",\"type\":5,\"picture\":{\"width\":\"10\"}}",
            5,
        ),
        ("{\"name\":\"a\",\"type\":4294967297}", 1),
    ];
    for (object, expected) in table {
        assert_eq!(number(object, "type"), expected, "{object}");
    }
    assert_eq!(
        number(
            "{\"name\":\"a\",\"type\":1,\"size\":9007199254740993}",
            "size"
        ),
        9_007_199_254_740_992
    );
}

#[test]
fn wrong_types_have_the_words_of_mapstructure() {
    let table = [
        (
            "{\"name\":{\"a\":1},\"type\":1}",
            "1 error(s) decoding:\n\n* 'name' expected type 'string', got unconvertible type 'map[string]interface {}', value: 'map[a:1]'",
        ),
        (
            "{\"name\":\"a\",\"type\":\"x\"}",
            "1 error(s) decoding:\n\n* cannot parse 'type' as int: strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
        (
            "{\"name\":\"a\",\"type\":\"2147483648\"}",
            "1 error(s) decoding:\n\n* cannot parse 'type' as int: strconv.ParseInt: parsing \"2147483648\": value out of range",
        ),
        (
            "{\"name\":\"a\",\"picture\":\"x\"}",
            "1 error(s) decoding:\n\n* 'picture' expected a map, got 'string'",
        ),
        (
            "{\"name\":[1],\"type\":[],\"picture\":{\"width\":{}}}",
            "3 error(s) decoding:\n\n* 'name' expected type 'string', got unconvertible type '[]interface {}', value: '[1]'\n\
             * 'picture.width' expected type 'int32', got unconvertible type 'map[string]interface {}', value: 'map[]'\n\
             * 'type' expected type 'int32', got unconvertible type '[]interface {}', value: '[]'",
        ),
    ];
    for (object, expected) in table {
        let error = decoded(object).unwrap_err();
        assert!(matches!(error, ContentError::Types(..)), "{object}");
        assert_eq!(error.to_string(), expected, "{object}");
    }
    for bad in [
        "1_0", "0x", "0x1_", "_1", "1__0", "é", "0b12", "+", "08", "1e3",
    ] {
        let fault = parse_int(bad, 32, N).unwrap_err();
        assert!(fault.ends_with("invalid syntax"), "{bad}: {fault}");
    }
    assert_eq!(parse_int("-9223372036854775808", 64, N), Ok(i64::MIN));
    assert!(
        parse_int(&"9".repeat(60), 64, N)
            .unwrap_err()
            .ends_with("value out of range")
    );
}

#[test]
fn what_is_required_must_not_be_zero() {
    let both = "Key: 'Note.Name' Error:Field validation for 'Name' failed on the 'required' tag\n\
                Key: 'Note.Type' Error:Field validation for 'Type' failed on the 'required' tag";
    for object in [
        "{}",
        "{\"name\":\"\",\"type\":0}",
        "{\"name\":null,\"type\":\"\"}",
        "{\"type\":0.9}",
    ] {
        assert_eq!(
            decoded(object),
            Err(ContentError::Rules(both.to_owned(), "/name".to_owned())),
            "{object}"
        );
    }
}

#[test]
fn lists_numbers_and_flags_have_their_places() {
    let with = |rest: &str| format!("{{\"name\":\"a\",\"type\":1,{rest}}}");
    for good in [
        "\"at\":0,\"flag\":false,\"words\":[],\"more\":[]",
        "\"at\":\"-1.5\",\"flag\":\"T\",\"words\":[\"a\",5,null],\"more\":[{\"width\":\"3\"},null]",
        "\"at\":null,\"flag\":1,\"words\":null,\"more\":null",
    ] {
        assert!(decoded(&with(good)).is_ok(), "{good}");
    }
    assert_eq!(
        number(&with("\"at\":0"), "at"),
        1,
        "0 is a number that is there"
    );
    assert_eq!(number(&with("\"flag\":0"), "flag"), 0);
    assert_eq!(number(&with("\"flag\":\"true\""), "flag"), 1);
    let table = [
        (
            "\"at\":\"x\"",
            "/at",
            "cannot parse 'at' as float: strconv.ParseFloat: parsing \"x\": invalid syntax",
        ),
        (
            "\"flag\":\"x\"",
            "/flag",
            "cannot parse 'flag' as bool: strconv.ParseBool: parsing \"x\": invalid syntax",
        ),
        (
            "\"flag\":{}",
            "/flag",
            "'flag' expected type 'bool', got unconvertible type 'map[string]interface {}', value: 'map[]'",
        ),
        (
            "\"words\":\"x\"",
            "/words",
            "'words': source data must be an array or slice, got string",
        ),
        (
            "\"more\":[{},{\"width\":[]},5]",
            "/more/1/width",
            "'more[1].width' expected type 'int32', got unconvertible type '[]interface {}', value: '[]'",
        ),
        (
            "\"more\":[5,5]",
            "/more/0",
            "'more[0]' expected a map, got 'float64'",
        ),
    ];
    for (rest, pointer, fault) in table {
        let expected = ContentError::Types(
            format!("1 error(s) decoding:\n\n* {fault}"),
            pointer.to_owned(),
        );
        assert_eq!(decoded(&with(rest)), Err(expected), "{rest}");
    }
}

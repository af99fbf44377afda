use super::*;

#[test]
fn the_first_value_is_found_and_the_rest_ignored() {
    let table = [
        ("{}", "{}"),
        (
            " \n{\"a\" : [1, -2.5e+7, \"\\u00e9\\\"\", null]} trailing",
            "{\"a\" : [1, -2.5e+7, \"\\u00e9\\\"\", null]}",
        ),
        ("[] {}", "[]"),
        ("12 34", "12"),
        ("012", "0"),
        ("true,", "true"),
        ("\"大\" ", "\"大\""),
    ];
    for (text, expected) in table {
        assert_eq!(
            first_value(text, 8).unwrap().root().text(),
            expected,
            "{text}"
        );
    }
}

#[test]
fn faults_have_the_words_of_go() {
    let table = [
        ("", "EOF"),
        (" \t\r\n", "EOF"),
        ("{", "unexpected EOF"),
        ("{\"a\"", "unexpected EOF"),
        ("{\"a\":1", "unexpected EOF"),
        ("\"abc", "unexpected EOF"),
        ("-", "unexpected EOF"),
        ("1.", "unexpected EOF"),
        ("tru", "unexpected EOF"),
        (
            "hello",
            "invalid character 'h' looking for beginning of value",
        ),
        (
            "{a:1}",
            "invalid character 'a' looking for beginning of object key string",
        ),
        (
            "{\"a\":1,}",
            "invalid character '}' looking for beginning of object key string",
        ),
        ("{\"a\" 1}", "invalid character '1' after object key"),
        (
            "{\"a\":1 \"b\":2}",
            "invalid character '\"' after object key:value pair",
        ),
        (
            "{\"a\":01}",
            "invalid character '1' after object key:value pair",
        ),
        (
            "[1,]",
            "invalid character ']' looking for beginning of value",
        ),
        ("[1 2]", "invalid character '2' after array element"),
        ("\"a\nb\"", "invalid character '\\n' in string literal"),
        ("\"a\u{0}b\"", "invalid character '\\x00' in string literal"),
        ("\"\\x\"", "invalid character 'x' in string escape code"),
        (
            "\"\\u12g4\"",
            "invalid character 'g' in \\u hexadecimal character escape",
        ),
        ("-a", "invalid character 'a' in numeric literal"),
        (
            "1.x",
            "invalid character 'x' after decimal point in numeric literal",
        ),
        (
            "1e+x",
            "invalid character 'x' in exponent of numeric literal",
        ),
        (
            "trUe",
            "invalid character 'U' in literal true (expecting 'u')",
        ),
        (
            "nil",
            "invalid character 'i' in literal null (expecting 'u')",
        ),
        (
            "'",
            "invalid character '\\'' looking for beginning of value",
        ),
        ("大", "invalid character 'å' looking for beginning of value"),
        ("[[[[[[[[[1]]]]]]]]]", "exceeded max depth of 8"),
    ];
    for (text, expected) in table {
        assert_eq!(
            first_value(text, 8).unwrap_err().to_string(),
            expected,
            "{text}"
        );
    }
    assert!(first_value("[[[[[[[[1]]]]]]]]", 8).is_ok());
}

#[test]
fn it_agrees_with_an_independent_parser() {
    let texts = [
        "{\"a\":[{},[],1e5,true,false,null,\"\\n\"]}",
        "[1,2",
        "{\"a\":}",
        "[-]",
        "[1.0.0]",
    ];
    for text in texts {
        for cut in 0..=text.len() {
            let ours =
                first_value(&text[..cut], 32).is_ok_and(|tape| tape.root().text().len() == cut);
            let theirs = serde_json::from_str::<serde_json::Value>(&text[..cut]).is_ok();
            assert_eq!(ours, theirs, "{}", &text[..cut]);
        }
    }
}

#[test]
fn what_some_readers_cannot_read_is_marked() {
    let unusual = |text: &str| first_value(text, 8).unwrap().unusual;
    let digits = "9".repeat(400);
    for plain in ["{\"a\":[1.5,\"\\n\\\"e\"]}", "\"1e5 u0041\"", "true"] {
        assert!(!unusual(plain), "{plain}");
    }
    for odd in ["\"\\u0041\"", "[1e5]", "{\"\\u0041\":1}", digits.as_str()] {
        assert!(unusual(odd), "{odd}");
    }
}

#[test]
fn the_number_of_values_is_bounded() {
    let text = |count: usize| format!("[{}1]", "1,".repeat(count));
    assert!(first_value(&text(MAX_VALUES - 2), 8).is_ok());
    assert_eq!(
        first_value(&text(MAX_VALUES), 8).err(),
        Some(SyntaxError::TooMany)
    );
}

use super::*;

static INNER: Shape = Shape {
    name: "Inner",
    type_name: "sdk.Inner",
    fields: &[
        Field {
            json: "title",
            go: "Title",
            kind: Kind::Text,
            rules: &[],
        },
        Field {
            json: "count",
            go: "Count",
            kind: Kind::Flag,
            rules: &[],
        },
    ],
};

static OUTER: Shape = Shape {
    name: "Req",
    type_name: "pkg.Req",
    fields: &[
        Field {
            json: "userID",
            go: "Req2.UserID",
            kind: Kind::Text,
            rules: &[Rule::Required, Rule::Max(4)],
        },
        Field {
            json: "platform",
            go: "Platform",
            kind: Kind::Int32,
            rules: &[Rule::Required, Rule::Min(1), Rule::Max(7)],
        },
        Field {
            json: "content",
            go: "Content",
            kind: Kind::Map,
            rules: &[Rule::Required],
        },
        Field {
            json: "gender",
            go: "Gender",
            kind: Kind::Int32,
            rules: &[Rule::OmitEmpty, Rule::OneOf(&[0, 1, 2])],
        },
        Field {
            json: "birth",
            go: "Birth",
            kind: Kind::Uint32,
            rules: &[],
        },
        Field {
            json: "online",
            go: "Online",
            kind: Kind::Flag,
            rules: &[],
        },
        Field {
            json: "inner",
            go: "Inner",
            kind: Kind::Struct(&INNER),
            rules: &[],
        },
    ],
};

fn read_as<'a>(body: &'a [u8], shape: &'static Shape) -> Result<Values<'a>, BindError> {
    bind(&scan(body, 32)?, shape)
}

fn error(body: &str) -> String {
    read_as(body.as_bytes(), &OUTER).unwrap_err().to_string()
}

#[test]
fn fields_are_read_as_go_reads_them() {
    let body = "{\"USERID\":\"a\\u0062\",\"platform\":1,\"Platform\":2,\"platform\":null,\"content\":{ \"k\" : 1 },\
                \"unknown\":[{}],\"online\":true,\"birth\":4294967295,\"inner\":{\"TITLE\":\"t\",\"x\":1}} rest";
    let values = read_as(body.as_bytes(), &OUTER).unwrap();
    assert_eq!(values.text(0), "ab");
    assert_eq!(
        values.number(1),
        2,
        "the last one counts, null changes nothing"
    );
    assert_eq!(
        values.object(2).map(|(text, _)| text),
        Some("{ \"k\" : 1 }"),
        "kept byte for byte"
    );
    assert_eq!(values.number(4), 4_294_967_295);
    assert!(values.flag(5));
    assert_eq!(values.nested(6).unwrap().text(0), "t");
    assert_eq!(values.text(99), "");
}

#[test]
fn wrong_types_have_the_words_of_go() {
    let table = [
        (
            "[]",
            "json: cannot unmarshal array into Go value of type pkg.Req",
        ),
        (
            "5",
            "json: cannot unmarshal number into Go value of type pkg.Req",
        ),
        (
            "{\"platform\":\"1\"}",
            "json: cannot unmarshal string into Go struct field Req.platform of type int32",
        ),
        (
            "{\"platform\":1.5}",
            "json: cannot unmarshal number 1.5 into Go struct field Req.platform of type int32",
        ),
        (
            "{\"platform\":2147483648}",
            "json: cannot unmarshal number 2147483648 into Go struct field Req.platform of type int32",
        ),
        (
            "{\"birth\":-1}",
            "json: cannot unmarshal number -1 into Go struct field Req.birth of type uint32",
        ),
        (
            "{\"USERID\":1}",
            "json: cannot unmarshal number into Go struct field Req.userID of type string",
        ),
        (
            "{\"userID\":{}}",
            "json: cannot unmarshal object into Go struct field Req.userID of type string",
        ),
        (
            "{\"content\":\"x\"}",
            "json: cannot unmarshal string into Go struct field Req.content of type map[string]interface {}",
        ),
        (
            "{\"online\":1,\"platform\":\"x\"}",
            "json: cannot unmarshal number into Go struct field Req.online of type bool",
        ),
        (
            "{\"inner\":[]}",
            "json: cannot unmarshal array into Go struct field Req.inner of type sdk.Inner",
        ),
        (
            "{\"inner\":{\"title\":true}}",
            "json: cannot unmarshal bool into Go struct field Inner.inner.title of type string",
        ),
        ("", "EOF"),
        ("{\"userID\":", "unexpected EOF"),
    ];
    for (body, expected) in table {
        assert_eq!(error(body), expected, "{body}");
    }
    assert_eq!(
        read_as(b"{\"userID\":\"\xff\"}", &OUTER),
        Err(BindError::NotText)
    );
}

#[test]
fn broken_rules_have_the_words_of_the_validator() {
    let missing = "Key: 'Req.Req2.UserID' Error:Field validation for 'UserID' failed on the 'required' tag\n\
                   Key: 'Req.Platform' Error:Field validation for 'Platform' failed on the 'required' tag\n\
                   Key: 'Req.Content' Error:Field validation for 'Content' failed on the 'required' tag";
    for body in [
        "{}",
        "null",
        "{\"userID\":\"\",\"platform\":0,\"content\":null}",
    ] {
        assert_eq!(error(body), missing, "{body}");
    }
    let table = [
        (
            "{\"userID\":\"大大大大大\",\"platform\":1,\"content\":{}}",
            "Req2.UserID",
            "max",
        ),
        (
            "{\"userID\":\"a\",\"platform\":8,\"content\":{}}",
            "Platform",
            "max",
        ),
        (
            "{\"userID\":\"a\",\"platform\":-1,\"content\":{}}",
            "Platform",
            "min",
        ),
        (
            "{\"userID\":\"a\",\"platform\":1,\"content\":{},\"gender\":3}",
            "Gender",
            "oneof",
        ),
    ];
    for (body, field, tag) in table {
        let text = error(body);
        assert!(
            text.contains(&format!("'Req.{field}'")) && text.ends_with(&format!("'{tag}' tag")),
            "{text}"
        );
        assert!(!text.contains('\n'), "{text}");
    }
    assert!(
        read_as(
            "{\"userID\":\"大大大大\",\"platform\":1,\"content\":{}}".as_bytes(),
            &OUTER
        )
        .is_ok()
    );
}

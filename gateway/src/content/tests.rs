use waybill_core::content::{Kind as Type, Need, TABLE};

use super::*;

const OA: &str = r#"{"notificationName":"n","notificationType":7,"text":"t"}"#;

fn kind(content_type: i64, content: &str) -> Option<Kind> {
    check(content_type, content, 8, 200)
        .err()
        .map(|error| error.kind)
}

#[test]
fn contents_are_judged() {
    let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(200));
    let table = [
        (1400, OA, None),
        (101, r#" {"text":"hi","more":[1,"\ud83d\ude00"]} "#, None),
        (121, "{}", Some(Kind::ContentType)),
        (0, "{}", Some(Kind::ContentType)),
        (-5, "{}", Some(Kind::ContentType)),
        (101, "", Some(Kind::Malformed)),
        (101, "hi", Some(Kind::Malformed)),
        (101, r#"{"text":"hi"} {}"#, Some(Kind::Malformed)),
        (101, r#"{"text":[[[[[[[[1]]]]]]]]}"#, Some(Kind::Malformed)),
        (101, "\"hi\"", Some(Kind::ContentShape)),
        (101, "[]", Some(Kind::ContentShape)),
        (101, r#"{"text":{}}"#, Some(Kind::ContentShape)),
        (101, "{}", Some(Kind::ContentRules)),
        (101, r#"{"text":5}"#, Some(Kind::ContentRules)),
        (101, r#"{"text":true}"#, Some(Kind::ContentRules)),
        (101, r#"{"TEXT":"hi"}"#, Some(Kind::ContentRules)),
        (101, &long, Some(Kind::ContentTooLarge)),
        (
            1400,
            r#"{"notificationName":"n","notificationType":0,"text":"t"}"#,
            Some(Kind::ContentRules),
        ),
        (
            1400,
            r#"{"notificationName":"n","notificationType":"x","text":"t"}"#,
            Some(Kind::ContentShape),
        ),
    ];
    for (content_type, content, expected) in table {
        assert_eq!(
            kind(content_type, content),
            expected,
            "{content_type} {content}"
        );
    }
}

#[test]
fn what_readers_choke_on_is_refused() {
    for bad in [
        r#"{"text":"\ud83d"}"#,
        r#"{"text":"a","x":["\ude00"]}"#,
        r#"{"text":"a","x":"\ud83dA"}"#,
        r#"{"text":"a","\ud800":1}"#,
        r#"{"text":"a","x":{"y":1e999}}"#,
        r#"{"text":"a","x":-1e400}"#,
    ] {
        assert_eq!(kind(101, bad), Some(Kind::ContentShape), "{bad}");
        assert!(
            serde_json::from_str::<serde_json::Value>(bad).is_err(),
            "{bad}"
        );
    }
    for good in [
        r#"{"text":"\\ud800"}"#,
        r#"{"text":"A\n\"\ud83d\ude00\ud83d\ude01"}"#,
        r#"{"text":"a","x":1e308,"\ud83d\ude00":"�"}"#,
    ] {
        assert_eq!(kind(101, good), None, "{good}");
        assert!(
            serde_json::from_str::<serde_json::Value>(good).is_ok(),
            "{good}"
        );
    }
}

#[test]
fn a_notice_tells_its_type() {
    let checked = check(1400, OA, 8, 200).unwrap();
    assert_eq!(
        checked,
        Checked {
            content_type: 1400,
            notification_type: 7,
            conversation: ConversationKind::Notification,
            off: Options(0),
        }
    );
    assert_eq!(
        check(101, r#"{"text":"x"}"#, 8, 200)
            .unwrap()
            .notification_type,
        0
    );
}

/// What is checked under one demand: the kind of the error with its pointer, or nothing.
fn judged(number: i64, content: &str, demand: Demand) -> Result<Checked, (Kind, String, String)> {
    let tape = scan::first_value(content, 16).unwrap();
    check_object(number, tape.root(), tape.unusual, 1 << 16, demand).map_err(|error| {
        let pointer = error.pointer.unwrap_or_default();
        (error.kind, pointer.into_owned(), error.detail.into_owned())
    })
}

/// One good content of each type, with nothing in it that could be left out, but with unknown keys.
const GOOD: [(i64, &str); 21] = [
    (101, r#"{"text":"t","x":1}"#),
    (102, r#"{"sourcePicture":{"url":"https://x/p","x":1}}"#),
    (103, r#"{"sourceUrl":"https://x/s"}"#),
    (104, r#"{"videoUrl":"https://x/v"}"#),
    (105, r#"{"sourceUrl":"https://x/f"}"#),
    (106, r#"{"text":"@b","atUserList":["b"]}"#),
    (107, r#"{"title":"t","multiMessage":[{"content":"c"}]}"#),
    (108, r#"{"anything":[1,{"of":"it"}]}"#),
    (109, r#"{"longitude":0,"latitude":-33.9}"#),
    (110, r#"{"data":"{}"}"#),
    (111, r#"{"revokeMsgClientID":"c1"}"#),
    (112, r#"{"msgIDList":["c1","c2"]}"#),
    (113, "{}"),
    (114, r#"{"text":"t","quoteMessage":{"clientMsgID":"c1"}}"#),
    (115, "{}"),
    (116, r#"{"msgIDList":["c1"]}"#),
    (117, r#"{"text":"t"}"#),
    (118, r#"{"clientMsgID":"c1"}"#),
    (119, r#"{"data":"{}"}"#),
    (120, r#"{"data":"{}"}"#),
    (
        1400,
        r#"{"notificationName":"n","notificationType":1,"text":"t"}"#,
    ),
];

fn with(content: &str, key: &str, value: Option<serde_json::Value>) -> String {
    let mut object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(content).unwrap();
    match value {
        Some(value) => object.insert(key.to_owned(), value),
        None => object.remove(key),
    };
    serde_json::Value::Object(object).to_string()
}

#[test]
fn every_type_has_a_good_content_and_misses_each_field_it_requires() {
    let numbers: Vec<_> = TABLE.iter().map(|row| i64::from(row.number)).collect();
    assert_eq!(numbers, GOOD.map(|(number, _)| number));
    for (row, (number, good)) in TABLE.iter().zip(GOOD) {
        for demand in [Demand::Required, Demand::Showable] {
            let checked = judged(number, good, demand).unwrap();
            assert_eq!((checked.content_type, checked.off), (row.number, row.off));
        }
        for field in row.element.fields {
            let key = field.json;
            let pointer = format!("/content/{key}");
            for gone in [
                with(good, key, None),
                with(good, key, Some(serde_json::Value::Null)),
            ] {
                let strict = judged(number, &gone, Demand::Showable);
                let lenient = judged(number, &gone, Demand::Required);
                let context = format!("{number} without {key}");
                if field.need == Need::Optional {
                    assert!(strict.is_ok() && lenient.is_ok(), "{context}");
                    continue;
                }
                let (kind, place, _) = strict.unwrap_err();
                assert_eq!((kind, &place), (Kind::ContentRules, &pointer), "{context}");
                let lenient = lenient.err();
                if field.need == Need::Shown {
                    assert_eq!(lenient, None, "{context}");
                } else {
                    let (kind, place, text) = lenient.unwrap();
                    assert_eq!(
                        (kind, place),
                        (Kind::ContentRules, pointer.clone()),
                        "{context}"
                    );
                    let tag = format!(
                        "Key: '{}.{}' Error:Field validation for '{}' failed on the 'required' tag",
                        row.element.name, field.go, field.go
                    );
                    assert_eq!(text, tag, "{context}");
                }
            }
        }
    }
}

#[test]
fn every_field_of_every_type_refuses_what_cannot_be_its_type() {
    for (row, (number, good)) in TABLE.iter().zip(GOOD) {
        for field in row.element.fields {
            let wrong = match field.kind {
                Type::Element(_) | Type::Elements(_) | Type::Texts => serde_json::json!("x"),
                Type::Text => serde_json::json!(["x"]),
                Type::Int32 | Type::Int64 | Type::Float | Type::Flag => serde_json::json!("x"),
            };
            let bad = with(good, field.json, Some(wrong));
            for demand in [Demand::Required, Demand::Showable] {
                let (kind, pointer, text) = judged(number, &bad, demand).unwrap_err();
                let expected = format!("/content/{}", field.json);
                assert_eq!(
                    (kind, pointer),
                    (Kind::ContentShape, expected),
                    "{number} {bad}"
                );
                assert!(text.starts_with("1 error(s) decoding:\n\n* "), "{text}");
            }
        }
    }
}

#[test]
fn texts_that_are_the_whole_content_are_strings() {
    for (number, bad, place) in [
        (101, r#"{"text":5}"#, "/content/text"),
        (
            111,
            r#"{"revokeMsgClientID":5}"#,
            "/content/revokeMsgClientID",
        ),
        (
            111,
            r#"{"REVOKEMSGCLIENTID":"c"}"#,
            "/content/revokeMsgClientID",
        ),
    ] {
        let (kind, pointer, text) = judged(number, bad, Demand::Required).unwrap_err();
        assert_eq!(
            (kind, pointer.as_str()),
            (Kind::ContentRules, place),
            "{bad}"
        );
        assert!(text.ends_with("failed on the 'string' tag"), "{text}");
    }
}

#[test]
fn a_notice_has_what_its_mix_type_speaks_of() {
    let picture = r#""pictureElem":{"sourcePicture":{"url":"https://x/p"}}"#;
    let video = r#""videoElem":{"videoUrl":"https://x/v"}"#;
    let file = r#""fileElem":{"sourceUrl":"https://x/f"}"#;
    let sound = r#""soundElem":{"sourceUrl":"https://x/s"}"#;
    let all = [picture, sound, video, file].join(",");
    let both = [sound, picture].join(",");
    let notice = |mix: &str, rest: &str| {
        let comma = if rest.is_empty() { "" } else { "," };
        format!(
            r#"{{"notificationName":"n","notificationType":1,"text":"t","mixType":{mix}{comma}{rest}}}"#
        )
    };
    let table: [(&str, &str, Option<&str>); 24] = [
        ("0", "", None),
        ("0", &all, None),
        ("null", "", None),
        ("1", picture, None),
        ("\"1\"", picture, None),
        ("1", "", Some("/content/pictureElem")),
        ("1", video, Some("/content/pictureElem")),
        ("1", r#""pictureElem":null"#, Some("/content/pictureElem")),
        (
            "1",
            r#""pictureElem":{}"#,
            Some("/content/pictureElem/sourcePicture"),
        ),
        (
            "1",
            r#""pictureElem":{"sourcePicture":{"url":""}}"#,
            Some("/content/pictureElem/sourcePicture/url"),
        ),
        ("2", video, None),
        ("2", "", Some("/content/videoElem")),
        (
            "2",
            r#""videoElem":{"videoUrl":""}"#,
            Some("/content/videoElem/videoUrl"),
        ),
        ("3", file, None),
        ("3", picture, Some("/content/fileElem")),
        (
            "3",
            r#""fileElem":{"fileName":"f"}"#,
            Some("/content/fileElem/sourceUrl"),
        ),
        ("4", sound, None),
        ("4", "", Some("/content/soundElem")),
        ("5", &both, None),
        ("5", &all, None),
        ("5", sound, Some("/content/pictureElem")),
        ("5", picture, Some("/content/soundElem")),
        ("6", &all, Some("/content/mixType")),
        ("-1", &all, Some("/content/mixType")),
    ];
    for (mix, rest, missing) in table {
        let content = notice(mix, rest);
        let strict = judged(1400, &content, Demand::Showable).err();
        let found = strict.map(|(kind, pointer, _)| (kind, pointer));
        let expected = missing.map(|missing| (Kind::ContentRules, missing.to_owned()));
        assert_eq!(found, expected, "{content}");
        // The original neither looks at mixType nor at what belongs to it.
        assert!(
            judged(1400, &content, Demand::Required).is_ok(),
            "{content}"
        );
    }
}

#[test]
fn what_is_shown_or_opened_is_fit_for_it_wherever_it_stands() {
    let notice = |rest: &str| {
        format!(r#"{{"notificationName":"n","notificationType":1,"text":"t",{rest}}}"#)
    };
    let table = [
        (
            1400,
            notice(r#""externalUrl":"javascript:alert(1)""#),
            "/content/externalUrl",
        ),
        (
            1400,
            notice(r#""externalUrl":"\u006aavascript:alert(1)""#),
            "/content/externalUrl",
        ),
        (
            1400,
            notice(r#""EXTERNALURL":"data:,x""#),
            "/content/externalUrl",
        ),
        (
            1400,
            notice(r#""externalUrl":"data:,x","externalUrl":"""#),
            "/content/externalUrl",
        ),
        (1400, notice(r#""url":"file:///x""#), "/content/url"),
        (
            1400,
            notice(r#""notificationFaceURL":"data:image/svg+xml,x""#),
            "/content/notificationFaceURL",
        ),
        (
            1400,
            notice(r#""NotificationName":"a\u202eb""#),
            "/content/notificationName",
        ),
        (
            1400,
            notice(r#""pictureElem":{"bigPicture":{"url":"javascript:1"}}"#),
            "/content/pictureElem/bigPicture/url",
        ),
        (
            1400,
            notice(r#""fileElem":{"fileName":"x\u202efdp.exe"}"#),
            "/content/fileElem/fileName",
        ),
        (
            102,
            r#"{"sourcePicture":{"url":"javascript:1"}}"#.to_owned(),
            "/content/sourcePicture/url",
        ),
        (
            104,
            r#"{"videoUrl":"https://x","snapshotUrl":"data:,x"}"#.to_owned(),
            "/content/snapshotUrl",
        ),
        (
            106,
            r#"{"text":"t","atUserList":[],"atUsersInfo":[{},{"groupNickname":"a\u0000"}]}"#
                .to_owned(),
            "/content/atUsersInfo/1/groupNickname",
        ),
        (
            107,
            r#"{"title":"a\nb","multiMessage":[]}"#.to_owned(),
            "/content/title",
        ),
        (
            107,
            r#"{"title":"a","multiMessage":[{"senderFaceUrl":"x:y"}]}"#.to_owned(),
            "/content/multiMessage/0/senderFaceUrl",
        ),
        (
            108,
            r#"{"nickname":"\u2066"}"#.to_owned(),
            "/content/nickname",
        ),
        (
            114,
            r#"{"text":"t","quoteMessage":{"senderNickname":"\u0007"}}"#.to_owned(),
            "/content/quoteMessage/senderNickname",
        ),
        (
            117,
            r#"{"text":"t","messageEntityList":[{"url":"javascript:1"}]}"#.to_owned(),
            "/content/messageEntityList/0/url",
        ),
    ];
    for (number, content, place) in table {
        for demand in [Demand::Required, Demand::Showable] {
            let (kind, pointer, _) = judged(number, &content, demand).unwrap_err();
            assert_eq!(
                (kind, pointer.as_str()),
                (Kind::ContentRules, place),
                "{content}"
            );
        }
    }
    // What people say to each other, paths on a device and data are not judged.
    for (number, good) in [
        (101, r#"{"text":"a\u202e\u0007 javascript:1"}"#),
        (110, r#"{"data":"javascript:1","description":"\u202e"}"#),
        (103, r#"{"soundPath":"C:\\x\\y","sourceUrl":"sound.amr"}"#),
        (108, r#"{"link":"javascript:1"}"#),
    ] {
        assert_eq!(judged(number, good, Demand::Showable).err(), None, "{good}");
    }
}

#[test]
fn a_long_list_of_faults_is_told_by_its_first() {
    let content = format!(
        r#"{{"text":"t","atUserList":[{}{{}}]}}"#,
        "{},".repeat(10_000)
    );
    let (_, pointer, text) = judged(106, &content, Demand::Showable).unwrap_err();
    assert_eq!(pointer, "/content/atUserList/0");
    assert!(text.len() < 200, "{}", text.len());
}

#[test]
fn contents_are_judged_in_the_words_of_the_original() {
    let table: [(i64, &str, Option<&str>); 8] = [
        (102, "{}", None),
        (
            102,
            r#"{"sourcePicture":{"size":"12","url":"u"},"bigPicture":null}"#,
            None,
        ),
        (
            102,
            r#"{"sourcePicture":{"size":"big"}}"#,
            Some(
                "1 error(s) decoding:\n\n* cannot parse 'sourcePicture.size' as int: strconv.ParseInt: parsing \"big\": invalid syntax",
            ),
        ),
        (103, r#"{"duration":3.7}"#, None),
        (104, r#"{"snapshotWidth":true}"#, None),
        (
            105,
            r#"{"fileName":[]}"#,
            Some(
                "1 error(s) decoding:\n\n* 'fileName' expected type 'string', got unconvertible type '[]interface {}', value: '[]'",
            ),
        ),
        (
            1400,
            r#"{"notificationName":"n","notificationType":"1","text":"t","externalUrl":"x","pictureElem":null}"#,
            None,
        ),
        (
            1400,
            r#"{"notificationName":"n","notificationType":0,"text":"t"}"#,
            Some(
                "Key: 'OANotificationElem.NotificationType' Error:Field validation for 'NotificationType' failed on the 'required' tag",
            ),
        ),
    ];
    for (number, content, expected) in table {
        let found = judged(number, content, Demand::Required).err();
        assert_eq!(
            found.as_ref().map(|(_, _, text)| text.as_str()),
            expected,
            "{content}"
        );
    }
}

/// Objects with keys that the table knows, and any values below them.
fn object() -> impl proptest::strategy::Strategy<Value = serde_json::Value> {
    use proptest::prelude::*;
    use serde_json::Value;
    let keys: Vec<&'static str> = TABLE
        .iter()
        .flat_map(|row| row.element.fields)
        .flat_map(|field| {
            let inner = match field.kind {
                Type::Element(inner) | Type::Elements(inner) => inner.fields,
                _ => &[],
            };
            std::iter::once(field.json).chain(inner.iter().map(|inner| inner.json))
        })
        .collect();
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        "(https?|javascript)?:[a-z/\u{202e}\n]{0,4}|-?0[xbo_]?[0-9a-f_]{0,20}"
            .prop_map(Value::from),
    ];
    let key = prop_oneof![proptest::sample::select(keys), Just("Text"), Just("")];
    let value = leaf.prop_recursive(4, 24, 6, move |inner| {
        let members = prop::collection::vec((key.clone(), inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Value::from),
            members.prop_map(|members| {
                let members = members
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value));
                Value::Object(members.collect())
            }),
        ]
    });
    value.prop_filter("an object", Value::is_object)
}

proptest::proptest! {
    #[test]
    fn whatever_is_asked_there_is_an_answer(content in object(), number in proptest::sample::select(&GOOD[..])) {
        let text = content.to_string();
        let strict = judged(number.0, &text, Demand::Showable);
        let lenient = judged(number.0, &text, Demand::Required);
        // What the native surfaces take the dialect takes too, and what it refuses they refuse alike.
        if strict.is_ok() {
            proptest::prop_assert!(lenient.is_ok());
        }
        if let Err(error) = lenient {
            proptest::prop_assert_eq!(strict, Err(error.clone()));
            proptest::prop_assert!(error.1.starts_with("/content"));
        }
    }

    #[test]
    fn no_text_is_too_odd_to_be_refused(text in "[\\[\\]{}\",:\\\\a-u0-9.eE+\\- \u{202e}]{0,40}", number in 100_i64..122) {
        let _ = check(number, &text, 8, 200);
        let _ = check(number, &format!("{{\"text\":{text}}}"), 8, 200);
    }
}

proptest::proptest! {
    #[test]
    fn whatever_is_accepted_can_be_read(text in "(\\{\"text\":\"[a-z\\\\ud8c0-9\"大]{0,12}\",\"x\":[-0-9e.+]{1,6}\\})") {
        if check(101, &text, 8, 200).is_ok() {
            proptest::prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
    }
}

use super::*;

#[test]
fn the_table_is_whole() {
    fn fits(element: &Element) {
        assert!(element.fields.len() <= MAX_FIELDS, "{}", element.name);
        for (index, field) in element.fields.iter().enumerate() {
            let twin = |other: &Field| other.json.eq_ignore_ascii_case(field.json);
            assert!(
                !element.fields[..index].iter().any(twin),
                "{} has {} twice",
                element.name,
                field.json
            );
            // Nobody looks at the meaning of what is no text.
            assert!(
                field.meaning == Meaning::Plain || matches!(field.kind, Kind::Text),
                "{}",
                field.json
            );
            if let Kind::Element(inner) | Kind::Elements(inner) = field.kind {
                fits(inner);
            }
        }
    }
    let numbers: Vec<_> = TABLE.iter().map(|row| row.number).collect();
    let expected: Vec<_> = (101..=120).chain([1400]).collect();
    assert_eq!(numbers, expected);
    for row in TABLE {
        fits(row.element);
        if let Some(bare) = row.bare {
            let field = row.element.fields.iter().find(|field| field.json == bare);
            assert_eq!(
                field.map(|field| field.need),
                Some(Need::Required),
                "{bare}"
            );
        }
        let found = content_type(i64::from(row.number));
        assert_eq!(found.map(|found| found.name), Some(row.name));
    }
    for name in MIX_TYPES.iter().copied().flatten() {
        assert!(
            OA_NOTIFICATION.fields.iter().any(|it| it.json == *name),
            "{name}"
        );
    }
    for none in [0, -101, 100, 121, 1_399, 1_401, i64::MAX, i64::MIN] {
        assert!(content_type(none).is_none(), "{none}");
    }
}

#[test]
fn options_are_off_where_the_reference_says_so() {
    let table: [(i64, &[&str]); 8] = [
        (111, &["offlinePush", "unreadCount"]),
        (118, &["offlinePush", "unreadCount"]),
        (
            112,
            &[
                "offlinePush",
                "unreadCount",
                "conversationUpdate",
                "senderConversationUpdate",
            ],
        ),
        (
            116,
            &[
                "offlinePush",
                "unreadCount",
                "conversationUpdate",
                "senderConversationUpdate",
            ],
        ),
        (
            113,
            &[
                "history",
                "persistent",
                "offlinePush",
                "unreadCount",
                "conversationUpdate",
                "senderSync",
                "senderConversationUpdate",
            ],
        ),
        (119, &["conversationUpdate"]),
        (
            120,
            &[
                "history",
                "persistent",
                "offlinePush",
                "conversationUpdate",
                "senderSync",
            ],
        ),
        (1400, &[]),
    ];
    for row in TABLE {
        let number = i64::from(row.number);
        let expected = table
            .iter()
            .find(|(known, _)| *known == number)
            .map_or(&[][..], |(_, off)| off);
        let off: Vec<_> = Options::NAMES
            .iter()
            .filter(|(_, bit)| row.off.contains(*bit))
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(off, expected, "{number}");
    }
}

#[test]
fn names_keep_to_their_line_and_direction() {
    for good in [
        "",
        "公文管理",
        "a b",
        "שלום",
        "\u{200f}مرحبا\u{200e}",
        "e\u{301} 👩‍👩‍👧",
    ] {
        assert_eq!(Meaning::Name.check(good), Ok(()), "{good:?}");
    }
    for (bad, why) in [
        ("a\u{0}", Unfit::Control),
        ("a\nb", Unfit::Control),
        ("\tb", Unfit::Control),
        ("\u{7f}", Unfit::Control),
        ("\u{85}", Unfit::Control),
        ("\u{2028}", Unfit::Control),
        ("invoice\u{202e}fdp.exe", Unfit::Direction),
        ("\u{202a}", Unfit::Direction),
        ("\u{2066}x\u{2069}", Unfit::Direction),
    ] {
        assert_eq!(Meaning::Name.check(bad), Err(why), "{bad:?}");
        assert_eq!(Meaning::Link.check(bad), Err(why), "{bad:?}");
        assert_eq!(Meaning::Plain.check(bad), Ok(()), "{bad:?}");
    }
    assert_eq!(Meaning::Lines.check("a\n\tb"), Ok(()));
    assert_eq!(Meaning::Lines.check("a\rb"), Err(Unfit::Control));
    assert_eq!(Meaning::Lines.check("\u{202e}"), Err(Unfit::Direction));
}

#[test]
fn links_are_of_the_web() {
    for good in [
        "",
        "http://www.head.com",
        "HTTPS://x/?a=1&b=javascript:2",
        "https://user@host:8080/#x:y",
        "/path:with/colon",
        "//host/path",
        "?q=a:b",
        "ic_avatar_01",
        "face.png",
        "https://例え.jp/大",
    ] {
        assert_eq!(Meaning::Link.check(good), Ok(()), "{good}");
    }
    for bad in [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "  javascript:alert(1)",
        "\u{a0}javascript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://x",
        "weixin://x",
        "tel:1",
        ":x",
        "http :x",
        "java script:x",
    ] {
        assert_eq!(Meaning::Link.check(bad), Err(Unfit::Scheme), "{bad}");
    }
    // Browsers drop these within a scheme.
    for bad in ["java\nscript:x", "\u{1}javascript:x", "java\tscript:x"] {
        assert_eq!(Meaning::Link.check(bad), Err(Unfit::Control), "{bad:?}");
    }
}

proptest::proptest! {
    #[test]
    fn whatever_passes_begins_with_a_known_scheme_or_none(link in "[ a-zA-Z:/?#&.\\\\]{0,12}|(?i)(https?|data|javascript):[a-z/]{0,6}") {
        if Meaning::Link.check(&link).is_ok() {
            let before = link.split(['/', '?', '#']).next().unwrap_or("");
            if let Some((scheme, _)) = before.split_once(':') {
                let scheme = scheme.trim_start().to_ascii_lowercase();
                proptest::prop_assert!(LINK_SCHEMES.contains(&scheme.as_str()));
            }
        }
    }
}

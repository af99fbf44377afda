//! What a client makes of a text, and which texts it is therefore not given: names that look like another one, and links
//! that run something.

/// What a client makes of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Anything: the sender's own words, or data.
    Plain,
    /// A name or title, shown in one line beside what the client itself writes. It holds no control character and none
    /// that turns the direction of the text around it (Unicode Technical Report 36, section 2.7): `invoice[RLO]fdp.exe`
    /// would be shown as `invoiceexe.pdf`. Left-to-right and right-to-left marks are no such characters.
    Name,
    /// A name or title that may have several lines: as [`Meaning::Name`], with line feeds and tabs.
    Lines,
    /// A link that a client opens or loads: see [`LINK_SCHEMES`].
    Link,
}

/// The schemes of links. An empty link is none, and one without a scheme is the client's own business: a path, or the name
/// of a picture that it has. `javascript:`, `data:`, `file:` and the schemes of other programs run or show what the receiver
/// did not ask for.
pub const LINK_SCHEMES: [&str; 2] = ["http", "https"];

/// Why a text is not fit for what a client makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It holds a control character.
    #[error("holds a control character")]
    Control,
    /// It holds a character that turns the direction of text.
    #[error("holds a character that turns the direction of text")]
    Direction,
    /// It is a link of another scheme.
    #[error("is no link of http or https")]
    Scheme,
}

impl Meaning {
    /// Checks a text that is meant so.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn check(self, text: &str) -> Result<(), Unfit> {
        if self == Self::Plain {
            return Ok(());
        }
        let may_break = self == Self::Lines;
        for char in text.chars() {
            if is_break(char) && !(may_break && matches!(char, '\n' | '\t')) {
                return Err(Unfit::Control);
            }
            if turns(char) {
                return Err(Unfit::Direction);
            }
        }
        if self == Self::Link {
            check_scheme(text)
        } else {
            Ok(())
        }
    }
}

/// Control characters, and the separators of lines and paragraphs, which end a line like them.
fn is_break(char: char) -> bool {
    char.is_control() || matches!(char, '\u{2028}' | '\u{2029}')
}

/// Embeddings, overrides and isolates of the bidirectional algorithm (UAX 9), with their ends.
fn turns(char: char) -> bool {
    matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A scheme is what stands before a colon, unless a path, query or fragment has begun (RFC 3986, section 4.2). Browsers pass
/// over blanks before it, and so does this. What stands there is compared with the list whatever it looks like: a text that
/// is no scheme by its grammar is none that a link begins with either.
fn check_scheme(link: &str) -> Result<(), Unfit> {
    let link = link.trim_start();
    let end = link.find([':', '/', '?', '#']);
    let Some((scheme, rest)) = end.and_then(|end| link.split_at_checked(end)) else {
        return Ok(());
    };
    let known = LINK_SCHEMES
        .iter()
        .any(|known| known.eq_ignore_ascii_case(scheme));
    if rest.starts_with(':') && !known {
        Err(Unfit::Scheme)
    } else {
        Ok(())
    }
}

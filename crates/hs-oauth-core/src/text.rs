//! Texts from outside, and checks of their bytes.

use std::error::Error;

/// Returns the text with its control characters replaced by `U+FFFD`, so that it can neither forge a log line nor control a terminal.
///
/// Line separators and characters that change the direction of text are replaced too. Every text from outside in an error of this crate
/// has gone through this function, and has at most 512 characters.
pub fn printable(text: &str) -> String {
    if all_bytes(text, |byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    text.chars().map(|c| if is_control(c) { '\u{fffd}' } else { c }).collect()
}

/// Returns the text of an error and those of its sources, with `: ` between them, at most 512 characters and made [`printable`].
///
/// A source that the text before it ends with is left out, since many errors repeat their source.
pub fn error_text(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        // A chain that never ends would be a bug of the HTTP client's or the store's.
        source = error.source().filter(|_| text.len() < 4 * MAX_EXCERPT_LEN);
    }
    excerpt(&text)
}

/// Returns the part of a text from outside that an error keeps: at most [`MAX_EXCERPT_LEN`] characters, made [`printable`].
pub(crate) fn excerpt(text: &str) -> String {
    if text.len() <= MAX_EXCERPT_LEN {
        return printable(text);
    }
    let end = text.char_indices().nth(MAX_EXCERPT_LEN).map_or(text.len(), |(end, _)| end);
    printable(text.get(..end).unwrap_or(text))
}

/// Returns whether all bytes of the text are allowed.
///
/// It checks sixteen bytes at a time. Within the sixteen there is no early exit, so that the compiler can check them in one step.
pub(crate) fn all_bytes(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    let each = |bytes: &[u8]| bytes.iter().fold(true, |all, byte| all & allowed(*byte));
    let bytes = text.as_bytes();
    match bytes.last_chunk::<16>() {
        // The last sixteen bytes hold the rest, and some bytes that were checked before.
        Some(rest) => bytes.as_chunks::<16>().0.iter().all(|chunk| each(chunk)) && each(rest),
        None => each(bytes),
    }
}

/// The largest number of characters that an error keeps of a text from outside.
const MAX_EXCERPT_LEN: usize = 512;

/// Returns whether this is a control character, a line separator, or a character that changes the direction of text.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Caused(&'static str, Option<Box<Caused>>);

    impl fmt::Display for Caused {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Caused {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|source| source as _)
        }
    }

    #[test]
    fn the_text_of_an_error_has_every_source_once_and_no_control_character() {
        let chain = |texts: &[&'static str]| {
            texts.iter().rev().fold(None, |source, text| Some(Box::new(Caused(text, source)))).unwrap()
        };
        for (texts, expected) in [
            (&["no answer"][..], "no answer"),
            (&["could not connect", "tcp error", "refused"], "could not connect: tcp error: refused"),
            (&["io: refused", "refused"], "io: refused"),
            (&["a\r\nb", "\u{1b}[2J"], "a\u{fffd}\u{fffd}b: \u{fffd}[2J"),
        ] {
            assert_eq!(error_text(&*chain(texts)), expected);
        }
        let deep = chain(&["a cause "; 10_000].map(|text| text));
        assert_eq!(error_text(&*deep), "a cause ", "it says nothing new");
        let long = chain(&["a cause", "b cause"].repeat(10_000));
        assert_eq!(error_text(&*long).chars().count(), MAX_EXCERPT_LEN);
    }
}

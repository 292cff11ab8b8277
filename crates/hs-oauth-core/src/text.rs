//! Texts from outside, and checks of their bytes.

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

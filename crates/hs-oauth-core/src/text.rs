/// Text from outside, fit to be shown: control characters are replaced, so that it can neither forge a log line nor steer a
/// terminal. Every text in an error of this crate went through it, and ends at 512 characters.
pub fn printable(text: &str) -> String {
    if all_bytes(text, |byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// As much of a text from outside as an error keeps.
pub(crate) fn excerpt(text: &str) -> String {
    if text.len() <= MAX_EXCERPT_LEN {
        return printable(text);
    }
    let end = text.char_indices().nth(MAX_EXCERPT_LEN).map_or(text.len(), |(end, _)| end);
    printable(text.get(..end).unwrap_or(text))
}

/// Whether all bytes are allowed. Looks at sixteen at once: without a way out half-way, the compiler makes one step of it.
pub(crate) fn all_bytes(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    let each = |bytes: &[u8]| bytes.iter().fold(true, |all, byte| all & allowed(*byte));
    let bytes = text.as_bytes();
    match bytes.last_chunk::<16>() {
        // The last sixteen are the rest, and some of what was seen before.
        Some(rest) => bytes.as_chunks::<16>().0.iter().all(|chunk| each(chunk)) && each(rest),
        None => each(bytes),
    }
}

const MAX_EXCERPT_LEN: usize = 512;

/// Control characters, and those that change the direction of what follows.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

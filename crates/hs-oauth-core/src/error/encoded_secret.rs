//! The search for secrets that a server repeats in an encoded form.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::percent_decode_str;

use crate::text::all_bytes;

/// Returns whether `text` contains one of `secrets` in an encoded form.
///
/// It finds secrets that were escaped as in URLs, forms or JSON, up to [`MAX_DECODE_ROUNDS`] times. It also finds `encoded_forms`,
/// which is the result of the function [`encoded_forms`] and is requested only if the text needs it.
pub(super) fn has_encoded_secret<'s>(
    text: &str,
    mut secrets: impl Iterator<Item = &'s str>,
    encoded_forms: impl FnOnce() -> &'s [String],
) -> bool {
    if all_bytes(text, is_prose) {
        return false;
    }
    if all_bytes(text, |byte| !matches!(byte, b'%' | b'+' | b'\\')) {
        return text.len() >= MIN_ENCODED_LEN && contains_any(&[text.to_owned()], encoded_forms());
    }
    let decodings = decodings(text);
    secrets.any(|secret| decodings.iter().any(|text| text.contains(secret)))
        || contains_any(&decodings, encoded_forms())
}

/// Returns the forms in which these secrets may appear: in another case, as hexadecimal digits, as base64, and as one half of the
/// secret.
///
/// A secret or half of fewer than [`MIN_ENCODED_LEN`] characters is left out. All forms are [`normalized`].
pub(super) fn encoded_forms<'s>(secrets: impl Iterator<Item = &'s str>) -> Vec<String> {
    let mut forms = Vec::new();
    for secret in secrets.filter(|secret| secret.len() >= MIN_ENCODED_LEN) {
        forms.extend([secret.to_owned(), secret.bytes().map(|byte| format!("{byte:02x}")).collect()]);
        // The base64 of a secret inside a longer text depends on how many bytes precede it, modulo 3. Only whole groups of three
        // bytes are taken, because the last characters of a partial group depend on the bytes that follow.
        for before in 0..3 {
            let groups = secret.as_bytes().get(before..).unwrap_or_default().as_chunks::<3>().0;
            forms.push(URL_SAFE_NO_PAD.encode(groups.as_flattened()));
        }
        if secret.len() >= 2 * MIN_ENCODED_LEN {
            let half = secret.len() / 2;
            forms.extend([secret.get(..half), secret.get(half..)].into_iter().flatten().map(str::to_owned));
        }
    }
    forms.iter().map(|form| normalized(form)).collect()
}

/// Returns whether one of `texts`, once [`normalized`], contains one of `encoded_forms`.
fn contains_any(texts: &[String], encoded_forms: &[String]) -> bool {
    let mut texts = texts.iter().map(|text| normalized(text));
    texts.any(|text| encoded_forms.iter().any(|form| text.contains(form)))
}

/// Returns whether this byte appears in plain prose, as most of HubSpot's messages are.
///
/// Escaped or encoded text has digits or capitals, so a text of such bytes alone holds none. There are no branches, so that the
/// compiler can check many bytes at once.
fn is_prose(byte: u8) -> bool {
    (byte.wrapping_sub(b'a') < 26) | (byte == b' ') | (byte == b',') | (byte == b'.')
}

/// The least length of an encoded form to search for, in bytes. A shorter one may appear in a text by chance.
pub(super) const MIN_ENCODED_LEN: usize = 16;

/// The number of times that escapes are undone. A text that was escaped more often was hidden on purpose.
const MAX_DECODE_ROUNDS: usize = 3;

/// Returns the text, and what it becomes each time its escapes are undone.
fn decodings(text: &str) -> Vec<String> {
    let mut decodings = Vec::new();
    for mut reading in [text.to_owned(), text.replace('+', " ")] {
        for _ in 0..MAX_DECODE_ROUNDS {
            let next = without_backslashes(&percent_decode_str(&reading).decode_utf8_lossy());
            if next == reading {
                break;
            }
            decodings.push(std::mem::replace(&mut reading, next));
        }
        decodings.push(reading);
    }
    decodings
}

/// Undoes the escapes of a JSON string (RFC 8259 §7).
fn without_backslashes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        plain.push_str(before);
        let digits = escape.strip_prefix('u').and_then(|digits| digits.split_at_checked(4));
        let code = digits.and_then(|(digits, after)| Some((u32::from_str_radix(digits, 16).ok()?, after)));
        let mut letters = escape.chars();
        let (letter, after) = match code.and_then(|(code, after)| Some((char::from_u32(code)?, after))) {
            Some((letter, after)) => (Some(letter), after),
            None => (letters.next(), letters.as_str()),
        };
        plain.extend(letter);
        rest = after;
    }
    plain.push_str(rest);
    plain
}

/// Returns the text in lower case, with both alphabets of base64 made one.
fn normalized(text: &str) -> String {
    text.to_ascii_lowercase().replace('+', "-").replace('/', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "na1-6f18f26a-3e95-4d95-A6E5-3d5c6e5c9e5a";

    fn is_found_among(text: &str, secrets: &[&str]) -> bool {
        let encoded_forms = encoded_forms(secrets.iter().copied());
        has_encoded_secret(text, secrets.iter().copied(), || &encoded_forms)
    }

    fn is_found(text: &str) -> bool {
        is_found_among(text, &[SECRET, "a/b c"])
    }

    #[test]
    fn a_secret_is_found_in_every_encoding() {
        let json: String = SECRET.bytes().map(|byte| format!("\\u{:04x}", byte)).collect();
        let hex: String = SECRET.bytes().map(|byte| format!("{byte:02X}")).collect();
        let (first, last) = SECRET.split_at(20);
        for text in [
            &SECRET.to_uppercase(),
            &SECRET.replace('-', "%2D"),
            &SECRET.replace('-', "%252d"),
            &SECRET.replace('-', "%25252d"),
            &json,
            &json.replace('\\', "\\\\"),
            &hex,
            SECRET.strip_suffix('a').unwrap(),
            SECRET.strip_prefix('n').unwrap(),
            &format!("{first}..."),
            last,
            "a%2Fb%20c",
            "a\\/b c",
            "a%252Fb%2520c",
            "a%252Fb+c",
        ] {
            assert!(is_found(text), "{text}");
            assert!(is_found(&format!("the token \"{text}\" is not known")), "{text}");
        }
        use base64::engine::general_purpose::STANDARD;
        for around in ["", "a", "ab", "abc", "client-id:"] {
            let text = format!("{around}{SECRET}{around}");
            assert!(is_found(&STANDARD.encode(&text)), "{around}");
            assert!(is_found(&format!("got Basic {}", URL_SAFE_NO_PAD.encode(&text))), "{around}");
        }
    }

    #[test]
    fn a_text_without_a_secret_is_not_taken_for_one_with_a_secret() {
        for text in [
            "",
            "refresh token is invalid, expired or revoked",
            "100% of a + b \\ c",
            "\\",
            "\\u12",
            "%",
            "5c6e5c9e-na1-6f18-A6E5-3d5c6e5c9e5b",
            "the first of na1-6f18f26a",
            "https://developers.hubspot.com/docs/api/oauth%20tokens?a=b+c",
        ] {
            assert!(!is_found(text), "{text}");
        }
        assert!(!is_found_among("THE CLIENT SECRET: S3CRET", &["s3cret"]));
    }
}

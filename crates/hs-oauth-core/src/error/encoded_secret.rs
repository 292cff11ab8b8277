//! Secrets in a server's words that stand there in other letters than their own.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::percent_decode_str;

use crate::text::all;

/// Whether one of the secrets stands in the text escaped, as URLs, forms and JSON do it and however often, or as one of
/// [`disguises`], which are asked for if they are needed.
pub(super) fn is_disguised<'d>(
    text: &str,
    mut secrets: impl Iterator<Item = &'d str>,
    disguises: impl FnOnce() -> &'d [String],
) -> bool {
    if all(text, is_of_prose) {
        return false;
    }
    if all(text, |byte| !matches!(byte, b'%' | b'+' | b'\\')) {
        return text.len() >= MIN_ENCODED_LEN && holds_one(&[text.to_owned()], disguises());
    }
    let readings = readings(text);
    secrets.any(|secret| readings.iter().any(|text| text.contains(secret)))
        || holds_one(&readings, disguises())
}

/// What these look like, from 16 characters on, in another case, as hexadecimal digits or as base64; and a half that has 16. All
/// [`folded`].
pub(super) fn disguises<'s>(secrets: impl Iterator<Item = &'s str>) -> Vec<String> {
    let mut disguises = Vec::new();
    for secret in secrets.filter(|secret| secret.len() >= MIN_ENCODED_LEN) {
        disguises.extend([secret.to_owned(), secret.bytes().map(|byte| format!("{byte:02x}")).collect()]);
        // Base64 depends on how many bytes stand before, and its last letter on what comes after: all three ways, in whole groups.
        for before in 0..3 {
            let groups = secret.as_bytes().get(before..).unwrap_or_default().as_chunks::<3>().0;
            disguises.push(URL_SAFE_NO_PAD.encode(groups.as_flattened()));
        }
        if secret.len() >= 2 * MIN_ENCODED_LEN {
            let half = secret.len() / 2;
            disguises
                .extend([secret.get(..half), secret.get(half..)].into_iter().flatten().map(str::to_owned));
        }
    }
    disguises.iter().map(|disguise| folded(disguise)).collect()
}

fn holds_one(readings: &[String], disguises: &[String]) -> bool {
    let mut folded = readings.iter().map(|text| folded(text));
    folded.any(|text| disguises.iter().any(|disguise| text.contains(disguise)))
}

/// As the messages of HubSpot's that are met most: nothing that was escaped or encoded is without digits and capitals. In a form that
/// can be asked of many bytes at once.
fn is_of_prose(byte: u8) -> bool {
    (byte.wrapping_sub(b'a') < 26) | (byte == b' ') | (byte == b',') | (byte == b'.')
}

/// What has fewer characters may stand in a text by chance.
pub(super) const MIN_ENCODED_LEN: usize = 16;

/// Who escapes a text more often than that hides it on purpose.
const ROUNDS: usize = 3;

/// The text, and what becomes of it when its escapes are undone.
fn readings(text: &str) -> Vec<String> {
    let mut readings = Vec::new();
    for mut reading in [text.to_owned(), text.replace('+', " ")] {
        for _ in 0..ROUNDS {
            let next = without_backslashes(&percent_decode_str(&reading).decode_utf8_lossy());
            if next == reading {
                break;
            }
            readings.push(std::mem::replace(&mut reading, next));
        }
        readings.push(reading);
    }
    readings
}

/// Undoes the escapes of a JSON text (RFC 8259 §7).
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

/// In small letters, and in one alphabet of base64's two.
fn folded(text: &str) -> String {
    text.to_ascii_lowercase().replace('+', "-").replace('/', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "na1-6f18f26a-3e95-4d95-A6E5-3d5c6e5c9e5a";

    fn looks_disguised(text: &str, secrets: &[&str]) -> bool {
        let disguises = disguises(secrets.iter().copied());
        is_disguised(text, secrets.iter().copied(), || &disguises)
    }

    fn is_found(text: &str) -> bool {
        looks_disguised(text, &[SECRET, "a/b c"])
    }

    #[test]
    fn a_secret_is_found_in_whatever_letters_it_stands() {
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
    fn what_holds_no_secret_is_left_alone() {
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
        assert!(!looks_disguised("THE CLIENT SECRET: S3CRET", &["s3cret"]));
    }
}

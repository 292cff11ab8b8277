//! Marks in an input that stand for secrets. A mutation rarely breaks a mark, and the seeds need not contain the secrets.
//!
//! `{state}` stands for a secret of that name. Further marks stand for the same secret, encoded in a way that a server may echo it in:
//! `{state%}` percent-encoded as in a URL, `{state%%}` percent-encoded throughout, `{state+}` as in a form, `{state^}` in capitals,
//! `{state#}` in hexadecimal digits, `{state=}` in base64, and `{stateu}` with the escapes of JSON.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

/// So many bytes of a secret count as the secret.
const PART: usize = 12;

/// Replaces each mark with its value. A mark right behind the beginning of an escape stays: the escape would take the first
/// characters of the value, and the rest is not the secret.
pub(crate) fn fill(input: &[u8], values: &[(&str, &str)]) -> Vec<u8> {
    let mut filled: Vec<u8> = Vec::with_capacity(input.len());
    let mut rest = input;
    while let Some((first, after)) = rest.split_first() {
        let is_free = || {
            let mut before = filled.iter().rev();
            !before.by_ref().take(2).any(|byte| b"%\\".contains(byte))
                && !before.take(3).any(|byte| *byte == b'\\')
        };
        let found =
            (values.iter()).find_map(|(mark, value)| Some((rest.strip_prefix(mark.as_bytes())?, value)));
        match found.filter(|_| is_free()) {
            Some((after, value)) => {
                filled.extend_from_slice(value.as_bytes());
                rest = after;
            }
            None => {
                filled.push(*first);
                rest = after;
            }
        }
    }
    filled
}

/// Returns the marks for a secret, each with the text that it stands for.
pub(crate) fn echoes(name: &str, secret: &str) -> [(String, String); 8] {
    let escape = |is_plain: fn(&u8) -> bool, is_upper: bool| {
        let mut text = String::new();
        for byte in secret.bytes() {
            match (is_plain(&byte), is_upper) {
                (true, _) => text.push(char::from(byte)),
                (false, true) => text.push_str(&format!("%{byte:02X}")),
                (false, false) => text.push_str(&format!("%{byte:02x}")),
            }
        }
        text
    };
    let unreserved = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let json = secret.chars().map(|char| format!("\\u{:04x}", u32::from(char))).collect();
    [
        (format!("{{{name}}}"), secret.to_owned()),
        (format!("{{{name}%}}"), escape(unreserved, true)),
        (format!("{{{name}%%}}"), escape(|_| false, false)),
        (format!("{{{name}+}}"), form_urlencoded::byte_serialize(secret.as_bytes()).collect()),
        (format!("{{{name}u}}"), json),
        (format!("{{{name}^}}"), secret.to_ascii_uppercase()),
        (format!("{{{name}#}}"), secret.bytes().map(|byte| format!("{byte:02x}")).collect()),
        (format!("{{{name}=}}"), STANDARD.encode(secret)),
    ]
}

/// Returns whether the input itself contains a secret, in any encoding. A fuzzer that watches comparisons can find the secrets. If it
/// has, two results that differ prove nothing.
pub(crate) fn has_secret(input: &str, echoes: &[(String, String)]) -> bool {
    let mut readings = vec![input.to_owned()];
    for from in [0, 1, 4, 13] {
        for index in from..readings.len() {
            let text = readings.get(index).map_or("", String::as_str);
            let percent = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
            let more = [percent(text), percent(&text.replace('+', " ")), without_json_escapes(text)];
            readings.extend(more);
        }
    }
    let folded = |text: &str| text.to_ascii_lowercase().replace('+', "-").replace('/', "_");
    readings.iter_mut().for_each(|text| *text = folded(text));
    // Base64 depends on how many bytes come before.
    let shifted = ["a", "ab"].map(|before| {
        let texts = echoes.iter().map(move |(_, text)| STANDARD.encode(format!("{before}{text}")));
        texts.collect::<Vec<_>>()
    });
    let texts = echoes.iter().map(|(_, text)| text).chain(shifted.iter().flatten()).map(|text| folded(text));
    let texts: Vec<_> = texts.collect();
    let parts: HashSet<_> = texts.iter().flat_map(|text| text.as_bytes().windows(PART)).collect();
    readings.iter().any(|text| text.as_bytes().windows(PART).any(|part| parts.contains(part)))
}

fn without_json_escapes(text: &str) -> String {
    let mut parts = text.split("\\u");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let escaped = part.get(..4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        match escaped.and_then(char::from_u32) {
            Some(char) => {
                plain.push(char);
                plain += part.get(4..).unwrap_or_default();
            }
            None => plain += part,
        }
    }
    plain.replace("\\/", "/").replace("\\\"", "\"").replace("\\\\", "\\")
}

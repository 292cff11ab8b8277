//! Marks in an input that stand for secrets: a mutation rarely breaks one, and the input need not know the secret.

/// Puts a value in the place of each mark that stands free: behind half an escape, its first character would be lost, and half
/// a secret is none.
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

/// The ways a server may echo a secret: as it is, escaped where it must be, escaped throughout, as a form, and as JSON may
/// write it.
pub(crate) fn echoes(name: &str, secret: &str) -> [(String, String); 5] {
    let escape = |kept: fn(&u8) -> bool, upper: bool| {
        let mut text = String::new();
        for byte in secret.bytes() {
            match (kept(&byte), upper) {
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
    ]
}

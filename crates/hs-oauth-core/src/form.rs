use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::text::all_bytes;

/// Everything but RFC 3986's unreserved characters is escaped: right in a query, in a form body and in a path segment
/// alike, and a space becomes `%20`, as HubSpot's own SDKs write it.
pub(crate) const UNRESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Appends `name=value`, after a `&` unless it is the first. `name` needs no escaping.
pub(crate) fn push(form: &mut String, name: &str, value: &str) {
    if !form.is_empty() {
        form.push('&');
    }
    form.push_str(name);
    form.push('=');
    push_value(form, value);
}

/// Appends `value`, escaped.
pub(crate) fn push_value(form: &mut String, value: &str) {
    if all_bytes(value, is_unreserved) {
        // As nearly all are.
        return form.push_str(value);
    }
    for piece in utf8_percent_encode(value, UNRESERVED) {
        form.push_str(piece);
    }
}

/// RFC 3986 §2.3. Without a way out half-way, so that it can be asked of many bytes at once.
fn is_unreserved(byte: u8) -> bool {
    let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let is_digit = byte.wrapping_sub(b'0') < 10;
    is_letter | is_digit | (byte == b'-') | (byte == b'.') | (byte == b'_') | (byte == b'~')
}

/// The most bytes [`push`] appends.
pub(crate) fn room_for(name: &str, value: &str) -> usize {
    name.len() + 3 * value.len() + 2
}

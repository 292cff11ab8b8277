//! Form encoding, which serves queries, form bodies and path segments alike.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::text::all_bytes;

/// The characters to escape: all but the unreserved ones of RFC 3986 §2.3.
///
/// This is correct in a query, in a form body and in a path segment. A space becomes `%20`, as HubSpot's own SDKs write it.
pub(crate) const UNRESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Appends `name=value`, preceded by `&` unless the form is empty. `name` must need no escapes.
pub(crate) fn push(form: &mut String, name: &str, value: &str) {
    if !form.is_empty() {
        form.push('&');
    }
    form.push_str(name);
    form.push('=');
    push_value(form, value);
}

/// Appends `value` with escapes.
pub(crate) fn push_value(form: &mut String, value: &str) {
    if all_bytes(value, is_unreserved) {
        // Nearly all values need no escapes.
        return form.push_str(value);
    }
    for piece in utf8_percent_encode(value, UNRESERVED) {
        form.push_str(piece);
    }
}

/// Returns whether the byte is an unreserved character of RFC 3986 §2.3.
///
/// There are no branches, so that the compiler can check many bytes at once.
fn is_unreserved(byte: u8) -> bool {
    let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let is_digit = byte.wrapping_sub(b'0') < 10;
    is_letter | is_digit | (byte == b'-') | (byte == b'.') | (byte == b'_') | (byte == b'~')
}

/// Returns the largest number of bytes that [`push`] appends for these.
pub(crate) fn room_for(name: &str, value: &str) -> usize {
    name.len() + 3 * value.len() + 2
}

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

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
    push_on(form, "=", value);
}

/// Appends `value` after `separator`.
pub(crate) fn push_on(form: &mut String, separator: &str, value: &str) {
    form.push_str(separator);
    for piece in utf8_percent_encode(value, UNRESERVED) {
        form.push_str(piece);
    }
}

/// The most bytes [`push`] appends.
pub(crate) fn room_for(name: &str, value: &str) -> usize {
    name.len() + 3 * value.len() + 2
}

//! HTTP messages in the text of an input.

use http::HeaderName;

/// Returns the first line, and what follows it.
pub(crate) fn line(data: &[u8]) -> (&[u8], &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (line, rest) = data.split_at(end);
    (line, rest.get(1..).unwrap_or_default())
}

/// Returns the headers up to an empty line, and the body after it. Skips lines that do not begin with a valid name and a colon.
pub(crate) fn headers(mut rest: &[u8]) -> (Vec<(HeaderName, &[u8])>, &[u8]) {
    let mut headers = Vec::new();
    while !rest.is_empty() {
        let (header, after) = line(rest);
        rest = after;
        if header.is_empty() {
            break;
        }
        let colon = header.iter().position(|byte| *byte == b':').and_then(|at| header.split_at_checked(at));
        if let Some((name, value)) = colon
            && let Ok(name) = HeaderName::from_bytes(name)
        {
            headers.push((name, value.strip_prefix(b":").unwrap_or(value).trim_ascii()));
        }
    }
    (headers, rest)
}

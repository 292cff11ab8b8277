//! The parameters of a query as they are written, still escaped. A `state` has to come back to the byte.

use percent_encoding::percent_decode_str;

/// Returns the values of all parameters of one name, still escaped. A parameter without `=` has an empty value.
pub(crate) fn raw_values<'q>(query: &'q str, name: &str) -> impl Iterator<Item = &'q str> {
    (query.split('&'))
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(move |pair| decoded(pair.0) == name)
        .map(|pair| pair.1)
}

/// Returns the text that an escaped one stands for.
pub(crate) fn decoded(raw: &str) -> String {
    percent_decode_str(&raw.replace('+', " ")).decode_utf8_lossy().into_owned()
}

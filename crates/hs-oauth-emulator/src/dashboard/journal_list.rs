//! The newest requests as a list. The script of the page writes what comes in later in the same form.

use crate::html::{escaped, push};
use crate::journal::Entry;

/// The number of requests that the page shows.
pub(super) const MAX_SHOWN: usize = 50;

/// Appends the list, newest first.
pub(super) fn push_list<'j>(html: &mut String, newest_first: impl Iterator<Item = &'j Entry>) {
    let mut entries = newest_first.take(MAX_SHOWN).peekable();
    let newest = entries.peek().map_or(0, |entry| entry.number);
    push(html, format_args!("<ol id=\"journal\" class=\"journal\" data-newest=\"{newest}\">"));
    let is_empty = entries.peek().is_none();
    entries.for_each(|entry| push_entry(html, entry));
    html.push_str("</ol>");
    if is_empty {
        html.push_str("<p id=\"no-requests\" class=\"quiet\">No request has come in yet.</p>");
    }
}

fn push_entry(html: &mut String, entry: &Entry) {
    let at = entry.at.to_string();
    // The date is the same for nearly all of them.
    let time = at.split_once('T').map_or(at.as_str(), |(_, time)| time);
    let status = entry.status.map_or_else(|| "no response".to_owned(), |status| status.to_string());
    let is_error = entry.status.is_none_or(|status| status >= 400);
    push(
        html,
        format_args!(
            "<li{}><time datetime=\"{}\">{}</time> <strong>{status}</strong> <code>{} {}</code>",
            if is_error { " class=\"failed\"" } else { "" },
            escaped(&at),
            escaped(time),
            escaped(&entry.method),
            escaped(&entry.path),
        ),
    );
    let operation = entry.operation.and_then(|operation| serde_json::to_value(operation).ok());
    let operation =
        operation.as_ref().and_then(|operation| operation.as_str()).map(|name| name.replace('_', " "));
    let hub_id = entry.hub_id.map(|hub_id| format!("account {hub_id}"));
    let details: Vec<_> = [operation, hub_id, entry.reason.clone()].into_iter().flatten().collect();
    if !details.is_empty() {
        push(html, format_args!("<span class=\"quiet\">{}</span>", escaped(&details.join(" \u{b7} "))));
    }
    html.push_str("</li>");
}

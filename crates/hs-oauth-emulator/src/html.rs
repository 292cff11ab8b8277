//! What all HTML pages share: the document around the content, the style sheet, and escaping.

use std::borrow::Cow;
use std::fmt::{Arguments, Write};

/// The style sheet that is written into every page.
pub(crate) const STYLE: &str = include_str!("style.css");

/// The script of the dashboard, the only page that has one.
pub(crate) const SCRIPT: &str = include_str!("dashboard/script.js");

/// Returns a whole page. `title` and `content` are HTML already: everything in them must be escaped.
pub(crate) fn document(title: &str, content: &str) -> String {
    whole(title, "<main>", content, "")
}

/// Returns the dashboard, which is wider than other pages and has a script.
pub(crate) fn dashboard_document(title: &str, content: &str) -> String {
    whole(title, "<main class=\"wide\">", content, &format!("<script>{SCRIPT}</script>"))
}

fn whole(title: &str, main: &str, content: &str, script: &str) -> String {
    format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>{STYLE}</style></head>\
         <body>{main}<p class=\"note\">HubSpot OAuth emulator, for developers. No real account is touched.</p>\
         <div class=\"inside\">{content}</div></main>{script}</body></html>"
    )
}

/// Appends formatted text to a page.
pub(crate) fn push(html: &mut String, text: Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = html.write_fmt(text);
}

/// Returns `text` with everything escaped that HTML would read as markup, in content and in quoted attributes.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            char => escaped.push(char),
        }
    }
    Cow::Owned(escaped)
}

//! The pages that the browser shows at the end of `login`.

use std::fmt::Write;

/// A page: a heading and a few lines.
#[derive(Debug)]
pub(crate) struct Page {
    heading: &'static str,
    lines: Vec<String>,
}

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{margin:0;font:1rem/1.5 system-ui,sans-serif;background:#fff;color:#1d2833}\
main{max-width:34rem;margin:15vh auto 0;padding:0 1.5rem}\
h1{font-size:1.5rem;line-height:1.2;margin:0 0 1rem}\
p{margin:0 0 .75rem;overflow-wrap:anywhere}\
@media (prefers-color-scheme:dark){body{background:#14191f;color:#e6ebf0}}";

impl Page {
    /// The account is connected.
    pub(crate) fn connected(account: &str) -> Self {
        let lines = vec![
            format!("The tokens of the account {account} are on this computer now."),
            "You can close this page and go back to the terminal.".to_owned(),
        ];
        Self { heading: "Connected", lines }
    }

    /// HubSpot refused, or the code could not be exchanged.
    pub(crate) fn failed(reason: &str) -> Self {
        let lines = vec![reason.to_owned(), "The terminal says what to do next.".to_owned()];
        Self { heading: "Not connected", lines }
    }

    /// The callback belongs to another authorization.
    pub(crate) fn other_authorization() -> Self {
        let lines = vec![
            "This page belongs to another sign-in, perhaps to an earlier one.".to_owned(),
            "Go on in the tab that was opened last, or open the address that the terminal shows.".to_owned(),
        ];
        Self { heading: "Not this sign-in", lines }
    }

    /// The address that leads to the consent page was opened before.
    pub(crate) fn already_opened() -> Self {
        let lines = vec![
            "This address works once.".to_owned(),
            "If the consent page is not open, open the address that the terminal shows.".to_owned(),
        ];
        Self { heading: "Already opened", lines }
    }

    /// There is nothing at this address.
    pub(crate) fn unknown_address() -> Self {
        Self {
            heading: "Nothing here",
            lines: vec!["hs-oauth waits for HubSpot at another address.".to_owned()],
        }
    }

    /// Returns the whole page.
    pub(crate) fn html(&self) -> String {
        let Self { heading, lines } = self;
        let mut html = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{heading} · hs-oauth</title>\
             <meta name=\"viewport\" content=\"width=device-width\"><link rel=\"icon\" href=\"data:,\">\
             <style>{STYLE}</style></head><body><main><h1>{heading}</h1>"
        );
        for line in lines {
            let _ = write!(html, "<p>{}</p>", escaped(line));
        }
        html.push_str("</main></body></html>\n");
        html
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hubspot_says_is_text_and_never_html() {
        let html = Page::failed("<img src=x onerror='a()'> & \"b\"").html();
        assert!(
            html.contains("<p>&lt;img src=x onerror=&#39;a()&#39;&gt; &amp; &quot;b&quot;</p>"),
            "{html}"
        );
    }
}

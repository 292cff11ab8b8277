//! The URL that the browser is redirected to, with the authorization response in its query (RFC 6749 §4.1.2).

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

/// A registered redirect URI and the `state` to return to it.
#[derive(Clone, Debug)]
pub(crate) struct RedirectTarget {
    pub(crate) redirect_uri: String,
    state: Option<String>,
}

impl RedirectTarget {
    /// Takes the redirect URI, and the `state` as it was written in the query of the request, still escaped.
    pub(crate) fn new(redirect_uri: String, state: Option<&str>) -> Self {
        let state = state.map(|raw| utf8_percent_encode(raw, NOT_IN_A_QUERY).to_string());
        Self { redirect_uri, state }
    }

    /// Returns the target with another state than the one that the app sent.
    pub(crate) fn with_wrong_state(mut self) -> Self {
        self.state = Some(self.state.map_or_else(|| "wrong".to_owned(), |state| format!("{state}-wrong")));
        self
    }

    /// Returns the redirect URI with `parameters` and the state added to its query. The query that the URI already has
    /// is not changed (RFC 6749 §3.1.2).
    pub(crate) fn to_url(&self, parameters: &[(&str, &str)]) -> String {
        let uri = &self.redirect_uri;
        let mut url = uri.clone();
        let mut separator = match uri.contains('?') {
            false => "?",
            true if uri.ends_with(['?', '&']) => "",
            true => "&",
        };
        let state = self.state.as_deref().map(|state| ("state", Cow::Borrowed(state)));
        let parameters =
            parameters.iter().map(|(name, value)| (*name, utf8_percent_encode(value, ESCAPED).into()));
        for (name, value) in parameters.chain(state) {
            url.extend([separator, name, "=", &*value]);
            separator = "&";
        }
        url
    }
}

/// All characters but the unreserved ones of RFC 3986 §2.3.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The characters that a query cannot have (RFC 3986 §3.4). `%` is not among them, because it may begin an escape
/// of the app's own. The state must come back as the app wrote it.
const NOT_IN_A_QUERY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6749 §3.1.2.
    #[test]
    fn the_redirect_uris_own_query_stays() {
        for (uri, expected) in [
            ("https://a.example/cb", "https://a.example/cb?code=a%20b&state=s"),
            ("https://a.example/cb?", "https://a.example/cb?code=a%20b&state=s"),
            ("https://a.example/cb?x=1", "https://a.example/cb?x=1&code=a%20b&state=s"),
            ("https://a.example/cb?x=1&", "https://a.example/cb?x=1&code=a%20b&state=s"),
        ] {
            let target = RedirectTarget::new(uri.to_owned(), Some("s"));
            assert_eq!(target.to_url(&[("code", "a b")]), expected);
        }
    }
}

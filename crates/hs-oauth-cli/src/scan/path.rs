//! Whether a text that looks like a path of `v1` is one of HubSpot's.

use std::ops::Range;

use crate::scan::rule::Rule;

/// What a path is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) rule: Rule,
    /// Whether HubSpot has this path. Otherwise it is a finding only where something names HubSpot.
    pub(crate) is_known: bool,
    /// Whether the URL itself names HubSpot.
    pub(crate) names_hubspot: bool,
}

/// Judges the text around `oauth/v1`, which is at `found`. Returns `None` if it is something else: a path of another service, a file, or
/// a longer name.
pub(crate) fn judge(text: &[u8], found: Range<usize>) -> Option<Judged> {
    let (before, after) = (text.get(..found.start)?, text.get(found.end..)?);
    let start = before.iter().rposition(|byte| !is_url(*byte)).map_or(0, |end| end + 1);
    let before = readable(before.get(start.max(found.start.saturating_sub(MAX_PREFIX))..)?);
    let names_hubspot = before.contains("hubspot") || before.contains("hubapi");
    if !is_own_name(&before) || (!names_hubspot && is_elsewhere(&before)) {
        return None;
    }
    let (rule, is_known) = endpoint(after)?;
    Some(Judged { rule, is_known: is_known || names_hubspot, names_hubspot })
}

/// Returns whether `oauth` begins a name of its own.
fn is_own_name(before: &str) -> bool {
    !before.ends_with(|last: char| last.is_ascii_alphanumeric() || matches!(last, '_' | '-' | '.' | '@'))
}

/// Returns whether the path is that of a file, or of a server on the internet that does not name HubSpot.
fn is_elsewhere(before: &str) -> bool {
    if before.starts_with('.') {
        return true;
    }
    let authority = before.rsplit_once("://").map_or(before, |(_, rest)| rest);
    let Some((host, _)) = authority.split_once('/') else { return false };
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    // A name on the internet has a dot and letters. What is put in by a template may be anything.
    let is_literal = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    let is_name = host.contains('.') && host.bytes().any(|byte| byte.is_ascii_alphabetic());
    is_literal && is_name
}

/// Returns the endpoint that follows `oauth/v1`, and whether HubSpot has it.
fn endpoint(after: &[u8]) -> Option<(Rule, bool)> {
    let rest = readable(after.get(..after.len().min(MAX_SUFFIX))?);
    let Some(rest) = rest.strip_prefix('/') else {
        // `oauth/v1` is all of it, unless its name goes on: `v10`, `v1beta`, `v1.1`, `v1.ts`.
        return ends_here(&rest).then_some((Rule::BasePath, true));
    };
    let end =
        rest.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_')).unwrap_or(rest.len());
    let (segment, rest) = rest.split_at_checked(end)?;
    let rule = match segment {
        "" => return Some((Rule::BasePath, true)),
        "token" => Rule::TokenPath,
        "access-tokens" => Rule::AccessTokenPath,
        "refresh-tokens" => Rule::RefreshTokenPath,
        _ => return Some((Rule::BasePath, false)),
    };
    ends_here(rest).then_some((rule, true))
}

/// Returns whether a name is at its end before this text. A dot ends it if it is that of a sentence.
fn ends_here(rest: &str) -> bool {
    let mut rest = rest.chars();
    match rest.next() {
        Some('.') => !rest.next().is_some_and(|next| next.is_ascii_alphanumeric()),
        Some(next) => !next.is_ascii_alphanumeric() && !matches!(next, '_' | '-'),
        None => true,
    }
}

/// Returns the text in lowercase, with its slashes and colons as they are meant.
fn readable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    text.replace("%2f", "/").replace("%3a", ":").replace("\\\\/", "/").replace("\\/", "/")
}

/// Returns whether the byte can be in a URL, or in a template of one.
fn is_url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#@!$&*+,;=%\\{}".contains(&byte)
}

/// How much of a text before and after `oauth/v1` is looked at, in bytes.
const MAX_PREFIX: usize = 300;
const MAX_SUFFIX: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(text: &str) -> Option<(Rule, bool, bool)> {
        let lower = text.to_ascii_lowercase();
        let (start, end) = (lower.find("oauth").unwrap(), lower.find("v1").unwrap() + 2);
        judge(text.as_bytes(), start..end).map(|judged| (judged.rule, judged.is_known, judged.names_hubspot))
    }

    /// The paths of `HUBSPOT.md`, as they are written in code, in configuration and in JSON.
    #[test]
    fn paths_of_v1_are_found_however_they_are_written() {
        for (text, rule) in [
            ("https://api.hubapi.com/oauth/v1/token", Rule::TokenPath),
            ("'https://api.hubapi.com/oauth/v1/token'", Rule::TokenPath),
            (r"https:\/\/api.hubapi.com\/oauth\/v1\/token", Rule::TokenPath),
            ("https%3A%2F%2Fapi.hubapi.com%2Foauth%2Fv1%2Ftoken", Rule::TokenPath),
            ("api.hubapi.com/oauth/v1/token?x=1", Rule::TokenPath),
            ("POST https://api.hubapi.com/oauth/v1/token.", Rule::TokenPath),
            (r"POST https://api.hubapi.com/oauth/v1/token\ngrant_type", Rule::TokenPath),
            ("`https://api.hubapi.com/oauth/v1/access-tokens/${token}`", Rule::AccessTokenPath),
            ("https://api.hubapi.com/oauth/v1/refresh-tokens/{token}", Rule::RefreshTokenPath),
            ("https://api.hubapi.com/oauth/v1", Rule::BasePath),
            ("https://api.hubapi.com/oauth/v1/", Rule::BasePath),
            ("https://api.hubapi.com/oauth/v1/${path}", Rule::BasePath),
        ] {
            assert_eq!(judged(text), Some((rule, true, true)), "{text}");
        }
        for text in [
            "\"/oauth/v1/token\"",
            "'oauth/v1/token'",
            "${BASE_URL}/oauth/v1/token",
            "{base}/oauth/v1/token",
            "${process.env.API}/oauth/v1/token",
            "http://localhost:8080/oauth/v1/token",
            "http://127.0.0.1:4380/oauth/v1/token",
            "http://mock:4380/oauth/v1/token",
            "^/oauth/v1/token$",
        ] {
            assert_eq!(judged(text), Some((Rule::TokenPath, true, false)), "{text}");
        }
    }

    #[test]
    fn lookalikes_are_not_found() {
        for text in [
            "/oauth/v10/token",
            "/oauth/v1beta/token",
            "/oauth/v1.1/token",
            "/oauth/v1_token",
            "/my-oauth/v1/token",
            "/xoauth/v1/token",
            "com.example.oauth/v1/token",
            "/oauth/v1/token.ts",
            "./oauth/v1/token",
            "../../oauth/v1/token",
            "https://apis.roblox.com/oauth/v1/token",
            r"https:\/\/apis.example.com\/oauth\/v1\/token",
            "login.example.com/oauth/v1/token",
            "https://user:password@login.example.com:8443/base/oauth/v1/token",
        ] {
            assert_eq!(judged(text), None, "{text}");
        }
    }

    #[test]
    fn a_path_that_hubspot_does_not_have_is_known_only_at_its_host() {
        for text in
            ["/oauth/v1/authorize", "/oauth/v1/tokens", "/oauth/v1/token_store", "/oauth/v1/token-info"]
        {
            assert_eq!(judged(text), Some((Rule::BasePath, false, false)), "{text}");
        }
        assert_eq!(judged("https://api.hubapi.com/oauth/v1/authorize"), Some((Rule::BasePath, true, true)));
    }
}

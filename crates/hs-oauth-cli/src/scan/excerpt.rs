//! The part of a line that a report shows.

use hs_oauth_blocking::printable;

/// Returns the line around a place, shortened, made printable, and without what may be a secret.
///
/// `line` may be as long as a file; `at` is the place in it.
pub(crate) fn excerpt(line: &[u8], at: usize) -> String {
    let start = at.saturating_sub(MAX_BEFORE);
    let end = at.saturating_add(MAX_AFTER).min(line.len());
    let text = String::from_utf8_lossy(line.get(start..end).unwrap_or_default());
    let text = without_secrets(text.trim());
    let text = printable(&text.replace('\t', " "));
    let (before, after) = (if start > 0 { "… " } else { "" }, if end < line.len() { " …" } else { "" });
    format!("{before}{text}{after}")
}

/// Masks each word that reads as a token, a client secret or an id: at least 32 characters long, and with a digit in it.
fn without_secrets(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_of_secret(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        match word.len() >= 32 && word.bytes().any(|byte| byte.is_ascii_digit()) {
            true => masked.extend(word.chars().take(4).chain(['…'])),
            false => masked.push_str(word),
        }
        let end = after.find(is_of_secret).unwrap_or(after.len());
        let (between, after) = after.split_at_checked(end).unwrap_or((after, ""));
        masked.push_str(between);
        rest = after;
    }
    masked
}

fn is_of_secret(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '~')
}

/// How much of a line is shown before and after a place, in bytes.
const MAX_BEFORE: usize = 100;
const MAX_AFTER: usize = 140;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_without_secrets_and_without_control_characters() {
        let line = b"  curl -d 'client_secret=0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0' https://api.hubapi.com/oauth/v1/refresh-tokens/na1-6f18f26a-4b5a-4978-8796-a5b4c3d2e1f0\x1b[2J";
        assert_eq!(
            excerpt(line, 80),
            "curl -d 'client_secret=0f1e…' https://api.hubapi.com/oauth/v1/refresh-tokens/na1-…\u{fffd}[2J"
        );
    }

    #[test]
    fn a_long_line_is_cut_and_a_line_that_is_not_utf_8_is_shown() {
        let mut line = vec![b'x'; 1_000_000];
        line.splice(500_000..500_004, *b"\xff\xfe/o");
        let shown = excerpt(&line, 500_000);
        assert!(
            shown.starts_with("… x") && shown.ends_with("x …") && shown.contains("\u{fffd}\u{fffd}/o"),
            "{shown}"
        );
        assert!(shown.len() < 400);
    }
}

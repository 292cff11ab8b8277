//! An object as aligned lines of text, for people.

use hs_oauth_blocking::{RefreshToken, printable};
use serde_json::{Map, Value};

/// Returns a line for each field, the most important fields first. Tokens are masked unless `show_tokens` is set.
pub(crate) fn lines(object: &Map<String, Value>, show_tokens: bool) -> String {
    // `expires_in` says the same in a form that people can read.
    let mut fields: Vec<_> = object.iter().filter(|field| field.0 != "expires_at").collect();
    fields.sort_by_key(|(name, _)| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): (&String, &Value)| {
        let text = match value {
            Value::String(token) if TOKENS.contains(&name.as_str()) && !show_tokens => masked(token),
            Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(" "),
            Value::Object(_) => "(--json prints it)".to_owned(),
            _ if name == "expires_in" => format!("{value} s"),
            value => text(value),
        };
        format!("{name:width$}  {text}\n")
    };
    fields.into_iter().map(line).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        value => value.to_string(),
    }
}

/// Returns enough of a token to tell it from another, and never enough to use it.
fn masked(token: &str) -> String {
    RefreshToken::new(token).map_or_else(|_| "…".to_owned(), |token| token.masked())
}

/// The fields that hold a token.
const TOKENS: [&str; 4] = ["token", "access_token", "refresh_token", "id_token"];

/// The fields that come first, in this order.
const FIRST: [&str; 12] = [
    "url",
    "pending",
    "state",
    "code_verifier",
    "active",
    "token",
    "access_token",
    "refresh_token",
    "id_token",
    "token_type",
    "token_use",
    "expires_in",
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lines_of(object: &Value, show_tokens: bool) -> String {
        lines(object.as_object().unwrap(), show_tokens)
    }

    #[test]
    fn people_read_aligned_lines_with_tokens_masked() {
        let object = json!({
            "access_token": "CKrU1234567890abcdefCANARY",
            "expires_at": 1,
            "expires_in": 1800,
            "hub_id": 7,
            "scopes": ["oauth", "crm.objects.contacts.read"],
            "signed_access_token": {"signature": "CANARY"},
        });
        assert_eq!(
            lines_of(&object, false),
            "access_token         CKrU… (26 characters)\n\
             expires_in           1800 s\n\
             hub_id               7\n\
             scopes               oauth crm.objects.contacts.read\n\
             signed_access_token  (--json prints it)\n"
        );
        assert!(lines_of(&object, true).starts_with("access_token         CKrU1234567890abcdefCANARY\n"));
    }

    #[test]
    fn text_from_hubspot_can_neither_forge_a_line_nor_control_the_terminal() {
        let object = json!({"hub_domain": "a\nactive  true\u{1b}[2J\u{202e}", "scopes": ["x\ny"]});
        assert_eq!(
            lines_of(&object, false),
            "hub_domain  a\u{fffd}active  true\u{fffd}[2J\u{fffd}\nscopes      x\u{fffd}y\n"
        );
    }
}

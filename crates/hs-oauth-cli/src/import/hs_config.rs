//! The settings of HubSpot's own command line `hs`: `hubspot.config.yml`, and `~/.hscli/config.yml` since.
//!
//! Accounts stand under `portals`, with a `portalId`, or in the newer form under `accounts`, with an `accountId`. Those that are connected
//! by OAuth have a refresh token.

use saphyr::{LoadableYamlNode, MarkedYaml};

use crate::import::row::{Field, Fields, Grant, Invalid, Row};

/// Reads the rows. Fails if the file is no YAML or has no accounts.
pub(crate) fn rows(text: &str) -> Result<Vec<Row>, Invalid> {
    let documents = MarkedYaml::load_from_str(text)
        .map_err(|error| Invalid::new(format!("the file is no YAML (line {})", error.marker().line())))?;
    let root = documents.first().ok_or_else(|| Invalid::new("the file is empty"))?;
    let accounts =
        ["accounts", "portals"].into_iter().find_map(|name| member(root, name)?.data.as_sequence());
    let accounts = accounts.ok_or_else(|| Invalid::new("the file has neither accounts nor portals"))?;
    let row =
        |account: &MarkedYaml<'_>| Row { line: account.span.start.line() as u64, content: grant(account) };
    Ok(accounts.iter().map(row).collect())
}

fn grant(account: &MarkedYaml<'_>) -> Result<Grant, Invalid> {
    let auth = member(account, "auth");
    let token_info = auth.and_then(|auth| member(auth, "tokenInfo"));
    let token = token_info.and_then(|info| member(info, "refreshToken")).and_then(text);
    if token.is_none() {
        let kind = match member(account, "authType").and_then(text).as_deref() {
            Some("personalaccesskey") => "it has a personal access key",
            Some("apikey") => "it has an API key",
            _ => "it was not connected by OAuth",
        };
        return Err(Invalid::new(format!("the account has no refresh token: {kind}")));
    }
    let id = ["accountId", "portalId"].into_iter().find_map(|name| member(account, name)).and_then(text);
    let client_id = auth.and_then(|auth| member(auth, "clientId")).and_then(text);
    let mut fields = Fields::default();
    for (field, value) in [(Field::HubId, &id), (Field::ClientId, &client_id), (Field::RefreshToken, &token)]
    {
        fields.set(field, value.as_deref().unwrap_or_default());
    }
    fields.grant()
}

/// Returns a member of a mapping.
fn member<'a, 'b>(node: &'a MarkedYaml<'b>, name: &str) -> Option<&'a MarkedYaml<'b>> {
    let mapping = node.data.as_mapping()?;
    mapping.iter().find(|(key, _)| key.data.as_str() == Some(name)).map(|(_, value)| value)
}

/// Returns a scalar as text.
fn text(node: &MarkedYaml<'_>) -> Option<String> {
    let number = node.data.as_integer().map(|number| number.to_string());
    number.or_else(|| node.data.as_str().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let shown = |row: Row| match row.content {
            Ok(Grant { hub_id, client_id, refresh_token, .. }) => {
                format!("{}: {hub_id} {client_id:?} {}", row.line, refresh_token.expose())
            }
            Err(error) => format!("{}: {}", row.line, error.0),
        };
        rows(text).unwrap().into_iter().map(shown).collect()
    }

    /// `types/Config.ts` and `types/Accounts.ts` of `hubspot-local-dev-lib`.
    #[test]
    fn both_forms_of_the_file_are_read() {
        let older = "defaultPortal: prod\nportals:\n  - name: prod\n    portalId: 7\n    authType: oauth2\n    auth:\n      clientId: a1b2\n      clientSecret: CANARY\n      scopes: [oauth]\n      tokenInfo:\n        accessToken: CANARY\n        expiresAt: '2024-02-07T17:10:32.747Z'\n        refreshToken: na1-a\n  - name: key\n    portalId: 8\n    authType: personalaccesskey\n    auth:\n      tokenInfo:\n        accessToken: CANARY\n    personalAccessKey: CANARY\n";
        assert_eq!(
            shown(older),
            [
                "3: 7 Some(\"a1b2\") na1-a",
                "14: the account has no refresh token: it has a personal access key"
            ]
        );
        let newer = "accounts:\n  - name: prod\n    accountId: 7\n    env: prod\n    authType: oauth2\n    auth:\n      clientId: a1b2\n      tokenInfo:\n        refreshToken: >-\n          na1-a\n  - name: api\n    accountId: 8\n    authType: apikey\n    apiKey: CANARY\ndefaultAccount: 7\n";
        assert_eq!(
            shown(newer),
            ["2: 7 Some(\"a1b2\") na1-a", "11: the account has no refresh token: it has an API key"]
        );
    }

    #[test]
    fn what_is_no_such_file_is_refused() {
        for text in ["", "a: [", "a: 1\n", "accounts: 7\n", "- 7\n"] {
            assert!(rows(text).is_err(), "{text}");
        }
    }
}

//! What lasts when the emulator ends: accounts, grants, codes, tokens, the clock, and the responses of the CRM API.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::grants::Grants;
use crate::grants::saved::SavedGrants;
use crate::state::State;

/// The version of the form. A file of another version is refused.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct SavedState {
    version: u32,
    /// How many values were generated, so that a run with the same seed generates none of them again.
    generated: u64,
    clock_advance_ms: u64,
    grants: SavedGrants,
    #[serde(default)]
    crm: Vec<SavedResponse>,
}

#[derive(Serialize, Deserialize)]
struct SavedResponse {
    path: String,
    body: Value,
}

/// Only the version, which is read first.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl State {
    /// Returns what has to last, as JSON.
    pub(crate) fn save(&self) -> Vec<u8> {
        let crm =
            self.crm.iter().map(|(path, body)| SavedResponse { path: path.to_owned(), body: body.clone() });
        let saved = SavedState {
            version: VERSION,
            generated: self.token_generator.count(),
            clock_advance_ms: u64::try_from(self.clock_advance.as_millis()).unwrap_or(u64::MAX),
            grants: self.grants.to_saved(),
            crm: crm.collect(),
        };
        serde_json::to_vec(&saved).unwrap_or_default()
    }

    /// Goes back to what was saved. Everything else is as after a reset.
    ///
    /// # Errors
    /// A message that says what is wrong with `json`. Nothing has changed then.
    pub(crate) fn restore(&mut self, json: &[u8]) -> Result<(), String> {
        let Version { version } = serde_json::from_slice(json).map_err(|error| not_saved(&error))?;
        if version != VERSION {
            return Err(format!("it has the version {version}, and this emulator reads version {VERSION}"));
        }
        let saved: SavedState = serde_json::from_slice(json).map_err(|error| not_saved(&error))?;
        self.reset();
        self.token_generator.skip_to(saved.generated);
        self.clock_advance = Duration::from_millis(saved.clock_advance_ms);
        self.grants = Grants::from_saved(&self.settings, saved.grants);
        for SavedResponse { path, body } in saved.crm {
            self.crm.put(&path, body)?;
        }
        Ok(())
    }
}

/// The place of the mistake, and not what is there: that may be a token.
fn not_saved(error: &serde_json::Error) -> String {
    format!("it is not what an emulator saves (line {}, column {})", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use hs_oauth_core::{ClientCredentials, ExchangeCode};
    use http::Method;
    use serde_json::json;

    use crate::settings::Rotation;
    use crate::testing::{Harness, refresh_token};

    /// Returns a harness with a new emulator that has gone back to what this one saved.
    fn restarted(harness: &Harness) -> Harness {
        let settings = harness.emulator.settings().clone();
        let mut again = Harness::configured(|new| *new = settings);
        again.now = harness.now;
        again.emulator.restore(&harness.emulator.save()).unwrap();
        again
    }

    #[test]
    fn accounts_grants_codes_tokens_and_the_clock_last() {
        for rotation in [Rotation::Keep, Rotation::Rotate, Rotation::Strict] {
            let mut harness = Harness::configured(|settings| settings.rotation = rotation);
            let tokens = harness.install();
            let renewed = harness.refresh(&tokens).unwrap();
            harness.control(
                Method::POST,
                "/hubs",
                r#"{"hub_id":7,"hub_domain":"seven.example","lacks":["x"]}"#,
            );
            harness.control(Method::DELETE, "/hubs/7", "");
            harness.control(Method::POST, "/hubs", r#"{"hub_id":700000,"lacks":["y"]}"#);
            harness.control(Method::POST, "/clock", r#"{"advance":600}"#);
            harness.control(Method::PUT, "/crm/v3/objects/contacts", r#"{"results":[1]}"#);
            let own = harness.call(&ClientCredentials::new("oauth".parse().unwrap())).unwrap();
            let code = harness.code("oauth");

            let hubs = harness.control(Method::GET, "/hubs", "");
            let mut again = restarted(&harness);
            assert_eq!(again.control(Method::GET, "/hubs", ""), hubs);
            assert_eq!(again.control(Method::GET, "/clock", "").1["advanced"], 600);
            assert_eq!(again.control(Method::GET, "/crm/v3/objects/contacts", "").1["results"], json!([1]));
            assert!(again.is_active(renewed.access_token.clone()) && again.is_active(own.access_token));
            assert_eq!(
                again.introspect(renewed.access_token.clone()),
                harness.introspect(renewed.access_token.clone())
            );
            again.call(&ExchangeCode::new(code)).unwrap();
            if rotation != Rotation::Keep {
                assert!(again.refresh(&tokens).is_err(), "a replaced token stays replaced");
            }
            // With `Strict`, that ended the grant.
            assert_eq!(again.refresh(&renewed).is_ok(), rotation != Rotation::Strict);
            again.wait(1800);
            assert!(!again.is_active(tokens.access_token));
        }
    }

    #[test]
    fn what_was_revoked_or_used_stays_so() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        let code = harness.code("oauth");
        let second = harness.call(&ExchangeCode::new(code.clone())).unwrap();
        harness.revoke(&tokens);
        let mut again = restarted(&harness);
        assert!(!again.is_active(refresh_token(&tokens)) && again.is_active(tokens.access_token));
        // RFC 6749 §4.1.2: the second use of a code ends its grant.
        assert!(again.call(&ExchangeCode::new(code)).is_err());
        assert!(again.refresh(&second).is_err());
    }

    #[test]
    fn with_the_same_seed_no_token_is_given_out_twice() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        let mut again = restarted(&harness);
        assert_ne!(again.install().access_token, tokens.access_token);
    }

    #[test]
    fn a_new_account_of_the_settings_is_added_and_a_deleted_one_stays_deleted() {
        let mut harness = Harness::new();
        harness.emulator.delete_hub(62515);
        let saved = harness.emulator.save();
        let mut again = Harness::configured(|settings| settings.hub_id = 9);
        again.emulator.restore(&saved).unwrap();
        assert_eq!(again.control(Method::GET, "/hubs/9", "").1["deleted"], false);
        assert_eq!(again.control(Method::GET, "/hubs/62515", "").1["deleted"], true);
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_showing_it_and_nothing_changes() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        let saved = String::from_utf8(harness.emulator.save()).unwrap();
        for (wrong, expected) in [
            (String::new(), "line 1"),
            ("[]".to_owned(), "line 1"),
            (saved.chars().take(saved.len() / 2).collect(), "line 1"),
            (saved.replace("\"version\":1", "\"version\":2"), "version 2"),
            (saved.replace("\"hub_id\":62515", "\"hub_id\":\"na1-canary\""), "line 1"),
        ] {
            let error = harness.emulator.restore(wrong.as_bytes()).unwrap_err();
            assert!(error.contains(expected) && !error.contains("canary"), "{error}");
        }
        harness.refresh(&tokens).unwrap();
    }

    #[test]
    fn what_is_saved_is_json_with_a_version() {
        let mut harness = Harness::new();
        harness.install();
        let saved: serde_json::Value = serde_json::from_slice(&harness.emulator.save()).unwrap();
        assert_eq!((&saved["version"], &saved["grants"]["hubs"][0]["hub_id"]), (&json!(1), &json!(62515)));
        assert_eq!(saved["grants"]["grants"].as_array().unwrap().len(), 1);
    }
}

//! What an install brought.

use hs_oauth_core::{Account, AuthorizationCode, Scopes, Timestamp};

/// An account that has connected the app, and what it granted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Installed {
    /// The account.
    pub account: Account,
    /// The user id of the person who installed the app, if HubSpot named it.
    pub user_id: Option<i64>,
    /// The scopes that were granted, if HubSpot named them.
    pub scopes: Option<Scopes>,
    /// The required scopes that were asked for and not granted. HubSpot refuses an install in which there are any.
    pub missing: Scopes,
    /// The optional scopes that were asked for and not granted: HubSpot leaves out those that the account cannot grant. What needs them
    /// will not work for this account.
    ///
    /// Both are empty if HubSpot did not name the scopes that were granted, or if it is not known what was asked for: for tokens that were
    /// installed without a code from [`PendingAuthorization::accept`](hs_oauth_core::PendingAuthorization::accept).
    pub missing_optional: Scopes,
    /// When the access token expires.
    pub expires_at: Timestamp,
    /// Whether the account was connected before, and had not been disconnected.
    pub reinstall: bool,
}

/// The scopes that an authorization asked for.
#[derive(Debug)]
pub struct RequestedScopes {
    required: Scopes,
    optional: Scopes,
}

impl RequestedScopes {
    /// Returns the scopes that the authorization of this code asked for.
    pub fn of(code: &AuthorizationCode) -> Self {
        Self { required: code.scopes().clone(), optional: code.optional_scopes().clone() }
    }

    /// Completes what an install brought by what was asked for and is missing.
    pub fn compare(self, installed: Installed) -> Installed {
        match &installed.scopes {
            None => installed,
            Some(granted) => Installed {
                missing: self.required.without(granted),
                missing_optional: self.optional.without(granted),
                ..installed
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hs_oauth_core::{App, Authorize, ClientSecret, Randomness};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

    /// Returns a code for which `oauth a` was asked as required, `b` as conditionally required and `c d` as optional.
    fn code() -> AuthorizationCode {
        let app = App::hubspot("id", ClientSecret::new("s3cret").unwrap())
            .with_redirect_uri("https://myapp.example.com/cb")
            .build()
            .unwrap();
        let authorize = Authorize::new("oauth a".parse().unwrap())
            .with_conditional_scopes("b".parse().unwrap())
            .with_optional_scopes("c d".parse().unwrap());
        let pending = authorize.begin_with(&app, NOW, Randomness::new([1; 32], [2; 32])).unwrap().pending;
        pending.accept(NOW, &format!("code=x&state={}", pending.state().expose())).unwrap()
    }

    fn installed(granted: Option<&str>) -> Installed {
        Installed {
            account: Account::hub(1),
            user_id: None,
            scopes: granted.map(|names| names.parse().unwrap()),
            missing: Scopes::NONE,
            missing_optional: Scopes::NONE,
            expires_at: NOW.plus(Duration::from_secs(1800)),
            reinstall: false,
        }
    }

    /// HubSpot's "Scopes": optional ones that the account cannot grant are left out, silently.
    #[test]
    fn an_install_says_what_was_asked_for_and_not_granted() {
        for (granted, missing, missing_optional) in [
            (Some("oauth a b c d"), "", ""),
            (Some("d a b oauth"), "", "c"),
            (Some("oauth a b more"), "", "c d"),
            (Some("oauth d"), "a b", "c"),
            (Some(""), "oauth a b", "c d"),
            // `v1` may not say what was granted.
            (None, "", ""),
        ] {
            let compared = RequestedScopes::of(&code()).compare(installed(granted));
            assert_eq!(compared.missing.to_string(), missing, "{granted:?}");
            assert_eq!(compared.missing_optional.to_string(), missing_optional, "{granted:?}");
        }
    }
}

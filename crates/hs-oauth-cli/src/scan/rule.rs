//! The kinds of findings, and what to write instead of each.

use std::time::SystemTime;

use hs_oauth_blocking::{ApiVersion, Timestamp};

/// A kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// The path at which `v1` issues tokens.
    TokenPath,
    /// The path at which `v1` describes an access token.
    AccessTokenPath,
    /// The path at which `v1` describes and revokes a refresh token.
    RefreshTokenPath,
    /// Another path under `v1`, or the part that its paths have in common.
    BasePath,
    /// An SDK's class that issues tokens.
    SdkTokens,
    /// An SDK's class that describes access tokens.
    SdkAccessTokens,
    /// An SDK's class that describes and revokes refresh tokens.
    SdkRefreshTokens,
    /// A method of an SDK that is no longer maintained.
    LegacySdk,
}

impl Rule {
    pub(crate) const ALL: [Self; 8] = [
        Self::TokenPath,
        Self::AccessTokenPath,
        Self::RefreshTokenPath,
        Self::BasePath,
        Self::SdkTokens,
        Self::SdkAccessTokens,
        Self::SdkRefreshTokens,
        Self::LegacySdk,
    ];

    /// Returns the name of the rule, for programs.
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::TokenPath => "v1-token",
            Self::AccessTokenPath => "v1-access-tokens",
            Self::RefreshTokenPath => "v1-refresh-tokens",
            Self::BasePath => "v1-path",
            Self::SdkTokens => "sdk-tokens",
            Self::SdkAccessTokens => "sdk-access-tokens",
            Self::SdkRefreshTokens => "sdk-refresh-tokens",
            Self::LegacySdk => "sdk-legacy",
        }
    }

    /// Returns what is wrong with the place, and until when it works, as two sentences.
    pub(crate) fn problem(self) -> String {
        format!("{} HubSpot removes v1 on {}.", self.what(), sunset())
    }

    /// Returns what the place is, as a sentence.
    pub(crate) const fn what(self) -> &'static str {
        match self {
            Self::TokenPath => "This is the path at which v1 of HubSpot's OAuth API issues tokens.",
            Self::AccessTokenPath => {
                "This is the path at which v1 of HubSpot's OAuth API describes access tokens."
            }
            Self::RefreshTokenPath => {
                "This is the path at which v1 of HubSpot's OAuth API describes and revokes refresh tokens."
            }
            Self::BasePath => "This is a path of v1 of HubSpot's OAuth API.",
            Self::SdkTokens | Self::SdkAccessTokens | Self::SdkRefreshTokens => {
                "This class of HubSpot's SDK sends to v1 of the OAuth API, also in the newest SDK."
            }
            Self::LegacySdk => {
                "This method of a HubSpot SDK that is no longer maintained sends to v1 of the OAuth API."
            }
        }
    }

    /// Returns what to write instead, in this language.
    pub(crate) fn instead(self, language: Language) -> String {
        let version = ApiVersion::LATEST;
        let at_hubspot = format!("https://api.hubapi.com/oauth/{version}");
        let introspect = |hint: &str| format!("client_id, client_secret, token and token_type_hint={hint}");
        match self {
            Self::TokenPath => format!("/oauth/{version}/token, with the same form"),
            Self::AccessTokenPath => {
                format!(
                    "POST /oauth/{version}/token/introspect, with the form {}",
                    introspect("access_token")
                )
            }
            Self::RefreshTokenPath => format!(
                "POST /oauth/{version}/token/introspect, or …/token/revoke in place of DELETE, with the form {}",
                introspect("refresh_token")
            ),
            Self::BasePath => format!(
                "/oauth/{version}; it has no access-tokens and refresh-tokens, but POST …/token/introspect and …/token/revoke"
            ),
            Self::SdkTokens | Self::LegacySdk => format!(
                "{} (code and redirect_uri in place of refresh_token for a code)",
                language.post(
                    &format!("{at_hubspot}/token"),
                    &["grant_type", "client_id", "client_secret", "refresh_token"]
                )
            ),
            Self::SdkAccessTokens => language
                .post(&format!("{at_hubspot}/token/introspect"), &["client_id", "client_secret", "token"]),
            Self::SdkRefreshTokens => format!(
                "{} (…/token/revoke in place of archive)",
                language.post(
                    &format!("{at_hubspot}/token/introspect"),
                    &["client_id", "client_secret", "token"]
                )
            ),
        }
    }
}

/// A language in which a call can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    JavaScript,
    Php,
    Python,
    Ruby,
    Other,
}

impl Language {
    /// Returns the language of a file with this extension.
    pub(crate) fn of_extension(extension: &str) -> Self {
        match extension.to_ascii_lowercase().as_str() {
            "js" | "jsx" | "ts" | "tsx" | "mjs" | "cjs" | "mts" | "cts" | "vue" | "svelte" => {
                Self::JavaScript
            }
            "php" | "phtml" => Self::Php,
            "py" | "pyi" | "ipynb" => Self::Python,
            "rb" | "rake" | "erb" | "gemspec" => Self::Ruby,
            _ => Self::Other,
        }
    }

    /// Returns a call that posts a form with these fields, each from a variable of the same name.
    fn post(self, url: &str, fields: &[&str]) -> String {
        let each = |field: &dyn Fn(&str) -> String| {
            fields.iter().map(|name| field(name)).collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::JavaScript => {
                let form = each(&str::to_owned);
                format!("fetch(\"{url}\", {{ method: \"POST\", body: new URLSearchParams({{ {form} }}) }})")
            }
            Self::Php => {
                let form = each(&|name| format!("'{name}' => ${name}"));
                format!("(new \\GuzzleHttp\\Client())->post('{url}', ['form_params' => [{form}]])")
            }
            Self::Python => {
                let form = each(&|name| format!("\"{name}\": {name}"));
                format!("requests.post(\"{url}\", data={{{form}}})")
            }
            Self::Ruby => {
                let form = each(&|name| format!("{name}: {name}"));
                format!("Net::HTTP.post_form(URI(\"{url}\"), {form})")
            }
            Self::Other => format!("POST {url}, with the form {}", each(&str::to_owned)),
        }
    }
}

/// Returns the day on which HubSpot removes `v1`, as `YYYY-MM-DD`.
pub(crate) fn sunset() -> String {
    let Some(sunset) = ApiVersion::V1.sunset() else { return String::new() };
    let text = sunset.to_string();
    text.split('T').next().unwrap_or(&text).to_owned()
}

/// Returns how many days are left until then.
pub(crate) fn days_left() -> u64 {
    let now = Timestamp::from(SystemTime::now());
    ApiVersion::V1.sunset().unwrap_or(now).since(now).as_secs() / 86_400
}

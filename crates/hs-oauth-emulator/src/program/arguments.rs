//! The command line and the environment variables.

use std::path::PathBuf;

use clap::Parser;
use hs_oauth_emulator::{LogFormat, Rotation};
use serde::Deserialize;

/// What the command line and the environment say. `None` and an empty list mean that they say nothing.
#[derive(Parser)]
#[command(version, about = "HubSpot's OAuth on your own machine, for development and tests", after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// A TOML file with these settings; flags and environment variables override it
    #[arg(long, value_name = "FILE", env = "HS_OAUTH_EMULATOR_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// The address to listen on; port 0 chooses a free port [default: 127.0.0.1:4380]
    #[arg(long, value_name = "ADDRESS:PORT", env = "HS_OAUTH_EMULATOR_LISTEN")]
    pub(crate) listen: Option<String>,
    /// A file that keeps accounts, grants and the clock over restarts
    #[arg(long, value_name = "FILE", env = "HS_OAUTH_EMULATOR_STATE")]
    pub(crate) state: Option<PathBuf>,
    /// Makes every run give out the same codes, tokens and ids for the same requests
    #[arg(long, value_name = "TEXT", env = "HS_OAUTH_EMULATOR_SEED", hide_env_values = true)]
    pub(crate) seed: Option<String>,
    /// The form of the log [default: text]
    #[arg(long, value_name = "text|json", env = "HS_OAUTH_EMULATOR_LOG_FORMAT", value_parser = log_format)]
    pub(crate) log_format: Option<LogFormat>,
    /// The app's client id [default: a1b2c3d4-e5f6-7890-abcd-ef1234567890]
    #[arg(long, value_name = "ID", env = "HS_OAUTH_EMULATOR_CLIENT_ID")]
    pub(crate) client_id: Option<String>,
    /// The app's client secret [default: 0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0]
    #[arg(
        long,
        value_name = "SECRET",
        env = "HS_OAUTH_EMULATOR_CLIENT_SECRET",
        hide_env_values = true,
        allow_hyphen_values = true
    )]
    pub(crate) client_secret: Option<String>,
    /// The app's name on the consent page [default: Example app]
    #[arg(long, value_name = "NAME", env = "HS_OAUTH_EMULATOR_APP_NAME")]
    pub(crate) app_name: Option<String>,
    /// The app's id in introspection responses [default: 456789]
    #[arg(long, value_name = "NUMBER", env = "HS_OAUTH_EMULATOR_APP_ID")]
    pub(crate) app_id: Option<i64>,
    /// A registered redirect URI; can be given more than once [default: http://localhost:3000/oauth/callback]
    #[arg(
        long = "redirect-uri",
        value_name = "URI",
        env = "HS_OAUTH_EMULATOR_REDIRECT_URIS",
        value_delimiter = ' '
    )]
    pub(crate) redirect_uris: Vec<String>,
    /// Take redirect URIs that HubSpot does not take: on any IP address, and `http` anywhere
    #[arg(long, env = "HS_OAUTH_EMULATOR_LENIENT_REDIRECTS", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true|false")]
    pub(crate) lenient_redirects: Option<bool>,
    /// Scopes that are registered for the app as required, separated by spaces or each with its own flag; `oauth` is always one
    /// of them [default: without any of these three flags, the app can ask for any scope]
    #[arg(long, value_name = "SCOPES", env = "HS_OAUTH_EMULATOR_REQUIRED_SCOPES")]
    pub(crate) required_scopes: Vec<String>,
    /// Scopes that are registered as conditionally required
    #[arg(long, value_name = "SCOPES", env = "HS_OAUTH_EMULATOR_CONDITIONAL_SCOPES")]
    pub(crate) conditional_scopes: Vec<String>,
    /// Scopes that are registered as optional
    #[arg(long, value_name = "SCOPES", env = "HS_OAUTH_EMULATOR_OPTIONAL_SCOPES")]
    pub(crate) optional_scopes: Vec<String>,
    /// The id of the account that exists at the start [default: 62515]
    #[arg(long, value_name = "NUMBER", env = "HS_OAUTH_EMULATOR_HUB_ID")]
    pub(crate) hub_id: Option<i64>,
    /// The domain of that account's website [default: demo.example.com]
    #[arg(long, value_name = "DOMAIN", env = "HS_OAUTH_EMULATOR_HUB_DOMAIN")]
    pub(crate) hub_domain: Option<String>,
    /// The id of the user who consents [default: 123456]
    #[arg(long, value_name = "NUMBER", env = "HS_OAUTH_EMULATOR_USER_ID")]
    pub(crate) user_id: Option<i64>,
    /// The e-mail address of that user [default: installer@example.com]
    #[arg(long, value_name = "ADDRESS", env = "HS_OAUTH_EMULATOR_USER_EMAIL")]
    pub(crate) user_email: Option<String>,
    /// What a refresh does to the refresh token: keep (as HubSpot today), rotate (replace it), strict (replace it, and
    /// end the grant if it is used again) [default: keep]
    #[arg(long, value_name = "keep|rotate|strict", env = "HS_OAUTH_EMULATOR_ROTATION", value_parser = rotation)]
    pub(crate) rotation: Option<Rotation>,
    /// The lifetime of an access token [default: 1800]
    #[arg(long, value_name = "SECONDS", env = "HS_OAUTH_EMULATOR_ACCESS_TOKEN_LIFETIME", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) access_token_lifetime: Option<u32>,
    /// The lifetime of an authorization code [default: 60]
    #[arg(long, value_name = "SECONDS", env = "HS_OAUTH_EMULATOR_CODE_LIFETIME", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) code_lifetime: Option<u32>,
    /// A version of the token API that is removed, such as v1; can be given more than once
    #[arg(long, value_name = "VERSION", env = "HS_OAUTH_EMULATOR_SUNSET", value_delimiter = ' ')]
    pub(crate) sunset: Vec<String>,
    /// Consent to everything at once instead of showing the page [default: show the page]
    #[arg(long, env = "HS_OAUTH_EMULATOR_AUTO_APPROVE", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true|false")]
    pub(crate) auto_approve: Option<bool>,
}

const AFTER_HELP: &str = "\
Several apps and accounts are in the file of --config, or as JSON in HS_OAUTH_EMULATOR_APPS and HS_OAUTH_EMULATOR_HUBS.
When the emulator listens, it writes one line of JSON to standard output: its address and the app's settings.
Log lines go to standard error.

Control (reads and writes JSON; send content-type: application/json):
  GET  /_emulator/                        the state and these paths
  POST /_emulator/faults                  {\"operation\":\"refresh\",\"count\":2,\"status\":503,\"retry_after\":1}
                                          or delay_ms, drop (before|after the effect), truncate (bytes),
                                          members (of the response), raw_body; GET, DELETE
  POST /_emulator/clock                   {\"advance\":1800}; GET
  POST /_emulator/hubs                    {\"hub_id\":2,\"hub_domain\":\"two.example.com\",\"lacks\":[\"automation\"]}; GET
  POST /_emulator/hubs/{hub_id}           {\"lacks\":[\"automation\"]}; scopes that it cannot grant from now on; GET
  POST /_emulator/hubs/{hub_id}/uninstall {}, or {\"client_id\":\"...\"} for one app
  DELETE /_emulator/hubs/{hub_id}         delete the account
  PUT  /_emulator/crm/...                 the JSON with which /crm/... is to respond; GET, DELETE
  POST /_emulator/user                    {\"super_admin\":false,\"marketplace_access\":false}; GET
  POST /_emulator/webhooks                {\"url\":\"http://localhost:3000/webhooks\",\"version\":\"v3\",\"body\":[]}; sends a
                                          signed request and responds with what came back
  GET  /_emulator/marketplace             the installs that began on the page /marketplace
  POST /_emulator/rotation                {\"rotation\":\"strict\"}; GET
  POST /_emulator/sunset                  {\"versions\":[\"v1\"]}; GET, DELETE
  GET  /_emulator/journal                 the requests that came in, secrets masked; DELETE
  GET  /_emulator/events                  the same as a stream of server-sent events
  POST /_emulator/reset                   {}; go back to the start

Exit status: 0 ended by SIGINT or SIGTERM, 1 cannot listen or cannot use the state file, 2 wrong usage.";

fn rotation(text: &str) -> Result<Rotation, String> {
    match text {
        "keep" => Ok(Rotation::Keep),
        "rotate" => Ok(Rotation::Rotate),
        "strict" => Ok(Rotation::Strict),
        _ => Err("must be keep, rotate or strict".to_owned()),
    }
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be text or json".to_owned()),
    }
}

/// The form of the log in the configuration file.
pub(super) fn read_log_format<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<LogFormat>, D::Error> {
    let text = String::deserialize(deserializer)?;
    log_format(&text).map(Some).map_err(|problem| serde::de::Error::custom(format!("log_format {problem}")))
}

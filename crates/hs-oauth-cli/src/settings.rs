use clap::Args;
use hs_oauth_blocking::{ApiVersion, App, Client, ClientSecret, Credential};

use crate::failure::Failure;
use crate::secret::{self, CLIENT_SECRET, Dash};

/// The app, by flags or else by the environment.
#[derive(Args, Debug)]
#[command(next_help_heading = "Settings")]
pub(crate) struct Settings {
    /// The app's client id [env: HUBSPOT_CLIENT_ID]
    #[arg(long, global = true, value_name = "ID")]
    client_id: Option<String>,
    /// `-` reads the client secret [env: HUBSPOT_CLIENT_SECRET]
    #[arg(long, global = true, value_name = "-")]
    client_secret: Option<Dash>,
    /// Where HubSpot sends the browser back to [env: HUBSPOT_REDIRECT_URI]
    #[arg(long, global = true, value_name = "URI")]
    redirect_uri: Option<String>,
    /// v1, v3 or a month; 2026-09 unless set [env: HUBSPOT_API_VERSION]
    #[arg(long, global = true, value_name = "VERSION")]
    api_version: Option<String>,
    /// Instead of `https://api.hubapi.com` [env: HUBSPOT_API_BASE]
    #[arg(long, global = true, value_name = "URL")]
    api_base: Option<String>,
    /// Instead of `https://app.hubspot.com` [env: HUBSPOT_APP_BASE]
    #[arg(long, global = true, value_name = "URL")]
    app_base: Option<String>,
    /// An MCP auth app: `https://mcp.hubspot.com` and v3 unless set
    #[arg(long, global = true)]
    pub(crate) mcp: bool,
}

impl Settings {
    /// The app without its secret: enough for an authorization URL.
    pub(crate) fn public_app(&self) -> Result<App, Failure> {
        self.app(|| Ok(Credential::Public))
    }

    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let app = self.app(|| {
            let secret = CLIENT_SECRET.read(self.client_secret.is_some())?;
            Ok(ClientSecret::new(secret)?.into())
        })?;
        Ok(Client::new(app))
    }

    /// The redirect URI, for the commands that cannot do without.
    pub(crate) fn redirect_uri(app: &App) -> Result<&str, Failure> {
        app.redirect_uri()
            .ok_or_else(|| Failure::usage("no redirect URI: set HUBSPOT_REDIRECT_URI or pass --redirect-uri"))
    }

    fn app(&self, credential: impl FnOnce() -> Result<Credential, Failure>) -> Result<App, Failure> {
        let client_id = setting(&self.client_id, "HUBSPOT_CLIENT_ID")?
            .ok_or_else(|| Failure::usage("no client id: set HUBSPOT_CLIENT_ID or pass --client-id"))?;
        let version = setting(&self.api_version, "HUBSPOT_API_VERSION")?;
        let version = version.map(|version| version.parse::<ApiVersion>()).transpose()?;
        let preset = if self.mcp { App::hubspot_mcp } else { App::hubspot };

        let mut app = preset(client_id, credential()?);
        if let Some(version) = version {
            app = app.version(version);
        }
        if let Some(uri) = setting(&self.redirect_uri, "HUBSPOT_REDIRECT_URI")? {
            app = app.with_redirect_uri(uri);
        }
        if let Some(base) = setting(&self.api_base, "HUBSPOT_API_BASE")? {
            app = app.with_api_base(base);
        }
        if let Some(base) = setting(&self.app_base, "HUBSPOT_APP_BASE")? {
            app = app.with_app_base(base);
        }
        Ok(app.build()?)
    }
}

fn setting(flag: &Option<String>, variable: &str) -> Result<Option<String>, Failure> {
    match flag {
        Some(value) => Ok(Some(value.clone())),
        None => secret::variable(variable),
    }
}

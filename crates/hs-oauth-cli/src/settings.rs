use clap::Args;
use hs_oauth_blocking::{ApiVersion, App, Client, ClientSecret, Credential};

use crate::config_file::AppSettings;
use crate::environment::{
    API_BASE, API_VERSION, APP_BASE, CLIENT_ID, CLIENT_SECRET, PROFILE, REDIRECT_URI, STORE, Variable,
};
use crate::failure::Failure;
use crate::kept_secret::KeptSecret;
use crate::profile::Profile;
use crate::secret;
use crate::stdin::StdinMarker;
use crate::store_url::StoreUrl;

/// The flags that describe the app. Where one is not given, its environment variable counts, and then the profile.
#[derive(Args, Debug)]
#[command(next_help_heading = "Settings")]
pub(crate) struct Settings {
    /// The app, as `hs-oauth login` has kept it [env: HS_OAUTH_PROFILE]
    #[arg(long, global = true, value_name = "NAME")]
    profile: Option<String>,
    /// The fleet's PostgreSQL or Redis in place of the profile's folder [env: HS_OAUTH_STORE]
    #[arg(long, global = true, value_name = "URL")]
    store: Option<String>,
    /// The app's client id [env: HUBSPOT_CLIENT_ID]
    #[arg(long, global = true, value_name = "ID")]
    client_id: Option<String>,
    /// `-` reads the client secret [env: HUBSPOT_CLIENT_SECRET]
    #[arg(long, global = true, value_name = "-")]
    client_secret: Option<StdinMarker>,
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
    mcp: bool,
    /// Each user of an account has tokens of their own
    #[arg(long, global = true)]
    user_level: bool,
}

const NO_SCOPE: &str =
    "no scope: pass --scope with the scopes that the app's settings require, at least `oauth`";

/// The settings with which a command works.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    /// The profile. Its settings count only if it is about the same app.
    pub(crate) profile: Profile,
    /// The settings of the app, wherever each comes from.
    pub(crate) app: AppSettings,
    secret_from_stdin: bool,
}

impl Settings {
    /// Returns the profile, which may not exist yet.
    pub(crate) fn profile(&self) -> Result<Profile, Failure> {
        let name = setting(&self.profile, &PROFILE)?;
        let profile = Profile::find(name.as_deref())?;
        match setting(&self.store, &STORE)? {
            None => Ok(profile),
            Some(url) => {
                let url = StoreUrl::parse(url)?;
                if self.store.is_some() {
                    url.refuse_password()?;
                }
                Ok(profile.with_store(url))
            }
        }
    }

    /// Puts the settings together. A flag wins over its environment variable, and that wins over the profile.
    ///
    /// A profile is about one app. With the client id of another one, nothing of the profile counts.
    pub(crate) fn resolve(&self) -> Result<Resolved, Failure> {
        let profile = self.profile()?;
        let client_id = setting(&self.client_id, &CLIENT_ID)?;
        let kept = profile.settings().filter(|kept| client_id.is_none() || kept.client_id == client_id);
        let AppSettings { mcp, user_level, scopes, optional_scopes, .. } = kept.cloned().unwrap_or_default();
        let or_kept = |flag, variable, of: fn(&AppSettings) -> &Option<String>| -> Result<_, Failure> {
            Ok(setting(flag, variable)?.or_else(|| kept.and_then(|kept| of(kept).clone())))
        };
        let app = AppSettings {
            redirect_uri: or_kept(&self.redirect_uri, &REDIRECT_URI, |kept| &kept.redirect_uri)?,
            api_version: or_kept(&self.api_version, &API_VERSION, |kept| &kept.api_version)?,
            api_base: or_kept(&self.api_base, &API_BASE, |kept| &kept.api_base)?,
            app_base: or_kept(&self.app_base, &APP_BASE, |kept| &kept.app_base)?,
            client_id: or_kept(&self.client_id, &CLIENT_ID, |kept| &kept.client_id)?,
            mcp: mcp || self.mcp,
            user_level: user_level || self.user_level,
            scopes,
            optional_scopes,
        };
        Ok(Resolved { profile, app, secret_from_stdin: self.client_secret.is_some() })
    }

    /// Returns a client for the app. The client secret is required.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        self.client_requiring([])
    }

    /// Returns a client for the app, if these values are given, too. If several are missing, the failure names all of them.
    pub(crate) fn client_requiring(
        &self,
        more: impl IntoIterator<Item = &'static Variable>,
    ) -> Result<Client, Failure> {
        let resolved = self.resolve()?;
        resolved.require([&CLIENT_ID, &CLIENT_SECRET].into_iter().chain(more))?;
        Ok(Client::new(resolved.app_with_secret()?))
    }

    /// Returns the app's redirect URI, for the commands that require one.
    pub(crate) fn redirect_uri(app: &App) -> Result<&str, Failure> {
        app.redirect_uri().ok_or_else(|| Failure::missing(&REDIRECT_URI))
    }
}

impl Resolved {
    /// Returns the settings that stand in a profile, without regard to flags and environment variables.
    pub(crate) fn of_profile(profile: &Profile, settings: &AppSettings) -> Self {
        Self { profile: profile.clone(), app: settings.clone(), secret_from_stdin: false }
    }

    /// Returns the same settings with a client id in the place of the one that is missing, so that the others can be looked at.
    pub(crate) fn without_client_id(&self) -> Self {
        let app = AppSettings { client_id: Some("missing".to_owned()), ..self.app.clone() };
        Self { app, ..self.clone() }
    }

    /// Returns the app without its secret.
    pub(crate) fn public_app(&self) -> Result<App, Failure> {
        self.build(Credential::Public)
    }

    /// Fails if a value is given neither by a flag nor by the environment nor by the profile. The failure names all that are missing.
    pub(crate) fn require(
        &self,
        variables: impl IntoIterator<Item = &'static Variable>,
    ) -> Result<(), Failure> {
        self.require_all(variables, None)
    }

    /// Does the same for an authorization, which requires scopes, too, unless HubSpot decides on them.
    pub(crate) fn require_with_scopes(
        &self,
        variables: impl IntoIterator<Item = &'static Variable>,
    ) -> Result<(), Failure> {
        let has_scopes = self.app.mcp || !self.app.scopes.is_empty();
        self.require_all(variables, (!has_scopes).then_some(NO_SCOPE))
    }

    fn require_all(
        &self,
        variables: impl IntoIterator<Item = &'static Variable>,
        more: Option<&str>,
    ) -> Result<(), Failure> {
        let mut missing = Vec::new();
        for variable in variables {
            if !self.has(variable)? {
                missing.push(variable.missing());
            }
        }
        missing.extend(more.map(str::to_owned));
        match missing.is_empty() {
            true => Ok(()),
            false => Err(Failure::usage(missing.join("\n"))),
        }
    }

    fn has(&self, variable: &Variable) -> Result<bool, Failure> {
        if variable.name == CLIENT_ID.name {
            return Ok(self.app.client_id.is_some());
        }
        if variable.name == REDIRECT_URI.name {
            return Ok(self.app.redirect_uri.is_some());
        }
        if variable.read()?.is_some() {
            return Ok(true);
        }
        Ok(variable.name == CLIENT_SECRET.name
            && (self.secret_from_stdin
                || self.is_about_profiles_app() && KeptSecret::ClientSecret.is_kept(&self.profile)?))
    }

    /// Returns the app with its secret.
    pub(crate) fn app_with_secret(&self) -> Result<App, Failure> {
        let secret = match secret::read_if_given(&CLIENT_SECRET, self.secret_from_stdin)? {
            Some(secret) => Some(secret),
            None => self.kept_client_secret()?,
        };
        let secret = secret.ok_or_else(|| Failure::missing(&CLIENT_SECRET))?;
        self.build(ClientSecret::new(secret)?.into())
    }

    /// Returns the client secret that is kept with the profile, if the profile is about this app.
    fn kept_client_secret(&self) -> Result<Option<String>, Failure> {
        match self.is_about_profiles_app() {
            true => KeptSecret::ClientSecret.read(&self.profile),
            false => Ok(None),
        }
    }

    fn is_about_profiles_app(&self) -> bool {
        self.profile.settings().is_some_and(|kept| kept.client_id == self.app.client_id)
    }

    fn build(&self, credential: Credential) -> Result<App, Failure> {
        let client_id = self.app.client_id.clone().ok_or_else(|| Failure::missing(&CLIENT_ID))?;
        let preset = if self.app.mcp { App::hubspot_mcp } else { App::hubspot };
        let mut app = preset(client_id, credential);
        if let Some(version) = &self.app.api_version {
            app = app.with_version(version.parse::<ApiVersion>()?);
        }
        if let Some(uri) = &self.app.redirect_uri {
            app = app.with_redirect_uri(uri);
        }
        if let Some(base) = &self.app.api_base {
            app = app.with_api_base(base);
        }
        if let Some(base) = &self.app.app_base {
            app = app.with_app_base(base);
        }
        Ok(app.build()?)
    }
}

fn setting(flag: &Option<String>, variable: &Variable) -> Result<Option<String>, Failure> {
    match flag {
        Some(value) => Ok(Some(value.clone())),
        None => Ok(variable.read()?),
    }
}

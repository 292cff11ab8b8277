//! What a command works with that uses kept tokens: the profile, its store, and a token manager over that.

use std::time::Duration;

use hs_oauth_blocking::{App, Client, Credential, TIMEOUT, TokenManager};

use crate::config_file::AppSettings;
use crate::environment::{API_BASE, CLIENT_ID, CLIENT_SECRET};
use crate::failure::Failure;
use crate::kept_secret::KeptSecret;
use crate::profile::Profile;
use crate::settings::{Resolved, Settings};
use crate::store::{self, Store};
use crate::{accounts, signals, waiting};

/// A profile whose store is open, for an app whose secret is known.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) profile: Profile,
    pub(crate) manager: TokenManager,
    settings: AppSettings,
}

impl Session {
    /// Opens the store of the profile that the settings name, if something was ever stored in it.
    pub(crate) fn open_existing(settings: &Settings) -> Result<(Self, Store), Failure> {
        Self::open_existing_within(settings, TIMEOUT)
    }

    /// Does the same, for requests that may take this long.
    pub(crate) fn open_existing_within(
        settings: &Settings,
        timeout: Duration,
    ) -> Result<(Self, Store), Failure> {
        let resolved = settings.resolve()?;
        resolved.profile.require_trace()?;
        match store::exists(&resolved.profile) {
            true => Self::open_within(resolved, timeout),
            false => Err(accounts::none_connected(&resolved.profile)),
        }
    }

    /// Opens the store of the profile, and creates it if it is missing.
    ///
    /// Fails if the profile is about another app, or about another server: its tokens are sent nowhere else.
    pub(crate) fn open(resolved: Resolved) -> Result<(Self, Store), Failure> {
        Self::open_within(resolved, TIMEOUT)
    }

    fn open_within(resolved: Resolved, timeout: Duration) -> Result<(Self, Store), Failure> {
        resolved.require([&CLIENT_ID, &CLIENT_SECRET])?;
        check_profile(&resolved)?;
        let client = Client::new(resolved.app_with_secret()?).with_timeout(timeout);
        let store = store::open(&resolved.profile)?;
        let manager = TokenManager::builder(client, Store::clone(&store));
        let manager = manager.with_user_level(resolved.app.user_level).build();
        Ok((Self { profile: resolved.profile, manager, settings: resolved.app }, store))
    }

    /// Asks the manager for something that may renew tokens. A signal meanwhile does not end the program, since tokens may have been
    /// issued already. If it takes long, the terminal says what is waited for.
    pub(crate) fn ask<T>(&self, ask: impl FnOnce(&TokenManager) -> T) -> T {
        signals::defer();
        waiting::for_hubspot(self.app(), || ask(&self.manager))
    }

    /// Returns the app.
    pub(crate) fn app(&self) -> &App {
        self.manager.client().app()
    }

    /// Keeps the settings of the app with its secret, so that later commands need neither flags nor variables. Call it when HubSpot has
    /// accepted them.
    pub(crate) fn keep_settings(&mut self) -> Result<(), Failure> {
        if let Credential::Secret(secret) = self.app().credential() {
            let secret = secret.expose().to_owned();
            if KeptSecret::ClientSecret.read(&self.profile)?.as_ref() != Some(&secret) {
                KeptSecret::ClientSecret.write(&self.profile, &secret)?;
            }
        }
        if self.profile.settings() != Some(&self.settings) {
            self.profile.write(self.settings.clone())?;
        }
        Ok(())
    }
}

/// Fails if the tokens of the profile are those of another app, or were issued by another server.
fn check_profile(resolved: &Resolved) -> Result<(), Failure> {
    let Some(kept) = resolved.profile.settings() else { return Ok(()) };
    let kept = Resolved::of_profile(&resolved.profile, kept).public_app()?;
    let given = resolved.public_app()?;
    for (kept, given, variable) in
        [(kept.client_id(), given.client_id(), &CLIENT_ID), (kept.api_base(), given.api_base(), &API_BASE)]
    {
        if kept != given {
            return Err(Failure::usage(format!(
                "the tokens of the profile {} are for the {} {kept}, and {} says {given}: for another app, pass --profile with \
                 another name",
                resolved.profile.name(),
                variable.label,
                variable.sources(),
            )));
        }
    }
    Ok(())
}

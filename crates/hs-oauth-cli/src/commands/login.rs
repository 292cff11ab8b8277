use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use hs_oauth_blocking::{
    Authorization, AuthorizationCode, CallbackError, Installed, PendingAuthorization, TokenStore,
};
use serde_json::json;

use crate::callback_server::{Callback, CallbackServer};
use crate::consent::Consent;
use crate::environment::{CLIENT_ID, CLIENT_SECRET, REDIRECT_URI};
use crate::failure::Failure;
use crate::output::print_error;
use crate::page::Page;
use crate::report::Report;
use crate::session::Session;
use crate::settings::Settings;
use crate::{browser, callback, duration, stdin};

/// Connect an account: open the consent page, and keep the tokens
///
/// The browser comes back to the redirect URI, on whose port this command listens. That URI has to be
/// registered for the app and lead to this machine, such as http://localhost:3000/oauth/callback.
///
/// The settings of the app and its secret are kept with the profile. Later commands need neither flags
/// nor variables.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = EXAMPLES)]
pub(crate) struct Login {
    #[command(flatten)]
    consent: Consent,
    /// Print the address of the consent page, and open no browser
    #[arg(long)]
    no_browser: bool,
    /// Listen nowhere: paste the address that the browser ends at, for another machine over SSH
    #[arg(long)]
    paste: bool,
    /// How long to wait for the browser
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration::parse)]
    timeout: Duration,
}

const EXAMPLES: &str = "\
Examples:
  hs-oauth login --scope 'oauth crm.objects.contacts.read'
  hs-oauth login --hub-id 62515               # again, with the app and the scopes of before
  hs-oauth login --paste                      # over SSH
  hs-oauth login --profile staging --client-id … --client-secret - --redirect-uri …";

impl Login {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        let mut resolved = settings.resolve()?;
        self.consent.apply_to(&mut resolved.app)?;
        resolved.require_with_scopes([&CLIENT_ID, &CLIENT_SECRET, &REDIRECT_URI])?;
        let app_settings = resolved.app.clone();
        let (mut session, store) = Session::open(resolved)?;
        // Before a person does something in vain.
        store.check()?;
        let authorization = self.consent.begin(session.app(), &app_settings, |authorize| authorize)?;
        let (code, callback) = match self.paste {
            true => (paste(&authorization)?, None),
            false => {
                let (code, callback) = self.wait_for_browser(&authorization)?;
                (code, Some(callback))
            }
        };
        let installed = session.ask(|manager| manager.install(code));
        if let Some(callback) = callback {
            callback.answer(&match &installed {
                Ok(installed) => Page::connected(&installed.account.to_string()),
                Err(error) => Page::failed(&Failure::brief(error)),
            });
        }
        let installed = installed?;
        session.keep_settings()?;
        self.report(&session, &installed)
    }

    /// Shows the consent page, and waits until the browser comes back with a code.
    fn wait_for_browser(
        &self,
        authorization: &Authorization,
    ) -> Result<(AuthorizationCode, Callback), Failure> {
        let Authorization { url, pending, .. } = authorization;
        let server = CallbackServer::listen(pending.redirect_uri())?;
        let is_open = !self.no_browser && browser::open(&server.start_url(url));
        match is_open {
            true => print_error(format_args!(
                "opening the consent page; if no browser opens, open this address:\n{url}"
            )),
            false => print_error(format_args!("open this address in a browser on this machine:\n{url}")),
        }
        let started = Instant::now();
        loop {
            let left = self.timeout.saturating_sub(started.elapsed());
            let callback = server.next(left).ok_or_else(|| {
                Failure::TimedOut(format!("nobody has connected within {}", duration::text(self.timeout)))
            })?;
            match pending.accept(SystemTime::now().into(), &callback.query) {
                Ok(code) => return Ok((code, callback)),
                Err(error @ CallbackError::Refused { .. }) => {
                    callback.answer(&Page::failed(&error.to_string()));
                    return Err(error.into());
                }
                // The right callback may yet come.
                Err(error) => {
                    print_error(format_args!("a browser came, but {error}; still waiting"));
                    callback.answer(&Page::other_authorization());
                }
            }
        }
    }

    fn report(&self, session: &Session, installed: &Installed) -> Result<Report, Failure> {
        let Installed { account, user_id, scopes, missing, missing_optional, expires_at, reinstall, .. } =
            installed;
        let names = |scopes: &hs_oauth_blocking::Scopes| {
            json!(scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>())
        };
        let report = Report::new(&json!({
            "account": account,
            "profile": session.profile.name(),
            "user_id": user_id,
            "scopes": scopes.as_ref().map(names),
            "missing": names(missing),
            "missing_optional": names(missing_optional),
            "expires_at": expires_at,
            "reinstall": reinstall,
        }))?;
        let mut text = format!("Connected the account {account}.\n");
        if let Some(asked) = self.consent.hub_id.filter(|asked| *asked != account.hub_id) {
            text.push_str(&format!("It is not {asked}: another account was chosen on the consent page.\n"));
        }
        for (scopes, what) in [(missing, "required"), (missing_optional, "optional")] {
            if !scopes.is_empty() {
                text.push_str(&format!("Not granted of the {what} scopes: {scopes}\n"));
            }
        }
        text.push_str(&format!("`hs-oauth token {account}` prints a token for it.\n"));
        Ok(report.shown_as(text))
    }
}

/// Shows the address of the consent page, and reads the one that the browser ends at.
fn paste(authorization: &Authorization) -> Result<AuthorizationCode, Failure> {
    let Authorization { url, pending, .. } = authorization;
    print_error(format_args!(
        "open this address in any browser, connect, and paste the address that the browser ends at:\n{url}"
    ));
    accept(pending, &stdin::read_line("callback")?)
}

fn accept(pending: &PendingAuthorization, address: &str) -> Result<AuthorizationCode, Failure> {
    Ok(pending.accept(SystemTime::now().into(), callback::query(address))?)
}

use std::net::{IpAddr, ToSocketAddrs};
use std::time::{Duration, SystemTime};

use clap::Args;
use hs_oauth_blocking::http::{Request, header};
use hs_oauth_blocking::{
    AccessToken, Account, ApiVersion, App, Client, Error, NextStep, Timestamp, TokenStore,
    TransportErrorKind, ureq,
};
use serde_json::json;

use crate::account_report::AccountReport;
use crate::callback_server::CallbackServer;
use crate::check::{self, Check, Level};
use crate::environment::{CLIENT_ID, CLIENT_SECRET};
use crate::failure::Failure;
use crate::folders;
use crate::profile::Profile;
use crate::report::Report;
use crate::settings::{Resolved, Settings};
use crate::{duration, store, waiting};

/// Check everything that has to be right, a line for each check
///
/// It looks at the settings, the client secret, the redirect URI, the version of the API, the network,
/// the clock, the store, and each account. Two requests are made, and nothing is changed.
///
/// The exit status is 4 if something has to be fixed, and 5 if something may work later.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = EXAMPLES)]
pub(crate) struct Doctor {}

const EXAMPLES: &str = "\
Examples:
  hs-oauth doctor
  hs-oauth doctor --json | jq -r '.checks[] | select(.level != \"green\") | .text'";

/// How long each request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How much two clocks that share a store may differ: RENEWAL.md, `M`.
const CLOCK_MARGIN: Duration = Duration::from_secs(10);

/// How long before the end of a version somebody should look at it.
const SUNSET_NOTICE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A token that no account has. HubSpot's answer to it says whether the client secret is right.
const NO_TOKEN: &str = "hs-oauth-doctor";

impl Doctor {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        let mut checks = Vec::new();
        match settings.resolve() {
            Err(failure) => checks.push(Check::bad("settings", failure.to_string(), "correct it")),
            Ok(resolved) => check_all(&resolved, &mut checks),
        }
        let objects: Vec<_> = checks.iter().map(Check::object).collect();
        let report = Report::new(&json!({ "checks": objects }))?;
        let text = check::text(&checks, check::is_in_colour());
        Ok(report.shown_as(text).with_exit_status(check::exit_status(&checks)))
    }
}

fn check_all(resolved: &Resolved, checks: &mut Vec<Check>) {
    checks.push(profile(&resolved.profile));
    checks.push(match resolved.require([&CLIENT_ID, &CLIENT_SECRET]) {
        Ok(()) => Check::good("settings", "the client id and the client secret are known"),
        Err(failure) => {
            Check::bad("settings", one_line(&failure), "set what is missing, or `hs-oauth login`")
        }
    });
    let public = match resolved.app.client_id {
        Some(_) => resolved.public_app(),
        None => resolved.without_client_id().public_app(),
    };
    match public {
        Err(failure) => checks.push(Check::bad("settings", one_line(&failure), "correct it")),
        Ok(app) => {
            checks.push(redirect_uri(&app));
            checks.push(version(app.version(), now()));
            check_network(&app, checks);
        }
    }
    if let Ok(app) = resolved.app_with_secret() {
        checks.push(secret(app));
    }
    check_store(&resolved.profile, checks);
}

fn profile(profile: &Profile) -> Check {
    let file = folders::config_file().map(|file| file.display().to_string()).unwrap_or_default();
    match profile.settings() {
        Some(_) => Check::good("profile", format!("{} in {file}", profile.name())),
        None => Check::warning(
            "profile",
            format!("there is no profile {} in {file}", profile.name()),
            "`hs-oauth login` makes it; until then, flags and variables have to say everything",
        ),
    }
}

/// A redirect URI that `login` can listen for is free. Whether it is registered, HubSpot shows to a person only.
fn redirect_uri(app: &App) -> Check {
    const NAME: &str = "redirect URI";
    let Some(uri) = app.redirect_uri() else {
        return Check::warning(NAME, "none", "`login` needs one that is registered: pass --redirect-uri");
    };
    if uri.starts_with("https:") {
        return Check::good(NAME, format!("{uri}; `login` needs --paste for it"));
    }
    match CallbackServer::listen(uri) {
        Ok(_) => Check::good(NAME, format!("{uri}; `login` can listen there")),
        Err(failure) => Check::warning(NAME, one_line(&failure), "this matters for `login` only"),
    }
}

fn version(version: ApiVersion, now: Timestamp) -> Check {
    const NAME: &str = "API version";
    let advice = format!("set HUBSPOT_API_VERSION or api_version to {}", ApiVersion::LATEST);
    match version.sunset() {
        None => Check::good(NAME, version.to_string()),
        Some(end) if end <= now => Check::bad(NAME, format!("{version} ended on {end}"), advice),
        Some(end) => {
            let days = end.since(now).as_secs() / (24 * 60 * 60);
            let text = format!("{version} ends in {days} days, on {end}");
            match end.since(now) <= SUNSET_NOTICE {
                true => Check::warning(NAME, text, advice),
                false => Check::good(NAME, text),
            }
        }
    }
}

/// Checks the way to HubSpot: the proxy, the name of the host, TLS, and the clock.
fn check_network(app: &App, checks: &mut Vec<Check>) {
    let Ok(request) = Request::get(format!("{}/", app.api_base())).body(()) else { return };
    let is_used = |proxy: &ureq::Proxy| !app.is_plain_http() && !proxy.is_no_proxy(request.uri());
    let proxy = ureq::Proxy::try_from_env().filter(is_used);
    match &proxy {
        // Its user name and password are not shown.
        Some(proxy) => checks.push(Check::good("proxy", format!("{}:{}", proxy.host(), proxy.port()))),
        None => checks.push(Check::good("proxy", "none")),
    }
    if proxy.is_none() {
        let dns = dns(app);
        let found = dns.level == Level::Good;
        checks.push(dns);
        if !found {
            return;
        }
    }
    let name = if app.is_plain_http() { "connection" } else { "TLS" };
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .max_redirects(0)
        .http_status_as_error(false)
        .proxy(proxy)
        .build()
        .into();
    let before = SystemTime::now();
    match waiting::for_hubspot(app, || agent.run(request)) {
        Ok(response) => {
            checks.push(Check::good(name, format!("{} responds", app.api_base())));
            let date = response.headers().get(header::DATE).and_then(|date| date.to_str().ok());
            if let Some(date) = date.and_then(|date| httpdate::parse_http_date(date).ok()) {
                checks.push(clock(before, SystemTime::now(), date));
            }
        }
        Err(error) => checks.push(Check::failed(
            name,
            format!("{} does not respond: {error}", app.api_base()),
            NextStep::RetryAfter(None),
            "check the network, the proxy and --api-base, or try again later",
        )),
    }
}

fn dns(app: &App) -> Check {
    const NAME: &str = "DNS";
    let uri: Option<hs_oauth_blocking::http::Uri> = app.api_base().parse().ok();
    let host = uri.as_ref().and_then(|uri| uri.host()).unwrap_or_default().trim_matches(['[', ']']);
    if host.parse::<IpAddr>().is_ok() {
        return Check::good(NAME, format!("not needed for {host}"));
    }
    let found = (host, 443).to_socket_addrs().map(|mut addresses| addresses.next());
    match found {
        Ok(Some(address)) => Check::good(NAME, format!("{host} is {}", address.ip())),
        _ => Check::failed(
            NAME,
            format!("{host} has no address"),
            NextStep::RetryAfter(None),
            "check the network and its name server, or try again later",
        ),
    }
}

/// Compares the clock with the server's, which has whole seconds.
fn clock(before: SystemTime, after: SystemTime, server: SystemTime) -> Check {
    const NAME: &str = "clock";
    let second = Duration::from_secs(1);
    let ahead = before.duration_since(server + second).unwrap_or_default();
    let behind = server.duration_since(after).unwrap_or_default();
    let (skew, word) = if ahead > behind { (ahead, "ahead") } else { (behind, "behind") };
    match skew {
        skew if skew <= second => Check::good(NAME, "agrees with HubSpot's"),
        skew if skew <= CLOCK_MARGIN => Check::warning(
            NAME,
            format!("{} {word} of HubSpot's", duration::text(skew)),
            "let the system set its clock from the network",
        ),
        skew => Check::bad(
            NAME,
            format!(
                "{} {word} of HubSpot's: tokens expire earlier or later than they seem to",
                duration::text(skew)
            ),
            "let the system set its clock from the network",
        ),
    }
}

/// Asks HubSpot about a token that nobody has: only an app with the right secret gets the answer that it is not active.
fn secret(app: App) -> Check {
    const NAME: &str = "client secret";
    if app.version() == ApiVersion::V1 {
        return Check::warning(NAME, "v1 cannot say whether it is right", "a later version can");
    }
    let Ok(token) = AccessToken::new(NO_TOKEN) else { return Check::good(NAME, "not checked") };
    let client = Client::new(app).with_timeout(TIMEOUT);
    match waiting::for_hubspot(client.app(), || client.introspect(token)) {
        Ok(_) => Check::good(NAME, "HubSpot accepts it"),
        Err(error) => {
            let step = error.next_step();
            let advice = match &error {
                Error::Transport(error) if error.kind() == TransportErrorKind::Tls => {
                    "check the proxy and the certificates of this machine".to_owned()
                }
                _ => step.to_string(),
            };
            Check::failed(NAME, one_line(&Failure::from(error)), step, advice)
        }
    }
}

/// Checks the store: its folder, its permissions, its key and its lock, or its server; and each account in it.
fn check_store(profile: &Profile, checks: &mut Vec<Check>) {
    const NAME: &str = "store";
    let place = store::place(profile);
    let failed = |failure: &Failure| Check::bad(NAME, one_line(failure), failure.advice());
    let store = match store::open_if_any(profile) {
        Ok(None) => {
            checks.push(Check::good(NAME, format!("{place} is not there yet: nothing was stored")));
            return;
        }
        Ok(Some(store)) => store,
        Err(failure) => {
            checks.push(failed(&failure));
            return;
        }
    };
    // No account has the number 0, so nothing is removed. Its lock is taken, as for every write.
    let checked = store.check().and_then(|()| store.remove(Account::hub(0), 0)).map(drop);
    checks.push(match checked {
        Ok(()) if profile.store().is_some() => Check::good(NAME, format!("{place} can be read and written")),
        Ok(()) => Check::good(NAME, format!("{place} can be read, written and locked by you alone")),
        Err(error) => failed(&error.into()),
    });
    match AccountReport::read_all(&store, now()) {
        Err(error) => checks.push(failed(&error.into())),
        Ok(accounts) => checks.extend(accounts.iter().map(account)),
    }
}

fn account(status: &AccountReport) -> Check {
    let name = format!("account {}", status.account);
    let [_, state, token, ..] = status.cells();
    let text = format!("{state}, token: {token}");
    match status.next_step() {
        None => Check::good(name, text),
        Some(step @ NextStep::Reauthorize) => Check::warning(
            name,
            state,
            format!("{step}, with `hs-oauth login --hub-id {}`", status.account.hub_id),
        ),
        Some(step @ NextStep::RetryAfter(_)) => Check::warning(name, text, step.to_string()),
        Some(step) => Check::bad(name, text, step.to_string()),
    }
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

fn one_line(failure: &Failure) -> String {
    failure.to_string().replace('\n', "; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_may_differ_by_the_margin_and_by_the_second_that_a_date_leaves_out() {
        let server = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        let level = |ahead: i64| {
            let offset = Duration::from_secs(ahead.unsigned_abs());
            let local = if ahead < 0 { server - offset } else { server + offset };
            clock(local, local, server).level
        };
        for (ahead, expected) in [
            (0, Level::Good),
            (2, Level::Good),
            (-1, Level::Good),
            (5, Level::Warning),
            (-10, Level::Warning),
            (60, Level::Bad),
            (-11, Level::Bad),
        ] {
            assert_eq!(level(ahead), expected, "{ahead}");
        }
        // A slow response is no wrong clock.
        let slow = clock(server, server + Duration::from_secs(9), server + Duration::from_secs(5));
        assert_eq!(slow.level, Level::Good);
    }

    /// HubSpot's announcement: `v1` ends on 2027-02-16.
    #[test]
    fn a_version_that_ends_is_reported_with_the_days_that_are_left() {
        let day = |days: u64| Timestamp::from_secs(1_802_736_000 - days * 24 * 60 * 60);
        let check = version(ApiVersion::V1, day(80));
        assert_eq!(
            (check.level, check.text.as_str()),
            (Level::Warning, "v1 ends in 80 days, on 2027-02-16T00:00:00Z")
        );
        assert_eq!(version(ApiVersion::V1, day(0)).level, Level::Bad);
        assert_eq!(version(ApiVersion::LATEST, day(80)).level, Level::Good);
    }
}

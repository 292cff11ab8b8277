//! A web service on which people connect their HubSpot accounts, to copy from. It has sign-in, Connect, both installs from the Marketplace,
//! a page for each connected account, disconnect and uninstall, and an endpoint for webhooks. No page has a script.
//!
//! ```sh
//! cargo run --example install_page
//! ```
//!
//! It starts an emulator of HubSpot and prints a URL to open. To run it with your app, set `HUBSPOT_CLIENT_ID`, `HUBSPOT_CLIENT_SECRET` and
//! `HUBSPOT_REDIRECT_URI`, and say with `--folder` where the tokens are kept. `install.rs` has the scopes, which must be those that the app
//! is registered with. `sign_in.rs` and `people.rs` stand for the login and the database that you have.

mod account;
mod home;
mod install;
mod layout;
mod leave;
mod log;
mod marketplace;
mod people;
mod problem;
mod session;
mod setup;
mod sign_in;
mod site;
mod stop;
mod webhook;

use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{get, post};
use clap::Parser;
use hs_oauth_examples::{BoxError, finish, print_line};
use tokio::net::TcpListener;

use problem::Problem;
use setup::{Options, Setup};
use site::Site;

fn main() -> ExitCode {
    finish(run(&Options::parse()))
}

#[tokio::main]
async fn run(options: &Options) -> Result<ExitCode, BoxError> {
    let listener =
        TcpListener::bind(options.listen).await.map_err(|error| format!("{}: {error}", options.listen))?;
    let setup = Setup::new(options, listener.local_addr()?)?;
    let site = Arc::new(Site::new(&setup)?);
    if let Some(hubspot) = &setup.hubspot {
        print_line(format_args!("HubSpot is an emulator. Its Marketplace is {}/marketplace", hubspot.url()));
    }
    print_line(format_args!("Open {}", site.public_url));

    stop::serve_until_signal(listener, router(&site)).await?;

    // Nobody asks for tokens any more. What is under way is finished and saved.
    let unsaved = site.manager.shutdown().await;
    for (account, _) in &unsaved {
        log::log(format_args!(
            "the newest tokens of account {account} could not be saved: it has to connect again"
        ));
    }
    Ok(if unsaved.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn router(site: &Arc<Site>) -> Router {
    let pages = Router::new()
        .route("/", get(home::page))
        .route("/sign-in", post(sign_in::sign_in))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/connect", post(install::connect))
        .route(&site.callback_path, get(install::callback))
        .route("/confirm", get(marketplace::page).post(marketplace::confirm))
        .route("/accounts/{account}", get(account::page))
        .route("/accounts/{account}/disconnect", get(leave::disconnect_page).post(leave::disconnect))
        .route("/accounts/{account}/uninstall", get(leave::uninstall_page).post(leave::uninstall))
        .fallback(async || Problem::not_found())
        .layer(from_fn_with_state(Arc::clone(site), session::with_session))
        .layer(map_response({
            let policy = layout::content_security_policy(site.manager.client().app().app_base());
            move |response| secured(response, policy.clone())
        }));
    Router::new()
        .route("/style.css", get(layout::style))
        .route("/webhooks", post(webhook::receive))
        .merge(pages)
        .with_state(Arc::clone(site))
}

/// Adds the headers that keep pages out of caches and frames, and codes and states out of `Referer`.
async fn secured(mut response: Response, policy: Option<HeaderValue>) -> Response {
    let fixed: [(HeaderName, &'static str); 3] =
        [(CACHE_CONTROL, "no-store"), (REFERRER_POLICY, "no-referrer"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    let headers = response.headers_mut();
    headers.extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
    headers.extend(policy.map(|policy| (CONTENT_SECURITY_POLICY, policy)));
    response
}

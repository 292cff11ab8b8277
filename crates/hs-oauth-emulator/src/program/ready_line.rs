//! The line of JSON that says that the emulator is ready.

use hs_oauth_emulator::{AppSettings, RegisteredScopes, Rotation, Server};
use serde::Serialize;

#[derive(Serialize)]
struct ReadyLine<'a> {
    listening: &'a str,
    client_id: &'a str,
    client_secret: &'a str,
    redirect_uris: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    registered_scopes: Option<&'a RegisteredScopes>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    more_apps: Vec<ReadyApp<'a>>,
    hub_id: i64,
    rotation: Rotation,
    access_token_lifetime: u32,
    auto_approve: bool,
}

#[derive(Serialize)]
struct ReadyApp<'a> {
    client_id: &'a str,
    client_secret: &'a str,
    redirect_uris: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    registered_scopes: Option<&'a RegisteredScopes>,
}

impl<'a> From<&'a AppSettings> for ReadyApp<'a> {
    fn from(app: &'a AppSettings) -> Self {
        Self {
            client_id: &app.client_id,
            client_secret: &app.client_secret,
            redirect_uris: &app.redirect_uris,
            registered_scopes: app.registered_scopes.as_ref(),
        }
    }
}

/// Returns the line, without its end.
pub(super) fn ready_line(server: &Server) -> Result<String, serde_json::Error> {
    let settings = server.settings();
    serde_json::to_string(&ReadyLine {
        listening: server.url(),
        client_id: &settings.client_id,
        client_secret: &settings.client_secret,
        redirect_uris: &settings.redirect_uris,
        registered_scopes: settings.registered_scopes.as_ref(),
        more_apps: settings.more_apps.iter().map(ReadyApp::from).collect(),
        hub_id: settings.hub_id,
        rotation: settings.rotation,
        access_token_lifetime: settings.access_token_lifetime,
        auto_approve: settings.auto_approve,
    })
}

//! What the consent page is asked for, as `login` and `authorize-url` take it.

use clap::Args;
use hs_oauth_blocking::{App, Authorization, Authorize, BeginError, InvalidArgument, Scopes};

use crate::config_file::AppSettings;
use crate::failure::Failure;

/// The flags for the consent page.
#[derive(Args, Debug)]
pub(crate) struct Consent {
    /// Scopes that must be granted, separated by spaces or each with its own flag
    #[arg(long, value_name = "SCOPES")]
    scope: Vec<String>,
    /// Scopes that HubSpot may leave out if the account cannot grant them
    #[arg(long, value_name = "SCOPES")]
    optional_scope: Vec<String>,
    /// Preselect this account
    #[arg(long, value_name = "ID", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) hub_id: Option<i64>,
}

impl Consent {
    /// Checks what is asked for, and puts it into the settings. The scopes are those that the flags name, or else those of the profile.
    pub(crate) fn apply_to(&self, settings: &mut AppSettings) -> Result<(), Failure> {
        let has_scopes = !self.scope.is_empty() || !self.optional_scope.is_empty();
        if settings.mcp {
            if has_scopes || self.hub_id.is_some() {
                return Err(Failure::usage(
                    "with --mcp, HubSpot decides on scopes and account: leave out --scope, --optional-scope and --hub-id",
                ));
            }
            (settings.scopes, settings.optional_scopes) = (Vec::new(), Vec::new());
            return Ok(());
        }
        if !self.scope.is_empty() {
            settings.scopes = names(&self.scope.join(" ").parse()?);
        }
        if !self.optional_scope.is_empty() {
            settings.optional_scopes = names(&optional(&self.optional_scope)?);
        }
        Ok(())
    }

    /// Begins an authorization with what [`apply_to`](Self::apply_to) put into the settings.
    pub(crate) fn begin(
        &self,
        app: &App,
        settings: &AppSettings,
        change: impl FnOnce(Authorize) -> Authorize,
    ) -> Result<Authorization, Failure> {
        let mut authorize = Authorize::new(settings.scopes.join(" ").parse()?)
            .with_optional_scopes(optional(&settings.optional_scopes)?);
        if let Some(hub_id) = self.hub_id {
            authorize = authorize.with_hub_id(hub_id);
        }
        let now = std::time::SystemTime::now().into();
        change(authorize).begin(app, now).map_err(|error| match error {
            BeginError::App(invalid) => invalid.into(),
            error => Failure::Other(error.to_string()),
        })
    }
}

fn optional(names: &[String]) -> Result<Scopes, Failure> {
    Ok(names.join(" ").parse().map_err(|mut invalid: InvalidArgument| {
        invalid.argument = "optional_scope";
        invalid
    })?)
}

fn names(scopes: &Scopes) -> Vec<String> {
    scopes.iter().map(|scope| scope.as_str().to_owned()).collect()
}

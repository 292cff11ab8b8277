//! The app that environment variables describe.

use std::env::VarError;

use super::App;
use crate::invalid_argument::{InvalidArgument, InvalidArgumentKind};
use crate::secret::ClientSecret;
use crate::version::ApiVersion;

impl App {
    /// Reads an app from the environment.
    ///
    /// `HUBSPOT_CLIENT_ID` and `HUBSPOT_CLIENT_SECRET` must be set. `HUBSPOT_REDIRECT_URI`, `HUBSPOT_API_VERSION`, `HUBSPOT_API_BASE` and
    /// `HUBSPOT_APP_BASE` may be. An empty variable counts as not set.
    ///
    /// # Errors
    /// [`InvalidArgument`] naming the variable that is missing or that cannot be used.
    pub fn from_env() -> Result<Self, InvalidArgument> {
        Self::from_vars(std::env::var)
    }

    /// Reads an app from the variables of [`App::from_env`], as `var` returns them. `var` behaves like [`std::env::var`].
    ///
    /// # Errors
    /// As [`App::from_env`].
    pub fn from_vars(
        var: impl Fn(&'static str) -> Result<String, VarError>,
    ) -> Result<Self, InvalidArgument> {
        let optional = |name| match var(name) {
            Ok(value) if value.is_empty() => Ok(None),
            Ok(value) => Ok(Some(value)),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => Err(InvalidArgument::new(name, InvalidArgumentKind::NotUnicode)),
        };
        let required = |name| optional(name)?.ok_or(InvalidArgument::new(name, InvalidArgumentKind::Missing));

        let secret = ClientSecret::new(required("HUBSPOT_CLIENT_SECRET")?)
            .map_err(|invalid| invalid.named("HUBSPOT_CLIENT_SECRET"))?;
        let mut app = Self::hubspot(required("HUBSPOT_CLIENT_ID")?, secret);
        if let Some(uri) = optional("HUBSPOT_REDIRECT_URI")? {
            app = app.with_redirect_uri(uri);
        }
        if let Some(version) = optional("HUBSPOT_API_VERSION")? {
            let version = version.parse::<ApiVersion>();
            app = app.with_version(version.map_err(|invalid| invalid.named("HUBSPOT_API_VERSION"))?);
        }
        if let Some(base) = optional("HUBSPOT_API_BASE")? {
            app = app.with_api_base(base);
        }
        if let Some(base) = optional("HUBSPOT_APP_BASE")? {
            app = app.with_app_base(base);
        }
        app.build().map_err(|invalid| {
            invalid.named(match invalid.argument {
                "client_id" => "HUBSPOT_CLIENT_ID",
                "redirect_uri" => "HUBSPOT_REDIRECT_URI",
                "api_base" => "HUBSPOT_API_BASE",
                "app_base" => "HUBSPOT_APP_BASE",
                other => other,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_names_the_environment_variable_that_is_wrong() {
        let from = |pairs: &'static [(&str, &str)]| {
            App::from_vars(|name| {
                pairs
                    .iter()
                    .find(|pair| pair.0 == name)
                    .map(|pair| pair.1.to_owned())
                    .ok_or(VarError::NotPresent)
            })
        };
        const ID: (&str, &str) = ("HUBSPOT_CLIENT_ID", "id");
        const SECRET: (&str, &str) = ("HUBSPOT_CLIENT_SECRET", "s3cret");
        assert_eq!(from(&[ID, SECRET, ("HUBSPOT_API_VERSION", "")]).unwrap().version(), ApiVersion::LATEST);
        assert_eq!(from(&[ID, SECRET, ("HUBSPOT_API_VERSION", "v1")]).unwrap().version(), ApiVersion::V1);
        for (app, variable) in [
            (from(&[SECRET]), "HUBSPOT_CLIENT_ID"),
            (from(&[ID]), "HUBSPOT_CLIENT_SECRET"),
            (from(&[ID, ("HUBSPOT_CLIENT_SECRET", "")]), "HUBSPOT_CLIENT_SECRET"),
            (from(&[("HUBSPOT_CLIENT_ID", "a\tb"), SECRET]), "HUBSPOT_CLIENT_ID"),
            (from(&[ID, SECRET, ("HUBSPOT_API_VERSION", "v2")]), "HUBSPOT_API_VERSION"),
            (from(&[ID, SECRET, ("HUBSPOT_API_BASE", "http://example.com")]), "HUBSPOT_API_BASE"),
            (from(&[ID, SECRET, ("HUBSPOT_APP_BASE", "x")]), "HUBSPOT_APP_BASE"),
            (from(&[ID, SECRET, ("HUBSPOT_REDIRECT_URI", "x")]), "HUBSPOT_REDIRECT_URI"),
        ] {
            assert_eq!(app.unwrap_err().argument, variable);
        }
    }
}

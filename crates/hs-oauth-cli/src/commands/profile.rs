use clap::{Args, Subcommand};
use serde_json::{Map, json};

use crate::config_file;
use crate::failure::Failure;
use crate::folders;
use crate::kept_secret::KeptSecret;
use crate::report::Report;
use crate::settings::Settings;
use crate::store;

/// List the profiles, choose one, or show what it says
///
/// A profile is one app: its settings, its secret, and a store with the tokens of its accounts. `login`
/// makes it.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = EXAMPLES)]
pub(crate) struct Profile {
    #[command(subcommand)]
    action: Action,
}

const EXAMPLES: &str = "\
Examples:
  hs-oauth profile list
  hs-oauth profile use staging
  hs-oauth profile show staging --json";

#[derive(Debug, Subcommand)]
enum Action {
    /// List the profiles; a star marks the one that counts if none is named
    List,
    /// Choose the profile that counts if none is named
    Use {
        /// The profile
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Show the settings of a profile, and where its files are; secrets are not shown
    Show {
        /// The profile; without it, the one that counts
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
}

impl Profile {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        match &self.action {
            Action::List => list(settings),
            Action::Use { name } => choose(name),
            Action::Show { name: None } => show(&settings.profile()?),
            Action::Show { name: Some(name) } => show(&crate::profile::Profile::find(Some(name))?),
        }
    }
}

fn list(settings: &Settings) -> Result<Report, Failure> {
    let current = settings.profile()?;
    let profiles = crate::profile::Profile::all()?;
    let mut text = String::new();
    for profile in &profiles {
        let star = if profile.name() == current.name() { '*' } else { ' ' };
        let client_id = profile.settings().and_then(|settings| settings.client_id.as_deref()).unwrap_or("-");
        text.push_str(&format!("{star} {}  {client_id}\n", profile.name()));
    }
    if profiles.is_empty() {
        text.push_str("There is no profile: `hs-oauth login` makes one.\n");
    }
    let names: Vec<_> = profiles.iter().map(crate::profile::Profile::name).collect();
    let report = Report::new(&json!({ "profile": current.name(), "profiles": names }))?;
    Ok(report.shown_as(text))
}

fn choose(name: &str) -> Result<Report, Failure> {
    let profile = existing(crate::profile::Profile::find(Some(name))?)?;
    let file = config_file::write_default_profile(profile.name())?;
    let report = Report::new(&json!({ "profile": profile.name(), "file": file }))?;
    Ok(report.shown_as(format!("The profile {name} counts from now on.\n")))
}

fn show(profile: &crate::profile::Profile) -> Result<Report, Failure> {
    let profile = existing(profile.clone())?;
    let mut object = Map::new();
    object.insert("profile".to_owned(), profile.name().into());
    let settings = Report::new(&profile.settings())?;
    object.extend(settings.object);
    object.insert("file".to_owned(), folders::config_file()?.display().to_string().into());
    object.insert("store".to_owned(), store::place(&profile).into());
    for (name, secret) in
        [("sealing_key", KeptSecret::SealingKey), ("client_secret", KeptSecret::ClientSecret)]
    {
        object.insert(name.to_owned(), secret.place(&profile)?.into());
    }
    Report::new(&object)
}

/// Fails unless the profile exists. The failure names those that do.
fn existing(profile: crate::profile::Profile) -> Result<crate::profile::Profile, Failure> {
    match profile.settings() {
        Some(_) => Ok(profile),
        None => Err(profile.unknown()?),
    }
}

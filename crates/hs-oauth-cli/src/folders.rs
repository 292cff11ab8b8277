//! Where the program keeps its files, by the XDG Base Directory Specification.

use std::path::PathBuf;

use etcetera::BaseStrategy;

use crate::failure::Failure;

/// Returns the path of the file with the settings: `$XDG_CONFIG_HOME/hs-oauth/config.toml`.
pub(crate) fn config_file() -> Result<PathBuf, Failure> {
    Ok(base()?.config_dir().join(NAME).join("config.toml"))
}

/// Returns the folder in which each profile has a folder of its own: `$XDG_STATE_HOME/hs-oauth`.
pub(crate) fn state() -> Result<PathBuf, Failure> {
    let base = base()?;
    // Windows has no folder for state.
    Ok(base.state_dir().unwrap_or_else(|| base.data_dir()).join(NAME))
}

fn base() -> Result<impl BaseStrategy, Failure> {
    etcetera::choose_base_strategy().map_err(|_| {
        Failure::usage("there is no home folder: set HOME, or XDG_CONFIG_HOME and XDG_STATE_HOME")
    })
}

/// The name of the program's folder in each of them.
const NAME: &str = "hs-oauth";

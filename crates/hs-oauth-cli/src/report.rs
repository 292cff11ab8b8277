use std::path::{Path, PathBuf};

use hs_oauth_blocking::{RefreshToken, TokenSet};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::failure::Failure;

/// What a command returns when it succeeds.
#[derive(Debug)]
pub(crate) struct Report {
    /// The fields. `--json` prints them as one object; without it, each is a line.
    pub(crate) object: Map<String, Value>,
    /// What is printed instead of the lines if it is there. `--json` prints the fields all the same.
    pub(crate) text: Option<Vec<u8>>,
    /// One more line, which `--json` leaves out.
    pub(crate) note: Option<String>,
    /// Whether HubSpot has just issued the refresh token in `object`, so that it exists nowhere else.
    pub(crate) has_new_refresh_token: bool,
    /// A file that is of no use unless the report is printed.
    pub(crate) file_to_remove: Option<PathBuf>,
    /// The exit status of the program. It is not 0 if the command has done its work and found something.
    pub(crate) exit_status: u8,
}

impl Report {
    /// Makes a report of the fields of a value that serializes as an object. Fields that are null are left out.
    pub(crate) fn new(fields: &impl Serialize) -> Result<Self, Failure> {
        match serde_json::to_value(fields) {
            Ok(Value::Object(mut object)) => {
                object.retain(|_, value| !value.is_null());
                Ok(Self {
                    object,
                    text: None,
                    note: None,
                    has_new_refresh_token: false,
                    file_to_remove: None,
                    exit_status: 0,
                })
            }
            _ => Err(Failure::Other("the result is no JSON object".to_owned())),
        }
    }

    /// Makes a report of the tokens that HubSpot returned. `sent` is the refresh token that was sent, if any.
    pub(crate) fn from_tokens(tokens: &TokenSet, sent: Option<&RefreshToken>) -> Result<Self, Failure> {
        let mut report = Self::new(tokens)?;
        report.has_new_refresh_token =
            tokens.refresh_token.is_some() && tokens.refresh_token.as_ref() != sent;
        Ok(report)
    }

    /// Prints this text in place of a line for each field, unless `--json` is given.
    pub(crate) fn shown_as(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// Ends the program with this exit status.
    pub(crate) const fn with_exit_status(mut self, exit_status: u8) -> Self {
        self.exit_status = exit_status;
        self
    }

    /// Adds one more line, which `--json` leaves out.
    pub(crate) fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Names a file that is removed if the report cannot be printed.
    pub(crate) fn remove_unless_printed(mut self, file: &Path) -> Self {
        self.file_to_remove = Some(file.to_owned());
        self
    }
}

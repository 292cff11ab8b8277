//! What the buttons of the dashboard do.

use std::time::Duration;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};

use crate::control::MAX_ADVANCE;
use crate::faults::{Fault, Target};
use crate::settings::Rotation;
use crate::state::{SERVED_VERSIONS, State};

/// Does what the field `action` of a form says. Returns the part of the page that the form is in.
///
/// # Errors
/// A message for the person who pressed the button. Nothing has changed then.
pub(super) fn act<'f>(
    state: &mut State,
    field: impl Fn(&str) -> Option<&'f str>,
) -> Result<&'static str, String> {
    match field("action").unwrap_or("") {
        "advance" => {
            let seconds = field("seconds").and_then(|text| text.parse().ok());
            let seconds = seconds.filter(|seconds| *seconds <= MAX_ADVANCE);
            let seconds = seconds.ok_or("The clock can be moved by a number of seconds.")?;
            state.advance_clock(Duration::from_secs(seconds));
            Ok("clock")
        }
        "rotation" => {
            state.rotation =
                read::<Rotation>(field("rotation").unwrap_or("")).ok_or("There is no such rotation.")?;
            Ok("rules")
        }
        "sunset" => {
            let version = field("version").unwrap_or("");
            let version = SERVED_VERSIONS.into_iter().find(|served| *served == version);
            let version = version.ok_or("There is no such version.")?;
            let removed: Vec<_> = state.removed_versions.iter().copied().chain([version]).collect();
            state.set_removed_versions(removed);
            Ok("rules")
        }
        "bring_back" => {
            state.set_removed_versions::<&str>([]);
            Ok("rules")
        }
        "fault" => {
            let fault = fault(field("fault").unwrap_or("")).ok_or("There is no such fault.")?;
            let count = field("count").filter(|count| !count.is_empty()).unwrap_or("1");
            let count = count.parse().ok().filter(|count| (1..=1000).contains(count));
            let fault = fault.with_count(count.ok_or("A fault affects 1 to 1000 requests.")?);
            let operation = field("operation").filter(|operation| !operation.is_empty());
            state.faults.push(match operation {
                Some(name) => fault.with_target(read::<Target>(name).ok_or("There is no such operation.")?),
                None => fault,
            });
            Ok("faults")
        }
        "clear_faults" => {
            state.faults.clear();
            Ok("faults")
        }
        "uninstall" => {
            let client_id = field("client_id");
            if client_id.is_some_and(|client_id| state.settings.app(client_id).is_none()) {
                return Err("There is no such app.".to_owned());
            }
            let hub_id = field("hub_id").and_then(|text| text.parse().ok());
            match hub_id.is_some_and(|hub_id| state.grants.uninstall(hub_id, client_id)) {
                true => Ok("accounts"),
                false => Err("There is no such account.".to_owned()),
            }
        }
        "clear_journal" => {
            state.journal.clear();
            Ok("requests")
        }
        _ => Err("The form does not say what to do.".to_owned()),
    }
}

/// The faults that have a button, with what is on it.
pub(super) const FAULTS: [(&str, &str); 7] = [
    ("503", "503"),
    ("429", "429, retry after 2 s"),
    ("html", "A gateway's 502 in HTML"),
    ("delay", "5 s late"),
    ("drop_before", "Connection breaks before the effect"),
    ("drop_after", "Connection breaks after the effect"),
    ("truncate", "Response ends after 20 bytes"),
];

fn fault(name: &str) -> Option<Fault> {
    Some(match name {
        "503" => Fault::status(503),
        "429" => Fault::status(429).with_retry_after(2),
        "html" => Fault::raw_body("<html>502 Bad Gateway</html>", "text/html").with_status(502),
        "delay" => Fault::delay(Duration::from_secs(5)),
        "drop_before" => Fault::drop_before(),
        "drop_after" => Fault::drop_after(),
        "truncate" => Fault::truncate(20),
        _ => return None,
    })
}

/// Reads the name of a variant as the control API does.
fn read<'t, T: Deserialize<'t>>(name: &'t str) -> Option<T> {
    let name: StrDeserializer<'t, Error> = name.into_deserializer();
    T::deserialize(name).ok()
}

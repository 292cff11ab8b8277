//! Secrets from the environment or from standard input, never from the command line.

use std::ffi::OsString;

use crate::environment::{self, ACCESS_TOKEN, REFRESH_TOKEN, Variable};
use crate::failure::Failure;
use crate::stdin;

/// Reads a secret from the next line of standard input, or else from its environment variable.
///
/// Fails if there is none.
pub(crate) fn read(variable: &Variable, from_stdin: bool) -> Result<String, Failure> {
    read_if_given(variable, from_stdin)?.ok_or_else(|| Failure::missing(variable))
}

/// Reads a secret like [`read`]. Returns `None` if the environment variable is not set.
pub(crate) fn read_if_given(variable: &Variable, from_stdin: bool) -> Result<Option<String>, Failure> {
    match from_stdin {
        true => stdin::read_line(variable.label).map(Some),
        false => Ok(variable.read()?),
    }
}

/// Refuses flags that would put a secret into the process list, whether or not the command has such a flag.
///
/// It runs before anything else can repeat the value of such a flag.
pub(crate) fn refuse_on_command_line(arguments: &[OsString]) -> Result<(), Failure> {
    let arguments: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    for (index, argument) in arguments.iter().enumerate() {
        let (flag, value) = match argument.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (&**argument, arguments.get(index + 1).map(|next| &**next)),
        };
        if !flag.starts_with('-') || value == Some("-") {
            continue;
        }
        // Other spellings of the flag reveal the secret just as well.
        let flag = format!("--{}", flag.trim_start_matches('-').to_ascii_lowercase().replace('_', "-"));
        let instruction = match environment::find(&flag) {
            Some(variable) if variable.is_secret => variable.instruction(),
            None if flag == "--token" => format!(
                "set {} or {}, or pass `-` and write it to standard input",
                ACCESS_TOKEN.name, REFRESH_TOKEN.name
            ),
            _ => continue,
        };
        return Err(Failure::usage(format!(
            "`{flag}` takes no secret on the command line, where other processes can read it: {instruction}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_message(arguments: &[&str]) -> Option<String> {
        let arguments: Vec<_> = arguments.iter().map(OsString::from).collect();
        refuse_on_command_line(&arguments).err().map(|failure| failure.to_string())
    }

    #[test]
    fn a_flag_that_would_put_a_secret_into_the_process_list_is_refused_however_it_is_spelled() {
        for spelling in [
            &["refresh", "--refresh-token", "canary"][..],
            &["refresh", "--refresh-token=canary"],
            &["refresh", "--refresh_token", "canary"],
            &["refresh", "--Refresh-Token=canary"],
            &["refresh", "-refresh-token", "canary"],
            &["refresh", "--refresh-token"],
            &["refresh", "--refresh-token="],
            &["introspect", "--token", "canary"],
            &["introspect", "--access-token", "canary"],
            &["exchange", "--code", "canary"],
            &["exchange", "--code-verifier", "canary"],
            &["authorize-url", "--client-secret", "canary"],
        ] {
            let message = error_message(spelling).unwrap_or_else(|| panic!("{spelling:?}"));
            assert!(message.contains("command line") && message.contains("HUBSPOT_"), "{message}");
            assert!(!message.contains("canary"), "{message}");
        }
    }

    #[test]
    fn a_hyphen_for_standard_input_and_flags_without_secrets_are_accepted() {
        assert_eq!(
            error_message(&["exchange", "--code", "-", "--client-secret=-", "--client-id", "id", "-"]),
            None
        );
    }
}

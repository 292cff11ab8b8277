//! How secrets come in: from the environment or from standard input, never from the command line.

use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::str::FromStr;

use crate::failure::Failure;

/// A secret, by the names people and programs know it by.
#[derive(Debug)]
pub(crate) struct Secret {
    name: &'static str,
    flag: &'static str,
    pub(crate) variable: &'static str,
}

pub(crate) const CLIENT_SECRET: Secret =
    Secret { name: "client secret", flag: "--client-secret", variable: "HUBSPOT_CLIENT_SECRET" };
pub(crate) const ACCESS_TOKEN: Secret =
    Secret { name: "access token", flag: "--access-token", variable: "HUBSPOT_ACCESS_TOKEN" };
pub(crate) const REFRESH_TOKEN: Secret =
    Secret { name: "refresh token", flag: "--refresh-token", variable: "HUBSPOT_REFRESH_TOKEN" };
pub(crate) const CODE: Secret =
    Secret { name: "authorization code", flag: "--code", variable: "HUBSPOT_CODE" };
pub(crate) const CODE_VERIFIER: Secret =
    Secret { name: "code verifier", flag: "--code-verifier", variable: "HUBSPOT_CODE_VERIFIER" };

/// The `-` that stands for standard input; the only value a flag for a secret takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dash;

impl FromStr for Dash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "-" => Ok(Self),
            _ => Err("not `-`"),
        }
    }
}

impl Secret {
    pub(crate) fn read(&self, from_stdin: bool) -> Result<String, Failure> {
        self.read_if_given(from_stdin)?
            .ok_or_else(|| Failure::usage(format!("no {}: {}", self.name, self.ways())))
    }

    pub(crate) fn read_if_given(&self, from_stdin: bool) -> Result<Option<String>, Failure> {
        match from_stdin {
            true => line(self.name).map(Some),
            false => variable(self.variable),
        }
    }

    fn ways(&self) -> String {
        let Self { flag, variable, .. } = self;
        format!("set {variable}, or pass `{flag} -` and write it to standard input")
    }
}

/// An environment variable; an empty one counts as not set.
pub(crate) fn variable(name: &str) -> Result<Option<String>, Failure> {
    match std::env::var_os(name).filter(|value| !value.is_empty()).map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some(value)),
        Some(Err(_)) => Err(Failure::usage(format!("{name} is not UTF-8"))),
    }
}

/// The next line of standard input, which a person is asked for.
pub(crate) fn line(name: &str) -> Result<String, Failure> {
    let unreadable =
        |error| Failure::usage(format!("could not read the {name} from standard input: {error}"));
    if io::stdin().is_terminal() {
        let _ = write!(io::stderr().lock(), "{name} (not shown): ");
        return rpassword::read_password().map_err(unreadable);
    }
    let mut line = Vec::new();
    let mut input = io::stdin().lock().take(LONGEST_LINE);
    input.read_until(b'\n', &mut line).map_err(unreadable)?;
    if line.len() as u64 == LONGEST_LINE {
        return Err(Failure::usage(format!(
            "the {name} on standard input is longer than {LONGEST_LINE} bytes"
        )));
    }
    let text = str::from_utf8(&line)
        .map_err(|_| Failure::usage(format!("the {name} on standard input is not UTF-8")))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    match text.strip_suffix('\r').unwrap_or(text) {
        "" => Err(Failure::usage(format!("there is no {name} on standard input"))),
        text => Ok(text.to_owned()),
    }
}

/// Refuses flags that would put a secret into the process list, known to the command or not, before anything can repeat
/// their value.
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
        let flag = format!("--{}", flag.trim_start_matches('-').to_ascii_lowercase().replace('_', "-"));
        let ways = match find(&flag) {
            Some(secret) => secret.ways(),
            None if flag == "--token" => format!(
                "set {} or {}, or pass `-` and write it to standard input",
                ACCESS_TOKEN.variable, REFRESH_TOKEN.variable
            ),
            None => continue,
        };
        return Err(Failure::usage(format!(
            "`{flag}` takes no secret on the command line, where other processes can read it: {ways}"
        )));
    }
    Ok(())
}

/// The secret a flag stands for.
pub(crate) fn find(flag: &str) -> Option<&'static Secret> {
    SECRETS.iter().find(|secret| secret.flag == flag)
}

static SECRETS: [Secret; 5] = [CLIENT_SECRET, ACCESS_TOKEN, REFRESH_TOKEN, CODE, CODE_VERIFIER];

/// Twice the longest secret and the longest callback there can be.
const LONGEST_LINE: u64 = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(arguments: &[&str]) -> Option<String> {
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
            let refusal = refusal(spelling).unwrap_or_else(|| panic!("{spelling:?}"));
            assert!(refusal.contains("command line") && refusal.contains("HUBSPOT_"), "{refusal}");
            assert!(!refusal.contains("canary"), "{refusal}");
        }
    }

    #[test]
    fn a_dash_and_flags_without_secrets_pass() {
        assert_eq!(
            refusal(&["exchange", "--code", "-", "--client-secret=-", "--client-id", "id", "-"]),
            None
        );
    }
}

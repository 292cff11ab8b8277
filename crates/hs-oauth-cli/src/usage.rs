//! What is wrong with a command line, without repeating what was typed.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Returns the message for a command line that clap refuses.
///
/// clap's own messages repeat what was typed, which may be a secret. `commands` are the names of all commands.
pub(crate) fn message(error: &clap::Error, commands: &str) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    };
    let argument = context(ContextKind::InvalidArg);
    match error.kind() {
        ErrorKind::MissingSubcommand => format!("no command: pass one of {commands}"),
        ErrorKind::InvalidSubcommand => {
            let nearest = nearest(&context(ContextKind::SuggestedSubcommand));
            format!("no such command{nearest}: pass one of {commands}")
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation if argument.starts_with("--") => {
            let valid = match context(ContextKind::ValidValue) {
                valid if valid.is_empty() && argument.contains("<DURATION>") => {
                    ": a duration is such as 90s, 5m or 1h 30m, and at most a day".to_owned()
                }
                valid if valid.is_empty() => valid,
                valid => format!(": it is one of {valid}"),
            };
            format!("`{argument}` has no value or an invalid one{valid}")
        }
        // A place in the line, such as `[ACCOUNT]`. What stands there may be a secret.
        ErrorKind::InvalidValue | ErrorKind::ValueValidation if argument.contains("ACCOUNT") => {
            "ACCOUNT is not an account: use a hub's number, or a hub's and a user's such as 62515-7".to_owned()
        }
        ErrorKind::InvalidValue if argument.contains("SHELL") => {
            format!("SHELL is one of {}", context(ContextKind::ValidValue))
        }
        ErrorKind::MissingRequiredArgument => format!("missing: {argument}"),
        ErrorKind::ArgumentConflict => match context(ContextKind::PriorArg) {
            prior if prior == argument => format!("`{argument}` may be given only once"),
            prior => format!("`{argument}` and `{prior}` cannot be used together"),
        },
        ErrorKind::UnknownArgument if is_flag(&argument) => {
            let nearest = nearest(&context(ContextKind::SuggestedArg));
            format!("`{argument}` is not a flag of this command{nearest}")
        }
        _ => "there is an unexpected argument (it is not shown, as it may be a secret). Secrets come from the environment \
              or, with `-`, from standard input, never from the command line, which other processes can read"
            .to_owned(),
    }
}

/// Returns what to add to a message if there is something that the person may have meant. It is a name of the program's own.
fn nearest(name: &str) -> String {
    match name {
        "" => String::new(),
        name => format!(" (did you mean `{name}`?)"),
    }
}

/// Returns whether an argument reads as the name of a flag and not as a secret.
fn is_flag(argument: &str) -> bool {
    let name = argument.strip_prefix("--").unwrap_or("");
    !name.is_empty() && name.len() <= 24 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_argument_that_reads_as_a_flag_is_repeated() {
        assert!(is_flag("--scopes"));
        for other in ["na1-6f18f26a", "--6f18f26a", "--CANARY", "--", "-x", "--a-secret-of-lowercase-letters"]
        {
            assert!(!is_flag(other), "{other}");
        }
    }
}

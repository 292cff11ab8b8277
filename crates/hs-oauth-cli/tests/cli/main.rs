//! The program as a user runs it: its output, its exit status and the requests it sends, to a scripted server on loopback or to the
//! emulator.

#![cfg(test)]

mod api;
mod authorize_url;
mod client_credentials;
mod completions;
#[cfg(unix)]
mod doctor;
mod emulated;
mod exchange;
mod exit_status;
mod export;
mod harness;
mod import;
mod introspect;
#[cfg(target_os = "linux")]
mod keyring;
mod list;
#[cfg(unix)]
mod login;
mod logout;
mod man;
mod profile;
mod recheck;
mod refresh;
mod revoke;
mod running;
mod saved_tokens;
mod scan;
mod secrets;
mod settings;
#[cfg(unix)]
mod signals;
mod status;
#[cfg(unix)]
mod terminal;
#[cfg(unix)]
mod token;
mod uninstall;

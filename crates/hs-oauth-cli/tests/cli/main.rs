//! The program as a user runs it: its output, its exit status and the requests it sends to a scripted server on loopback.

#![cfg(test)]

mod authorize_url;
mod client_credentials;
mod exchange;
mod exit_status;
mod harness;
mod introspect;
mod refresh;
mod revoke;
mod saved_tokens;
mod scan;
mod secrets;
mod settings;
#[cfg(unix)]
mod signals;

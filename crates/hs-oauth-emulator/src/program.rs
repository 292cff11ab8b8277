//! The program: what it is told, and how it starts and ends.

mod arguments;
mod config_file;
mod options;
mod ready_line;
mod signals;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use arguments::Arguments;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use config_file::ConfigFile;
use hs_oauth_emulator::Server;
use options::Options;
use ready_line::ready_line;
use signals::Signals;

/// How long requests in flight may take to finish after the first signal. A second one ends the program at once.
const GRACE: Duration = Duration::from_secs(10);

/// Runs the program until a signal ends it.
pub(crate) fn main() -> ExitCode {
    let options = options().unwrap_or_else(|problem| {
        Arguments::command().error(ErrorKind::ValueValidation, problem).exit();
    });
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, String> {
    let arguments = Arguments::parse();
    // Not flags, since the process list would show the secrets in them.
    let [apps, hubs] =
        ["HS_OAUTH_EMULATOR_APPS", "HS_OAUTH_EMULATOR_HUBS"].map(|name| std::env::var(name).ok());
    let config = ConfigFile::read(arguments.config.as_deref(), apps.as_deref(), hubs.as_deref())?;
    Options::new(arguments, config)
}

fn run(options: Options) -> io::Result<()> {
    let Options { listen, state, log_format, settings } = options;
    // Signals have to be caught before the ready line is written, because the program that reads it may send one at
    // once.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = runtime.block_on(async { Signals::new() })?;
    let log = |line: &str| _ = writeln!(io::stderr(), "{line}");
    let mut builder = Server::builder(settings).with_log(log).with_log_format(log_format);
    if let Some(state) = state {
        builder = builder.with_state_file(state);
    }
    let server = builder.start(listen.as_slice()).map_err(|error| cannot_start(&listen, error))?;

    if !server.address().ip().is_loopback() {
        let warning = "warning: other machines can reach the emulator and control it, under any name";
        let _ = writeln!(io::stderr(), "{warning}");
    }
    let ready = ready_line(&server)?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{ready}")?;
    stdout.flush()?;
    runtime.block_on(async {
        signals.next().await;
        let stopped = tokio::task::spawn_blocking(move || server.stop(GRACE));
        tokio::select! {
            _ = stopped => {}
            () = signals.next() => {}
        }
    });
    runtime.shutdown_background();
    Ok(())
}

fn cannot_start(addresses: &[SocketAddr], error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::Other {
        // It names the state file.
        return error;
    }
    let wanted: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
    let wanted = wanted.join(", ");
    io::Error::other(format!(
        "cannot listen on {wanted}: {error}; give another --listen, or one with port 0 for a free port"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_an_occupied_address_says_what_to_do() {
        let address = ([127, 0, 0, 1], 4380).into();
        let error = cannot_start(&[address], io::ErrorKind::AddrInUse.into()).to_string();
        for part in ["127.0.0.1:4380", "address in use", "--listen", "port 0"] {
            assert!(error.contains(part), "{error}");
        }
    }
}

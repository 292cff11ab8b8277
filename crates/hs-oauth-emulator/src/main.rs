//! The program `hs-oauth-emulator`: the emulator's HTTP server with a command line. When the server is ready, one line
//! of JSON goes to standard output. Log lines go to standard error.

mod program;

use std::process::ExitCode;

fn main() -> ExitCode {
    program::main()
}

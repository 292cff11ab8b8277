//! Takes all timings, or those of the sections that the arguments name.

use std::path::Path;

use hs_oauth_bench::server::{SERVE, serve};
use hs_oauth_bench::timings::{accounts, bearers, growth, loopback, minute, program, storms, trees};
use hs_oauth_bench::work::Failure;

fn main() -> Result<(), Failure> {
    let asked: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if asked.iter().any(|argument| argument == SERVE) {
        return serve();
    }
    let allocations = Path::new(env!("CARGO_BIN_EXE_allocations"));
    type Report<'a> = &'a dyn Fn() -> Result<(), Failure>;
    let sections: [(&str, Report<'_>); 8] = [
        ("loopback", &loopback::report),
        ("bearers", &bearers::report),
        ("growth", &growth::report),
        ("storms", &storms::report),
        ("accounts", &|| accounts::report(allocations)),
        ("minute", &minute::report),
        ("trees", &trees::report),
        ("program", &program::report),
    ];
    for (name, report) in sections {
        if asked.is_empty() || asked.iter().any(|argument| argument == name) {
            report()?;
        }
    }
    Ok(())
}

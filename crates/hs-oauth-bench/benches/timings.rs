//! Takes all timings, or those of the sections that the arguments name. `stores --rows 1000,50000` sets how many accounts the table in
//! PostgreSQL has.

use std::path::Path;

use hs_oauth_bench::server::{SERVE, serve};
use hs_oauth_bench::timings::{accounts, bearers, growth, loopback, minute, program, storms, trees};
use hs_oauth_bench::work::Failure;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (mut asked, mut rows) = (Vec::new(), Vec::new());
    while let Some(argument) = arguments.next() {
        match &*argument {
            SERVE => return serve(),
            "--rows" => {
                let numbers = arguments.next().ok_or("after --rows come numbers of accounts, with commas")?;
                rows = numbers.split(',').map(str::parse).collect::<Result<_, _>>()?;
            }
            // Cargo says `--bench`.
            flag if flag.starts_with("--") => {}
            _ => asked.push(argument),
        }
    }
    let allocations = Path::new(env!("CARGO_BIN_EXE_allocations"));
    type Report<'a> = &'a dyn Fn() -> Result<(), Failure>;
    let sections: [(&str, Report<'_>); 9] = [
        ("loopback", &loopback::report),
        ("bearers", &bearers::report),
        ("growth", &growth::report),
        ("storms", &storms::report),
        ("accounts", &|| accounts::report(allocations)),
        ("minute", &minute::report),
        ("trees", &trees::report),
        ("program", &program::report),
        ("stores", &|| report_stores(&rows)),
    ];
    for (name, report) in sections {
        if asked.is_empty() || asked.iter().any(|argument| argument == name) {
            report()?;
        }
    }
    Ok(())
}

#[cfg(feature = "stores")]
fn report_stores(accounts: &[u64]) -> Result<(), Failure> {
    hs_oauth_bench::timings::stores::report(accounts)
}

#[cfg(not(feature = "stores"))]
fn report_stores(_: &[u64]) -> Result<(), Failure> {
    hs_oauth_bench::report::say("the section `stores` needs the feature of this name");
    Ok(())
}

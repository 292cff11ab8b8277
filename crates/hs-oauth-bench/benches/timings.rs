//! Takes all timings, or those of the sections that the arguments name. `stores --rows 1000,50000 --updates 100000` sets how many
//! accounts the table in PostgreSQL has, and how many updates it gets.

use std::path::Path;

use hs_oauth_bench::server::{SERVE, serve};
use hs_oauth_bench::timings::{accounts, bearers, growth, loopback, minute, program, storms, trees};
use hs_oauth_bench::work::Failure;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (mut asked, mut rows, mut updates) = (Vec::new(), None, None);
    while let Some(argument) = arguments.next() {
        match &*argument {
            SERVE => return serve(),
            "--rows" => {
                let numbers = arguments.next().ok_or("after --rows come numbers of accounts, with commas")?;
                rows = Some(numbers.split(',').map(str::parse).collect::<Result<Vec<u64>, _>>()?);
            }
            "--updates" => updates = Some(arguments.next().ok_or("after --updates comes a number")?.parse()?),
            // Cargo says `--bench`.
            flag if flag.starts_with("--") => {}
            _ => asked.push(argument),
        }
    }
    let allocations = Path::new(env!("CARGO_BIN_EXE_allocations"));
    type Report<'a> = &'a dyn Fn() -> Result<(), Failure>;
    let sections: [(&str, Report<'_>); 10] = [
        ("async", &loopback::report_async),
        ("blocking", &loopback::report_blocking),
        ("bearers", &bearers::report),
        ("growth", &growth::report),
        ("storms", &storms::report),
        ("accounts", &|| accounts::report(allocations)),
        ("minute", &minute::report),
        ("trees", &trees::report),
        ("program", &program::report),
        ("stores", &|| report_stores(rows.clone(), updates)),
    ];
    if let Some(unknown) = asked.iter().find(|asked| !sections.iter().any(|(name, _)| name == asked)) {
        let names = sections.map(|(name, _)| name).join(", ");
        return Err(format!("there is no section `{unknown}`; the sections are {names}").into());
    }
    for (name, report) in sections {
        if asked.is_empty() || asked.iter().any(|argument| argument == name) {
            report()?;
        }
    }
    Ok(())
}

#[cfg(feature = "stores")]
fn report_stores(rows: Option<Vec<u64>>, updates: Option<u64>) -> Result<(), Failure> {
    use hs_oauth_bench::timings::stores::{Extent, report};

    let Extent { accounts, updates: usual } = Extent::default();
    report(&Extent { accounts: rows.unwrap_or(accounts), updates: updates.unwrap_or(usual) })
}

#[cfg(not(feature = "stores"))]
fn report_stores(_: Option<Vec<u64>>, _: Option<u64>) -> Result<(), Failure> {
    hs_oauth_bench::report::say("the section `stores` needs the feature of this name");
    Ok(())
}

//! How the time to read a response grows with the response.

use super::clock::{compare, wall};
use crate::chart::Chart;
use crate::given;
use crate::report::{Section, Table};
use crate::work::{Failure, Who, Work, prepare_parse};

const READERS: [Who; 3] = [Who::Ours, Who::Floor, Who::Oauth2];

/// Reads responses with more and more scopes, and longer and longer responses.
///
/// # Errors
/// If a response cannot be read.
pub fn report() -> Result<(), Failure> {
    let mut section = Section::new("4-growth", "How the time to read a response grows with it");
    section.say("Nanoseconds. The figures of oauth2 include the request that it builds first.\n");
    grow(&mut section, "scopes", "growth-scopes.svg", &[1, 3, 10, 30, 100, 300, 1_000], with_scopes)?;
    grow(
        &mut section,
        "bytes of unknown fields",
        "growth-bytes.svg",
        &[100, 1_000, 10_000, 100_000, 1_000_000],
        padded,
    )?;
    section.write()
}

fn grow(
    section: &mut Section,
    what: &str,
    file: &str,
    sizes: &[usize],
    body: impl Fn(usize) -> Result<Vec<u8>, Failure>,
) -> Result<(), Failure> {
    let mut table = Table::new([what.to_owned()].into_iter().chain(READERS.map(|who| who.name().to_owned())));
    let mut rows = Vec::new();
    for size in sizes {
        let mut works: Vec<Work> = Vec::new();
        for who in READERS {
            works.push(prepare_parse(who, body(*size)?)?.ok_or("it cannot be done")?);
        }
        let mut timed: Vec<_> = works.iter_mut().map(|work| move |times| wall(|| work(times))).collect();
        let mut timed: Vec<_> = timed.iter_mut().map(|work| work as &mut dyn FnMut(u64) -> _).collect();
        let times = compare(&mut timed)?;
        table.row([size.to_string()].into_iter().chain(times.iter().map(|time| format!("{time:.0}"))));
        rows.push((*size, times));
    }
    section.table(&table);
    let mut chart = Chart::new(&format!("Reading a response, by {what}"), what, "nanoseconds");
    for (column, who) in READERS.iter().enumerate() {
        let points = rows.iter().filter_map(|(size, times)| Some((*size as f64, *times.get(column)?)));
        chart.line(who.name(), points);
    }
    section.chart(file, what, &chart.svg())
}

fn with_scopes(count: usize) -> Result<Vec<u8>, Failure> {
    let scopes: Vec<String> = (0..count).map(|index| format!("crm.objects.custom{index}.read")).collect();
    with("scopes", scopes.into())
}

fn padded(bytes: usize) -> Result<Vec<u8>, Failure> {
    let links: Vec<String> = (0..bytes / 50).map(|index| format!("{index:0>47}")).collect();
    with("links", links.into())
}

/// Returns the response with this field added or replaced.
fn with(name: &str, value: serde_json::Value) -> Result<Vec<u8>, Failure> {
    let mut response: serde_json::Map<_, _> = serde_json::from_slice(given::RESPONSE)?;
    response.insert(name.to_owned(), value);
    Ok(serde_json::to_vec(&response)?)
}

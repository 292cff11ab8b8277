//! How long something takes, on a machine that does other things too.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::work::Failure;

const ROUNDS: usize = 15;

/// The least of many rounds, in nanoseconds a repetition, for each of these: what else the machine does only adds to it. They
/// take turns, so that it adds to all alike.
///
/// # Errors
/// The first failure.
pub fn compare(works: &mut [&mut dyn FnMut(u64) -> Result<Duration, Failure>]) -> Result<Vec<f64>, Failure> {
    let mut times = Vec::new();
    for work in works.iter_mut() {
        times.push(enough(work)?);
    }
    let mut least = vec![f64::INFINITY; works.len()];
    for _ in 0..ROUNDS {
        for ((work, times), least) in works.iter_mut().zip(&times).zip(&mut least) {
            *least = least.min(work(*times)?.as_nanos() as f64 / *times as f64);
        }
    }
    Ok(least)
}

/// So many repetitions that they take a few hundredths of a second.
fn enough(work: &mut dyn FnMut(u64) -> Result<Duration, Failure>) -> Result<u64, Failure> {
    let mut times = 1;
    while work(times)? < Duration::from_millis(20) {
        times *= 2;
    }
    Ok(times)
}

/// How long it takes by the clock on the wall.
///
/// # Errors
/// If the work fails.
pub fn wall(work: impl FnOnce() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let began = Instant::now();
    work()?;
    Ok(began.elapsed())
}

/// How long it keeps this process's processors busy, the system's work for it included.
///
/// # Errors
/// If the work fails.
pub fn busy(work: impl FnOnce() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let began = spent();
    work()?;
    Ok(spent().saturating_sub(began))
}

fn spent() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap_or_default()
}

/// The value that this share of them is not above.
pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let index = (sorted.len() as f64 * share) as usize;
    sorted.get(index).or(sorted.last()).copied().unwrap_or_default()
}

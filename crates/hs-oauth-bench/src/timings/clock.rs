//! Times on a machine that does other things at the same time.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::work::Failure;

const ROUNDS: usize = 15;

/// Returns the shortest time of many rounds for each work, in nanoseconds for each repetition. What else the machine does only makes a
/// round longer. The works alternate, so that all are affected alike.
///
/// # Errors
/// The first error of a work.
pub fn compare(works: &mut [&mut dyn FnMut(u64) -> Result<Duration, Failure>]) -> Result<Vec<f64>, Failure> {
    let mut times = Vec::new();
    for work in works.iter_mut() {
        times.push(repetitions(work)?);
    }
    let mut shortest = vec![f64::INFINITY; works.len()];
    for _ in 0..ROUNDS {
        for ((work, times), shortest) in works.iter_mut().zip(&times).zip(&mut shortest) {
            *shortest = shortest.min(work(*times)?.as_nanos() as f64 / *times as f64);
        }
    }
    Ok(shortest)
}

/// Returns a number of repetitions that takes at least 20 milliseconds.
fn repetitions(work: &mut dyn FnMut(u64) -> Result<Duration, Failure>) -> Result<u64, Failure> {
    let mut times = 1;
    while work(times)? < Duration::from_millis(20) {
        times *= 2;
    }
    Ok(times)
}

/// Returns how long the work takes.
///
/// # Errors
/// If the work fails.
pub fn wall(work: impl FnOnce() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let began = Instant::now();
    work()?;
    Ok(began.elapsed())
}

/// Returns the processor time that the work takes in this process, the kernel's work for it included.
///
/// # Errors
/// If the work fails.
pub fn busy(work: impl FnOnce() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let began = spent();
    work()?;
    Ok(spent().saturating_sub(began))
}

/// Returns the processor time that this process has taken so far, the kernel's work for it included.
pub fn spent() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap_or_default()
}

/// Returns the value that this share of the durations does not exceed.
pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let index = (sorted.len() as f64 * share) as usize;
    sorted.get(index).or(sorted.last()).copied().unwrap_or_default()
}

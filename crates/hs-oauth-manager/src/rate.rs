//! The rate of renewals.

use std::collections::VecDeque;
use std::time::Duration;

use hs_oauth_core::Timestamp;

/// How many renewals may begin now.
///
/// What counts for HubSpot is when a refresh is sent. Between its begin and that moment, a renewal asks the store. So one that has begun
/// counts as if its refresh was sent now, until it is.
#[derive(Debug)]
pub(crate) struct Rate {
    /// The most renewals that begin in a short time, so that those of a second do not begin at once.
    begins: Span,
    /// The most refreshes that are sent in a second, and in the shortest time in which the share is a whole number.
    sends: [Span; 2],
    /// When the last renewals began.
    begun: VecDeque<Timestamp>,
    /// When the last refreshes were sent.
    sent: VecDeque<Timestamp>,
    /// How many renewals have begun whose refresh was not sent.
    unsent: usize,
}

/// A number of things that happen at most in any span of this length.
#[derive(Clone, Copy, Debug)]
struct Span {
    max: usize,
    time: Duration,
}

const SECOND: Duration = Duration::from_secs(1);

impl Rate {
    /// Returns the share that one of so many replicas has of this rate. Each sends as many refreshes in so many seconds as all of them may
    /// send in one. A share of less than one in a second is one in several.
    pub(crate) fn new(per_second: usize, replicas: usize) -> Self {
        let seconds = |seconds: f64| Duration::from_secs_f64(seconds);
        // A tenth of a second's share, rounded up, and the time in which the share allows so many.
        let few = per_second.div_ceil(replicas.saturating_mul(10));
        let few_time = match replicas {
            1 => SECOND / 10,
            replicas => seconds(few as f64 * replicas as f64 / per_second as f64),
        };
        Self {
            begins: Span { max: few, time: few_time },
            sends: [
                Span { max: per_second.div_ceil(replicas), time: SECOND },
                Span { max: per_second, time: seconds(replicas as f64) },
            ],
            begun: VecDeque::new(),
            sent: VecDeque::new(),
            unsent: 0,
        }
    }

    /// Counts a renewal that begins now.
    ///
    /// # Errors
    /// How long it takes until one may begin, if none may now.
    pub(crate) fn begin(&mut self, now: Timestamp) -> Result<(), Duration> {
        let longest = self.sends.iter().map(|span| span.time).max().unwrap_or_default();
        forget(&mut self.begun, self.begins.time, now);
        forget(&mut self.sent, longest, now);
        let waits = self.sends.iter().map(|span| match span.max.checked_sub(self.unsent) {
            Some(max) if max > 0 => Span { max, ..*span }.wait(&self.sent, now),
            // As long as it takes until one may begin after one that is sent now.
            _ => self.begins.time,
        });
        match waits.chain([self.begins.wait(&self.begun, now)]).max() {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                self.begun.push_back(now);
                self.unsent += 1;
                Ok(())
            }
        }
    }

    /// Notes that the refresh of a renewal is sent now.
    pub(crate) fn sent(&mut self, now: Timestamp) {
        self.unsent = self.unsent.saturating_sub(1);
        self.sent.push_back(now);
    }

    /// Counts the renewal that began at this moment no more, since it sends nothing.
    pub(crate) fn give_back(&mut self, begun: Timestamp) {
        self.unsent = self.unsent.saturating_sub(1);
        if let Some(index) = self.begun.iter().rposition(|at| *at == begun) {
            self.begun.remove(index);
        }
    }
}

/// Forgets what happened longer ago than this.
fn forget(happened: &mut VecDeque<Timestamp>, time: Duration, now: Timestamp) {
    if happened.back().is_some_and(|last| *last > now) {
        // The clock was set back, so the earlier moments mean nothing.
        happened.clear();
    }
    while happened.front().is_some_and(|at| now.since(*at) >= time) {
        happened.pop_front();
    }
}

impl Span {
    /// Returns how long it takes until fewer than the most things have happened within the span that ends then.
    fn wait(self, happened: &VecDeque<Timestamp>, now: Timestamp) -> Duration {
        let counted = happened.len().checked_sub(self.max).and_then(|index| happened.get(index));
        counted.map_or(Duration::ZERO, |at| at.plus(self.time).since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_000_000);

    /// Returns when the refreshes of so many renewals are sent, in milliseconds, each as long after its begin as `delay` says of its number.
    fn sent(mut rate: Rate, renewals: u64, delay: impl Fn(u64) -> u64) -> Vec<u64> {
        let (mut due, mut sent, mut begun) = (Vec::new(), Vec::new(), 0);
        for millisecond in 0.. {
            let now = START.plus(Duration::from_millis(millisecond));
            due.extract_if(.., |at| *at == millisecond).for_each(|at| {
                rate.sent(now);
                sent.push(at);
            });
            while begun < renewals && rate.begin(now).is_ok() {
                due.push(millisecond + 1 + delay(begun));
                begun += 1;
            }
            if sent.len() as u64 == renewals {
                break;
            }
        }
        sent
    }

    /// Returns the most of these moments that are in one second.
    fn most_in_a_second(moments: &[u64]) -> usize {
        let in_second = |from: &u64| moments.iter().filter(|at| (*from..from + 1000).contains(at)).count();
        moments.iter().map(in_second).max().unwrap_or_default()
    }

    #[test]
    fn in_no_second_more_refreshes_are_sent_than_the_rate_says_however_long_the_store_takes() {
        let delays: [fn(u64) -> u64; 4] =
            [|_| 0, |_| 40, |renewal| renewal * 37 % 200, |renewal| 3000 - renewal.min(300) * 10];
        for (replicas, share) in [(1, 100), (4, 25)] {
            for delay in delays {
                let sent = sent(Rate::new(100, replicas), 600, delay);
                assert!(most_in_a_second(&sent) <= share, "{}", most_in_a_second(&sent));
            }
        }
    }

    #[test]
    fn a_store_that_takes_a_moment_costs_no_more_of_the_rate_than_that_moment() {
        let sent = sent(Rate::new(100, 1), 1000, |renewal| renewal % 20);
        assert!(sent.last().is_some_and(|last| *last < 10_300), "{:?}", sent.last());
    }

    #[test]
    fn renewals_that_send_nothing_do_not_count() {
        let mut rate = Rate::new(10, 1);
        for _ in 0..100 {
            assert_eq!(rate.begin(START), Ok(()));
            rate.give_back(START);
        }
    }

    #[test]
    fn while_as_many_have_begun_as_may_be_sent_none_begins() {
        let mut rate = Rate::new(1, 1);
        assert_eq!(rate.begin(START), Ok(()));
        let later = START.plus(Duration::from_secs(60));
        assert!(rate.begin(later).is_err_and(|wait| !wait.is_zero()));
        rate.sent(later);
        assert_eq!(rate.begin(later), Err(SECOND));
        assert_eq!(rate.begin(later.plus(SECOND)), Ok(()));
    }
}

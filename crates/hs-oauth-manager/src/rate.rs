//! The rate of refreshes.

use std::collections::VecDeque;
use std::time::Duration;

use hs_oauth_core::Timestamp;

/// How many renewals may begin now.
///
/// What counts for HubSpot is when a refresh is sent. A renewal first asks the store. Until it sends, it counts as one that sends now, for a
/// second at most: a call of the store that hangs must not hold up all others.
#[derive(Debug)]
pub(crate) struct Rate {
    /// The most renewals that begin in a short time, so that those of a second do not begin at once.
    begins: Span,
    /// The most refreshes that are sent in a second, and in as many seconds as there are replicas.
    sends: [Span; 2],
    /// When the last renewals began.
    begun: VecDeque<Timestamp>,
    /// When those of them began that have not sent a refresh.
    unsent: VecDeque<Timestamp>,
    /// When the last refreshes were sent.
    sent: VecDeque<Timestamp>,
}

/// A number of things that happen at most in any span of this length.
#[derive(Clone, Copy, Debug)]
struct Span {
    max: usize,
    time: Duration,
}

const SECOND: Duration = Duration::from_secs(1);

impl Rate {
    /// Returns the rate of one replica. In as many seconds as there are replicas, it sends at most as many refreshes as all of them may send
    /// in one.
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
            unsent: VecDeque::new(),
            sent: VecDeque::new(),
        }
    }

    /// Counts a renewal that begins now. Returns the moment as which it is counted.
    ///
    /// # Errors
    /// How long it takes until one may begin, if none may now.
    pub(crate) fn begin(&mut self, now: Timestamp) -> Result<Timestamp, Duration> {
        let now = self.in_order(now);
        let longest = self.sends.iter().map(|span| span.time).max().unwrap_or_default();
        forget(&mut self.begun, self.begins.time, now);
        forget(&mut self.unsent, SECOND, now);
        forget(&mut self.sent, longest, now);
        let unsent = self.unsent.len();
        let waits = self.sends.iter().map(|span| match span.max.checked_sub(unsent) {
            Some(max) if max > 0 => Span { max, ..*span }.wait(&self.sent, now),
            // A refresh that is sent, or a renewal that ends, may make room at any time.
            _ => self.begins.time,
        });
        match waits.chain([self.begins.wait(&self.begun, now)]).max() {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                self.begun.push_back(now);
                self.unsent.push_back(now);
                Ok(now)
            }
        }
    }

    /// Counts a refresh that is sent now. `begun` is when its renewal was counted, unless it has sent one before or was not counted.
    pub(crate) fn send(&mut self, begun: Option<Timestamp>, now: Timestamp) {
        let now = self.in_order(now);
        self.sent.push_back(now);
        remove(&mut self.unsent, begun);
    }

    /// Takes back the renewal that was counted as of this moment. It sends nothing.
    pub(crate) fn give_back(&mut self, begun: Timestamp) {
        remove(&mut self.begun, Some(begun));
        remove(&mut self.unsent, Some(begun));
    }

    /// Returns this moment, or a later one that is known already, since threads may come in another order than they have looked at the clock.
    /// If the clock was set back, what was noted before means nothing.
    fn in_order(&mut self, now: Timestamp) -> Timestamp {
        let last = self.begun.back().max(self.sent.back()).copied().unwrap_or(now);
        if last > now.plus(SECOND) {
            self.begun.clear();
            self.unsent.clear();
            self.sent.clear();
            return now;
        }
        last.max(now)
    }
}

/// Forgets what happened longer ago than this.
fn forget(happened: &mut VecDeque<Timestamp>, time: Duration, now: Timestamp) {
    while happened.front().is_some_and(|at| now.since(*at) >= time) {
        happened.pop_front();
    }
}

fn remove(happened: &mut VecDeque<Timestamp>, at: Option<Timestamp>) {
    if let Some(index) = at.and_then(|at| happened.iter().rposition(|happened| *happened == at)) {
        happened.remove(index);
    }
}

impl Span {
    /// Returns how long it takes until one more thing may happen.
    fn wait(self, happened: &VecDeque<Timestamp>, now: Timestamp) -> Duration {
        let counted = happened.len().checked_sub(self.max).and_then(|index| happened.get(index));
        counted.map_or(Duration::ZERO, |at| at.plus(self.time).since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_000_000);

    fn at(milliseconds: u64) -> Timestamp {
        START.plus(Duration::from_millis(milliseconds))
    }

    /// Returns when the refreshes of so many renewals are sent, in milliseconds, each as long after its begin as `delay` says of its number.
    fn sends(mut rate: Rate, renewals: u64, delay: impl Fn(u64) -> u64) -> Vec<u64> {
        let (mut due, mut sends, mut begun) = (Vec::new(), Vec::new(), 0);
        for millisecond in 0.. {
            let now = at(millisecond);
            due.extract_if(.., |(due, _)| *due == millisecond).for_each(|(_, begun)| {
                rate.send(Some(begun), now);
                sends.push(millisecond);
            });
            while begun < renewals
                && let Ok(moment) = rate.begin(now)
            {
                due.push((millisecond + 1 + delay(begun), moment));
                begun += 1;
            }
            if sends.len() as u64 == renewals {
                break;
            }
        }
        sends
    }

    /// Returns the most of these moments that are in one second.
    fn most_in_a_second(moments: &[u64]) -> usize {
        let in_second = |from: &u64| moments.iter().filter(|at| (*from..from + 1000).contains(at)).count();
        moments.iter().map(in_second).max().unwrap_or_default()
    }

    #[test]
    fn in_no_second_more_refreshes_are_sent_than_the_rate_says_while_the_store_takes_up_to_a_second() {
        let delays: [fn(u64) -> u64; 4] =
            [|_| 0, |_| 40, |renewal| renewal * 37 % 200, |renewal| 900 - renewal.min(90) * 10];
        for (replicas, share) in [(1, 100), (4, 25)] {
            for delay in delays {
                let most = most_in_a_second(&sends(Rate::new(100, replicas), 600, delay));
                assert!(most <= share, "{most}");
            }
        }
    }

    #[test]
    fn a_store_that_takes_a_moment_costs_no_more_of_the_rate_than_that_moment() {
        let sends = sends(Rate::new(100, 1), 1000, |renewal| renewal % 20);
        assert!(sends.last().is_some_and(|last| *last < 10_300), "{:?}", sends.last());
    }

    #[test]
    fn renewals_that_send_nothing_do_not_count() {
        let mut rate = Rate::new(10, 1);
        for _ in 0..100 {
            let begun = rate.begin(START).unwrap();
            rate.give_back(begun);
        }
    }

    #[test]
    fn a_renewal_whose_store_hangs_holds_up_the_others_for_a_second() {
        let mut rate = Rate::new(1, 1);
        let begun = rate.begin(START).unwrap();
        assert!(rate.begin(at(999)).is_err_and(|wait| !wait.is_zero()));
        rate.begin(at(1000)).unwrap();
        rate.send(Some(begun), at(1500));
        assert_eq!(rate.begin(at(2000)), Err(Duration::from_millis(500)));
    }

    /// A run that finds its own lease sends without having begun anew.
    #[test]
    fn a_refresh_counts_although_its_renewal_was_given_back() {
        let mut rate = Rate::new(1, 1);
        let begun = rate.begin(START).unwrap();
        rate.give_back(begun);
        rate.send(None, START);
        assert_eq!(rate.begin(START), Err(SECOND));
    }

    #[test]
    fn a_clock_that_was_set_back_holds_up_nothing_whatever_comes_next() {
        let earlier = START.minus(Duration::from_secs(3600));
        for sends in [false, true] {
            let mut rate = Rate::new(1, 1);
            let begun = rate.begin(START).unwrap();
            if sends {
                rate.send(Some(begun), earlier);
            }
            let begins = rate.begin(earlier);
            assert_eq!(begins.is_ok(), !sends, "{begins:?}");
            rate.begin(earlier.plus(SECOND)).unwrap();
        }
    }

    /// Threads look at the clock before they take the lock.
    #[test]
    fn moments_that_come_in_another_order_are_no_clock_that_was_set_back() {
        let mut rate = Rate::new(1, 1);
        let begun = rate.begin(at(2)).unwrap();
        rate.send(Some(begun), at(1));
        assert_eq!(rate.begin(START), Err(SECOND));
    }
}

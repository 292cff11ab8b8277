use std::time::Duration;

use crate::invalid_argument::{InvalidArgument, InvalidArgumentKind};
use crate::limits::TIMEOUT;
use crate::timestamp::Timestamp;
use crate::token_set::TokenSet;

/// When tokens are renewed, and the times that the renewal keeps.
///
/// In the last quarter of its life a token is renewed ahead of time while it is still handed out. Where in the first part of
/// that quarter is told by the token itself, so that tokens issued together are not renewed together. Under the safety
/// margin it is handed out no more. The times hold for HubSpot's tokens of half an hour; for tokens that live less than some
/// twenty minutes they shrink in proportion.
///
/// All who share a store must share a policy.
///
/// ```
/// use hs_oauth_core::renewal::{Decision, RenewalPolicy};
/// use hs_oauth_core::{AccessToken, Timestamp, TokenSet};
///
/// let tokens = TokenSet::new(AccessToken::new("CK")?, 1800, Timestamp::from_secs(0));
/// let at = |seconds| RenewalPolicy::new().decide(Timestamp::from_secs(seconds), &tokens);
/// assert_eq!(at(22 * 60), Decision::Use);
/// assert_eq!(at(25 * 60), Decision::RenewSoon);
/// assert_eq!(at(29 * 60), Decision::RenewNow);
/// # Ok::<(), hs_oauth_core::InvalidArgument>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenewalPolicy {
    timing: Timing,
}

/// The times of a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The most by which two clocks of the fleet may differ. 10 seconds.
    pub clock_margin: Duration,
    /// The most one token request may take, from connecting to the last byte. 15 seconds.
    pub request: Duration,
    /// What is kept free for the save after the request. 30 seconds.
    pub save: Duration,
    /// How long one run may hold the right to send. 60 seconds.
    pub lease: Duration,
    /// The last part of a token's life in which it is not handed out: the clock margin and the longest API call. 60 seconds.
    pub safety: Duration,
}

/// What to do with a token now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Hand it out.
    Use,
    /// Hand it out, and renew it beside that.
    RenewSoon,
    /// Do not hand it out; renew it first.
    RenewNow,
}

/// The moments at which the decision on one token changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Before this moment the token cannot be from: the clock has been set back, and `expires_at` says nothing.
    pub trusted_from: Timestamp,
    /// From here on it is renewed ahead of time.
    pub renew_from: Timestamp,
    /// From here on it is not handed out.
    pub usable_until: Timestamp,
}

/// What no scaling goes below, since a machine under load needs it: the times of the protocol, not those of the token.
const MIN_TIMING: Timing = Timing {
    clock_margin: Duration::from_millis(100),
    request: Duration::from_secs(1),
    save: Duration::from_secs(1),
    lease: Duration::from_secs(3),
    safety: Duration::ZERO,
};

/// What a lease has beyond request and save, for the swap by which it is taken.
const SLACK: Duration = Duration::from_secs(1);

/// The longest life a token is believed to have, as in [`TokenSet::expires_at`].
const MAX_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

impl RenewalPolicy {
    /// The times that suit HubSpot.
    pub const fn new() -> Self {
        Self {
            timing: Timing {
                clock_margin: Duration::from_secs(10),
                request: TIMEOUT,
                save: Duration::from_secs(30),
                lease: Duration::from_secs(60),
                safety: Duration::from_secs(60),
            },
        }
    }

    /// Times of one's own, for tokens that live half an hour.
    ///
    /// # Errors
    /// [`InvalidArgument`] naming `timing` if a renewal could not be safe, or not be made at all: request and save need a second
    /// at least, the lease a second more than both together, the safety margin must be no shorter than the clock margin, and
    /// nothing longer than an hour.
    pub fn with_timing(timing: Timing) -> Result<Self, InvalidArgument> {
        let Timing { clock_margin, request, save, lease, safety } = timing;
        let longest = [clock_margin, request, save, lease, safety].into_iter().max().unwrap_or_default();
        let rule = if longest > Duration::from_secs(3600) {
            "a time longer than an hour"
        } else if request.min(save) < Duration::from_secs(1) {
            "less than a second for the request or the save"
        } else if lease < request + save + SLACK {
            "a lease that is not a second longer than request and save together"
        } else if safety < clock_margin {
            "a safety margin shorter than the clock margin"
        } else {
            return Ok(Self { timing });
        };
        Err(InvalidArgument::new("timing", InvalidArgumentKind::Timing(rule)))
    }

    /// What to do with `tokens` now.
    pub fn decide(&self, now: Timestamp, tokens: &TokenSet) -> Decision {
        self.schedule(tokens).decide(now)
    }

    /// The moments at which [`decide`](Self::decide) changes for these tokens, for whoever asks often.
    pub fn schedule(&self, tokens: &TokenSet) -> Schedule {
        let life = life(tokens);
        let window = window(life);
        let spread = window / 4;
        let later =
            spread.mul_f64(f64::from(fingerprint(tokens.access_token.expose())) / f64::from(u16::MAX));
        let timing = self.timing(tokens);
        Schedule {
            trusted_from: tokens.expires_at.minus(life + timing.clock_margin),
            renew_from: tokens.expires_at.minus(window - later),
            usable_until: tokens.expires_at.minus(timing.safety),
        }
    }

    /// The times for tokens that live as long as these.
    pub fn timing(&self, tokens: &TokenSet) -> Timing {
        let full = self.timing;
        // What the renewal ahead of time has at least, and what it needs to replace a holder that died (with some room).
        let least_window = window(life(tokens)) * 3 / 4;
        let needed = (full.lease + full.clock_margin) * 2 + full.request + full.safety;
        let scale = (least_window.as_secs_f64() / (needed.as_secs_f64() * 1.05)).min(1.0);
        let scaled = |full: Duration, least: Duration| full.mul_f64(scale).max(least.min(full));
        let request = scaled(full.request, MIN_TIMING.request);
        let save = scaled(full.save, MIN_TIMING.save);
        Timing {
            clock_margin: scaled(full.clock_margin, MIN_TIMING.clock_margin),
            request,
            save,
            lease: scaled(full.lease, MIN_TIMING.lease).max(request + save + SLACK),
            safety: scaled(full.safety, MIN_TIMING.safety),
        }
    }

    /// The times for tokens that live long: none is longer for any others.
    pub const fn longest_timing(&self) -> Timing {
        self.timing
    }
}

impl Default for RenewalPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl Schedule {
    /// What to do now.
    #[inline]
    pub fn decide(&self, now: Timestamp) -> Decision {
        if now >= self.usable_until || now < self.trusted_from {
            Decision::RenewNow
        } else if now >= self.renew_from {
            Decision::RenewSoon
        } else {
            Decision::Use
        }
    }
}

fn life(tokens: &TokenSet) -> Duration {
    Duration::from_secs(tokens.expires_in).min(MAX_LIFE)
}

fn window(life: Duration) -> Duration {
    life / 4
}

/// A number that differs from token to token and is the same in every process: FNV-1a over the end of the text.
fn fingerprint(token: &str) -> u16 {
    let hash = token.bytes().rev().take(32).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    u16::try_from(hash >> 48).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::AccessToken;

    fn tokens(name: &str, expires_in: u64) -> TokenSet {
        TokenSet::new(AccessToken::new(name).unwrap(), expires_in, Timestamp::from_secs(1_000_000))
    }

    /// RENEWAL.md, timing rules 5 and 6.
    #[test]
    fn a_half_hour_token_is_renewed_in_its_last_quarter_and_not_handed_out_in_its_last_minute() {
        for name in 0..1000 {
            let tokens = tokens(&format!("token-{name}"), 1800);
            let schedule = RenewalPolicy::new().schedule(&tokens);
            let age = |moment: Timestamp| moment.since(Timestamp::from_secs(1_000_000)).as_secs_f64();
            assert!((1350.0..=1462.5).contains(&age(schedule.renew_from)), "{schedule:?}");
            assert_eq!(age(schedule.usable_until), 1740.0);
            let at = |moment| RenewalPolicy::new().decide(moment, &tokens);
            assert_eq!(at(Timestamp::from_secs(1_000_000)), Decision::Use);
            assert_eq!(at(schedule.renew_from), Decision::RenewSoon);
            assert_eq!(at(schedule.usable_until.minus(Duration::from_millis(1))), Decision::RenewSoon);
            assert_eq!(at(schedule.usable_until), Decision::RenewNow);
        }
    }

    #[test]
    fn tokens_issued_together_are_not_renewed_together() {
        let moments: std::collections::BTreeSet<_> = (0..1000)
            .map(|name| RenewalPolicy::new().schedule(&tokens(&format!("token-{name}"), 1800)).renew_from)
            .collect();
        assert!(moments.len() > 900, "{}", moments.len());
        let (first, last) = (moments.first().unwrap(), moments.last().unwrap());
        assert!(last.since(*first) > Duration::from_secs(100), "{first:?} {last:?}");
    }

    /// RENEWAL.md, timing rule 7: a moment further off than the token's whole life is the work of a clock.
    #[test]
    fn a_token_from_the_future_is_renewed_since_a_clock_was_set_back() {
        let tokens = tokens("a", 1800);
        let decide = |seconds| RenewalPolicy::new().decide(Timestamp::from_secs(seconds), &tokens);
        assert_eq!(decide(1_000_000 - 10), Decision::Use);
        assert_eq!(decide(1_000_000 - 11), Decision::RenewNow);
    }

    #[test]
    fn timing_that_cannot_be_safe_is_refused_by_name() {
        let good = RenewalPolicy::new().timing(&tokens("a", 1800));
        assert_eq!(RenewalPolicy::with_timing(good), Ok(RenewalPolicy::new()));
        for (timing, rule) in [
            (Timing { lease: Duration::from_millis(45_999), ..good }, "lease"),
            (Timing { request: Duration::from_millis(999), ..good }, "request"),
            (Timing { save: Duration::ZERO, ..good }, "save"),
            (Timing { safety: Duration::from_secs(9), ..good }, "safety"),
            (Timing { save: Duration::from_secs(3601), ..good }, "hour"),
        ] {
            let refused = RenewalPolicy::with_timing(timing).unwrap_err();
            assert_eq!(refused.argument, "timing");
            assert!(refused.to_string().contains(rule), "{refused}");
        }
    }

    /// RENEWAL.md, timing rules 2 and 4 for every life; rule 6 from a minute on.
    #[test]
    fn the_times_of_a_short_token_keep_the_rules_too() {
        for expires_in in (1..4000).chain([100_000, u64::MAX]) {
            let tokens = tokens("a", expires_in);
            let timing = RenewalPolicy::new().timing(&tokens);
            let tight = Timing {
                request: Duration::from_secs(3),
                save: Duration::from_secs(1),
                lease: Duration::from_secs(5),
                ..timing
            };
            if let Ok(policy) = RenewalPolicy::with_timing(tight) {
                let timing = policy.timing(&tokens);
                assert!(timing.lease >= timing.request + timing.save + SLACK, "{expires_in} {timing:?}");
            }
            assert!(timing.lease >= timing.request + timing.save + SLACK, "{expires_in} {timing:?}");
            assert!(
                timing.request <= TIMEOUT && timing.request >= MIN_TIMING.request,
                "{expires_in} {timing:?}"
            );
            let schedule = RenewalPolicy::new().schedule(&tokens);
            let ahead = schedule.usable_until.since(schedule.renew_from);
            assert!(
                !ahead.is_zero() && schedule.renew_from > schedule.trusted_from,
                "{expires_in} {schedule:?}"
            );
            if expires_in >= 60 {
                let replaced = (timing.lease + timing.clock_margin) * 2 + timing.request;
                assert!(ahead > replaced, "{expires_in} {timing:?} {ahead:?}");
            }
        }
    }
}

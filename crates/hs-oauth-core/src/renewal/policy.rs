//! When tokens are renewed, and how long each part of a renewal may take.

use std::time::Duration;

use crate::invalid_argument::{InvalidArgument, InvalidArgumentKind};
use crate::limits::TIMEOUT;
use crate::timestamp::Timestamp;
use crate::token_set::TokenSet;

/// When tokens are renewed, and how long each part of a renewal may take.
///
/// A token is renewed in the last quarter of its life, while it is still handed out. The renewal begins in the first quarter of that time,
/// at a moment that depends on the text of the token, so that tokens issued together are not renewed together. Within the safety margin
/// before its end, a token is not handed out any more.
///
/// The times are those for HubSpot's tokens, which live half an hour. For tokens that live less than about twenty minutes they are
/// shortened in proportion.
///
/// All processes that share a store must use the same policy.
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

/// How long each part of a renewal may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The most by which the clocks of two processes may differ. By default 10 seconds.
    pub clock_margin: Duration,
    /// The most that one token request may take, from connecting to the last byte of the response. By default 15 seconds.
    pub request: Duration,
    /// The time for the save after the request. By default 30 seconds.
    pub save: Duration,
    /// The length of a lease, which is the right of one run to send one request. By default 60 seconds.
    pub lease: Duration,
    /// The safety margin: the last part of a token's life, in which it is not handed out. It covers the clock margin and the longest API
    /// call. By default 60 seconds.
    pub safety: Duration,
}

/// What to do with a token now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Hand it out.
    Use,
    /// Hand it out, and renew it at the same time.
    RenewSoon,
    /// Do not hand it out. Renew it first.
    RenewNow,
}

/// The moments at which the decision about one token changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The earliest moment at which the token can have been issued. If it is earlier now, a clock was set back, and `expires_at` cannot be
    /// trusted.
    pub trusted_from: Timestamp,
    /// The moment from which the token is renewed while it is handed out.
    pub renew_from: Timestamp,
    /// The moment from which the token is not handed out.
    pub usable_until: Timestamp,
}

/// The shortest times for tokens of any life. A machine under load needs this much.
const MIN_TIMING: Timing = Timing {
    clock_margin: Duration::from_millis(100),
    request: Duration::from_secs(1),
    save: Duration::from_secs(1),
    lease: Duration::from_secs(3),
    safety: Duration::ZERO,
};

/// The least time that a lease has for the swap that takes it, besides the times of the request and the save.
const MIN_SWAP: Duration = Duration::from_secs(1);

/// The longest life that a token can have. [`TokenSet::expires_at`] has the same limit.
const MAX_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

impl RenewalPolicy {
    /// Returns the policy for HubSpot's tokens.
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

    /// Returns a policy with other times. They are those for tokens that live half an hour.
    ///
    /// # Errors
    /// [`InvalidArgument`] naming `timing` if renewals would not be safe or not be possible. The request and the save need one second each
    /// at least. The lease must be at least one second longer than both together. The safety margin must not be shorter than the clock
    /// margin. No time may be longer than an hour.
    pub fn with_timing(timing: Timing) -> Result<Self, InvalidArgument> {
        let Timing { clock_margin, request, save, lease, safety } = timing;
        let longest = [clock_margin, request, save, lease, safety].into_iter().max().unwrap_or_default();
        let rule = if longest > Duration::from_secs(3600) {
            "a time longer than an hour"
        } else if request.min(save) < Duration::from_secs(1) {
            "less than a second for the request or the save"
        } else if lease < request + save + MIN_SWAP {
            "a lease that is not a second longer than request and save together"
        } else if safety < clock_margin {
            "a safety margin shorter than the clock margin"
        } else {
            return Ok(Self { timing });
        };
        Err(InvalidArgument::new("timing", InvalidArgumentKind::Timing(rule)))
    }

    /// Returns what to do with `tokens` now.
    pub fn decide(&self, now: Timestamp, tokens: &TokenSet) -> Decision {
        self.schedule(tokens).decide(now)
    }

    /// Returns the moments at which the result of [`decide`](Self::decide) changes for these tokens. A caller that decides often computes
    /// them once.
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

    /// Returns the times for tokens that live as long as these.
    pub fn timing(&self, tokens: &TokenSet) -> Timing {
        let full = self.timing;
        // A token is renewed at least this long before its end. Replacing a dead holder must fit into it, with a twentieth to spare.
        let min_window = window(life(tokens)) * 3 / 4;
        let needed = ((full.lease + full.clock_margin) * 2 + full.request + full.safety) * 21 / 20;
        if needed <= min_window {
            return full;
        }
        let scale = min_window.as_secs_f64() / needed.as_secs_f64();
        let scaled = |full: Duration, min: Duration| full.mul_f64(scale).max(min.min(full));
        let request = scaled(full.request, MIN_TIMING.request);
        let save = scaled(full.save, MIN_TIMING.save);
        Timing {
            clock_margin: scaled(full.clock_margin, MIN_TIMING.clock_margin),
            request,
            save,
            lease: scaled(full.lease, MIN_TIMING.lease).max(request + save + MIN_SWAP),
            safety: scaled(full.safety, MIN_TIMING.safety),
        }
    }

    /// Returns the times for tokens that live long. They are the longest for any tokens.
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
    /// Returns what to do with the token now.
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

/// Returns how long the access token lives from sending.
fn life(tokens: &TokenSet) -> Duration {
    Duration::from_secs(tokens.expires_in).min(MAX_LIFE)
}

/// Returns the length of the last part of a token's life, in which it is renewed.
fn window(life: Duration) -> Duration {
    life / 4
}

/// Returns a number that differs from token to token and is the same in every process: FNV-1a over the end of the text.
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
    fn a_token_of_half_an_hour_is_renewed_in_its_last_quarter_and_not_handed_out_in_its_last_minute() {
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

    /// RENEWAL.md, timing rule 7: a token that ends later than its whole life from now was issued under a wrong clock.
    #[test]
    fn a_token_from_the_future_is_renewed_since_a_clock_was_set_back() {
        let tokens = tokens("a", 1800);
        let decide = |seconds| RenewalPolicy::new().decide(Timestamp::from_secs(seconds), &tokens);
        assert_eq!(decide(1_000_000 - 10), Decision::Use);
        assert_eq!(decide(1_000_000 - 11), Decision::RenewNow);
    }

    #[test]
    fn timing_that_is_not_safe_is_refused_with_the_broken_rule() {
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

    /// RENEWAL.md, timing rules 2 and 4 for tokens of every life, and rule 6 for tokens that live a minute or longer.
    #[test]
    fn the_times_for_short_lived_tokens_follow_the_rules_too() {
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
                assert!(timing.lease >= timing.request + timing.save + MIN_SWAP, "{expires_in} {timing:?}");
            }
            assert!(timing.lease >= timing.request + timing.save + MIN_SWAP, "{expires_in} {timing:?}");
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

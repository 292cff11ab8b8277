//! The lease in a record: who may send a refresh, and until when.

use std::time::Duration;

use super::backoff::HolderWait;
use super::id::HolderId;
use super::policy::RenewalPolicy;
use super::record::{Lease, Record};
use crate::timestamp::Timestamp;
use crate::token_set::TokenSet;

/// Returns whether this run holds the record's lease.
pub(super) fn is_held_by(record: &Record, holder: HolderId) -> bool {
    record.lease.as_ref().is_some_and(|lease| lease.holder == holder)
}

/// Returns the holder of the record's lease and how long the lease may still last, unless it may be taken over.
pub(super) fn held_by_another(
    now: Timestamp,
    policy: &RenewalPolicy,
    record: &Record,
    tokens: &TokenSet,
    holder_wait: &HolderWait,
) -> Option<(HolderId, Duration)> {
    let lease = record.lease.as_ref()?;
    let timing = policy.timing(tokens);
    let over = lease.until.plus(timing.clock_margin);
    // The longest lease is allowed here: this one may have been taken for tokens that live longer than these.
    let longest = policy.longest_timing();
    let legal = lease.until <= now.plus(longest.lease + longest.clock_margin);
    let patient = holder_wait.waited_for(lease.holder) < timing.lease + timing.clock_margin;
    (now <= over && legal && patient).then(|| (lease.holder, over.since(now)))
}

/// Returns the record with a lease of this run. A lease of another run that it replaces may have been used to send a refresh.
pub(super) fn taken_by(mut record: Record, holder: HolderId, until: Timestamp) -> Record {
    if record.lease.is_some() && !is_held_by(&record, holder) {
        record.unsettled = true;
    }
    record.lease = Some(Lease::new(holder, until));
    record
}

/// Returns whether the lease lasts long enough for one request and the save of its tokens.
pub(super) fn may_send(now: Timestamp, policy: &RenewalPolicy, record: &Record) -> bool {
    let (Some(tokens), Some(lease)) = (&record.tokens, &record.lease) else { return false };
    let timing = policy.timing(tokens);
    now.plus(timing.request + timing.save) <= lease.until
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::renewal::GrantId;
    use crate::secret::AccessToken;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn leased(seconds: u64, random: &mut Random) -> (Record, HolderId) {
        let tokens = TokenSet::new(AccessToken::new("a").unwrap(), 1800, NOW);
        let holder = HolderId::generate(random);
        let until = NOW.plus(Duration::from_secs(seconds));
        (taken_by(Record::new(GrantId::generate(random), tokens), holder, until), holder)
    }

    /// RENEWAL.md, timing rule 2.
    #[test]
    fn a_refresh_is_sent_only_if_it_and_the_save_fit_into_the_lease() {
        let policy = RenewalPolicy::new();
        let mut random = Random::new([7; 32]);
        assert!(may_send(NOW, &policy, &leased(45, &mut random).0));
        assert!(!may_send(NOW, &policy, &leased(44, &mut random).0));
    }

    /// RENEWAL.md, timing rules 3 and 7.
    #[test]
    fn a_lease_is_taken_over_after_its_end_and_the_clock_margin_or_if_its_end_is_impossible() {
        let policy = RenewalPolicy::new();
        let mut random = Random::new([7; 32]);
        let (record, holder) = leased(60, &mut random);
        let tokens = record.tokens.clone().unwrap();
        let held = |now: u64, holder_wait: &HolderWait| {
            held_by_another(Timestamp::from_secs(now), &policy, &record, &tokens, holder_wait)
        };
        let unwaited = HolderWait::default();
        assert_eq!(held(1_000_000, &unwaited), Some((holder, Duration::from_secs(70))));
        assert_eq!(held(1_000_070, &unwaited), Some((holder, Duration::ZERO)));
        assert_eq!(held(1_000_071, &unwaited), None);
        assert_eq!(held(999_989, &unwaited), None);

        let mut waited = HolderWait::default();
        while waited.waited_for(holder) < Duration::from_secs(70) {
            assert!(held(1_000_000, &waited).is_some());
            waited.next(holder, Duration::from_secs(70), &mut random);
        }
        assert_eq!(held(1_000_000, &waited), None);
    }

    #[test]
    fn a_record_is_unsettled_if_its_lease_was_taken_over() {
        let mut random = Random::new([7; 32]);
        let (record, holder) = leased(60, &mut random);
        assert!(!record.unsettled && is_held_by(&record, holder));
        assert!(!taken_by(record.clone(), holder, NOW).unsettled);
        let other = HolderId::generate(&mut random);
        let taken = taken_by(record, other, NOW);
        assert!(taken.unsettled && is_held_by(&taken, other));
    }
}

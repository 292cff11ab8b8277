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

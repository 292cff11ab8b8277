//! The bearers that a thread reads often, so that it need not look them up in a map. A comparison of the key shows that a bearer has not
//! changed.
//!
//! A slot stores a bearer after [`PROMOTE_AFTER`] lookups in a row for the same account. It stores a copy of the bearer's bytes, since
//! clones share a counter, and threads that share a counter wait for each other at every read. A thread stores up to [`SLOT_COUNT`]
//! bearers, each until another account takes its slot or the thread ends.

use std::cell::RefCell;

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{Decision, Schedule};
use hs_oauth_core::{Account, Timestamp};

const SLOT_COUNT: usize = 32;

/// The lookups in a row after which a bearer is copied. A thread that asks for many accounts in turn never copies one.
const PROMOTE_AFTER: u8 = 8;

thread_local! {
    static SLOTS: RefCell<[Slot; SLOT_COUNT]> = const { RefCell::new([const { Slot::FREE }; SLOT_COUNT]) };
}

/// An account, the cache it is in, and the state of its shard.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotKey {
    /// The number of the cache, from 1.
    pub(super) cache: u64,
    pub(super) account: Account,
    pub(super) generation: u64,
}

struct Slot {
    key: SlotKey,
    /// The number of lookups in a row with this key, up to [`PROMOTE_AFTER`].
    reads: u8,
    copy: Option<(HeaderValue, Schedule)>,
}

impl Slot {
    const FREE: Self =
        Self { key: SlotKey { cache: 0, account: Account::hub(0), generation: 0 }, reads: 0, copy: None };
}

/// Calls `show` with the bearer, if this thread has a copy and it need not be renewed yet.
///
/// # Errors
/// `show` itself, not called, in all other cases.
#[inline]
pub(super) fn lend<T, F: FnOnce(&HeaderValue) -> T>(
    hash: u64,
    key: SlotKey,
    now: Timestamp,
    show: F,
) -> Result<T, F> {
    // A thread that is ending has no slots any more.
    if SLOTS.try_with(|_| ()).is_err() {
        return Err(show);
    }
    SLOTS.with(|slots| {
        let Ok(slots) = slots.try_borrow() else { return Err(show) };
        match slots.get(slot_of(hash)) {
            Some(Slot { key: stored, copy: Some((bearer, schedule)), .. })
                if *stored == key && schedule.decide(now) == Decision::Use =>
            {
                Ok(show(bearer))
            }
            _ => Err(show),
        }
    })
}

/// Counts a lookup of the bearer, and stores a copy at the [`PROMOTE_AFTER`]th in a row.
pub(super) fn remember(hash: u64, key: SlotKey, bearer: &HeaderValue, schedule: Schedule) {
    // Nothing is stored if the thread is ending, or if its slots are in use by an outer call.
    let _ = SLOTS.try_with(|slots| {
        let Ok(mut slots) = slots.try_borrow_mut() else { return };
        let Some(slot) = slots.get_mut(slot_of(hash)) else { return };
        if slot.key != key {
            *slot = Slot { key, reads: 0, copy: None };
        }
        slot.reads += 1;
        if slot.reads == PROMOTE_AFTER {
            *slot = Slot { key, reads: 0, copy: Some((copied(bearer), schedule)) };
        }
    });
}

fn copied(bearer: &HeaderValue) -> HeaderValue {
    let Ok(mut copy) = HeaderValue::from_bytes(bearer.as_bytes()) else { return bearer.clone() };
    copy.set_sensitive(bearer.is_sensitive());
    copy
}

fn slot_of(hash: u64) -> usize {
    usize::from((hash >> 40) as u8) % SLOT_COUNT
}

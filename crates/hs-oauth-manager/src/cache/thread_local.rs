//! What a thread reads again and again, so that it need not look it up: one look at a number tells that nothing has changed.
//!
//! An account gets a place at the [`PROMOTE_AFTER`]th read in a row that falls on it. The place has a copy of the bearer's bytes, made
//! there and then: what is handed out counts its clones, and threads that share one count wait for each other at every read.
//! A thread keeps up to [`SLOT_COUNT`] bearers until others take their places or it ends.

use std::cell::RefCell;

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{Decision, Schedule};
use hs_oauth_core::{Account, Timestamp};

const SLOT_COUNT: usize = 32;

/// So many that a thread which asks for many accounts in turn copies nothing.
const PROMOTE_AFTER: u8 = 8;

thread_local! {
    static SLOTS: RefCell<[Slot; SLOT_COUNT]> = const { RefCell::new([const { Slot::FREE }; SLOT_COUNT]) };
}

/// Which account of which cache, as of which state of its shard.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotKey {
    /// The cache's number, from 1.
    pub(super) cache: u64,
    pub(super) account: Account,
    pub(super) generation: u64,
}

struct Slot {
    key: SlotKey,
    /// How often in a row that spot was looked up, up to [`PROMOTE_AFTER`].
    reads: u8,
    held: Option<(HeaderValue, Schedule)>,
}

impl Slot {
    const FREE: Self =
        Self { key: SlotKey { cache: 0, account: Account::hub(0), generation: 0 }, reads: 0, held: None };
}

/// Shows the bearer, if this thread has it and it is not yet to be renewed; else gives `show` back.
#[inline]
pub(super) fn lend<T, F: FnOnce(&HeaderValue) -> T>(
    hash: u64,
    key: SlotKey,
    now: Timestamp,
    show: F,
) -> Result<T, F> {
    // A thread that is ending has no places any more.
    if SLOTS.try_with(|_| ()).is_err() {
        return Err(show);
    }
    SLOTS.with(|slots| {
        let Ok(slots) = slots.try_borrow() else { return Err(show) };
        match slots.get(slot_of(hash)) {
            Some(Slot { key: cached, held: Some((bearer, schedule)), .. })
                if *cached == key && schedule.decide(now) == Decision::Use =>
            {
                Ok(show(bearer))
            }
            _ => Err(show),
        }
    })
}

/// Remembers what was looked up for that spot.
pub(super) fn remember(hash: u64, key: SlotKey, bearer: &HeaderValue, schedule: Schedule) {
    // A thread that is ending, or is doing just this, goes without.
    let _ = SLOTS.try_with(|slots| {
        let Ok(mut slots) = slots.try_borrow_mut() else { return };
        let Some(slot) = slots.get_mut(slot_of(hash)) else { return };
        if slot.key != key {
            *slot = Slot { key, reads: 0, held: None };
        }
        slot.reads += 1;
        if slot.reads == PROMOTE_AFTER {
            *slot = Slot { key, reads: 0, held: Some((copied(bearer), schedule)) };
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

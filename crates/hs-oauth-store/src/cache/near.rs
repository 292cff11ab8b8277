//! What a thread has just read, so that it need not read it again: one look at a number tells that nothing has changed.
//!
//! An account gets a place at the second read in a row that falls on it. Nothing is copied but a counted pointer, so no read
//! allocates; a thread keeps up to [`PLACES`] bearers until others take their places or it ends.

use std::cell::RefCell;

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::{Account, Decision, Schedule, Timestamp};

const PLACES: usize = 32;

thread_local! {
    static NEAR: RefCell<[Place; PLACES]> = const { RefCell::new([const { Place::FREE }; PLACES]) };
}

/// Which account of which cache, as of which state of its shard.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    /// The cache's number, from 1.
    pub(super) cache: u64,
    pub(super) account: Account,
    pub(super) generation: u64,
}

struct Place {
    spot: Spot,
    held: Option<(HeaderValue, Schedule)>,
}

impl Place {
    const FREE: Self = Self { spot: Spot { cache: 0, account: Account::hub(0), generation: 0 }, held: None };
}

/// The bearer, if this thread has it and it is not yet to be renewed.
#[inline]
pub(super) fn bearer(hash: u64, spot: Spot, now: Timestamp) -> Option<HeaderValue> {
    NEAR.try_with(|near| {
        let near = near.try_borrow().ok()?;
        let place = near.get(place(hash))?;
        match &place.held {
            Some((bearer, schedule)) if place.spot == spot && schedule.decide(now) == Decision::Use => {
                Some(bearer.clone())
            }
            _ => None,
        }
    })
    .ok()?
}

/// Remembers what was read for that spot.
pub(super) fn keep(hash: u64, spot: Spot, bearer: &HeaderValue, schedule: Schedule) {
    // A thread that is ending, or is doing just this, goes without.
    let _ = NEAR.try_with(|near| {
        let Ok(mut near) = near.try_borrow_mut() else { return };
        let Some(place) = near.get_mut(place(hash)) else { return };
        let is_again = place.spot == spot;
        place.spot = spot;
        place.held = is_again.then(|| (bearer.clone(), schedule));
    });
}

fn place(hash: u64) -> usize {
    usize::from((hash >> 40) as u8) % PLACES
}

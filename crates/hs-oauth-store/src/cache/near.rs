//! What a thread reads again and again, so that it need not look it up: one look at a number tells that nothing has changed.
//!
//! An account gets a place at the [`HABIT`]th read in a row that falls on it. The place has a copy of the bearer's bytes, made
//! there and then: what is handed out counts its clones, and threads that share one count wait for each other at every read.
//! A thread keeps up to [`PLACES`] bearers until others take their places or it ends.

use std::cell::RefCell;

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{Decision, Schedule};
use hs_oauth_core::{Account, Timestamp};

const PLACES: usize = 32;

/// So many that a thread which asks for many accounts in turn copies nothing.
const HABIT: u8 = 8;

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
    /// How often in a row that spot was looked up, up to [`HABIT`].
    reads: u8,
    held: Option<(HeaderValue, Schedule)>,
}

impl Place {
    const FREE: Self =
        Self { spot: Spot { cache: 0, account: Account::hub(0), generation: 0 }, reads: 0, held: None };
}

/// Shows the bearer, if this thread has it and it is not yet to be renewed; else gives `show` back.
#[inline]
pub(super) fn lend<T, F: FnOnce(&HeaderValue) -> T>(
    hash: u64,
    spot: Spot,
    now: Timestamp,
    show: F,
) -> Result<T, F> {
    // A thread that is ending has no places any more.
    if NEAR.try_with(|_| ()).is_err() {
        return Err(show);
    }
    NEAR.with(|near| {
        let Ok(near) = near.try_borrow() else { return Err(show) };
        match near.get(place(hash)) {
            Some(Place { spot: kept, held: Some((bearer, schedule)), .. })
                if *kept == spot && schedule.decide(now) == Decision::Use =>
            {
                Ok(show(bearer))
            }
            _ => Err(show),
        }
    })
}

/// Remembers what was looked up for that spot.
pub(super) fn keep(hash: u64, spot: Spot, bearer: &HeaderValue, schedule: Schedule) {
    // A thread that is ending, or is doing just this, goes without.
    let _ = NEAR.try_with(|near| {
        let Ok(mut near) = near.try_borrow_mut() else { return };
        let Some(place) = near.get_mut(place(hash)) else { return };
        if place.spot != spot {
            *place = Place { spot, reads: 0, held: None };
        }
        place.reads += 1;
        if place.reads == HABIT {
            *place = Place { spot, reads: 0, held: Some((copied(bearer), schedule)) };
        }
    });
}

fn copied(bearer: &HeaderValue) -> HeaderValue {
    let Ok(mut copy) = HeaderValue::from_bytes(bearer.as_bytes()) else { return bearer.clone() };
    copy.set_sensitive(bearer.is_sensitive());
    copy
}

fn place(hash: u64) -> usize {
    usize::from((hash >> 40) as u8) % PLACES
}

//! How a run of the core is driven: it says what to do next, and is told what came of it.

use std::time::Duration;

use crate::endpoint::{Refresh, Revoke};
use crate::error::{Error, StoreError, TokenError};
use crate::record::{Record, Stored};
use crate::secret::AccessToken;
use crate::timestamp::Timestamp;
use crate::token_set::TokenSet;

/// One run of a protocol: a [`Renewal`](crate::Renewal), an [`Install`](crate::Install) or a
/// [`Disconnect`](crate::Disconnect).
///
/// The driver asks for the first step, does it, and hands in what came of it, until a step is [`Step::Done`]. The clock is to be
/// read right before each of the two calls, and a step to be done at once.
///
/// ```
/// use hs_oauth_core::{Input, Run, Step, StoreError, Stored, Timestamp, TokenError};
///
/// trait World {
///     fn now(&self) -> Timestamp;
///     fn load(&mut self) -> Input; // `Loaded` or `StoreFailed`
///     fn swap(&mut self, expected: Option<u64>, record: &hs_oauth_core::Record) -> Input; // `Stored`, `Conflict` or `StoreFailed`
///     fn call<E: hs_oauth_core::Endpoint>(&mut self, endpoint: &E) -> Result<E::Output, hs_oauth_core::Error>; // one try
///     fn sleep(&mut self, duration: std::time::Duration);
/// }
///
/// fn drive<R: Run>(run: &mut R, world: &mut impl World) -> Result<R::Output, TokenError> {
///     let mut step = run.start(world.now());
///     loop {
///         let input = match step {
///             Step::Load => world.load(),
///             Step::Swap { expected, record } => world.swap(expected, &record),
///             Step::Send(refresh) => Input::Answered(world.call(&refresh)),
///             Step::Revoke(revoke) => Input::Revoked(world.call(&revoke)),
///             Step::Turn { .. } => Input::Turn { waited: false }, // no budget
///             Step::Sleep(duration) => {
///                 world.sleep(duration);
///                 Input::Slept
///             }
///             Step::Done(result) => return result,
///         };
///         step = run.resume(world.now(), input);
///     }
/// }
/// ```
pub trait Run {
    /// What the run gives in the end.
    type Output;

    /// The first step.
    fn start(&mut self, now: Timestamp) -> Step<Self::Output>;

    /// The next step, after `input` has come of the last one. An input that does not belong to the last step ends the run
    /// with [`TokenError::Interrupted`].
    fn resume(&mut self, now: Timestamp, input: Input) -> Step<Self::Output>;
}

/// What a run wants done.
#[derive(Debug)]
pub enum Step<T> {
    /// Load the account's record.
    Load,
    /// Write the record if the stored one still has this version; with none, if nothing is stored.
    Swap {
        /// The version that the stored record must have.
        expected: Option<u64>,
        /// The record to be written.
        record: Box<Record>,
    },
    /// Send this, once, within the time that [`Timing::request`](crate::Timing::request) gives, from connecting to the last byte.
    Send(Refresh),
    /// Send this.
    Revoke(Revoke),
    /// Wait until a renewal may begin, where there is a [`Budget`](crate::Budget). Nothing is held meanwhile.
    Turn {
        /// When it is wanted: the end of the time in which the old token is handed out, or 1970 if somebody waits for the new one.
        by: Timestamp,
    },
    /// Wait this long.
    Sleep(Duration),
    /// The run has ended.
    Done(Result<T, TokenError>),
}

/// What came of a step.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a run has one at a time, and only for a moment")]
pub enum Input {
    /// Of [`Step::Load`]: what is stored.
    Loaded(Option<Stored>),
    /// Of [`Step::Swap`]: the record is stored, durably, under this version.
    Stored(u64),
    /// Of [`Step::Swap`]: the stored record has another version; nothing was written.
    Conflict,
    /// Of [`Step::Load`] or [`Step::Swap`]: the store failed; what was to be written may have been, or may yet be.
    StoreFailed(StoreError),
    /// Of [`Step::Send`].
    Answered(Result<TokenSet, Error>),
    /// Of [`Step::Revoke`].
    Revoked(Result<(), Error>),
    /// Of [`Step::Turn`]: it may begin.
    Turn {
        /// Whether it had to wait, so that what it loaded before is to be loaded again.
        waited: bool,
    },
    /// Of [`Step::Turn`]: it would have to wait, which is not worth it while the old token is handed out. Only said of a `by`
    /// that is yet to come.
    NoWait,
    /// Of [`Step::Turn`]: nothing is to begin any more.
    NoTurn,
    /// Of [`Step::Sleep`].
    Slept,
}

/// What the callers of a renewal need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// A token that may be handed out. Renews only in the last part of the stored token's life.
    Usable,
    /// Another token than this one, which an API answered with 401.
    OtherThan(AccessToken),
    /// Another token than the stored one.
    Newer,
}

/// What a renewal ends with: tokens that are in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The tokens.
    pub tokens: TokenSet,
    /// The version of the record they were found or saved in: of two of one account, the tokens of the higher one are no older.
    pub version: u64,
    /// Whether this run got and saved them, and did not just find them.
    pub renewed: bool,
}

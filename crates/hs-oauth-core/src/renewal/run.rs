//! How a run is driven: it says what to do next, and is told what came of it.

use std::time::Duration;

use super::error::TokenError;
use super::record::{Record, Stored};
use crate::endpoint::{Refresh, Revoke};
use crate::error::{Error, StoreError};
use crate::secret::AccessToken;
use crate::timestamp::Timestamp;
use crate::token_set::TokenSet;

/// One run of a protocol: a [`Renewal`](crate::renewal::Renewal), an [`Install`](crate::renewal::Install) or a
/// [`Disconnect`](crate::renewal::Disconnect).
///
/// The driver asks for the first step, does it, and hands in what came of it, until a step is [`Step::Done`]. It reads the clock
/// right before each of the two calls, and does a step at once.
///
/// ```
/// use std::time::Duration;
///
/// use hs_oauth_core::renewal::{Input, Record, Run, Step, TokenError};
/// use hs_oauth_core::{Endpoint, Error, Timestamp};
///
/// trait Driver {
///     fn now(&self) -> Timestamp;
///     fn load(&mut self, timeout: Duration) -> Input; // `Loaded` or `StoreFailed`
///     fn swap(&mut self, expected: Option<u64>, record: &Record, timeout: Duration) -> Input; // `Stored`, `Conflict` or `StoreFailed`
///     fn call<E: Endpoint>(&mut self, endpoint: &E, timeout: Duration) -> Result<E::Output, Error>; // one try
///     fn sleep(&mut self, duration: Duration);
/// }
///
/// fn drive<R: Run>(run: &mut R, driver: &mut impl Driver) -> Result<R::Output, TokenError> {
///     let mut step = run.start(driver.now());
///     loop {
///         let input = match step {
///             Step::Load { timeout } => driver.load(timeout),
///             Step::Swap { expected, record, timeout } => driver.swap(expected, &record, timeout),
///             Step::Send { refresh, timeout } => Input::Refreshed(driver.call(&refresh, timeout)),
///             Step::Revoke(revoke) => Input::Revoked(driver.call(&revoke, hs_oauth_core::TIMEOUT)),
///             Step::Admit { .. } => Input::Admit { waited: false }, // no limit to the rate of renewals
///             Step::Sleep(duration) => {
///                 driver.sleep(duration);
///                 Input::Slept
///             }
///             Step::Done(result) => return result,
///         };
///         step = run.resume(driver.now(), input);
///     }
/// }
/// ```
pub trait Run {
    /// What the run ends with.
    type Output;

    /// Returns the first step.
    fn start(&mut self, now: Timestamp) -> Step<Self::Output>;

    /// Returns the next step, after `input` has come of the last one.
    ///
    /// An input that does not belong to the last step ends the run with [`TokenError::Interrupted`].
    fn resume(&mut self, now: Timestamp, input: Input) -> Step<Self::Output>;
}

/// What a run wants done.
#[derive(Debug)]
pub enum Step<T> {
    /// Load the account's record.
    Load {
        /// How long the store may take.
        timeout: Duration,
    },
    /// Write the record if the stored one has the expected version.
    Swap {
        /// The version that the stored record must have; `None` if nothing must be stored.
        expected: Option<u64>,
        /// The record to be written.
        record: Box<Record>,
        /// How long the store may take.
        timeout: Duration,
    },
    /// Send this refresh, once.
    Send {
        /// The request.
        refresh: Refresh,
        /// How long it may take, from connecting to the last byte of the response.
        timeout: Duration,
    },
    /// Send this revocation.
    Revoke(Revoke),
    /// Wait until a renewal may begin, where the rate of renewals is limited. The run holds nothing meanwhile.
    Admit {
        /// When the new token is wanted.
        deadline: Deadline,
    },
    /// Wait this long.
    Sleep(Duration),
    /// The run has ended.
    Done(Result<T, TokenError>),
}

/// When a new token is wanted. The more urgent one is the lesser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Deadline {
    /// At once: there is no old token to hand out.
    Now,
    /// At that moment: until then the old token is handed out.
    At(Timestamp),
}

/// What came of a step.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a run has one at a time, and only for a moment")]
pub enum Input {
    /// Of [`Step::Load`]: the stored record, if there is one.
    Loaded(Option<Stored>),
    /// Of [`Step::Swap`]: the record is stored, durably, under this version.
    Stored(u64),
    /// Of [`Step::Swap`]: the stored record has another version. Nothing was written.
    Conflict,
    /// Of [`Step::Load`] or [`Step::Swap`]: the store failed. What was to be written may have been, or may yet be.
    StoreFailed(StoreError),
    /// Of [`Step::Send`]: the response, or why there is none.
    Refreshed(Result<TokenSet, Error>),
    /// Of [`Step::Revoke`]: the response, or why there is none.
    Revoked(Result<(), Error>),
    /// Of [`Step::Admit`]: the renewal may begin.
    Admit {
        /// Whether it had to wait, so that what it loaded before must be loaded again.
        waited: bool,
    },
    /// Of [`Step::Admit`]: the renewal would have to wait, and its caller can have the old token. Only said of a deadline that is
    /// yet to come.
    Skip,
    /// Of [`Step::Admit`]: no renewal begins any more.
    ShuttingDown,
    /// Of [`Step::Sleep`]: the time is over.
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
#[derive(Clone, Debug)]
pub struct CurrentTokens {
    /// The tokens.
    pub tokens: TokenSet,
    /// The version of the record they were found or saved in. Of two of one account, the tokens of the higher version are no
    /// older.
    pub version: u64,
    /// Whether this run requested and saved the tokens, and did not just find them.
    pub renewed: bool,
    /// Why a refresh that this run sent brought no tokens, if it found these instead.
    pub refresh_error: Option<Error>,
}

//! How a run is driven: the run names a step, the driver does it and returns its result to the run.

use std::time::Duration;

use super::error::TokenError;
use super::record::{Record, Stored};
use super::retry_cause::RetryCause;
use crate::endpoint::{Introspect, Introspection, Refresh, Revoke};
use crate::error::{Error, StoreError};
use crate::secret::AccessToken;
use crate::timestamp::Timestamp;
use crate::token_set::TokenSet;

/// A renewal, an install or a disconnect in progress: [`Renewal`](crate::renewal::Renewal), [`Install`](crate::renewal::Install) or
/// [`Disconnect`](crate::renewal::Disconnect).
///
/// The driver takes the first step from [`start`](Run::start), does it, and passes its result to [`resume`](Run::resume), which returns
/// the next step. The run ends with [`Step::Done`]. The driver does each step at once, and reads the clock right before it calls `start`
/// or `resume`.
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
///             Step::Send { refresh, timeout } => {
///                 let response = driver.call(&refresh, timeout);
///                 let is_mass_refusal = false; // a driver of many accounts asks its `RefreshHistory`
///                 Input::Refreshed { response, is_mass_refusal }
///             }
///             Step::Introspect(introspect) => Input::Introspected(driver.call(&introspect, hs_oauth_core::TIMEOUT)),
///             Step::Revoke(revoke) => Input::Revoked(driver.call(&revoke, hs_oauth_core::TIMEOUT)),
///             Step::Admit { .. } => Input::Admit { waited: false }, // no limit of renewals
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
    /// The result of the whole run.
    type Output;

    /// Returns the first step.
    fn start(&mut self, now: Timestamp) -> Step<Self::Output>;

    /// Returns the next step. `input` is the result of the last one.
    ///
    /// An input that does not belong to the last step ends the run with [`TokenError::Interrupted`].
    fn resume(&mut self, now: Timestamp, input: Input) -> Step<Self::Output>;
}

/// What a run wants its driver to do.
#[derive(Debug)]
pub enum Step<T> {
    /// Load the account's record.
    Load {
        /// How long the store may take.
        timeout: Duration,
    },
    /// Write the record if the stored record has the expected version.
    Swap {
        /// The version that the stored record must have, or `None` if there must be no stored record.
        expected: Option<u64>,
        /// The new record.
        record: Box<Record>,
        /// How long the store may take.
        timeout: Duration,
    },
    /// Send this refresh, once. The driver may resume the run with [`Input::Paused`] instead, if it has sent nothing.
    Send {
        /// The request to send.
        refresh: Refresh,
        /// How long it may take, from connecting to the last byte of the response.
        timeout: Duration,
    },
    /// Ask HubSpot whose access token this is, since its response did not say so.
    Introspect(Introspect),
    /// Send this revocation, once.
    Revoke(Revoke),
    /// Wait until the renewal may begin, if the number or the rate of renewals is limited. The run has no lease meanwhile. After
    /// a sleep without a lease it asks again.
    Admit {
        /// When the new token is needed.
        deadline: Deadline,
    },
    /// Wait this long.
    Sleep(Duration),
    /// The run has ended.
    Done(Result<T, TokenError>),
}

/// When a new token is needed. The more urgent deadline is the lesser one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Deadline {
    /// At once, since there is no old token to hand out.
    Now,
    /// At this moment. Until then the old token is handed out.
    At(Timestamp),
}

/// The result of a step.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a run has one at a time, and only for a moment")]
pub enum Input {
    /// The result of [`Step::Load`]: the stored record, if there is one.
    Loaded(Option<Stored>),
    /// The result of [`Step::Swap`]: the record is stored durably, under this version.
    Stored(u64),
    /// The result of [`Step::Swap`] if the stored record has another version. Nothing was written.
    Conflict,
    /// The result of [`Step::Load`] or [`Step::Swap`] if the store failed. A record may have been written, or may yet be.
    StoreFailed(StoreError),
    /// The result of [`Step::Send`].
    Refreshed {
        /// The new tokens, or why there are none.
        response: Result<TokenSet, Error>,
        /// Whether HubSpot refuses the grants of many accounts at once, as [`RefreshHistory`](crate::renewal::RefreshHistory) says. If so,
        /// a refused grant is not marked as gone.
        is_mass_refusal: bool,
    },
    /// The result of [`Step::Introspect`].
    Introspected(Result<Introspection, Error>),
    /// The result of [`Step::Revoke`].
    Revoked(Result<(), Error>),
    /// The result of [`Step::Admit`]: the renewal may begin.
    Admit {
        /// Whether it had to wait, so that the record must be loaded again.
        waited: bool,
    },
    /// The result of [`Step::Admit`] if the renewal would have to wait, and the callers can have the old token meanwhile. It is possible
    /// only with a [`Deadline::At`] that has not passed.
    Skip,
    /// The result of [`Step::Admit`] or [`Step::Send`] if no refresh may be sent for this long, since HubSpot has asked for a pause or
    /// fails. No refresh was sent.
    Paused {
        /// How long the pause lasts.
        wait: Duration,
        /// Why there is a pause.
        cause: RetryCause,
    },
    /// The result of [`Step::Admit`], [`Step::Send`] or [`Step::Sleep`] if nothing was done, since no renewal begins any more. After a
    /// sleep it is possible only for a [`Renewal`](crate::renewal::Renewal) that has sent nothing.
    ShuttingDown,
    /// The result of [`Step::Sleep`]: the time is over.
    Slept,
}

/// What the callers of a renewal need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// A token that may be handed out. The run renews the stored token only in the last part of its life.
    Usable,
    /// Another token than this one, which an API has rejected with status 401.
    OtherThan(AccessToken),
    /// Another token than the stored one. A grant that is gone is tried once more. A back-off that HubSpot did not ask for does not count.
    Newer,
    /// The same, and no back-off counts, not even one that HubSpot asked for.
    NewerDespiteRetryAfter,
    /// A token that may be handed out. A grant that is gone is tried once more. A back-off that HubSpot did not ask for does not count.
    Recheck,
}

/// The result of a renewal or an install: tokens that are in the store.
#[derive(Clone, Debug)]
pub struct CurrentTokens {
    /// The stored tokens.
    pub tokens: TokenSet,
    /// The version of the record that they were found or saved in. Of two results for one account, the one with the higher version does
    /// not have older tokens.
    pub version: u64,
    /// Whether this run saved the tokens. If not, it found them in the store.
    pub renewed: bool,
    /// Why the refresh that this run sent brought no tokens, if it found these in the store instead.
    pub refresh_error: Option<TokenError>,
}

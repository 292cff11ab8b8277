//! The settings of a token manager.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use hs_oauth_core::Timestamp;
use hs_oauth_core::renewal::{MassRefusalLimit, RenewalPolicy};

use crate::clock::Clock;
use crate::event::{Event, Listener};
use crate::queue::Limits;
use crate::sweep::Sweep;

/// The settings of a token manager.
pub struct Settings {
    /// When tokens are renewed, and how long each part of a renewal may take.
    pub policy: RenewalPolicy,
    /// Whether each user of a HubSpot account has tokens of their own.
    pub user_level: bool,
    /// The application's callback.
    pub listener: Option<Box<Listener>>,
    /// How many refreshes are sent in a second, and how many renewals are in flight.
    pub limits: Limits,
    /// When refusals count as a mass refusal, or `None` if they never do.
    pub mass_refusal_limit: Option<MassRefusalLimit>,
    /// The clock.
    pub clock: Clock,
    /// How long a load or a check of the store may take.
    pub store_timeout: Duration,
    /// How accounts are looked after that nobody asks for, if they are.
    pub sweep: Option<Sweep>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policy: RenewalPolicy::new(),
            user_level: false,
            listener: None,
            limits: Limits::default(),
            mass_refusal_limit: Some(MassRefusalLimit::default()),
            clock: Clock::default(),
            store_timeout: LOAD_TIMEOUT,
            sweep: None,
        }
    }
}

/// How long the store may take, by default, to load a record or to check itself.
const LOAD_TIMEOUT: Duration = Duration::from_secs(5);

/// A token manager `M` that is being set up. `R` is a runtime of the application's that it may run on.
pub struct TokenManagerBuilder<M, R = ()> {
    settings: Settings,
    runtime: Option<R>,
    build: Box<Build<M, R>>,
}

type Build<M, R> = dyn FnOnce(Settings, Option<R>) -> M + Send + Sync;

/// A token manager that does its work on a runtime `R`.
pub trait RunsOn<R> {}

impl<M, R> TokenManagerBuilder<M, R> {
    /// Returns a builder with the default settings. `build` makes the manager from the final settings.
    pub fn new(build: impl FnOnce(Settings, Option<R>) -> M + Send + Sync + 'static) -> Self {
        Self { settings: Settings::default(), runtime: None, build: Box::new(build) }
    }

    /// Sets when tokens are renewed. The default is [`RenewalPolicy::new`]. All processes that share the store must have the same
    /// policy.
    #[must_use]
    pub fn with_policy(mut self, policy: RenewalPolicy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// Sets whether each user of a HubSpot account has tokens of their own. If so, every [`Account`](hs_oauth_core::Account) names a user
    /// in a hub. The default is `false`.
    #[must_use]
    pub fn with_user_level(mut self, user_level: bool) -> Self {
        self.settings.user_level = user_level;
        self
    }

    /// Sets a callback for [events](Event).
    ///
    /// It runs on the task or thread on which the event happens. It must not block, since the renewal that the event is about would block
    /// too.
    #[must_use]
    pub fn on_event(mut self, listener: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        self.settings.listener = Some(Box::new(listener));
        self
    }

    /// Sets the most refreshes that the manager sends in any one second, together with its [replicas](Self::with_replicas). By default there is
    /// no limit.
    ///
    /// Renewals that nobody waits for begin in the order in which their tokens expire. Renewals that a caller waits for begin before
    /// them. A caller who can have the old token does not wait.
    ///
    /// HubSpot's tokens are renewed ahead of time for more than four and a half minutes. Suppose that all accounts of a process are in
    /// use and expire together: with a rate of a hundredth of their number, more than half of that time is left over.
    #[must_use]
    pub fn with_renewals_per_second(mut self, max: NonZeroU32) -> Self {
        self.settings.limits.per_second = Some(max);
        self
    }

    /// Sets how many processes share the store, this one included. The default is 1.
    ///
    /// Each of them has an equal share of [`with_renewals_per_second`](Self::with_renewals_per_second): of a rate of 100 and 8 replicas,
    /// each sends 12 or 13 refreshes in a second, and 100 in eight seconds. A share is not handed on: what a replica does not use is not used
    /// by others. If a replica is added, set the number for all of them. Until then they send a little more together.
    ///
    /// A [sweep](Self::with_sweep) uses it so that about two other replicas look whether an account was looked after.
    #[must_use]
    pub fn with_replicas(mut self, replicas: NonZeroU32) -> Self {
        self.settings.limits.replicas = replicas;
        self
    }

    /// Sets how accounts are looked after that nobody asks for. By default they are not: an idle account is renewed by its next caller.
    ///
    /// [`Sweep::check_daily`] renews each account once a day, so that a grant that has ended is heard of by an event before a customer
    /// notices. [`Sweep::keep_warm`] renews every account ahead of time, so that no first caller waits. Both renew for all accounts in the
    /// store that connected this app, also for those that other processes installed. Renewals of the sweep begin after all others, within
    /// the same rate.
    ///
    /// The processes share the work through the leases in the store. A sweep in all of them costs hardly more than one: each account is
    /// renewed by one, and two others look whether it was done. It needs about 100 bytes of memory for each account. After a restart it goes
    /// on where it was, since the records say when they were renewed. If many accounts are due, the one whose time ends first comes first.
    ///
    /// Each process reads all records when it starts, and keeps what it needs of them in memory. The store is never asked who is due. But a process
    /// hears only by reading of accounts that another one installed, and of those whose process has ended. So it reads all pages again: for
    /// [`Sweep::keep_warm`] in every ten minutes, and for a check twice in each period, evenly one by one.
    #[must_use]
    pub fn with_sweep(mut self, sweep: Sweep) -> Self {
        self.settings.sweep = Some(sweep);
        self
    }

    /// Sets the most renewals that are in flight at once. The default is 64.
    ///
    /// A renewal that is in flight has its request under way, or is about to save what came of it. So this is also the most connections to
    /// HubSpot that the manager needs for renewals. Others wait in the order that
    /// [`with_renewals_per_second`](Self::with_renewals_per_second) describes. Calls that are not renewals are not counted.
    ///
    /// Whatever the limit, the manager renews nothing while HubSpot asks it to pause: after a 429, no account is renewed until the time in
    /// `Retry-After` is over. A caller who needs a new token meanwhile receives an error that says how long to wait. After five failures in
    /// a row, of HubSpot or the network, one account is renewed at a time until that succeeds.
    #[must_use]
    pub fn with_max_renewals_in_flight(mut self, max: NonZeroU32) -> Self {
        self.settings.limits.in_flight = max;
        self
    }

    /// Sets when refusals of many accounts count as a mass refusal, or with `None` that they never do. The default is
    /// [`MassRefusalLimit::default`]: ten accounts, and half of the refreshes of the last minute.
    ///
    /// During a mass refusal no further account is marked as gone. Its callers receive
    /// [`TokenError::MassRefusal`](hs_oauth_core::renewal::TokenError::MassRefusal), and its renewal is tried again later.
    #[must_use]
    pub fn with_mass_refusal_limit(mut self, limit: impl Into<Option<MassRefusalLimit>>) -> Self {
        self.settings.mass_refusal_limit = limit.into();
        self
    }

    /// Sets the clock, for tests of the application: a token expires when the clock says so, and no test has to sleep.
    ///
    /// The manager reads it for every decision: whether a token is handed out or renewed, when a back-off or a lease is over, and when new
    /// tokens expire. It looks at the clock again at its next call, so a moved clock needs no further step. A run that waits already may
    /// take up to a second to notice. Waits end in real time, too: a clock that stands still does not stop the manager.
    ///
    /// `clock` is read at every call, so it should be fast. It must not call the manager. All processes that share the store must have
    /// clocks that agree. The default is the system's clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.settings.clock = Clock::new(clock);
        self
    }

    /// Sets how long the store may take to load a record, or to check itself before an install. The default is five seconds.
    ///
    /// It is how long a caller waits for a store that hangs. A caller who can have the old token does not wait. Writes have a limit of their
    /// own, in the policy ([`Timing::save`](hs_oauth_core::renewal::Timing::save)), since a write that is given up may lose tokens.
    ///
    /// A blocking manager cannot enforce it, since a sync store that does not return blocks its caller. Give the store a timeout of its own.
    #[must_use]
    pub fn with_store_timeout(mut self, timeout: Duration) -> Self {
        self.settings.store_timeout = timeout;
        self
    }

    /// Builds the manager.
    pub fn build(self) -> M {
        (self.build)(self.settings, self.runtime)
    }
}

impl<R, M: RunsOn<R>> TokenManagerBuilder<M, R> {
    /// Sets the runtime on which the manager does all its work: renewals, installs, disconnects, their calls to HubSpot, and the connections
    /// for these. By default, work is done on the runtime of the caller who asks for it first.
    ///
    /// Set it if the manager is used from several runtimes, or from outside of any. A connection belongs to the runtime on which it was made.
    /// If nobody drives that one any more, a renewal on another runtime that uses the connection makes no progress until its timeout.
    ///
    /// With it, the calls of the manager work outside of a runtime, too. The runtime must have time and IO enabled, and somebody must drive
    /// it: a multi-thread runtime drives itself.
    #[must_use]
    pub fn with_runtime(mut self, runtime: R) -> Self {
        self.runtime = Some(runtime);
        self
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl<M, R> fmt::Debug for TokenManagerBuilder<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenManagerBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use hs_oauth_core::Account;

    use super::*;

    #[test]
    fn what_is_not_set_has_its_default() {
        let settings = TokenManagerBuilder::<_, ()>::new(|settings, _| settings).build();
        assert_eq!(settings.policy, RenewalPolicy::new());
        assert!(!settings.user_level && settings.listener.is_none());
        assert_eq!((settings.limits.per_second, settings.limits.in_flight.get()), (None, 64));
        assert_eq!(settings.store_timeout, Duration::from_secs(5));
    }

    #[test]
    fn the_manager_is_built_from_the_settings_that_were_made() {
        let mut timing = RenewalPolicy::new().longest_timing();
        timing.safety *= 2;
        let policy = RenewalPolicy::with_timing(timing).unwrap();
        let events = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&events);
        let settings = TokenManagerBuilder::<_, ()>::new(|settings, _| settings)
            .with_policy(policy)
            .with_user_level(true)
            .with_renewals_per_second(NonZeroU32::MIN)
            .with_max_renewals_in_flight(NonZeroU32::MAX)
            .with_replicas(NonZeroU32::MAX)
            .with_sweep(Sweep::check_daily())
            .with_clock(|| Timestamp::from_secs(9))
            .with_store_timeout(Duration::from_secs(1))
            .on_event(move |_| _ = counter.fetch_add(1, Ordering::Relaxed))
            .build();
        assert_eq!((settings.policy, settings.user_level), (policy, true));
        let limits = Limits {
            per_second: Some(NonZeroU32::MIN),
            replicas: NonZeroU32::MAX,
            in_flight: NonZeroU32::MAX,
        };
        assert_eq!((settings.limits, settings.sweep), (limits, Some(Sweep::check_daily())));
        let second = Duration::from_secs(1);
        assert_eq!((settings.clock.now(), settings.store_timeout), (Timestamp::from_secs(9), second));
        settings.listener.unwrap()(&Event::Disconnected { account: Account::hub(1) });
        assert_eq!(events.load(Ordering::Relaxed), 1);
    }
}

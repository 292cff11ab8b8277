use std::fmt;
use std::num::NonZeroU32;

use hs_oauth_core::renewal::RenewalPolicy;

use crate::event::{Event, Listener};

/// What an application sets of a token manager.
#[derive(Default)]
pub struct Settings {
    /// When tokens are renewed, and how long everything may take.
    pub policy: RenewalPolicy,
    /// Whether each user of a HubSpot account has tokens of their own.
    pub user_level: bool,
    /// The application's callback.
    pub listener: Option<Box<Listener>>,
    /// The most renewals that begin in a second; not limited if `None`.
    pub renewals_per_second: Option<NonZeroU32>,
}

/// Sets up a token manager `M`.
pub struct TokenManagerBuilder<M> {
    settings: Settings,
    build: Box<dyn FnOnce(Settings) -> M + Send + Sync>,
}

impl<M> TokenManagerBuilder<M> {
    /// Returns a builder with the usual settings. `build` makes the manager of what they are in the end.
    pub fn new(build: impl FnOnce(Settings) -> M + Send + Sync + 'static) -> Self {
        Self { settings: Settings::default(), build: Box::new(build) }
    }

    /// Sets when tokens are renewed; [`RenewalPolicy::new`] unless set. All processes that share the store must have the same policy.
    #[must_use]
    pub fn with_policy(mut self, policy: RenewalPolicy) -> Self {
        self.settings.policy = policy;
        self
    }

    /// Sets whether each user of a HubSpot account has tokens of their own. Accounts are then users in hubs.
    #[must_use]
    pub fn with_user_level(mut self, user_level: bool) -> Self {
        self.settings.user_level = user_level;
        self
    }

    /// Sets a callback that is told what becomes of the accounts.
    ///
    /// It runs on whatever task or thread the event happens on. It must not block: while it does, so does the renewal that it is told
    /// of.
    #[must_use]
    pub fn on_event(mut self, listener: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        self.settings.listener = Some(Box::new(listener));
        self
    }

    /// Sets the most renewals that the manager begins in any one second; their number is not limited unless set.
    ///
    /// Renewals that nobody waits for begin in the order in which their tokens expire. Those that a caller waits for begin before
    /// them. A caller who can have the old token does not wait.
    ///
    /// HubSpot's tokens are renewed ahead of time for more than four and a half minutes. Suppose that all accounts of a process are in
    /// use and expire together: a rate of a hundredth of them leaves more than half of that time.
    #[must_use]
    pub fn with_renewals_per_second(mut self, max: NonZeroU32) -> Self {
        self.settings.renewals_per_second = Some(max);
        self
    }

    /// Returns the manager.
    pub fn build(self) -> M {
        (self.build)(self.settings)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl<M> fmt::Debug for TokenManagerBuilder<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenManagerBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

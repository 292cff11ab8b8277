//! The settings of a token manager.

use std::fmt;
use std::num::NonZeroU32;

use hs_oauth_core::renewal::{MassRefusalLimit, RenewalPolicy};

use crate::event::{Event, Listener};

/// The settings of a token manager.
pub struct Settings {
    /// When tokens are renewed, and how long each part of a renewal may take.
    pub policy: RenewalPolicy,
    /// Whether each user of a HubSpot account has tokens of their own.
    pub user_level: bool,
    /// The application's callback.
    pub listener: Option<Box<Listener>>,
    /// The most renewals that begin in a second, or `None` for no limit.
    pub renewals_per_second: Option<NonZeroU32>,
    /// When refusals count as a mass refusal, or `None` if they never do.
    pub mass_refusal_limit: Option<MassRefusalLimit>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policy: RenewalPolicy::new(),
            user_level: false,
            listener: None,
            renewals_per_second: None,
            mass_refusal_limit: Some(MassRefusalLimit::default()),
        }
    }
}

/// A token manager `M` that is being set up.
pub struct TokenManagerBuilder<M> {
    settings: Settings,
    build: Box<dyn FnOnce(Settings) -> M + Send + Sync>,
}

impl<M> TokenManagerBuilder<M> {
    /// Returns a builder with the default settings. `build` makes the manager from the final settings.
    pub fn new(build: impl FnOnce(Settings) -> M + Send + Sync + 'static) -> Self {
        Self { settings: Settings::default(), build: Box::new(build) }
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

    /// Sets the most renewals that the manager begins in any one second. By default there is no limit.
    ///
    /// Renewals that nobody waits for begin in the order in which their tokens expire. Renewals that a caller waits for begin before
    /// them. A caller who can have the old token does not wait.
    ///
    /// HubSpot's tokens are renewed ahead of time for more than four and a half minutes. Suppose that all accounts of a process are in
    /// use and expire together: with a rate of a hundredth of their number, more than half of that time is left over.
    #[must_use]
    pub fn with_renewals_per_second(mut self, max: NonZeroU32) -> Self {
        self.settings.renewals_per_second = Some(max);
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

    /// Builds the manager.
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use hs_oauth_core::Account;

    use super::*;

    #[test]
    fn what_is_not_set_has_its_default() {
        let settings = TokenManagerBuilder::new(|settings| settings).build();
        assert_eq!(settings.policy, RenewalPolicy::new());
        assert!(!settings.user_level && settings.listener.is_none());
        assert_eq!(settings.renewals_per_second, None);
    }

    #[test]
    fn the_manager_is_built_from_the_settings_that_were_made() {
        let mut timing = RenewalPolicy::new().longest_timing();
        timing.safety *= 2;
        let policy = RenewalPolicy::with_timing(timing).unwrap();
        let events = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&events);
        let settings = TokenManagerBuilder::new(|settings| settings)
            .with_policy(policy)
            .with_user_level(true)
            .with_renewals_per_second(NonZeroU32::MIN)
            .on_event(move |_| _ = counter.fetch_add(1, Ordering::Relaxed))
            .build();
        assert_eq!((settings.policy, settings.user_level), (policy, true));
        assert_eq!(settings.renewals_per_second, Some(NonZeroU32::MIN));
        settings.listener.unwrap()(&Event::Disconnected { account: Account::hub(1) });
        assert_eq!(events.load(Ordering::Relaxed), 1);
    }
}

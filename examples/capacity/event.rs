//! What happens to the fleet.

use std::time::Duration;

/// What happens to the fleet, five minutes after the begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// All replicas are killed and started again at once.
    Restart,
    /// HubSpot answers every request with the status 503, for an hour.
    HubSpotOutage,
    /// The store answers no call, for a minute.
    StoreFailover,
}

/// When the event begins.
pub(crate) const BEGIN: Duration = Duration::from_secs(5 * 60);

impl Event {
    pub(crate) const ALL: [Self; 3] = [Self::Restart, Self::HubSpotOutage, Self::StoreFailover];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Restart => "all replicas restart at once",
            Self::HubSpotOutage => "HubSpot is down for an hour",
            Self::StoreFailover => "the store is down for a minute",
        }
    }

    /// Returns how long the event lasts.
    pub(crate) const fn length(self) -> Duration {
        match self {
            Self::Restart => Duration::ZERO,
            Self::HubSpotOutage => Duration::from_secs(3600),
            Self::StoreFailover => Duration::from_secs(60),
        }
    }

    /// Returns when the event ends.
    pub(crate) fn end(self) -> Duration {
        BEGIN + self.length()
    }

    /// Returns how long the fleet is watched: until every token has been renewed once after the event.
    pub(crate) fn watched(self) -> Duration {
        self.end() + Duration::from_secs(30 * 60)
    }

    pub(crate) fn hubspot_is_down(self, at: Duration) -> bool {
        self == Self::HubSpotOutage && self.lasts(at)
    }

    pub(crate) fn store_is_down(self, at: Duration) -> bool {
        self == Self::StoreFailover && self.lasts(at)
    }

    fn lasts(self, at: Duration) -> bool {
        BEGIN <= at && at < self.end()
    }
}

//! The consent pages that are open in browsers, each known by the ticket in its form.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hs_oauth_core::Timestamp;

use super::authorization_request::AuthorizationRequest;

/// How long a page can stay open before its form is refused.
const TICKET_LIFETIME: Duration = Duration::from_secs(30 * 60);
/// The number of pages that can be open at once. One more closes the oldest.
const MAX_TICKETS: usize = 1000;

/// The authorization requests of the open pages. A ticket is valid once, for the request that its page was shown for.
#[derive(Default)]
pub(crate) struct Tickets {
    open: BTreeMap<String, (Timestamp, AuthorizationRequest)>,
    by_age: VecDeque<String>,
}

impl Tickets {
    pub(super) fn insert(&mut self, now: Timestamp, ticket: String, request: AuthorizationRequest) {
        if self.by_age.len() >= MAX_TICKETS {
            let oldest = self.by_age.pop_front();
            oldest.map(|oldest| self.open.remove(&oldest));
        }
        self.by_age.push_back(ticket.clone());
        self.open.insert(ticket, (now.plus(TICKET_LIFETIME), request));
    }

    /// Returns the request of a ticket, unless the ticket is unknown or expired. The ticket stays valid.
    pub(super) fn get(&self, now: Timestamp, ticket: &str) -> Option<&AuthorizationRequest> {
        let (expires_at, request) = self.open.get(ticket)?;
        (now < *expires_at).then_some(request)
    }

    /// Removes a ticket and returns its request, unless the ticket is unknown or expired.
    pub(super) fn take(&mut self, now: Timestamp, ticket: &str) -> Option<AuthorizationRequest> {
        let (expires_at, request) = self.open.remove(ticket)?;
        self.by_age.retain(|other| other != ticket);
        (now < expires_at).then_some(request)
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.by_age.len().max(self.open.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Harness, ticket};

    #[test]
    fn the_number_of_open_pages_is_limited() {
        let path = "/oauth/authorize?client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890\
            &redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Foauth%2Fcallback&scope=oauth";
        let mut harness = Harness::new();
        let first = ticket(&mut harness, path);
        for _ in 0..MAX_TICKETS {
            ticket(&mut harness, path);
        }
        let response = harness.post("/oauth/authorize", &format!("ticket={first}&decision=connect"));
        assert_eq!(response.status(), 400);
        assert_eq!(harness.emulator.state.tickets.open.len(), MAX_TICKETS);
        assert_eq!(harness.emulator.state.tickets.by_age.len(), MAX_TICKETS);
    }
}

//! What must hold whatever goes wrong, looked at from outside: from the store, from HubSpot and from the callers.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hs_oauth_core::TokenSet;
use hs_oauth_core::renewal::{GrantId, GrantState, HolderId, Lease, Record};
use hs_oauth_emulator::Rotation;

/// Between a rotation and its save the new token is in one memory or one packet only. What may happen then, as RENEWAL.md
/// counts it; and clocks further apart than the margin, which turn into W3 or W4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Window {
    /// The process dies after HubSpot acted, before the save.
    W1,
    /// The answer is lost after HubSpot acted.
    W2,
    /// The holder stands still or cannot save past its lease, and another takes over.
    W3,
    /// The holder stands still between its last look at the clock and sending.
    W4,
    /// The network delivers a request after the client has given up.
    W5,
    /// A clock was set to another time.
    Clock,
}

pub(super) struct Rules {
    rotation: Rotation,
    clock_margin: u64,
    /// The least by which a token handed out must be from its end.
    margin: u64,
    /// Whose tokens these are, by access token.
    issued_to: HashMap<String, GrantId>,
    /// Every access token that was ever stored.
    stored: BTreeSet<String>,
    /// The refresh tokens that HubSpot refused, and when it last did.
    refused: HashMap<String, u64>,
    /// When each grant was installed.
    installed: HashMap<GrantId, u64>,
    /// Requests on their way, and of which grant.
    out: BTreeMap<usize, Option<GrantId>>,
    /// What has happened since the store last held HubSpot's newest refresh token.
    pub(super) windows: Vec<Window>,
    /// The windows that ever opened in this schedule.
    pub(super) seen: BTreeSet<Window>,
    /// The newest refresh token of each grant, while it is good.
    newest: HashMap<GrantId, String>,
    /// What the store holds: grant and refresh token.
    held: Option<(GrantId, Option<String>)>,
    pub(super) broken: Option<String>,
}

impl Rules {
    pub(super) fn new(rotation: Rotation, clock_margin: u64, safety: u64) -> Self {
        Self {
            rotation,
            clock_margin,
            margin: safety - clock_margin,
            issued_to: HashMap::new(),
            stored: BTreeSet::new(),
            refused: HashMap::new(),
            installed: HashMap::new(),
            out: BTreeMap::new(),
            windows: Vec::new(),
            seen: BTreeSet::new(),
            newest: HashMap::new(),
            held: None,
            broken: None,
        }
    }

    fn breaks(&mut self, rule: impl Into<String>) {
        self.broken.get_or_insert(rule.into());
    }

    pub(super) fn opens(&mut self, window: Window) {
        self.seen.insert(window);
        self.windows.push(window);
    }

    fn settle(&mut self) {
        if let Some((grant, refresh_token)) = &self.held
            && refresh_token.is_some()
            && self.newest.get(grant) == refresh_token.as_ref()
        {
            self.windows.clear();
        }
    }

    /// Whether this is the newest refresh token of the stored grant, and not stored.
    pub(super) fn is_only_copy(&self, refresh_token: &str) -> bool {
        self.held.as_ref().is_some_and(|(grant, stored)| {
            self.newest.get(grant).is_some_and(|newest| newest == refresh_token)
                && stored.as_deref() != Some(refresh_token)
        })
    }

    /// Clocks stay within the margin, and nothing is sent or delivered late.
    fn is_timely(&self) -> bool {
        ![Window::W4, Window::W5, Window::Clock].iter().any(|window| self.seen.contains(window))
    }

    /// HubSpot issued these tokens to a renewal of that grant.
    pub(super) fn issued(&mut self, grant: GrantId, tokens: &TokenSet) {
        self.issued_to.insert(tokens.access_token.expose().to_owned(), grant);
        if let Some(token) = refresh_token(tokens) {
            self.newest.insert(grant, token);
        }
        self.settle();
    }

    pub(super) fn refused(&mut self, now: u64, grant: GrantId, refresh_token: &str) {
        self.refused.insert(refresh_token.to_owned(), now);
        if self.rotation == Rotation::Strict
            && self.newest.remove(&grant).is_some_and(|newest| newest != refresh_token)
        {
            // A used token ends the grant even after the newest was saved: whose it was took over, or came late.
            let blamed = [Window::W3, Window::W4, Window::W5, Window::Clock];
            self.windows.extend(blamed.iter().filter(|window| self.seen.contains(window)));
        }
    }

    /// Rule 1: one request at a time, and one a run.
    pub(super) fn sends(&mut self, run: usize, grant: Option<GrantId>, sends: u32) {
        if sends > 1 {
            self.breaks("rule 1: a run sent twice");
        }
        if self.is_timely() && self.out.values().any(|other| *other == grant) {
            self.breaks("rule 1: two requests of one grant at once");
        }
        self.out.insert(run, grant);
    }

    pub(super) fn no_longer_sends(&mut self, run: usize) {
        self.out.remove(&run);
    }

    /// Rule 5: the back-off in the record holds for everyone.
    pub(super) fn takes(&mut self, clock: u64, before: &Record) {
        let retry_at = before.retry.as_ref().map_or(0, |retry| retry.at.as_millis());
        if retry_at > clock && retry_at <= clock + 24 * 3_600_000 && !self.seen.contains(&Window::Clock) {
            self.breaks("rule 5: a renewal during the fleet's back-off");
        }
        if before.state != GrantState::Live {
            self.breaks("rule 4: a renewal of a grant that is not live");
        }
    }

    /// A renewal's write took effect.
    pub(super) fn renewal_writes(
        &mut self,
        now: u64,
        clock: u64,
        holder: Option<HolderId>,
        before: &Record,
        after: &Record,
    ) {
        if before.state == GrantState::Disconnected {
            self.breaks("rule 6: a renewal wrote over a disconnect");
        }
        if before.grant != after.grant {
            self.breaks("rule 6: a renewal changed the grant");
        }
        if let Some(tokens) = &after.tokens
            && self.issued_to.get(tokens.access_token.expose()).is_some_and(|grant| *grant != after.grant)
        {
            self.breaks("rule 6: tokens of an older grant were written over a newer one");
        }
        if after.state == GrantState::Gone && before.state == GrantState::Live {
            let refresh_token = before.tokens.as_ref().and_then(refresh_token).unwrap_or_default();
            let installed = self.installed.get(&before.grant).copied().unwrap_or(0);
            match self.refused.get(&refresh_token) {
                Some(refused) if *refused >= installed => {}
                _ => self.breaks("rule 3: a grant was called gone that HubSpot had not refused"),
            }
        }
        if let Some(Lease { holder: leaseholder, until, .. }) = &before.lease
            && after.lease.as_ref().map(|lease| lease.holder) != Some(*leaseholder)
            && after.state == GrantState::Live
            && holder != Some(*leaseholder)
            && clock <= until.as_millis() + self.clock_margin
            && self.is_timely()
            && !after.lease.as_ref().is_some_and(|lease| Some(lease.holder) == holder)
        {
            self.breaks("rule 1: a run freed the lease of another");
        }
        if before.unsettled && !after.unsettled && before.lease.as_ref().map(|lease| lease.holder) != holder {
            self.breaks("C9: a save that was not under its own lease cleared the mark");
        }
        self.written(now, after);
    }

    /// An operator's write took effect: an install's or a disconnect's.
    pub(super) fn operator_writes(
        &mut self,
        now: u64,
        found: Option<GrantId>,
        before: Option<GrantId>,
        record: &Record,
    ) {
        if before != found && before != Some(record.grant) {
            self.breaks("C12: an install or a disconnect wrote over another that came in between");
        }
        if let Some(tokens) = &record.tokens {
            self.issued_to.insert(tokens.access_token.expose().to_owned(), record.grant);
        }
        self.written(now, record);
    }

    fn written(&mut self, now: u64, record: &Record) {
        if self
            .installed
            .insert(record.grant, self.installed.get(&record.grant).copied().unwrap_or(now))
            .is_none()
            && let Some(token) = record.tokens.as_ref().and_then(refresh_token)
        {
            self.newest.insert(record.grant, token);
        }
        if let Some(tokens) = &record.tokens {
            self.stored.insert(tokens.access_token.expose().to_owned());
        }
        self.held = Some((record.grant, record.tokens.as_ref().and_then(refresh_token)));
        self.settle();
    }

    /// Rules 2 and 7: only stored tokens, and none past its margin.
    pub(super) fn hands_out(&mut self, now: u64, tokens: &TokenSet, end: u64) {
        if !self.stored.contains(tokens.access_token.expose()) {
            self.breaks("rule 2: a token was handed out before it was saved");
        }
        if !self.seen.contains(&Window::Clock) && now + self.margin > end {
            self.breaks(format!(
                "timing rule 5: a token was handed out {} ms from its end",
                end.saturating_sub(now)
            ));
        }
    }

    /// An account that ought to be good is not.
    pub(super) fn loses(&mut self, unsettled: bool) -> Option<Window> {
        if self.rotation == Rotation::Keep {
            self.breaks("an account was lost though refresh tokens are kept");
            return None;
        }
        // A holder that stands still comes back and saves: in `rotate` that restores what it was too late for.
        let counts = |window: &&Window| self.rotation == Rotation::Strict || **window != Window::W3;
        let Some(window) = self.windows.iter().find(counts).copied() else {
            self.breaks("an account was lost outside of every window");
            return None;
        };
        if !unsettled && self.is_timely() {
            self.breaks("C9: an account was lost in a renewal and it is not marked so");
        }
        Some(window)
    }
}

pub(super) fn refresh_token(tokens: &TokenSet) -> Option<String> {
    tokens.refresh_token.as_ref().map(|token| token.expose().to_owned())
}

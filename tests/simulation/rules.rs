//! What must hold whatever fails: the rules of `RENEWAL.md`, checked from outside by what the store, HubSpot and the callers see.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use hs_oauth_core::renewal::{GrantId, GrantState, Lease, Record, Retry, RetryCause};
use hs_oauth_core::{AppIdentity, TokenSet};
use hs_oauth_emulator::Rotation;

use super::hubspot::Deployment;
use super::writer::{Patience, Writer};

/// A window in which an account may be lost. Between a rotation and its save only one process or one packet has the new refresh
/// token. `RENEWAL.md` numbers what may happen then. A clock that is further off than the margin has the effects of W3 and W4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Window {
    /// The process crashes after HubSpot has acted and before the save.
    W1,
    /// The response is lost after HubSpot has acted.
    W2,
    /// The holder is paused or cannot save until its lease is over, and another run takes over.
    W3,
    /// The holder is paused between its last look at the clock and sending.
    W4,
    /// The network delivers a request twice, or after the client has stopped waiting.
    W5,
    /// A clock was set to another time.
    Clock,
}

/// What the tokens of another account have in their text.
pub(super) const OTHER_ACCOUNT: &str = "other-account";

pub(super) struct Rules {
    rotation: Rotation,
    clock_margin: u64,
    /// How long, in milliseconds, a token must be valid when it is handed out.
    min_life: u64,
    /// The grant of each access token.
    grants: HashMap<String, GrantId>,
    /// Every access token that was ever stored.
    stored_tokens: BTreeSet<String>,
    /// The refresh tokens that HubSpot has refused, each with the last time.
    refused_at: HashMap<String, u64>,
    /// The ends of the back-offs that a wrong configuration has caused, and which configuration.
    misconfigured: HashMap<u64, Deployment>,
    /// The refresh tokens that HubSpot has refused to another app.
    refused_to_other_app: BTreeSet<String>,
    /// The grants that were forgotten since the last disconnect.
    forgotten: HashSet<GrantId>,
    /// When each grant was installed.
    installed_at: HashMap<GrantId, u64>,
    /// The runs that wait for a response, and their grants.
    sending: BTreeMap<usize, Option<GrantId>>,
    /// The windows that have opened since the store last had HubSpot's newest refresh token.
    open_windows: Vec<Window>,
    /// The windows that have ever opened in this schedule.
    all_windows: BTreeSet<Window>,
    /// The newest refresh token of each grant, while it is good.
    newest: HashMap<GrantId, String>,
    /// The grant and the refresh token in the store.
    stored: Option<(GrantId, Option<String>)>,
    /// The first rule that was violated.
    pub(super) violation: Option<String>,
}

impl Rules {
    pub(super) fn new(rotation: Rotation, clock_margin: u64, safety: u64) -> Self {
        Self {
            rotation,
            clock_margin,
            min_life: safety - clock_margin,
            grants: HashMap::new(),
            stored_tokens: BTreeSet::new(),
            refused_at: HashMap::new(),
            misconfigured: HashMap::new(),
            refused_to_other_app: BTreeSet::new(),
            forgotten: HashSet::new(),
            installed_at: HashMap::new(),
            sending: BTreeMap::new(),
            open_windows: Vec::new(),
            all_windows: BTreeSet::new(),
            newest: HashMap::new(),
            stored: None,
            violation: None,
        }
    }

    pub(super) fn violate(&mut self, rule: impl Into<String>) {
        self.violation.get_or_insert(rule.into());
    }

    pub(super) fn window_opened(&mut self, window: Window) {
        self.all_windows.insert(window);
        self.open_windows.push(window);
    }

    /// Closes the windows once the store has the newest refresh token of its grant.
    fn close_windows(&mut self) {
        if let Some((grant, refresh_token)) = &self.stored
            && refresh_token.is_some()
            && self.newest.get(grant) == refresh_token.as_ref()
        {
            self.open_windows.clear();
        }
    }

    /// Returns whether this is the newest refresh token of the stored grant, and the store does not have it.
    pub(super) fn is_only_copy(&self, refresh_token: &str) -> bool {
        self.stored.as_ref().is_some_and(|(grant, stored)| {
            self.newest.get(grant).is_some_and(|newest| newest == refresh_token)
                && stored.as_deref() != Some(refresh_token)
        })
    }

    /// Returns whether the clocks were within the margin so far, and nothing was sent or delivered late.
    fn is_timely(&self) -> bool {
        ![Window::W4, Window::W5, Window::Clock].iter().any(|window| self.all_windows.contains(window))
    }

    /// HubSpot has issued these tokens to a renewal of that grant.
    pub(super) fn tokens_issued(&mut self, grant: GrantId, tokens: &TokenSet) {
        self.grants.insert(tokens.access_token.expose().to_owned(), grant);
        if let Some(token) = refresh_token(tokens) {
            self.newest.insert(grant, token);
        }
        self.close_windows();
    }

    /// HubSpot has refused a refresh token of that grant, to the app that it was issued to or to another.
    pub(super) fn grant_refused(
        &mut self,
        now: u64,
        grant: GrantId,
        refresh_token: &str,
        is_other_app: bool,
    ) {
        self.refused_at.insert(refresh_token.to_owned(), now);
        if is_other_app {
            self.refused_to_other_app.insert(refresh_token.to_owned());
        } else if self.rotation == Rotation::Strict
            && self.newest.remove(&grant).is_some_and(|newest| newest != refresh_token)
        {
            // A replaced token ends the grant even after the newest was saved. Its sender took over, or was late.
            let causes = [Window::W3, Window::W4, Window::W5, Window::Clock];
            self.open_windows.extend(causes.iter().filter(|window| self.all_windows.contains(window)));
        }
    }

    /// Returns whether HubSpot has refused the refresh token to another app, which says nothing about the grant.
    pub(super) fn was_refused_to_other_app(&self, refresh_token: &str) -> bool {
        self.refused_to_other_app.contains(refresh_token)
    }

    /// A run has sent a request. Rule 1: an account has one request at a time, and a run sends one.
    pub(super) fn request_sent(&mut self, run: usize, grant: Option<GrantId>, sends: u32) {
        if sends > 1 {
            self.violate("rule 1: a run sent twice");
        }
        if self.is_timely() && self.sending.values().any(|other| *other == grant) {
            self.violate("rule 1: two requests of one grant at once");
        }
        self.sending.insert(run, grant);
    }

    /// A run no longer waits for a response.
    pub(super) fn request_ended(&mut self, run: usize) {
        self.sending.remove(&run);
    }

    /// A run of the app has taken the lease. Rule 5: the back-off in the record applies to every process.
    pub(super) fn lease_taken(&mut self, writer: &Writer, app: &AppIdentity, before: &Record) {
        if let Some(retry) = &before.retry
            && retry.credential.as_ref().is_none_or(|credential| credential == app.credential())
            && writer.patience.observes(retry)
            && self.is_in_progress(retry, writer.clock)
        {
            self.violate("rule 5: a renewal during the back-off of all processes");
        }
        // An operator may have a grant tried once more that is gone.
        let is_recheck = before.state == GrantState::Gone && writer.patience < Patience::Patient;
        if before.state != GrantState::Live && !is_recheck {
            self.violate("rule 4: a renewal of a grant that is not live");
        }
    }

    /// A run has ended without a token because of this back-off. Rule 5: one that another configuration has caused does not apply to it,
    /// and one of our own does not apply if somebody asked for the run.
    pub(super) fn backed_off(&mut self, deployment: Deployment, patience: Patience, retry: Option<&Retry>) {
        let applies = retry.is_some_and(|retry| {
            let caused_by = self.misconfigured.get(&retry.at.as_millis());
            caused_by.is_none_or(|caused_by| *caused_by == deployment) && patience.observes(retry)
        });
        if !applies {
            self.violate("rule 5: a run waited for a back-off that does not apply to it");
        }
    }

    /// Returns whether a back-off is not over, and is not one that a wrong clock may have written.
    fn is_in_progress(&self, retry: &Retry, clock: u64) -> bool {
        let at = retry.at.as_millis();
        at > clock && at <= clock + 24 * 3_600_000 && !self.all_windows.contains(&Window::Clock)
    }

    /// The write of a renewal has taken effect.
    pub(super) fn renewal_wrote(&mut self, now: u64, writer: &Writer, before: &Record, after: &Record) {
        let Writer { clock, holder, .. } = *writer;
        self.check_app(writer, before);
        if before.state == GrantState::Disconnected {
            self.violate("rule 6: a renewal overwrote a disconnect");
        }
        if before.grant != after.grant {
            self.violate("rule 6: a renewal changed the grant");
        }
        if let Some(tokens) = &after.tokens
            && self.grants.get(tokens.access_token.expose()).is_some_and(|grant| *grant != after.grant)
        {
            self.violate("rule 6: tokens of an older grant overwrote a newer grant");
        }
        let has_new_tokens = before
            .tokens
            .as_ref()
            .zip(after.tokens.as_ref())
            .is_some_and(|(before, after)| !before.has_same_tokens(after));
        if before.client_id != after.client_id && !has_new_tokens {
            self.violate("rule 8: a record was given to an app whose refresh HubSpot had not accepted");
        }
        if before.state == GrantState::Gone && after.state != GrantState::Gone && !has_new_tokens {
            self.violate("rule 4: a grant came back that HubSpot had not renewed");
        }
        if let Some(retry) = before.retry.as_ref().filter(|retry| retry.requested)
            && self.is_in_progress(retry, clock)
            && after.retry.as_ref().map_or(!has_new_tokens, |after| after.at < retry.at)
        {
            self.violate("rule 5: a wait that HubSpot had asked for was cut short for all");
        }
        if let Some(retry) = after.retry.as_ref().filter(|retry| Some(*retry) != before.retry.as_ref())
            && retry.cause.as_ref().is_some_and(RetryCause::is_configuration)
            && !retry.requested
        {
            self.misconfigured.insert(retry.at.as_millis(), writer.deployment);
        }
        if after.state == GrantState::Gone && before.state == GrantState::Live {
            if writer.is_mass_refusal {
                self.violate("rule 9: a grant was called gone during a mass refusal");
            }
            let refresh_token = before.tokens.as_ref().and_then(refresh_token).unwrap_or_default();
            let installed_at = self.installed_at.get(&before.grant).copied().unwrap_or(0);
            match self.refused_at.get(&refresh_token) {
                Some(refused_at) if *refused_at >= installed_at => {}
                _ => self.violate("rule 3: a grant was called gone that HubSpot had not refused"),
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
            self.violate("rule 1: a run removed the lease of another");
        }
        if before.unsettled && !after.unsettled && before.lease.as_ref().map(|lease| lease.holder) != holder {
            self.violate("C9: a save that was not under its own lease cleared the mark");
        }
        self.written(now, after);
    }

    /// The write of an install or a disconnect has taken effect.
    pub(super) fn operator_wrote(
        &mut self,
        now: u64,
        writer: &Writer,
        before: Option<&Record>,
        record: &Record,
    ) {
        let grant = before.map(|before| before.grant);
        let is_tombstone = |record: &Record| record.state == GrantState::Disconnected;
        let are_tombstones = is_tombstone(record) && before.is_some_and(is_tombstone);
        if grant != writer.found.flatten() && grant != Some(record.grant) && !are_tombstones {
            self.violate("C12: an install or a disconnect overwrote another that was stored in between");
        }
        if let Some(before) = before {
            self.check_app(writer, before);
        }
        if is_tombstone(record) {
            match record.forgotten {
                true => self.forgotten.extend(grant.filter(|_| !are_tombstones)),
                // It ends what is left at HubSpot.
                false => self.forgotten.clear(),
            }
        }
        if record.uninstalled && (record.tokens.is_some() || record.revoke.is_some()) {
            self.violate("rule 6: a record of an uninstall has tokens");
        }
        self.installed(now, record);
    }

    /// A refresh token was revoked: by a run that only forgets, or by the renewal of this grant, or else by a disconnect.
    pub(super) fn token_revoked(&mut self, forgets: bool, renewed: Option<GrantId>) {
        if forgets || renewed.is_some_and(|grant| self.forgotten.contains(&grant)) {
            self.violate("rule 6: a token of a grant was revoked that was only forgotten");
        }
    }

    /// A record of a new grant, or a tombstone, is stored.
    pub(super) fn installed(&mut self, now: u64, record: &Record) {
        if let Some(tokens) = &record.tokens {
            self.grants.insert(tokens.access_token.expose().to_owned(), record.grant);
        }
        self.written(now, record);
    }

    /// Rule 8: a process with another app changes no record of which the app is known.
    fn check_app(&mut self, writer: &Writer, before: &Record) {
        if writer.deployment == Deployment::OtherApp && before.client_id.is_some() {
            self.violate("rule 8: a process with another app wrote a record");
        }
    }

    fn written(&mut self, now: u64, record: &Record) {
        if self
            .installed_at
            .insert(record.grant, self.installed_at.get(&record.grant).copied().unwrap_or(now))
            .is_none()
            && let Some(token) = record.tokens.as_ref().and_then(refresh_token)
        {
            self.newest.insert(record.grant, token);
        }
        if let Some(tokens) = &record.tokens {
            let names_other = |token: &str| token.contains(OTHER_ACCOUNT);
            if names_other(tokens.access_token.expose())
                || refresh_token(tokens).is_some_and(|token| names_other(&token))
            {
                self.violate("rule 10: tokens of another account were stored");
            }
            self.stored_tokens.insert(tokens.access_token.expose().to_owned());
        }
        self.stored = Some((record.grant, record.tokens.as_ref().and_then(refresh_token)));
        self.close_windows();
    }

    /// A process has handed out a token. Rules 2 and 7: it was stored before, and it is valid for long enough.
    pub(super) fn handed_out(&mut self, now: u64, tokens: &TokenSet, expires_at: u64) {
        if !self.stored_tokens.contains(tokens.access_token.expose()) {
            self.violate("rule 2: a token was handed out before it was saved");
        }
        if !self.all_windows.contains(&Window::Clock) && now + self.min_life > expires_at {
            self.violate(format!(
                "timing rule 5: a token was handed out {} ms before its end",
                expires_at.saturating_sub(now)
            ));
        }
    }

    /// An account is gone though nobody has ended its grant. Returns the window in which it was lost.
    pub(super) fn account_lost(&mut self, unsettled: bool) -> Option<Window> {
        if self.rotation == Rotation::Keep {
            self.violate("an account was lost though HubSpot keeps refresh tokens");
            return None;
        }
        // A paused holder goes on later and saves. In `rotate` that restores the account.
        let counts = |window: &&Window| self.rotation == Rotation::Strict || **window != Window::W3;
        let Some(window) = self.open_windows.iter().find(counts).copied() else {
            self.violate("an account was lost outside of every window");
            return None;
        };
        if !unsettled && self.is_timely() {
            self.violate("C9: an account was lost in a renewal, and its record is not marked as unsettled");
        }
        Some(window)
    }
}

pub(super) fn refresh_token(tokens: &TokenSet) -> Option<String> {
    tokens.refresh_token.as_ref().map(|token| token.expose().to_owned())
}

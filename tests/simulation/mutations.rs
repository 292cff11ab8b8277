/// The modules of core's renewal and disconnect that are copied for each mutant.
const MODULES: [&str; 10] = [
    "backoff",
    "disconnect",
    "gone",
    "lease",
    "loaded",
    "renew",
    "requirements",
    "response",
    "save",
    "store_calls",
];

/// A bug that `build.rs` plants into the renewal: it replaces the text `from`, which occurs once in one of the modules, with `to`.
struct Mutation {
    name: &'static str,
    from: &'static str,
    to: &'static str,
}

const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "no_check_before_sending",
        from: "now.plus(timing.request + timing.save) <= lease.until",
        to: "now.plus(timing.request + timing.save) <= lease.until || true",
    },
    Mutation {
        name: "no_clock_margin",
        from: "let over = lease.until.plus(timing.clock_margin);",
        to: "let over = lease.until;",
    },
    Mutation {
        name: "two_sends_a_lease",
        from: "Outcome::Release { record, error } => {",
        to: "Outcome::Release { record, .. } if record.unsettled => { let at = leased.record.lease.as_ref().unwrap().until; self.send(at, leased) }\nOutcome::Release { record, error } => {",
    },
    Mutation {
        name: "tokens_dropped_on_conflict",
        from: "(State::Save, Input::Conflict) |",
        to: "(State::Save, Input::Conflict) => { self.pending_save = None; self.load(State::Load) }",
    },
    Mutation {
        name: "gone_is_final",
        from: "} else if record.is_same(unsaved.grant, &unsaved.sent) {",
        to: "} else if record.state == GrantState::Live && record.is_same(unsaved.grant, &unsaved.sent) {",
    },
    Mutation {
        name: "grant_not_compared",
        from: "record.is_same(unsaved.grant, &unsaved.sent)",
        to: "record.is_same(record.grant, &unsaved.sent)",
    },
    Mutation {
        name: "late_save_removes_the_lease_of_another",
        from: "if owns_lease {\n            record.lease = None;",
        to: "record.lease = None;\nif owns_lease {",
    },
    Mutation {
        name: "published_before_saved",
        from: "self.pending_save =
                    Some(PendingSave::new(&leased.record, self.holder, sent, tokens, partial));
                self.save(leased)",
        to: "let published = tokens.clone();
             let version = leased.version;
             self.pending_save =
                 Some(PendingSave::new(&leased.record, self.holder, sent, tokens, partial));
             self.done(Ok(CurrentTokens { tokens: published, version, renewed: true, refresh_error: None }))",
    },
    Mutation {
        name: "any_4xx_is_gone",
        from: "(NextStep::Reauthorize, _) => Failure::Refused,",
        to: "(NextStep::Reauthorize, _) => Failure::Refused,
             (_, Error::Api(error)) if error.status.is_client_error() => Failure::Refused,",
    },
    Mutation {
        name: "life_counted_from_reading",
        from: "new.expires_at = new.expires_at.min(latest);",
        to: "_ = latest;",
    },
    Mutation {
        name: "refusal_not_compared",
        from: "same && stored.record.state == sent.state",
        to: "(same || stored.record.state == sent.state)",
    },
    Mutation {
        name: "any_save_clears_the_mark",
        from: "if owns_lease {\n            record.lease = None;\n            record.unsettled = false;\n        }",
        to: "if owns_lease { record.lease = None; }\nrecord.unsettled = false;",
    },
    Mutation {
        name: "back_off_ignored",
        from: "if retry.at > now && legal {",
        to: "if retry.at > now && legal && false {",
    },
    Mutation {
        name: "expired_tokens_handed_out_after_a_late_save",
        from: "None if !self.requirements.is_usable(now, &unsaved.tokens) => {",
        to: "None if false => {",
    },
    Mutation {
        name: "skipped_admission_taken_for_a_shutdown",
        from: "self.skipped(now, *stored, deadline)",
        to: "{ _ = deadline; self.found_or(now, stored.record.tokens, TokenError::ShutDown) }",
    },
    Mutation {
        name: "client_id_not_compared",
        from: "if let Some(error) = requirements.other_app(record.client_id.as_deref()) {",
        to: "if let Some(error) = requirements.other_app(None) {",
    },
    Mutation {
        name: "client_id_filled_in_with_the_lease",
        from: "let record = lease::taken_by(record, self.holder, until);",
        to: "let mut record = lease::taken_by(record, self.holder, until);
            record.client_id.get_or_insert_with(|| self.requirements.app.client_id().to_owned());",
    },
    Mutation {
        name: "client_id_compared_only_in_live_records",
        from: "if let Some(error) = requirements.other_app(record.client_id.as_deref()) {",
        to: "if record.state == GrantState::Live && let Some(error) = requirements.other_app(record.client_id.as_deref()) {",
    },
    Mutation {
        name: "hub_not_compared",
        from: "hub_id.is_some_and(|hub_id| hub_id != expected_hub)",
        to: "false && hub_id.is_some_and(|hub_id| hub_id != expected_hub)",
    },
    Mutation {
        name: "user_not_compared",
        from: "user_id.zip(expected_user).is_some_and(|(user_id, expected)| user_id != expected)",
        to: "false && user_id.zip(expected_user).is_some_and(|(user_id, expected)| user_id != expected)",
    },
    Mutation {
        name: "account_of_an_unreadable_response_not_compared",
        from: "self.other_account(response.rescued.hub_id, response.rescued.user_id)",
        to: "self.other_account(None, None)",
    },
    Mutation {
        name: "account_of_an_import_not_asked_for",
        from: "self.requirements.is_named(tokens.hub_id, tokens.user_id) || self.sent.has_access_token()",
        to: "true",
    },
    Mutation {
        name: "rotated_refresh_token_dropped_if_its_account_is_unknown",
        from: "Err(error) => return self.rescue(tokens.refresh_token.take(), error),",
        to: "Err(error) => return self.rescue(None, error),",
    },
    Mutation {
        name: "mass_refusal_ignored",
        from: "Failure::Refused if is_mass_refusal => {",
        to: "Failure::Refused if false => {",
    },
    Mutation {
        name: "gone_tokens_handed_out",
        from: "GrantState::Gone if may_recheck && requirements.rechecks_gone() && record.tokens.is_some() => {}",
        to: "GrantState::Gone => {}",
    },
    Mutation {
        name: "failed_recheck_makes_live",
        from: "record.unsettled |= unsettled;",
        to: "record.unsettled |= unsettled; record.state = hs_oauth_core::renewal::GrantState::Live;",
    },
    Mutation {
        name: "recheck_by_anyone",
        from: "self.demand == Demand::Recheck || self.is_newer_wanted()",
        to: "true",
    },
    Mutation {
        name: "back_off_of_another_credential_observed",
        from: "_ if is_of_other_credential => false,",
        to: "_ if is_of_other_credential && false => false,",
    },
    Mutation {
        name: "requested_back_off_passed_by_refresh_now",
        from: "Demand::Newer | Demand::Recheck => retry.requested,",
        to: "Demand::Newer | Demand::Recheck => false,",
    },
    Mutation {
        name: "own_back_off_observed_by_refresh_now",
        from: "Demand::Newer | Demand::Recheck => retry.requested,",
        to: "Demand::Newer | Demand::Recheck => true,",
    },
    Mutation {
        name: "requested_back_off_cut_short",
        from: "record.retry.as_ref().filter(|retry| retry.requested)",
        to: "record.retry.as_ref().filter(|_| false)",
    },
    Mutation {
        name: "back_off_names_no_credential",
        from: "retry.credential = is_of_credential.then(|| app.credential().clone());",
        to: "_ = is_of_credential;",
    },
    Mutation {
        name: "new_tokens_of_a_forgotten_grant_revoked",
        from: "unsaved.has_new_refresh_token() && !was_forgotten;",
        to: "unsaved.has_new_refresh_token(); _ = was_forgotten;",
    },
    Mutation {
        name: "forgotten_grant_revoked",
        from: "Kind::Forget => Record::forgotten(self.grant),",
        to: "Kind::Forget => Record::tombstone(self.grant, stored.record.tokens.and_then(|tokens| tokens.refresh_token)),",
    },
    Mutation {
        name: "uninstall_ends_any_grant",
        from: "self.before = Some(grant);",
        to: "_ = grant;",
    },
    Mutation {
        name: "uninstall_leaves_the_tokens",
        from: "Kind::Uninstalled => Record::uninstalled(self.grant),",
        to: "Kind::Uninstalled => { let mut record = stored.record.clone(); record.uninstalled = true; record }",
    },
];

//! The requests to HubSpot, and the network between.

use hs_oauth_core::renewal::{GrantId, Input};
use hs_oauth_core::{
    Endpoint as _, Error, Introspect, NextStep, Refresh, Revoke, TransportError, TransportErrorKind,
};
use http::Response;

use super::super::hubspot::{Deployment, HUB, at};
use super::super::renewal_run::Ending;
use super::super::rules::{OTHER_ACCOUNT, Window, refresh_token};
use super::super::writer::Patience;
use super::events::{Crossed, Delivery, Event, Outcome, Request};
use super::{RunKind, SECOND, Simulator, millis};

impl Simulator {
    pub(super) fn begin_send(
        &mut self,
        run: usize,
        step: u32,
        clock: u64,
        refresh: Refresh,
        was_paused: bool,
    ) {
        let Some(active) = self.runs.get_mut(&run) else { return };
        let process = &self.processes[active.process];
        if process.is_shut_down {
            self.rules.violate("a process that is shut down sent a refresh");
        }
        if process.asked_to_pause.contains(&clock) && !matches!(active.patience, Patience::Impatient) {
            self.rules.violate("a process sent a refresh in the pause that HubSpot had asked for");
        }
        active.sends += 1;
        let (sends, grant, deployment) = (active.sends, active.grant, active.deployment);
        let has_client_id = active.loaded.as_ref().is_some_and(|loaded| loaded.has_client_id);
        let (limit, lease_until) = (millis(self.timing.request), active.lease_until);
        if was_paused && clock + limit > lease_until {
            self.rules.window_opened(Window::W4);
        }
        self.requests += 1;
        self.rules.request_sent(run, grant, sends);
        if has_client_id && deployment == Deployment::OtherApp {
            self.rules.violate("rule 8: a process with another app sent a refresh");
        }
        if self.occurs(self.faults.unreachable) {
            let delivery = transport_error(TransportErrorKind::Connect);
            return self.schedule(5, Event::Deliver { run, step, delivery });
        }
        let delivery = transport_error(TransportErrorKind::Timeout);
        self.schedule(limit, Event::Deliver { run, step, delivery });
        if self.occurs(self.faults.request_lost) {
            return;
        }
        let after = match self.occurs(self.faults.request_late) {
            true => limit + self.random.up_to(120 * SECOND),
            // Up to the last moment at which a response is still in time.
            false => [self.latency(), self.random.up_to(limit)][usize::from(self.occurs(100))],
        };
        let outcome = self.outcome(run);
        let request = Request { sent_at: self.now, refresh, outcome, grant, deployment };
        self.schedule(after, Event::Request { run, step, request });
    }

    fn outcome(&mut self, run: usize) -> Outcome {
        if self.occurs(self.faults.response_lost) {
            Outcome::Lost
        } else if self.occurs(self.faults.response_truncated) {
            Outcome::Truncated
        } else if self.occurs(self.faults.error_response) {
            let status = [400, 401, 403, 404, 423, 429, 477, 500, 502, 503][self.random.up_to(9) as usize];
            let acts = status >= 500 && self.random.up_to(1) == 0;
            let retry_after = (status == 429 || status == 477).then(|| self.random.up_to(600));
            Outcome::ErrorResponse { status, acts, retry_after }
        } else if self.occurs(self.faults.request_duplicated) {
            Outcome::Duplicated
        } else if self.occurs(self.faults.response_crossed) {
            let loaded = self.runs.get(&run).and_then(|active| active.loaded.as_ref());
            let (names_user, is_import) =
                loaded.map_or((false, false), |loaded| (loaded.names_user, !loaded.has_access_token));
            Outcome::Crossed(match self.random.up_to(3) {
                0 if names_user => Crossed::OtherUser,
                1 if is_import => Crossed::NamesNobody,
                2 => Crossed::Unreadable,
                _ => Crossed::OtherHub,
            })
        } else if self.occurs(self.faults.response_names_nobody) {
            Outcome::NamesNobody
        } else {
            Outcome::Response
        }
    }

    pub(super) fn request_arrives(&mut self, run: usize, step: u32, request: Request) {
        let Request { sent_at, refresh, outcome, grant, deployment } = request;
        let limit = millis(self.timing.request);
        if self.now > sent_at + limit {
            self.rules.window_opened(Window::W5);
        }
        if let Outcome::ErrorResponse { status, acts: false, retry_after } = outcome {
            let response = error_response(status, retry_after);
            return self.deliver(run, step, Delivery::Response(refresh, response));
        }
        let (mut response, has_acted) = self.refresh(run, &refresh, grant, deployment);
        let back = self.latency();
        let is_in_time = self.now + back < sent_at + limit;
        // Whether the run learns of its new refresh token.
        let arrives = match outcome {
            Outcome::Response => is_in_time,
            Outcome::NamesNobody => {
                remove_names(&mut response);
                is_in_time
            }
            Outcome::Crossed(crossed) => {
                response = self.crossed_response(crossed);
                false
            }
            Outcome::Lost => false,
            Outcome::Truncated => {
                let body = response.body_mut();
                let length = self.random.up_to(body.len() as u64 - 1) as usize;
                body.truncate(length);
                let read = refresh.read_response(&self.hubspot.app, at(self.now), &response);
                is_in_time && read.is_err_and(|error| error.rescued_refresh_token().is_some())
            }
            Outcome::ErrorResponse { status, retry_after, .. } => {
                response = error_response(status, retry_after);
                false
            }
            Outcome::Duplicated => {
                // If refresh tokens are replaced, the second request is refused, and may end the grant.
                let (second, _) = self.refresh(run, &refresh, grant, deployment);
                self.rules.window_opened(Window::W5);
                match self.random.up_to(1) {
                    0 => {
                        response = second;
                        false
                    }
                    _ => is_in_time,
                }
            }
        };
        if has_acted && !arrives {
            self.rules.window_opened(Window::W2);
            if let Some(active) = self.runs.get_mut(&run) {
                active.new_refresh_token = None;
            }
        }
        if outcome == Outcome::Lost {
            return;
        }
        if is_in_time {
            self.rules.request_ended(run);
        }
        let pause = self.pause();
        if is_in_time {
            self.respond(run, step, back, pause, Delivery::Response(refresh, response));
        }
    }

    /// Schedules a response that has reached the machine in time. A pause of the process only delays when it looks.
    fn respond(&mut self, run: usize, mut step: u32, back: u64, pause: u64, delivery: Delivery) {
        if pause > 0 {
            let Some(active) = self.runs.get_mut(&run).filter(|active| active.step == step) else { return };
            // The timeout of this step does not reach the run any more.
            active.step += 1;
            step = active.step;
        }
        self.schedule(back + pause, Event::Deliver { run, step, delivery });
    }

    /// Has HubSpot handle a refresh. Returns its response, and whether it has issued new tokens.
    fn refresh(
        &mut self,
        run: usize,
        refresh: &Refresh,
        grant: Option<GrantId>,
        deployment: Deployment,
    ) -> (Response<Vec<u8>>, bool) {
        let response = self.hubspot.handle_from(deployment, self.now, refresh);
        let result = refresh.read_response(&self.hubspot.app, at(self.now), &response);
        self.log(|this| format!("HubSpot responds to run {run}: {}", this.describe_refresh(&result)));
        match (&result, grant) {
            (Ok(tokens), Some(grant)) => {
                self.rules.tokens_issued(grant, tokens);
                let token = refresh_token(tokens);
                match self.runs.get_mut(&run) {
                    Some(active) => active.new_refresh_token = token,
                    None if token.is_some_and(|token| self.rules.is_only_copy(&token)) => {
                        self.rules.window_opened(Window::W1);
                    }
                    None => {}
                }
            }
            (Err(error), Some(grant)) if error.next_step() == NextStep::Reauthorize => {
                let is_other_app = deployment == Deployment::OtherApp;
                self.rules.grant_refused(self.now, grant, refresh.refresh_token().expose(), is_other_app);
            }
            _ => {}
        }
        (response, result.is_ok())
    }

    /// Returns HubSpot's response to the refresh of another account.
    fn crossed_response(&mut self, crossed: Crossed) -> Response<Vec<u8>> {
        let number = self.random.up_to(u64::MAX - 1);
        let mut body = serde_json::json!({
            "access_token": format!("{OTHER_ACCOUNT}-{number}"),
            "refresh_token": format!("na1-{OTHER_ACCOUNT}-{number}"),
            "token_type": "bearer",
            "expires_in": 1800,
            "hub_id": if crossed == Crossed::OtherUser { HUB } else { HUB + 1 },
            "user_id": self.hubspot.emulator.settings().user.id + 1,
        });
        if crossed == Crossed::Unreadable {
            body["expires_in"] = serde_json::json!(-1);
        }
        let mut response = Response::new(serde_json::to_vec(&body).unwrap());
        if crossed == Crossed::NamesNobody {
            remove_names(&mut response);
        }
        response
    }

    pub(super) fn introspect_arrives(&mut self, run: usize, step: u32, introspect: &Introspect) {
        let Some(active) = self.runs.get(&run) else { return };
        let deployment = active.deployment;
        let token = String::from_utf8(introspect.to_http(&self.hubspot.app).into_body()).unwrap();
        // What became of a response to another account, if nobody can be asked whose it is, no protocol can know.
        let is_crossed = token.contains(OTHER_ACCOUNT);
        let response = if is_crossed {
            Response::new(other_account().into_bytes())
        } else if self.occurs(self.faults.error_response) {
            error_response([401, 404, 429, 503][self.random.up_to(3) as usize], None)
        } else {
            self.hubspot.handle_from(deployment, self.now, introspect)
        };
        let result = match !is_crossed && self.occurs(self.faults.response_lost) {
            true => Err(Error::from(TransportError::new(TransportErrorKind::Timeout))),
            false => introspect.read_response(&self.hubspot.app, at(self.now), &response),
        };
        self.deliver(run, step, Delivery::Input(Input::Introspected(result)));
    }

    pub(super) fn revoke_arrives(&mut self, run: usize, step: u32, revoke: &Revoke) {
        let Some(active) = self.runs.get(&run) else { return };
        let deployment = active.deployment;
        let forgets = matches!(active.kind, RunKind::Disconnect(Ending::Forget | Ending::Uninstall(_), _));
        let renewed = active.grant.filter(|_| matches!(active.kind, RunKind::Renewal(_)));
        self.rules.token_revoked(forgets, renewed);
        let response = self.hubspot.handle_from(deployment, self.now, revoke);
        let result = revoke.read_response(&self.hubspot.app, at(self.now), &response);
        if deployment == Deployment::Right {
            self.revoked.insert(revoke.refresh_token().expose().to_owned());
        }
        self.deliver(run, step, Delivery::Input(Input::Revoked(result)));
    }
}

fn transport_error(kind: TransportErrorKind) -> Delivery {
    let response = Err(TransportError::new(kind).into());
    Delivery::Input(Input::Refreshed { response, is_mass_refusal: false })
}

/// Removes what says whose the tokens are. `v1` does not say it.
fn remove_names(response: &mut Response<Vec<u8>>) {
    if let Ok(serde_json::Value::Object(mut body)) = serde_json::from_slice(response.body()) {
        body.retain(|name, _| name != "hub_id" && name != "user_id");
        *response.body_mut() = serde_json::to_vec(&body).unwrap();
    }
}

/// Returns what HubSpot says of an access token of another account.
fn other_account() -> String {
    let hub_id = HUB + 1;
    format!(
        r#"{{"active":true,"token_use":"access_token","token_type":"bearer","hub_id":{hub_id},"user_id":1,"app_id":1,"expires_in":1800,"scopes":["oauth"]}}"#
    )
}

fn error_response(status: u16, retry_after: Option<u64>) -> Response<Vec<u8>> {
    let mut response = Response::builder().status(status).header("content-type", "application/json");
    if let Some(seconds) = retry_after {
        response = response.header("retry-after", seconds);
    }
    response.body(b"{}".to_vec()).unwrap()
}

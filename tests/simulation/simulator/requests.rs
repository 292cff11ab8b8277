//! The requests to HubSpot, and the network between.

use hs_oauth_core::renewal::{GrantId, Input};
use hs_oauth_core::{Endpoint as _, NextStep, Refresh, Revoke, TransportError, TransportErrorKind};
use http::Response;

use super::super::hubspot::at;
use super::super::renewal_run::RenewalRun;
use super::super::rules::{Window, refresh_token};
use super::events::{Delivery, Event, Outcome, Request};
use super::{SECOND, Simulator, millis};

impl<R: RenewalRun> Simulator<R> {
    pub(super) fn begin_send(
        &mut self,
        run: usize,
        step: u32,
        clock: u64,
        refresh: Refresh,
        was_paused: bool,
    ) {
        let Some(active) = self.runs.get_mut(&run) else { return };
        active.sends += 1;
        let (sends, grant) = (active.sends, active.grant);
        let (limit, lease_until) = (millis(self.timing.request), active.lease_until);
        if was_paused && clock + limit > lease_until {
            self.rules.window_opened(Window::W4);
        }
        self.requests += 1;
        self.rules.request_sent(run, grant, sends);
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
        let outcome = self.outcome();
        let request = Request { sent_at: self.now, refresh, outcome, grant };
        self.schedule(after, Event::Request { run, step, request });
    }

    fn outcome(&mut self) -> Outcome {
        if self.occurs(self.faults.response_lost) {
            Outcome::Lost
        } else if self.occurs(self.faults.response_truncated) {
            Outcome::Truncated
        } else if self.occurs(self.faults.error_response) {
            let status = [400, 401, 403, 404, 423, 429, 477, 500, 502, 503][self.random.up_to(9) as usize];
            let acts = status >= 500 && self.random.up_to(1) == 0;
            let retry_after = (status == 429 || status == 477).then(|| self.random.up_to(100));
            Outcome::ErrorResponse { status, acts, retry_after }
        } else if self.occurs(self.faults.request_duplicated) {
            Outcome::Duplicated
        } else {
            Outcome::Response
        }
    }

    pub(super) fn request_arrives(&mut self, run: usize, step: u32, request: Request) {
        let Request { sent_at, refresh, outcome, grant } = request;
        let limit = millis(self.timing.request);
        if self.now > sent_at + limit {
            self.rules.window_opened(Window::W5);
        }
        if let Outcome::ErrorResponse { status, acts: false, retry_after } = outcome {
            let response = error_response(status, retry_after);
            return self.deliver(run, step, Delivery::Response(refresh, response));
        }
        let (mut response, has_acted) = self.refresh(run, &refresh, grant);
        let back = self.latency();
        let is_in_time = self.now + back < sent_at + limit;
        // Whether the run learns of its new refresh token.
        let arrives = match outcome {
            Outcome::Response => is_in_time,
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
                let (second, _) = self.refresh(run, &refresh, grant);
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
    ) -> (Response<Vec<u8>>, bool) {
        let response = self.hubspot.handle(self.now, refresh);
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
                self.rules.grant_refused(self.now, grant, refresh.refresh_token().expose());
            }
            _ => {}
        }
        (response, result.is_ok())
    }

    pub(super) fn revoke_arrives(&mut self, run: usize, step: u32, revoke: &Revoke) {
        let response = self.hubspot.handle(self.now, revoke);
        let result = revoke.read_response(&self.hubspot.app, at(self.now), &response);
        self.revoked.insert(revoke.refresh_token().expose().to_owned());
        self.deliver(run, step, Delivery::Input(Input::Revoked(result)));
    }
}

fn transport_error(kind: TransportErrorKind) -> Delivery {
    let response = Err(TransportError::new(kind).into());
    Delivery::Input(Input::Refreshed { response, is_mass_refusal: false })
}

fn error_response(status: u16, retry_after: Option<u64>) -> Response<Vec<u8>> {
    let mut response = Response::builder().status(status).header("content-type", "application/json");
    if let Some(seconds) = retry_after {
        response = response.header("retry-after", seconds);
    }
    response.body(b"{}".to_vec()).unwrap()
}

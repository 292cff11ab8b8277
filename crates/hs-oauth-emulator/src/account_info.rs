//! `GET /account-info/v3/details`: an API of HubSpot's that needs an access token, to see one at work.

use hs_oauth_core::Timestamp;
use http::header::AUTHORIZATION;
use http::{Method, Request, StatusCode};

use crate::accounts::AccessToken;
use crate::answers::{self, Answer, error};
use crate::emulator::Emulator;

pub(crate) const PATH: &str = "/account-info/v3/details";

/// The answer to a request to [`PATH`].
pub(crate) fn answer(emulator: &mut Emulator, now: Timestamp, request: &Request<Vec<u8>>) -> Answer {
    if request.method() != Method::GET {
        return answers::wrong_method(&mut emulator.minter, request.method(), "GET, HEAD, OPTIONS");
    }
    let hub_id = match emulator.accounts.access_token(now, bearer(request).unwrap_or("")) {
        AccessToken::Good { hub_id, .. } => hub_id.unwrap_or(emulator.settings.hub_id),
        AccessToken::Expired => {
            return refuse(
                emulator,
                "EXPIRED_AUTHENTICATION",
                "The OAuth token used to make this call expired.",
            );
        }
        AccessToken::Unknown => {
            let message = "Authentication credentials not found. This API supports OAuth 2.0 authentication.";
            return refuse(emulator, "INVALID_AUTHENTICATION", message);
        }
    };
    let details = serde_json::json!({
        "portalId": hub_id,
        "accountType": "DEVELOPER_TEST",
        "timeZone": "US/Eastern",
        "companyCurrency": "USD",
        "additionalCurrencies": [],
        "utcOffset": "-05:00",
        "utcOffsetMilliseconds": -18_000_000,
        "uiDomain": "app.hubspot.com",
        "dataHostingLocation": "na1",
    });
    answers::json(StatusCode::OK, &details)
}

/// The token a request came with.
pub(crate) fn bearer(request: &Request<Vec<u8>>) -> Option<&str> {
    let (scheme, token) = request.headers().get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn refuse(emulator: &mut Emulator, category: &str, message: &str) -> Answer {
    let mut refusal = error(StatusCode::UNAUTHORIZED, "invalid_token", "error", message);
    refusal.category = Some(category.to_owned());
    answers::refused(&mut emulator.minter, refusal)
}

#[cfg(test)]
mod tests {
    use hs_oauth_core::Refresh;
    use http::Request;

    use crate::faults::{Fault, Target};
    use crate::testing::{Bench, assert_refusal, json, refresh_token};

    fn details(bench: &mut Bench, authorization: &str) -> (u16, serde_json::Value) {
        let request = Request::get(super::PATH).header("authorization", authorization);
        let answer = bench.send(request.body(Vec::new()).unwrap());
        if answer.status() != 200 {
            assert_refusal(&answer);
        }
        (answer.status().as_u16(), json(&answer))
    }

    /// RFC 6750 §2.1.
    #[test]
    fn a_good_token_gets_in_and_an_expired_or_unknown_one_does_not() {
        let mut bench = Bench::new();
        let tokens = bench.install();
        let bearer = format!("Bearer {}", tokens.access_token.expose());
        let (status, body) = details(&mut bench, &bearer);
        assert_eq!((status, &body["portalId"]), (200, &62515.into()));
        assert_eq!(details(&mut bench, &bearer.replace("Bearer", "bearer")).0, 200);
        for wrong in ["", "Bearer", "Bearer x", tokens.access_token.expose(), "Basic eDp5"] {
            let (status, body) = details(&mut bench, wrong);
            assert_eq!((status, &body["category"]), (401, &"INVALID_AUTHENTICATION".into()), "{wrong}");
        }
        assert_eq!(bench.emulator.journal().last().unwrap().operation, Some(Target::AccountInfo));
        bench.wait(1800);
        assert_eq!(details(&mut bench, &bearer).1["category"], "EXPIRED_AUTHENTICATION");
    }

    /// HubSpot's token reference: a 401 from another API is no proof that a token expired.
    #[test]
    fn only_a_fault_meant_for_it_meets_it() {
        let mut bench = Bench::new();
        let tokens = bench.install();
        let bearer = format!("Bearer {}", tokens.access_token.expose());
        bench.emulator.inject(Fault::status(503));
        bench.emulator.inject(Fault::status(401).on(Target::AccountInfo));
        assert_eq!(details(&mut bench, &bearer).0, 401);
        assert_eq!(details(&mut bench, &bearer).0, 200);
        assert!(bench.call(&Refresh::new(refresh_token(&tokens))).is_err());
    }
}

//! The query with which a browser comes back from the consent page. Anyone can make one up.

use hs_oauth_core::CallbackError::{self, Malformed, Missing, Refused, Repeated, StateMismatch, TooLong};
use hs_oauth_core::{
    App, Authorize, ClientSecret, MAX_CALLBACK_SIZE, NextStep, PendingAuthorization, Randomness, Timestamp,
};

use super::case::{FIX, LATER};

/// The `state` of [`pending`]. It has capital letters, small letters and digits.
const STATE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
/// Part of every code, so no error may show it.
const CODE: &str = "qZx7-code";

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

struct Case {
    name: &'static str,
    /// Here `{state}` and `{code}` stand for the right values.
    query: String,
    want: Result<&'static str, CallbackError>,
    next: NextStep,
}

fn pending() -> PendingAuthorization {
    let app = App::hubspot("client-id", ClientSecret::new("s3cret").unwrap());
    let app = app.with_redirect_uri("https://example.com/cb").build().unwrap();
    let mut state = [0; 32];
    state.iter_mut().zip(0..).for_each(|(byte, number)| *byte = number);
    let begun =
        Authorize::new("oauth".parse().unwrap()).begin_with(&app, NOW, Randomness::new(state, [7; 32]));
    begun.unwrap().pending
}

fn code(name: &'static str, query: impl Into<String>, code: &'static str) -> Case {
    Case { name, query: query.into(), want: Ok(code), next: LATER }
}

fn refused(name: &'static str, query: impl Into<String>, error: CallbackError) -> Case {
    Case { name, query: query.into(), want: Err(error), next: NextStep::RestartAuthorization }
}

fn denied(name: &'static str, query: &str, error: &str, description: Option<&str>, next: NextStep) -> Case {
    let error = Refused { error: error.into(), description: description.map(str::to_owned) };
    Case { name, query: format!("state={{state}}&{query}"), want: Err(error), next }
}

/// RFC 6749 §10.12: nothing else in the callback counts before its `state` is the one that was sent.
fn states() -> Vec<Case> {
    let escaped: String = STATE.bytes().map(|byte| format!("%{byte:02x}")).collect();
    vec![
        code("what should come", "code={code}&state={state}", CODE),
        refused("nothing", "", Missing("state")),
        refused("nothing but a question mark", "?", Missing("state")),
        refused("no state", "code={code}", Missing("state")),
        refused("an empty state", "code={code}&state=", Missing("state")),
        refused("a state without a value", "code={code}&state", Missing("state")),
        refused(
            "a state in capitals",
            format!("code={{code}}&state={}", STATE.to_uppercase()),
            StateMismatch,
        ),
        refused(
            "a state in small letters",
            format!("code={{code}}&state={}", STATE.to_lowercase()),
            StateMismatch,
        ),
        refused(
            "another state of the same length",
            format!("code={{code}}&state={}", "A".repeat(43)),
            StateMismatch,
        ),
        refused(
            "a state with its last letter changed",
            format!("code={{code}}&state={}9", STATE.strip_suffix('8').unwrap()),
            StateMismatch,
        ),
        refused(
            "a state without its last letter",
            format!("code={{code}}&state={}", STATE.strip_suffix('8').unwrap()),
            StateMismatch,
        ),
        refused(
            "a state without its first letter",
            format!("code={{code}}&state={}", STATE.strip_prefix('A').unwrap()),
            StateMismatch,
        ),
        refused("a state of one letter", "code={code}&state=A", StateMismatch),
        refused("a state with a letter more", "code={code}&state={state}A", StateMismatch),
        refused("a state with padding", "code={code}&state={state}%3D", StateMismatch),
        refused("a state with a space", "code={code}&state={state}+", StateMismatch),
        refused("a state with a NUL", "code={code}&state={state}%00", StateMismatch),
        refused("a state with a line break", "code={code}&state={state}%0a", StateMismatch),
        refused(
            "a state of 10,000 letters",
            format!("code={{code}}&state={}", "A".repeat(10_000)),
            StateMismatch,
        ),
        refused("a state twice", "code={code}&state={state}&state={state}", Repeated("state")),
        refused("another state behind it", "code={code}&state={state}&state=A", Repeated("state")),
        refused("another state before it", "state=A&code={code}&state={state}", Repeated("state")),
        refused("an empty state behind it", "code={code}&state={state}&state=", Repeated("state")),
        refused(
            "a second state by an escaped name",
            "code={code}&state={state}&%73tate=A",
            Repeated("state"),
        ),
        refused("a state by a name in capitals", "code={code}&STATE={state}", Missing("state")),
        refused("a state in a list", "code={code}&state[]={state}", Missing("state")),
        refused("an error without a state", "error=access_denied", Missing("state")),
        refused("an error with another state", "error=access_denied&state=A", StateMismatch),
        code("a state that is all escapes", format!("code={{code}}&state={escaped}"), CODE),
        refused(
            "a state escaped twice",
            format!("code={{code}}&state={}", escaped.replace('%', "%25")),
            StateMismatch,
        ),
    ]
}

/// RFC 6749 §3.1 and §4.1.2.
fn codes() -> Vec<Case> {
    let with = |code: &str| format!("state={{state}}&code={code}");
    vec![
        refused("no code", "state={state}", Missing("code")),
        refused("an empty code", with(""), Missing("code")),
        refused("a code without a value", "state={state}&code", Missing("code")),
        refused("a code twice", with("{code}&code={code}"), Repeated("code")),
        refused("another code behind it", with("{code}&code=other"), Repeated("code")),
        refused("an empty code behind it", with("{code}&code="), Repeated("code")),
        refused("a second code by an escaped name", with("{code}&c%6fde=other"), Repeated("code")),
        code("a code by an escaped name", "state={state}&c%6fde={code}", CODE),
        refused("a code with a line break", with("{code}%0d%0ax:%20y"), Malformed("code")),
        refused("a code with a NUL", with("{code}%00"), Malformed("code")),
        refused("a code with a DEL", with("{code}%7f"), Malformed("code")),
        refused("a code with a tab", with("{code}%09"), Malformed("code")),
        refused("a code that is not ASCII", with("{code}%C3%BC"), Malformed("code")),
        refused("a code that is not escaped and not ASCII", with("{code}ü"), Malformed("code")),
        refused("a code that is not UTF-8", with("{code}%ff"), Malformed("code")),
        refused("a code with a slash in overlong UTF-8", with("{code}%c0%af"), Malformed("code")),
        refused("a code of two dots", with(".."), Malformed("code")),
        code("a code with a lone percent sign", with("qZx7%"), "qZx7%"),
        code("a code with half of an escape", with("qZx7%2"), "qZx7%2"),
        code("a code with an escape that is none", with("qZx7%zz"), "qZx7%zz"),
        code("a code escaped twice", with("qZx7%252F"), "qZx7%2F"),
        code("a code with a plus sign", with("qZx7+x"), "qZx7 x"),
        code("a code with an escaped plus sign", with("qZx7%2Bx"), "qZx7+x"),
        code("a code with an escaped ampersand", with("qZx7%26state=A"), "qZx7&state=A"),
        code("a code with an equals sign", with("qZx7=x"), "qZx7=x"),
        code("a code with an escaped equals sign", with("qZx7%3Dx"), "qZx7=x"),
        code("a code with a semicolon, which divides nothing", with("qZx7;state=A"), "qZx7;state=A"),
        refused("parts divided by semicolons", "code={code};state={state}", Missing("state")),
        code("parts that are empty", "&&state={state}&&code={code}&&", CODE),
        code("unknown parts", "hub_id=1&state={state}&x&=&code={code}&%ff=%ff", CODE),
    ]
}

/// RFC 6749 §4.1.2.1.
fn errors() -> Vec<Case> {
    use NextStep::RestartAuthorization as Restart;
    vec![
        denied("a user who says no", "error=access_denied", "access_denied", None, Restart),
        denied(
            "a reason",
            "error=access_denied&error_description=no+thanks",
            "access_denied",
            Some("no thanks"),
            Restart,
        ),
        denied("an empty reason", "error=access_denied&error_description=", "access_denied", None, Restart),
        denied("an error and a code", "code={code}&error=access_denied", "access_denied", None, Restart),
        denied(
            "a reason that breaks the line",
            "error=access_denied&error_description=a%0d%0ab",
            "access_denied",
            Some("a\u{fffd}\u{fffd}b"),
            Restart,
        ),
        denied(
            "a reason that steers a terminal",
            "error=access_denied&error_description=%1b[2J",
            "access_denied",
            Some("\u{fffd}[2J"),
            Restart,
        ),
        denied(
            "a reason that turns the text around",
            "error=access_denied&error_description=%e2%80%ae",
            "access_denied",
            Some("\u{fffd}"),
            Restart,
        ),
        denied(
            "a reason that is not UTF-8",
            "error=access_denied&error_description=%ff",
            "access_denied",
            Some("\u{fffd}"),
            Restart,
        ),
        denied("an unknown error", "error=teapot", "teapot", None, Restart),
        denied("an error that breaks the line", "error=a%0ab", "a\u{fffd}b", None, Restart),
        denied("an app that may not", "error=unauthorized_client", "unauthorized_client", None, FIX),
        denied("a scope that is not there", "error=invalid_scope", "invalid_scope", None, FIX),
        denied(
            "a HubSpot that is busy",
            "error=temporarily_unavailable",
            "temporarily_unavailable",
            None,
            LATER,
        ),
        denied("a HubSpot that failed", "error=server_error", "server_error", None, LATER),
        refused("an error twice", "state={state}&error=a&error=b", Repeated("error")),
        refused(
            "a reason twice",
            "state={state}&error=a&error_description=b&error_description=c",
            Repeated("error_description"),
        ),
        code("an empty error is no error", "state={state}&error=&code={code}", CODE),
        refused("a reason without an error", "state={state}&error_description=x", Missing("code")),
    ]
}

fn shapes() -> Vec<Case> {
    let long = |length: usize| {
        let query = format!("state={STATE}&code={CODE}&x=");
        query.clone() + &"x".repeat(length - query.len())
    };
    vec![
        code("a question mark before it", "?code={code}&state={state}", CODE),
        refused("two question marks before it", "??code={code}&state={state}", Missing("code")),
        refused("a whole address", "https://example.com/cb?code={code}&state={state}", Missing("code")),
        refused(
            "a whole address that begins with the state",
            "https://example.com/cb?state={state}&code={code}",
            Missing("state"),
        ),
        refused("a path", "/cb?code={code}&state={state}", Missing("code")),
        refused("a fragment", "#code={code}&state={state}", Missing("code")),
        refused("a fragment behind it", "code={code}&state={state}#x", StateMismatch),
        refused("JSON", r#"{"code":"{code}","state":"{state}"}"#, Missing("state")),
        refused("an address that is escaped as a whole", "code%3D{code}%26state%3D{state}", Missing("state")),
        code("as much as may be", long(MAX_CALLBACK_SIZE), CODE),
        refused("a byte more", long(MAX_CALLBACK_SIZE + 1), TooLong),
        refused("a mebibyte", long(1 << 20), TooLong),
        refused("a mebibyte of parts", "&".repeat(1 << 20), TooLong),
        refused("a mebibyte of codes", "code=a&".repeat((1 << 20) / 7), TooLong),
        refused("a mebibyte of escapes", "%25".repeat((1 << 20) / 3), TooLong),
        refused("a mebibyte behind a wrong state", format!("state=A&x={}", "x".repeat(1 << 20)), TooLong),
    ]
}

/// A wrong callback is refused with the error that names what is wrong. Neither the error nor the code that a right one gives
/// shows the state, the code or the verifier.
#[test]
fn a_callback_that_is_not_the_right_one_gives_no_code() {
    let pending = pending();
    assert_eq!(pending.state().expose(), STATE);
    let verifier = pending.code_verifier().unwrap().expose();
    let cases: Vec<Case> = [states(), codes(), errors(), shapes()].into_iter().flatten().collect();
    assert!(cases.len() >= 90, "{}", cases.len());
    for Case { name, query, want, next } in cases {
        let query = query.replace("{state}", STATE).replace("{code}", CODE);
        let got = pending.accept(NOW, &query);
        let mut shown = format!("{got:?} {got:#?}");
        match &got {
            Ok(code) => {
                assert_eq!(code.code_verifier().unwrap().expose(), verifier, "{name}");
                assert_eq!(code.redirect_uri(), "https://example.com/cb", "{name}");
            }
            Err(error) => {
                assert_eq!(error.next_step(), next, "{name}");
                shown += &error.to_string();
            }
        }
        for secret in [STATE, "qZx7", verifier, "s3cret"] {
            assert!(!shown.contains(secret), "{name}: {shown}");
        }
        assert_eq!(got.as_ref().map(|code| code.code().expose()).map_err(Clone::clone), want, "{name}");
    }
}

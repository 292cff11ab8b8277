//! Target `callback_query`: the query of the callback. `{state}` stands for the right state, and `{verifier}` for the code verifier.
//! Further marks stand for the same in other encodings: see `fill`.

use std::sync::LazyLock;

use hs_oauth_core::{
    App, Authorize, CallbackError, ClientSecret, MAX_CALLBACK_SIZE, NextStep, PendingAuthorization,
    Randomness, Scopes, Timestamp,
};

use crate::fill::{echoes, fill, has_secret};

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

struct Begun {
    pending: PendingAuthorization,
    echoes: Vec<(String, String)>,
}

/// Two authorizations that differ only in their secrets.
static BEGUN: LazyLock<[Begun; 2]> = LazyLock::new(|| {
    let app = App::hubspot("client-id", ClientSecret::new("s3cret").expect("a secret"))
        .with_redirect_uri("https://example.com/cb")
        .build()
        .expect("an app");
    [1_u8, 2].map(|seed| {
        let randomness = Randomness::new([seed.wrapping_mul(91); 32], [seed.wrapping_mul(57); 32]);
        let scopes = "oauth".parse::<Scopes>().expect("a scope");
        let begun = Authorize::new(scopes).begin_with(&app, NOW, randomness).expect("it can begin");
        let verifier = begun.pending.code_verifier().expect("PKCE is on").expose();
        let mut marks = Vec::from(echoes("state", begun.pending.state().expose()));
        marks.extend(echoes("verifier", verifier));
        Begun { pending: begun.pending, echoes: marks }
    })
});

/// Checks that, for any query, there is a code only if the query has the right state once, no error and one code, and that no error
/// shows a secret, not even one that the query echoes.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let [one, other] = BEGUN.each_ref().map(|begun| {
        let marks: Vec<_> = begun.echoes.iter().map(|(mark, text)| (mark.as_str(), text.as_str())).collect();
        let query = String::from_utf8(fill(text.as_bytes(), &marks)).expect("marks are text");
        let read = begun.pending.accept(NOW, &query);
        let code = expected(&begun.pending, &query);
        assert_eq!(read.as_ref().ok().map(|code| code.code().expose()), code.as_deref(), "{read:?}");
        if let Ok(code) = &read {
            assert_eq!(code.redirect_uri(), "https://example.com/cb");
            assert_eq!(code.code_verifier(), begun.pending.code_verifier());
        }
        read
    });
    if format!("{one:?}") != format!("{other:?}")
        && BEGUN.iter().any(|begun| has_secret(&text, &begun.echoes))
    {
        return;
    }
    match (one, other) {
        (Ok(one), Ok(other)) => assert_eq!(format!("{one:?}"), format!("{other:?}"), "a secret is shown"),
        (Err(one), Err(other)) => {
            assert_eq!(one, other, "a secret is shown");
            assert_eq!((one.to_string(), format!("{one:?}")), (other.to_string(), format!("{other:?}")));
            let shown = one.to_string();
            assert!(!shown.chars().any(char::is_control), "{shown:?}");
            assert!(shown.chars().count() <= 2 * 512 + 64);
            let is_refused = matches!(one, CallbackError::Refused { .. });
            assert!(is_refused || one.next_step() == NextStep::RestartAuthorization, "{one:?}");
            assert!(one.next_step() != NextStep::Reauthorize && one.next_step() != NextStep::ReportBug);
        }
        (one, other) => panic!("{one:?} and {other:?}"),
    }
}

/// Reads the code from the query, to compare with.
fn expected(pending: &PendingAuthorization, query: &str) -> Option<String> {
    let pairs: Vec<(String, String)> =
        form_urlencoded::parse(query.strip_prefix('?').unwrap_or(query).as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
    let all = |name: &str| -> Vec<&str> {
        pairs.iter().filter(|pair| pair.0 == name).map(|pair| pair.1.as_str()).collect()
    };
    let is_plain = |code: &str| {
        !matches!(code, "" | "." | "..")
            && code.len() <= 16 * 1024
            && code.bytes().all(|byte| (b' '..=b'~').contains(&byte))
    };
    let has_error = !matches!(all("error").as_slice(), [] | [""]);
    match (all("state").as_slice(), all("code").as_slice()) {
        ([state], [code])
            if query.len() <= MAX_CALLBACK_SIZE
                && !has_error
                && is_plain(code)
                && *state == pending.state().expose() =>
        {
            Some((*code).to_owned())
        }
        _ => None,
    }
}

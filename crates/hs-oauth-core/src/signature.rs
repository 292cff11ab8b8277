//! The signatures of requests from HubSpot: webhooks, CRM cards and workflow actions.

mod mac;

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, request};
use subtle::ConstantTimeEq;

use self::mac::Signed;
use crate::next_step::NextStep;
use crate::secret::ClientSecret;
use crate::timestamp::Timestamp;

/// The check that a request comes from HubSpot and is as HubSpot sent it ("Validating requests" in HubSpot's documentation).
///
/// The header decides the version. If there is an `X-HubSpot-Signature-v3`, it alone counts. HubSpot sends older signatures beside it, but
/// they cover less: `v1` and `v2` say nothing of the time, and `v1` says nothing of the address either. So a request whose `v3` signature
/// is refused is refused, whatever else it has. Without that header, `X-HubSpot-Signature-Version` says which version the signature in
/// `X-HubSpot-Signature` has. Whoever has seen such a request can send it again, without its newer header, for as long as the secret is
/// valid. [`with_min_version`](Self::with_min_version) refuses those.
///
/// ```
/// use std::time::SystemTime;
/// use hs_oauth_core::{ClientSecret, RequestVerifier, http};
///
/// let verifier = RequestVerifier::new(ClientSecret::new("s3cret")?);
///
/// // What the web framework gives: the head of the request, and its body as it came.
/// let (parts, body) = http::Request::post("/webhooks?tenant=a").body(b"[]").unwrap().into_parts();
/// // The address as HubSpot called it, which a server behind a proxy does not see.
/// let url = format!("https://myapp.example.com{}", parts.uri);
/// let refused = verifier.verify(SystemTime::now().into(), &parts, &url, body).unwrap_err();
/// assert!(refused.to_string().starts_with("the request has no signature"));
/// # Ok::<(), hs_oauth_core::InvalidArgument>(())
/// ```
#[derive(Clone, Debug)]
pub struct RequestVerifier {
    secrets: Vec<ClientSecret>,
    tolerance: Duration,
    min_version: RequestSignatureVersion,
}

/// A version of HubSpot's signatures of requests. It says what is signed, and with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RequestSignatureVersion {
    /// The SHA-256 of the client secret and the body.
    V1,
    /// The SHA-256 of the client secret, the method, the URL and the body.
    V2,
    /// The HMAC-SHA256 of the method, the URL, the body and the time, with the client secret as its key.
    V3,
}

impl RequestVerifier {
    /// Returns a verifier of requests that are signed with this secret, in any version. `v3` signatures may be 5 minutes old.
    pub fn new(secret: ClientSecret) -> Self {
        Self {
            secrets: vec![secret],
            tolerance: Duration::from_secs(5 * 60),
            min_version: RequestSignatureVersion::V1,
        }
    }

    /// Accepts requests that are signed with this secret, too. While the client secret is being replaced, HubSpot may sign with either.
    #[must_use]
    pub fn with_other_secret(mut self, secret: ClientSecret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// Sets how far the time of a `v3` signature may be from the time here, in the past or in the future: 5 minutes unless set. The other
    /// versions have no time.
    #[must_use]
    pub const fn with_tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Refuses signatures of an earlier version than this. Without a call of this, all versions are accepted.
    #[must_use]
    pub const fn with_min_version(mut self, version: RequestSignatureVersion) -> Self {
        self.min_version = version;
        self
    }

    /// Checks a request. Returns the version of its signature. `now` is the time at which the request came.
    ///
    /// `url` is the address that HubSpot called: scheme, host, path and query, each byte as HubSpot has it. A server behind a proxy sees
    /// another one, so put the public address before the path and the query of the request. `body` is the body as it came. Do not
    /// parse it and write it again.
    ///
    /// Nothing is allocated. Signatures are compared in constant time.
    ///
    /// # Errors
    /// [`RequestSignatureError`] if HubSpot did not sign this request with any of the secrets, or signed it too long ago.
    pub fn verify(
        &self,
        now: Timestamp,
        request: &request::Parts,
        url: &str,
        body: &[u8],
    ) -> Result<RequestSignatureVersion, RequestSignatureError> {
        let (version, text) = signature(&request.headers)?;
        if version < self.min_version {
            return Err(RequestSignatureError::VersionNotAccepted(version));
        }
        let timestamp = match version {
            RequestSignatureVersion::V3 => self.timestamp(now, &request.headers)?,
            _ => b"",
        };
        let header = if version == RequestSignatureVersion::V3 { SIGNATURE_V3 } else { SIGNATURE };
        let presented = mac::read(version, text).ok_or(RequestSignatureError::Malformed(header))?;
        let signed = Signed { method: request.method.as_str(), url, body, timestamp };
        let matches =
            |secret: &ClientSecret| signed.mac(version, secret.expose().as_bytes()).ct_eq(&presented).into();
        match self.secrets.iter().any(matches) {
            true => Ok(version),
            false => Err(RequestSignatureError::Mismatch),
        }
    }

    /// Returns the time of a `v3` signature as it was sent, if it is near enough to `now`.
    fn timestamp<'h>(
        &self,
        now: Timestamp,
        headers: &'h HeaderMap,
    ) -> Result<&'h [u8], RequestSignatureError> {
        let text = one(headers, TIMESTAMP)?.ok_or(RequestSignatureError::Malformed(TIMESTAMP))?;
        let signed_at = text.iter().try_fold(0_u64, |number, digit| {
            let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
            number.checked_mul(10)?.checked_add(digit)
        });
        let signed_at = signed_at.filter(|_| !text.is_empty()).map(Timestamp::from_millis);
        let signed_at = signed_at.ok_or(RequestSignatureError::Malformed(TIMESTAMP))?;
        let (age, ahead) = (now.since(signed_at), signed_at.since(now));
        if age > self.tolerance {
            return Err(RequestSignatureError::TooOld { age });
        }
        if ahead > self.tolerance {
            return Err(RequestSignatureError::FromTheFuture { ahead });
        }
        Ok(text)
    }
}

/// Returns the signature that counts, and its version.
fn signature(headers: &HeaderMap) -> Result<(RequestSignatureVersion, &[u8]), RequestSignatureError> {
    if let Some(text) = one(headers, SIGNATURE_V3)? {
        return Ok((RequestSignatureVersion::V3, text));
    }
    let text = one(headers, SIGNATURE)?.ok_or(RequestSignatureError::NoSignature)?;
    match one(headers, VERSION)? {
        Some(b"v1") => Ok((RequestSignatureVersion::V1, text)),
        Some(b"v2") => Ok((RequestSignatureVersion::V2, text)),
        _ => Err(RequestSignatureError::Malformed(VERSION)),
    }
}

/// Returns the value of a header, or `None` if it is absent. One that is there twice is malformed, since it is unknown which one counts.
fn one<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Option<&'h [u8]>, RequestSignatureError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(RequestSignatureError::Malformed(name)),
        (value, None) => Ok(value.map(HeaderValue::as_bytes)),
    }
}

impl RequestSignatureVersion {
    /// Signs a request as HubSpot does, for tests and emulators. Returns the headers. `now` is the time that `v3` signs.
    pub fn sign(
        self,
        secret: &ClientSecret,
        now: Timestamp,
        method: &Method,
        url: &str,
        body: &[u8],
    ) -> HeaderMap {
        let timestamp = now.as_millis().to_string();
        let signed = Signed { method: method.as_str(), url, body, timestamp: timestamp.as_bytes() };
        let signature = mac::write(self, &signed.mac(self, secret.expose().as_bytes()));
        let headers = match self {
            Self::V1 => [(SIGNATURE, signature), (VERSION, "v1".to_owned())],
            Self::V2 => [(SIGNATURE, signature), (VERSION, "v2".to_owned())],
            Self::V3 => [(SIGNATURE_V3, signature), (TIMESTAMP, timestamp)],
        };
        // All of it is ASCII, so no header is left out.
        let header =
            |(name, value)| Some((HeaderName::from_static(name), HeaderValue::try_from(value).ok()?));
        headers.into_iter().filter_map(header).collect()
    }
}

/// Why a request is not accepted as HubSpot's. A web service responds to it with the status 401, and does nothing of what it asks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestSignatureError {
    /// The request has neither of the two headers with a signature.
    #[error("the request has no signature: neither `{SIGNATURE_V3}` nor `{SIGNATURE}`")]
    NoSignature,
    /// A header is not as HubSpot writes it, is there more than once, or is missing beside the signature. It is named here.
    #[error("the request's header `{_0}` is missing, repeated or malformed")]
    Malformed(&'static str),
    /// The signature is of an earlier version than [`with_min_version`](RequestVerifier::with_min_version) accepts.
    #[error("the request's signature is of a version that is not accepted")]
    VersionNotAccepted(RequestSignatureVersion),
    /// The request was signed longer ago than [`with_tolerance`](RequestVerifier::with_tolerance) accepts. It was delayed, or somebody
    /// sent it a second time; or the clock here is fast.
    #[error("the request was signed {} s ago, which is too long", age.as_secs())]
    TooOld {
        /// The time since it was signed.
        age: Duration,
    },
    /// The request was signed later than [`with_tolerance`](RequestVerifier::with_tolerance) accepts. The clock here is slow, or the
    /// request is forged.
    #[error("the request was signed {} s in the future", ahead.as_secs())]
    FromTheFuture {
        /// The time until it will have been signed.
        ahead: Duration,
    },
    /// The signature belongs to another request or another secret. Either HubSpot did not send this request, or what was verified is
    /// not what HubSpot signed.
    #[error(
        "the request's signature does not match; if HubSpot sent it, check that the URL is the public one, \
         the body is as it came and the secret is the app's"
    )]
    Mismatch,
}

impl RequestSignatureError {
    /// Returns what to do next if HubSpot did send the request: fix the configuration, which is the secret, the URL or the clock. If
    /// somebody else sent it, there is nothing to do.
    pub const fn next_step(&self) -> NextStep {
        NextStep::FixConfiguration
    }
}

const SIGNATURE_V3: &str = "x-hubspot-signature-v3";
const TIMESTAMP: &str = "x-hubspot-request-timestamp";
const SIGNATURE: &str = "x-hubspot-signature";
const VERSION: &str = "x-hubspot-signature-version";

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);
    /// Those of HubSpot's "Webhooks FAQ" and "Validating requests".
    const SECRET: &str = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy";
    const URL: &str = "https://www.example.com/webhook_uri";
    const BODY: &str = r#"[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,"changeSource":"CRM","changeFlag":"NEW","appId":54321}]"#;

    use RequestSignatureVersion::{V1, V2, V3};

    fn secret(text: &str) -> ClientSecret {
        ClientSecret::new(text).unwrap()
    }

    fn verifier() -> RequestVerifier {
        RequestVerifier::new(secret(SECRET))
    }

    fn parts(method: &Method, headers: HeaderMap) -> request::Parts {
        let mut request = Request::new(());
        *request.method_mut() = method.clone();
        *request.headers_mut() = headers;
        request.into_parts().0
    }

    fn with(headers: &[(&str, &str)]) -> request::Parts {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
        }
        parts(&Method::POST, map)
    }

    /// HubSpot's FAQ, `v1`.
    #[test]
    fn hubspots_own_example_of_v1_is_verified() {
        let signature = "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de";
        let request = with(&[("X-HubSpot-Signature", signature), ("X-HubSpot-Signature-Version", "v1")]);
        assert_eq!(verifier().verify(NOW, &request, URL, BODY.as_bytes()), Ok(V1));
        // `v1` does not sign the address.
        assert_eq!(verifier().verify(NOW, &request, "", BODY.as_bytes()), Ok(V1));
        let spaced = BODY.replace(':', ": ");
        let refused = verifier().verify(NOW, &request, URL, spaced.as_bytes());
        assert_eq!(refused, Err(RequestSignatureError::Mismatch), "the body was written again");
    }

    /// HubSpot's FAQ, `v2`.
    #[test]
    fn hubspots_own_example_of_v2_is_verified() {
        let signature = "eee2dddcc73c94d699f5e395f4b9d454a069a6855fbfa152e91e88823087200e";
        let request = |method| {
            let headers = [("X-HubSpot-Signature", signature), ("X-HubSpot-Signature-Version", "v2")];
            parts(method, with(&headers).headers)
        };
        assert_eq!(verifier().verify(NOW, &request(&Method::GET), URL, b""), Ok(V2));
        let http = URL.replace("https", "http");
        for (method, url) in [(&Method::POST, URL), (&Method::GET, &http), (&Method::GET, "/webhook_uri")] {
            let refused = verifier().verify(NOW, &request(method), url, b"");
            assert_eq!(refused, Err(RequestSignatureError::Mismatch), "{method} {url}");
        }
    }

    /// Signatures made with `openssl dgst -sha256 -hmac` over what HubSpot's "Validating requests" says of `v3`.
    #[test]
    fn signatures_of_v3_that_other_software_made_are_verified() {
        for (method, url, body, signature) in V3_BY_OPENSSL {
            let request = with(&[
                ("X-HubSpot-Signature-v3", signature),
                ("X-HubSpot-Request-Timestamp", "1790000000000"),
            ]);
            let request = parts(&method.parse().unwrap(), request.headers);
            assert_eq!(verifier().verify(NOW, &request, url, body.as_bytes()), Ok(V3), "{url}");
        }
    }
    const V3_BY_OPENSSL: [(&str, &str, &str, &str); 3] = [
        ("GET", URL, "", "Vvz0aP6PwiQRA+zAobOwkQf8hxTXJhiAWi7yDy/mVCs="),
        // Signed with `:` and `@` in place of their escapes, and with the other escapes as they are.
        (
            "POST",
            "https://www.example.com/hook?a=b%20c&at=2026-09-21T14%3D%3a13&to=me%40example.com",
            r#"[{"eventId":1}]"#,
            "oh5S+uPxBsJJXB2yqaBfcIpfNYPrc/dzFsuRyBPts18=",
        ),
        (
            "PUT",
            "https://www.example.com/hook?q=%3A%2F%3F%40%21%24%27%28%29%2A%2C%3B%23%26%5B%2B%25=\u{e4}",
            "",
            "4FI0o0Bmsp4O/OZd9molUnnHt8A0AWfg9V3OzhbiN+0=",
        ),
    ];

    /// "Validating requests": in the URL of `v3` these escapes are decoded, and no others.
    #[test]
    fn exactly_the_twelve_listed_escapes_of_the_url_are_decoded_for_v3() {
        const LISTED: &str = ":/?@!$'()*,;";
        for byte in 0..=u8::MAX {
            let character = char::from(byte);
            for escape in [format!("%{byte:02X}"), format!("%{byte:02x}")] {
                let escaped = format!("{URL}?a={escape}&b=%25{}", escape.trim_start_matches('%'));
                let headers = V3.sign(&secret(SECRET), NOW, &Method::POST, &escaped, b"");
                let request = parts(&Method::POST, headers);
                assert_eq!(verifier().verify(NOW, &request, &escaped, b""), Ok(V3), "{escape}");
                let plain = escaped.replacen(&escape, &character.to_string(), 1);
                let same = verifier().verify(NOW, &request, &plain, b"").is_ok();
                assert_eq!(same, LISTED.contains(character), "{escape}");
            }
        }
    }

    /// A signature of `v1` covers less, and lasts for ever. It must not stand in for one of `v3` that is refused.
    #[test]
    fn a_v3_signature_decides_alone_if_there_is_one() {
        let body = BODY.as_bytes();
        let signed = |version: RequestSignatureVersion, now| {
            version.sign(&secret(SECRET), now, &Method::POST, URL, body)
        };
        for older in [V1, V2] {
            let mut both = signed(older, NOW);
            both.extend(signed(V3, NOW));
            assert_eq!(verifier().verify(NOW, &parts(&Method::POST, both.clone()), URL, body), Ok(V3));
            let later = NOW.plus(Duration::from_secs(301));
            let age = Duration::from_secs(301);
            let refused = verifier().verify(later, &parts(&Method::POST, both.clone()), URL, body);
            assert_eq!(refused, Err(RequestSignatureError::TooOld { age }));
            for wrong in ["", "x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="] {
                both.insert(SIGNATURE_V3, HeaderValue::from_static(wrong));
                let refused = verifier().verify(NOW, &parts(&Method::POST, both.clone()), URL, body);
                assert!(refused.is_err(), "{wrong}");
            }
            // An older signature is accepted alone, unless the verifier is told not to.
            let alone = parts(&Method::POST, signed(older, NOW));
            assert_eq!(verifier().verify(NOW, &alone, URL, body), Ok(older));
            let strict = verifier().with_min_version(V3);
            let refused = strict.verify(NOW, &alone, URL, body);
            assert_eq!(refused, Err(RequestSignatureError::VersionNotAccepted(older)));
        }
    }

    /// "Validating requests": a timestamp older than 5 minutes is refused.
    #[test]
    fn a_v3_signature_is_accepted_for_five_minutes_or_as_long_as_the_caller_says() {
        let request = parts(&Method::GET, V3.sign(&secret(SECRET), NOW, &Method::GET, URL, b""));
        let verify = |verifier: RequestVerifier, now| verifier.verify(now, &request, URL, b"");
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let millisecond = Duration::from_millis(1);
        for now in [NOW, NOW.plus(minutes(5)), NOW.minus(minutes(5))] {
            assert_eq!(verify(verifier(), now), Ok(V3), "{now}");
        }
        let age = minutes(5) + millisecond;
        let too_old = Err(RequestSignatureError::TooOld { age });
        assert_eq!(verify(verifier(), NOW.plus(age)), too_old);
        let future = Err(RequestSignatureError::FromTheFuture { ahead: age });
        assert_eq!(verify(verifier(), NOW.minus(age)), future);

        let short = || verifier().with_tolerance(minutes(1));
        assert_eq!(verify(short(), NOW.plus(minutes(1))), Ok(V3));
        let age = minutes(1) + millisecond;
        assert_eq!(verify(short(), NOW.plus(age)), Err(RequestSignatureError::TooOld { age }));
        assert_eq!(verify(verifier().with_tolerance(minutes(10)), NOW.plus(minutes(9))), Ok(V3));
    }

    /// A time in seconds that was meant in milliseconds is 20 days after 1970.
    #[test]
    fn a_time_in_seconds_is_too_old() {
        let at = Timestamp::from_millis(NOW.as_millis() / 1000);
        let request = parts(&Method::GET, V3.sign(&secret(SECRET), at, &Method::GET, URL, b""));
        let refused = verifier().verify(NOW, &request, URL, b"").unwrap_err();
        assert!(matches!(refused, RequestSignatureError::TooOld { .. }), "{refused}");
    }

    #[test]
    fn while_the_secret_is_replaced_both_are_accepted_and_no_third_one() {
        let both = RequestVerifier::new(secret("new")).with_other_secret(secret("old"));
        for version in [V1, V2, V3] {
            let request = |text| {
                parts(&Method::POST, version.sign(&secret(text), NOW, &Method::POST, URL, BODY.as_bytes()))
            };
            for signer in ["new", "old"] {
                assert_eq!(both.verify(NOW, &request(signer), URL, BODY.as_bytes()), Ok(version));
            }
            let refused = both.verify(NOW, &request("older"), URL, BODY.as_bytes());
            assert_eq!(refused, Err(RequestSignatureError::Mismatch));
        }
    }

    #[test]
    fn the_error_says_which_header_is_wrong() {
        let hex = "0".repeat(64);
        let base64 = format!("{}A=", "A".repeat(42));
        let upper = "A".repeat(64);
        let (old, version) = ("X-HubSpot-Signature", "X-HubSpot-Signature-Version");
        let (v3, at) = ("X-HubSpot-Signature-v3", "X-HubSpot-Request-Timestamp");
        let malformed = RequestSignatureError::Malformed;
        for (headers, error) in [
            (&[][..], RequestSignatureError::NoSignature),
            (&[(version, "v1"), (at, "1790000000000")], RequestSignatureError::NoSignature),
            (&[(old, &*hex)], malformed(VERSION)),
            (&[(old, &hex), (version, "v3")], malformed(VERSION)),
            (&[(old, &hex), (version, "V1")], malformed(VERSION)),
            (&[(old, &hex), (version, "v1"), (version, "v2")], malformed(VERSION)),
            (&[(old, ""), (version, "v1")], malformed(SIGNATURE)),
            (&[(old, hex.get(1..).unwrap()), (version, "v1")], malformed(SIGNATURE)),
            (&[(old, &upper), (version, "v1")], malformed(SIGNATURE)),
            (&[(old, &base64), (version, "v2")], malformed(SIGNATURE)),
            (&[(old, &hex), (old, &hex), (version, "v1")], malformed(SIGNATURE)),
            (&[(old, &hex), (version, "v1")], RequestSignatureError::Mismatch),
            (&[(v3, &base64)], malformed(TIMESTAMP)),
            (&[(v3, &base64), (at, "")], malformed(TIMESTAMP)),
            (&[(v3, &base64), (at, "+1790000000000")], malformed(TIMESTAMP)),
            (&[(v3, &base64), (at, "2026-09-21T14:13:20Z")], malformed(TIMESTAMP)),
            (&[(v3, &base64), (at, "99999999999999999999999")], malformed(TIMESTAMP)),
            (&[(v3, &base64), (at, "1790000000000"), (at, "1790000000000")], malformed(TIMESTAMP)),
            (&[(v3, ""), (at, "1790000000000")], malformed(SIGNATURE_V3)),
            (&[(v3, &hex), (at, "1790000000000")], malformed(SIGNATURE_V3)),
            (&[(v3, base64.get(..43).unwrap()), (at, "1790000000000")], malformed(SIGNATURE_V3)),
            (&[(v3, &base64), (v3, &base64), (at, "1790000000000")], malformed(SIGNATURE_V3)),
            (&[(v3, &base64), (at, "1790000000000")], RequestSignatureError::Mismatch),
        ] {
            let refused = verifier().verify(NOW, &with(headers), URL, b"").unwrap_err();
            assert_eq!(refused, error, "{headers:?}");
            assert_eq!(refused.next_step(), NextStep::FixConfiguration);
        }
    }

    /// Signs as `HUBSPOT.md` has it, by concatenation.
    fn by_hand(
        version: RequestSignatureVersion,
        secret: &str,
        method: &str,
        url: &str,
        body: &[u8],
    ) -> [u8; 32] {
        let time = NOW.as_millis().to_string();
        match version {
            V1 => hmac_sha256::Hash::hash(&[secret.as_bytes(), body].concat()),
            V2 => hmac_sha256::Hash::hash(
                &[secret.as_bytes(), method.as_bytes(), url.as_bytes(), body].concat(),
            ),
            V3 => hmac_sha256::HMAC::mac(
                [method.as_bytes(), decoded(url).as_bytes(), body, time.as_bytes()].concat(),
                secret.as_bytes(),
            ),
        }
    }

    fn decoded(url: &str) -> String {
        let listed = [
            ("%3a", ":"),
            ("%2f", "/"),
            ("%3f", "?"),
            ("%40", "@"),
            ("%21", "!"),
            ("%24", "$"),
            ("%27", "'"),
            ("%28", "("),
            ("%29", ")"),
            ("%2a", "*"),
            ("%2c", ","),
            ("%3b", ";"),
        ];
        listed.iter().fold(url.to_owned(), |url, (escape, plain)| {
            url.replace(escape, plain).replace(&escape.to_uppercase(), plain)
        })
    }

    fn method() -> impl Strategy<Value = Method> {
        "[A-Z]{1,9}".prop_map(|method| method.parse().unwrap())
    }

    fn version() -> impl Strategy<Value = RequestSignatureVersion> {
        prop_oneof![Just(V1), Just(V2), Just(V3)]
    }

    fn url() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[!-~]{0,9}",
            "%[234][0-9a-fA-F]",
            Just("%".to_owned()),
            Just("%%3a".to_owned()),
            Just("\u{e4}".to_owned())
        ];
        vec(piece, 0..9).prop_map(|pieces| format!("https://example.com/{}", pieces.concat()))
    }

    /// Replaces one byte of a text by another one that may stand there.
    fn other_byte(text: &str, at: Index, allowed: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        let at = at.index(bytes.len());
        let position = allowed.bytes().position(|byte| byte == bytes[at]).unwrap_or(0);
        bytes[at] = allowed.as_bytes()[(position + 1) % allowed.len()];
        String::from_utf8_lossy(&bytes).into_owned()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_is_signed_verifies_and_is_signed_as_hubspot_says(
            version in version(), key in "[ -~]{3,99}", method in method(), url in url(), body in vec(any::<u8>(), 0..300),
        ) {
            let headers = version.sign(&secret(&key), NOW, &method, &url, &body);
            let by_hand = by_hand(version, &key, method.as_str(), &url, &body);
            let text = match version {
                V3 => base64::Engine::encode(&base64::engine::general_purpose::STANDARD, by_hand),
                _ => by_hand.iter().map(|byte| format!("{byte:02x}")).collect(),
            };
            prop_assert!(headers.values().any(|value| value.as_bytes() == text.as_bytes()));
            let verifier = RequestVerifier::new(secret(&key));
            prop_assert_eq!(verifier.verify(NOW, &parts(&method, headers), &url, &body), Ok(version));
        }

        #[test]
        fn any_one_byte_changed_does_not_verify(
            version in version(), key in "[ -~]{3,99}", method in method(), url in url(), body in vec(any::<u8>(), 1..300),
            at in any::<Index>(), bits in 1..=u8::MAX,
        ) {
            let headers = version.sign(&secret(&key), NOW, &method, &url, &body);
            let verifier = RequestVerifier::new(secret(&key)).with_tolerance(Duration::MAX);
            let request = parts(&method, headers);
            prop_assert_eq!(verifier.verify(NOW, &request, &url, &body), Ok(version));

            let mut other_body = body.clone();
            other_body[at.index(body.len())] ^= bits;
            prop_assert!(verifier.verify(NOW, &request, &url, &other_body).is_err());
            prop_assert!(verifier.verify(NOW, &request, &url, &body[1..]).is_err());

            const PRINTABLE: &str = " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~";
            let other_key = secret(&other_byte(&key, at, PRINTABLE));
            prop_assert!(RequestVerifier::new(other_key).verify(NOW, &request, &url, &body).is_err());

            for name in request.headers.keys() {
                let value = request.headers[name].to_str().unwrap();
                let allowed = if *name == TIMESTAMP { "0123456789" } else { PRINTABLE };
                let mut other = parts(&method, request.headers.clone());
                let changed = HeaderValue::try_from(other_byte(value, at, allowed)).unwrap();
                other.headers.insert(name, changed);
                prop_assert!(verifier.verify(NOW, &other, &url, &body).is_err(), "{}", name);
            }

            if version != V1 {
                let other = other_byte(method.as_str(), at, "ABCDEFGHIJKLMNOPQRSTUVWXYZ").parse().unwrap();
                prop_assert!(verifier.verify(NOW, &parts(&other, request.headers.clone()), &url, &body).is_err());
                let other_url = other_byte(&url, at, PRINTABLE);
                // To `v3`, an escape in upper case and one in lower case are the same.
                let same = version == V3 && decoded(&other_url) == decoded(&url);
                prop_assert_eq!(verifier.verify(NOW, &request, &other_url, &body).is_ok(), same);
            }
        }

        #[test]
        fn headers_with_any_values_give_an_error_and_no_panic(
            headers in vec(("x-hubspot-(signature(-v3|-version)?|request-timestamp)", vec(32..=255u8, 0..70)), 0..5),
            url in ".{0,50}", body in vec(any::<u8>(), 0..50),
        ) {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                let Ok(value) = HeaderValue::from_bytes(&value) else { continue };
                map.append(HeaderName::try_from(name).unwrap(), value);
            }
            prop_assert!(verifier().verify(NOW, &parts(&Method::POST, map), &url, &body).is_err());
        }
    }
}

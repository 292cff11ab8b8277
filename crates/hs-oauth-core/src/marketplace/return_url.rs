//! The address at HubSpot to which an install from the Marketplace goes back.

use std::fmt;

use http::Uri;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::callback::{CallbackError, MAX_CALLBACK_SIZE};
use crate::error::Redact;
use crate::invalid_argument::{InvalidArgument, InvalidArgumentKind};
use crate::secret::State;
use crate::url::{is_loopback, parse_url};

/// The address to which the browser has to go back for an install from the Marketplace, from the `returnUrl` of a callback.
///
/// Anybody can write that into a link, so it is `https`, and its host is `app.hubspot.com` or `app-{hublet}.hubspot.com`, without a user
/// name and without a port. Only for an app whose consent page is on loopback, as with an emulator, it may be on loopback, too.
///
/// `Display` shows the whole URL. `Debug` leaves out the query, which may have a `state` in it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReturnUrl(String);

impl ReturnUrl {
    /// Reads the `returnUrl` of a callback. `secrets` are the code and the state of it.
    pub(super) fn read(app: &App, url: &str, secrets: [&str; 2]) -> Result<Self, CallbackError> {
        let is_accepted = |uri: &Uri| is_hubspots(uri) || is_on_loopback(uri) && has_loopback_base(app);
        match parse(url) {
            Ok(uri) if is_accepted(&uri) => Ok(Self(url.to_owned())),
            _ => {
                let [code, state] =
                    secrets.map(|secret| if secret.len() < MIN_SECRET_LEN { "" } else { secret });
                Err(CallbackError::ForgedReturnUrl { url: Redact::new([code, state, ""]).text(url) })
            }
        }
    }

    /// Returns this address with a `state` added to its query.
    pub(super) fn with_state(&self, state: &State) -> Self {
        let (address, fragment) = self.0.split_at(self.0.find('#').unwrap_or(self.0.len()));
        let separator = match address.split_once('?') {
            None => "?",
            Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
            Some(_) => "&",
        };
        // A state that this library made is base64url, which needs no escaping.
        Self([address, separator, "state=", state.expose(), fragment].concat())
    }

    /// Returns the whole URL, to which the application redirects the browser.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The fewest bytes of a code or a state that is removed from the error. HubSpot's codes and the states of this library are longer by far,
/// and without a few letters the address could not be recognized.
const MIN_SECRET_LEN: usize = 8;

/// Reads a URL that may have a fragment.
fn parse(url: &str) -> Result<Uri, InvalidArgument> {
    let (address, fragment) = url.split_once('#').unwrap_or((url, ""));
    if let Some(at) = fragment.bytes().position(|byte| !byte.is_ascii_graphic() || byte == b'\\') {
        let at = address.len().saturating_add(1).saturating_add(at);
        return Err(InvalidArgument::new("returnUrl", InvalidArgumentKind::Character { at }));
    }
    parse_url("returnUrl", address, MAX_CALLBACK_SIZE)
}

/// Returns whether this is `https` on one of the hosts of HubSpot's application, without a port.
fn is_hubspots(uri: &Uri) -> bool {
    let is_hublet = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let authority = uri.authority().map_or("", |authority| authority.as_str()).to_ascii_lowercase();
    let name = authority.strip_suffix(".hubspot.com").and_then(|host| host.strip_prefix("app"));
    uri.scheme_str() == Some("https")
        && name.is_some_and(|name| name.is_empty() || name.strip_prefix('-').is_some_and(is_hublet))
}

fn is_on_loopback(uri: &Uri) -> bool {
    uri.host().is_some_and(is_loopback)
}

fn has_loopback_base(app: &App) -> bool {
    app.app_base().parse().is_ok_and(|base| is_on_loopback(&base))
}

impl std::ops::Deref for ReturnUrl {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReturnUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ReturnUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.find(['?', '#']).unwrap_or(self.0.len());
        write!(f, "ReturnUrl({}?[redacted])", self.0.get(..end).unwrap_or(""))
    }
}

impl From<ReturnUrl> for String {
    fn from(url: ReturnUrl) -> Self {
        url.0
    }
}

impl TryFrom<String> for ReturnUrl {
    type Error = InvalidArgument;

    /// Reads a URL that was stored.
    fn try_from(url: String) -> Result<Self, InvalidArgument> {
        match parse(&url) {
            Ok(uri) if is_hubspots(&uri) || is_on_loopback(&uri) => Ok(Self(url)),
            Ok(_) => Err(InvalidArgument::new("returnUrl", InvalidArgumentKind::NotAUrl)),
            Err(invalid) => Err(invalid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::ClientSecret;

    fn app(base: Option<&str>) -> App {
        let app = App::hubspot("id", ClientSecret::new("s3cret").unwrap());
        base.into_iter().fold(app, |app, base| app.with_app_base(base)).build().unwrap()
    }

    fn read(url: &str) -> Result<ReturnUrl, CallbackError> {
        ReturnUrl::read(&app(None), url, ["the-code", "the-state"])
    }

    const HUBSPOTS: [&str; 9] = [
        "https://app.hubspot.com",
        "https://app.hubspot.com/",
        "https://app.hubspot.com/marketplace/62515/install?a=b&c=https%3A%2F%2Fevil.example#/done",
        "https://app-eu1.hubspot.com/x",
        "https://app-na2.hubspot.com?",
        "https://app-ap1.hubspot.com/x?a=b&",
        "https://APP-EU1.HubSpot.com/x",
        "https://app.hubspot.com/@evil.example/",
        "https://app.hubspot.com/?u=a:b@c",
    ];

    /// Addresses that another reader could take for HubSpot's, or that would send the browser elsewhere.
    const FORGED: [&str; 47] = [
        "",
        "/marketplace",
        "//app.hubspot.com/",
        "app.hubspot.com",
        "https:app.hubspot.com",
        "https:/app.hubspot.com",
        "https:///app.hubspot.com",
        "http://app.hubspot.com/",
        "ftp://app.hubspot.com/",
        "javascript:alert(1)",
        "javascript://app.hubspot.com/%0aalert(1)",
        "data:text/html,x",
        "https://evil.example/",
        "https://evil.example/app.hubspot.com",
        "https://evil.example?https://app.hubspot.com",
        "https://evil.example#https://app.hubspot.com",
        "https://evil.example\\@app.hubspot.com/",
        "https://app.hubspot.com\\@evil.example/",
        "https://app.hubspot.com\\.evil.example/",
        "https://app.hubspot.com.evil.example/",
        "https://app.hubspot.com./",
        "https://app.hubspot.comevil.example/",
        "https://evilapp.hubspot.com/",
        "https://app.evil.hubspot.com/",
        "https://appeu1.hubspot.com/",
        "https://app-.hubspot.com/",
        "https://app-eu1-.hubspot.com/",
        "https://app-eu1.evil.hubspot.com/",
        "https://app-eu_1.hubspot.com/",
        "https://hubspot.com/",
        "https://www.hubspot.com/",
        "https://app.hubspot.com@evil.example/",
        "https://user@app.hubspot.com/",
        "https://user:password@app.hubspot.com/",
        "https://@app.hubspot.com/",
        "https://app.hubspot.com:443/",
        "https://app.hubspot.com:/",
        "https://app.hubspot.com:8443/",
        "https://app.hubspot.com%2eevil.example/",
        "https://app%2Ehubspot.com/",
        "https://app.hubspot.com;.evil.example/",
        "https://app.hubspot.com /",
        " https://app.hubspot.com/",
        "https://app.hubspot.com/\r\nSet-Cookie: a=b",
        "https://app.hubspot.com/#\u{9}",
        "https://\u{430}pp.hubspot.com/",
        "http://localhost:4380/",
    ];

    #[test]
    fn a_return_url_of_hubspots_own_hosts_is_accepted_as_it_is() {
        for url in HUBSPOTS {
            assert_eq!(read(url).unwrap().as_str(), url);
        }
    }

    #[test]
    fn any_other_return_url_is_an_error_that_names_it() {
        for url in FORGED {
            let Err(CallbackError::ForgedReturnUrl { url: named }) = read(url) else {
                panic!("{url}");
            };
            assert_eq!(named, crate::text::printable(url));
        }
        let long = format!("https://evil.example/{}", "x".repeat(10_000));
        assert!(read(&long).unwrap_err().to_string().len() < 600);
    }

    #[test]
    fn the_error_shows_no_secret_that_the_return_url_repeats() {
        let shown = read("https://evil.example/?a=the-code&b=the-state").unwrap_err().to_string();
        assert_eq!(
            shown,
            "the callback's `returnUrl` is not an address of HubSpot's: https://evil.example/?a=[redacted]&b=[redacted]"
        );
    }

    /// The address has to be recognized. What is as short as this is no secret.
    #[test]
    fn a_code_or_a_state_of_a_few_letters_does_not_garble_the_address() {
        let read =
            |code, state| ReturnUrl::read(&app(None), "https://evil.example/?c=1234567", [code, state]);
        for (code, state) in [("c", "s"), ("e", ""), ("evil", "1234567"), ("", "https")] {
            let Err(CallbackError::ForgedReturnUrl { url }) = read(code, state) else { panic!("{code}") };
            assert_eq!(url, "https://evil.example/?c=1234567");
        }
    }

    #[test]
    fn loopback_is_accepted_only_if_the_consent_page_of_the_app_is_on_loopback() {
        const LOOPBACK: [&str; 4] = [
            "http://localhost:4380/done?a=b",
            "http://127.0.0.1:1/",
            "http://[::1]:1/",
            "https://localhost/",
        ];
        for url in LOOPBACK {
            let accepted = |base| ReturnUrl::read(&app(base), url, [""; 2]).is_ok();
            assert!(!accepted(None) && !accepted(Some("https://app-eu1.hubspot.com")), "{url}");
            assert!(!accepted(Some("https://proxy.example")), "{url}");
            assert!(accepted(Some("http://127.0.0.1:4380")) && accepted(Some("http://localhost:1")), "{url}");
        }
        let emulated = app(Some("http://127.0.0.1:4380"));
        for url in FORGED.iter().filter(|url| !url.starts_with("http://localhost")) {
            assert!(ReturnUrl::read(&emulated, url, [""; 2]).is_err(), "{url}");
        }
        for url in ["http://user@localhost:4380/", "http://localhost.evil.example/"] {
            assert!(ReturnUrl::read(&emulated, url, [""; 2]).is_err(), "{url}");
        }
        // A proxy of the consent page does not get to choose another host.
        let proxied = app(Some("https://proxy.example"));
        assert!(ReturnUrl::read(&proxied, "https://proxy.example/", [""; 2]).is_err());
        assert!(ReturnUrl::read(&proxied, "https://app.hubspot.com/", [""; 2]).is_ok());
    }

    #[test]
    fn the_state_is_added_to_whatever_query_there_is_and_before_the_fragment() {
        let state = State::new("abc").unwrap();
        for (url, with_state) in [
            ("https://app.hubspot.com", "https://app.hubspot.com?state=abc"),
            ("https://app.hubspot.com/x", "https://app.hubspot.com/x?state=abc"),
            ("https://app.hubspot.com/x?", "https://app.hubspot.com/x?state=abc"),
            ("https://app.hubspot.com/x?a=b", "https://app.hubspot.com/x?a=b&state=abc"),
            ("https://app.hubspot.com/x?a=b&", "https://app.hubspot.com/x?a=b&state=abc"),
            ("https://app.hubspot.com/x?a=b#/y?z", "https://app.hubspot.com/x?a=b&state=abc#/y?z"),
            ("https://app.hubspot.com/x#?", "https://app.hubspot.com/x?state=abc#?"),
        ] {
            assert_eq!(read(url).unwrap().with_state(&state).as_str(), with_state);
        }
        let shown = format!("{:?}", read("https://app.hubspot.com/x#y").unwrap().with_state(&state));
        assert_eq!(shown, "ReturnUrl(https://app.hubspot.com/x?[redacted])");
    }

    #[test]
    fn a_stored_return_url_is_checked_again_when_it_is_read() {
        for url in HUBSPOTS {
            let stored = serde_json::to_string(&read(url).unwrap()).unwrap();
            assert_eq!(serde_json::from_str::<ReturnUrl>(&stored).unwrap().as_str(), url);
        }
        for url in FORGED.iter().filter(|url| !url.starts_with("http://localhost")) {
            assert!(serde_json::from_value::<ReturnUrl>((*url).into()).is_err(), "{url}");
        }
    }
}

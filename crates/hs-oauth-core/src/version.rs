//! The versions of HubSpot's OAuth API, and the paths of each. No other file knows a path.

use std::fmt;
use std::str::FromStr;

use percent_encoding::utf8_percent_encode;
use serde::{Deserialize, Serialize};

use crate::form::UNRESERVED;
use crate::invalid_argument::{InvalidArgument, InvalidArgumentKind};
use crate::timestamp::Timestamp;

/// A version of HubSpot's OAuth API.
///
/// An app moves to another version by a change of this one value: a refresh token issued under one version is valid under the others.
/// In text and in JSON a version is written `v1`, `v3` or `2026-09`.
///
/// ```
/// use hs_oauth_core::ApiVersion;
///
/// assert_eq!("2026-09".parse(), Ok(ApiVersion::LATEST));
/// assert_eq!(ApiVersion::V1.to_string(), "v1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum ApiVersion {
    /// `v1`, which has tokens in the paths of some requests. HubSpot removes it on 2027-02-16.
    V1,
    /// `v3`, which has the same protocol as the dated versions. HubSpot's support for it ends in September 2027.
    V3,
    /// A dated version, which is named by its month. HubSpot releases one each March and September.
    Dated(ReleaseMonth),
}

/// The month that names a dated version, written `YYYY-MM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReleaseMonth {
    year: u16,
    month: u8,
}

impl ApiVersion {
    /// The newest version that this release was made for: `2026-09`.
    pub const LATEST: Self = Self::Dated(ReleaseMonth { year: 2026, month: 9 });

    /// Returns when HubSpot removes this version or ends its support, as announced: 2027-02-16 for `v1` and 2027-09-01 for `v3`, both at
    /// 00:00 UTC. Returns `None` if nothing is announced.
    pub const fn sunset(self) -> Option<Timestamp> {
        match self {
            Self::V1 => Some(Timestamp::from_secs(1_802_736_000)),
            Self::V3 => Some(Timestamp::from_secs(1_819_756_800)),
            Self::Dated(_) => None,
        }
    }

    /// Returns the version of HubSpot's other APIs that goes with this one: they have no `v1`.
    const fn of_other_apis(self) -> Self {
        match self {
            Self::V1 | Self::V3 => Self::V3,
            Self::Dated(_) => self,
        }
    }

    /// Returns the path of a resource under this version. A token in it is percent-encoded.
    pub(crate) fn path(self, resource: Resource<'_>) -> String {
        match resource {
            Resource::Token => format!("/oauth/{self}/token"),
            Resource::Introspect => format!("/oauth/{self}/token/introspect"),
            Resource::Revoke => format!("/oauth/{self}/token/revoke"),
            Resource::AccessToken(token) => {
                format!("/oauth/{self}/access-tokens/{}", utf8_percent_encode(token, UNRESERVED))
            }
            Resource::RefreshToken(token) => {
                format!("/oauth/{self}/refresh-tokens/{}", utf8_percent_encode(token, UNRESERVED))
            }
            Resource::ExternalInstall => format!("/appinstalls/{}/external-install", self.of_other_apis()),
            Resource::AccountDetails => format!("/account-info/{}/details", self.of_other_apis()),
        }
    }
}

/// A resource of HubSpot's API. Of the token API, `v1` has the first resource and those with a token; every later version has the first
/// three. The last two are of other APIs, which every version has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource<'a> {
    Token,
    Introspect,
    Revoke,
    AccessToken(&'a str),
    RefreshToken(&'a str),
    ExternalInstall,
    AccountDetails,
}

/// The path of the consent page.
pub(crate) const AUTHORIZE_PATH: &str = "/oauth/authorize";

/// Returns the path of the consent page with the account preselected.
pub(crate) fn authorize_path(hub_id: i64) -> String {
    format!("/oauth/{hub_id}/authorize")
}

/// The path of the consent page for MCP auth apps. No account can be preselected there.
pub(crate) const MCP_AUTHORIZE_PATH: &str = "/oauth/authorize/user";

/// Reads the path of a request. Returns the version and the resource; a token in it is still percent-encoded.
#[cfg(feature = "server")]
pub(crate) fn read_path(path: &str) -> Option<(ApiVersion, Resource<'_>)> {
    let (api, rest) = path.strip_prefix('/')?.split_once('/')?;
    let (version, rest) = rest.split_once('/')?;
    let version = version.parse().ok()?;
    let resource = match (api, version, rest.split_once('/').unwrap_or((rest, ""))) {
        ("oauth", _, ("token", "")) if rest == "token" => Resource::Token,
        ("oauth", ApiVersion::V1, ("access-tokens", token)) if is_segment(token) => {
            Resource::AccessToken(token)
        }
        ("oauth", ApiVersion::V1, ("refresh-tokens", token)) if is_segment(token) => {
            Resource::RefreshToken(token)
        }
        (_, ApiVersion::V1, _) => return None,
        ("oauth", _, ("token", "introspect")) => Resource::Introspect,
        ("oauth", _, ("token", "revoke")) => Resource::Revoke,
        ("appinstalls", ..) if rest == "external-install" => Resource::ExternalInstall,
        ("account-info", ..) if rest == "details" => Resource::AccountDetails,
        _ => return None,
    };
    Some((version, resource))
}

#[cfg(feature = "server")]
fn is_segment(text: &str) -> bool {
    !text.is_empty() && !text.contains('/')
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V1 => f.write_str("v1"),
            Self::V3 => f.write_str("v3"),
            Self::Dated(ReleaseMonth { year, month }) => write!(f, "{year:04}-{month:02}"),
        }
    }
}

impl FromStr for ApiVersion {
    type Err = InvalidArgument;

    /// Reads `v1`, `v3` or a month as `YYYY-MM`.
    ///
    /// # Errors
    /// [`InvalidArgument`] naming `api_version` if the text is anything else.
    fn from_str(name: &str) -> Result<Self, InvalidArgument> {
        match name {
            "v1" => Ok(Self::V1),
            "v3" => Ok(Self::V3),
            _ => ReleaseMonth::read(name)
                .map(Self::Dated)
                .ok_or(InvalidArgument::new("api_version", InvalidArgumentKind::NotAVersion)),
        }
    }
}

impl TryFrom<String> for ApiVersion {
    type Error = InvalidArgument;

    fn try_from(name: String) -> Result<Self, InvalidArgument> {
        name.parse()
    }
}

impl From<ApiVersion> for String {
    fn from(version: ApiVersion) -> Self {
        version.to_string()
    }
}

impl ReleaseMonth {
    fn read(name: &str) -> Option<Self> {
        let (year, month) = name.split_once('-')?;
        let digits =
            |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(year, 4) || !digits(month, 2) {
            return None;
        }
        let month: u8 = month.parse().ok()?;
        (1..=12).contains(&month).then_some(Self { year: year.parse().ok()?, month })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_stored_as_its_name() {
        for (version, json) in [
            (ApiVersion::V1, r#""v1""#),
            (ApiVersion::V3, r#""v3""#),
            (ApiVersion::Dated(ReleaseMonth { year: 2026, month: 3 }), r#""2026-03""#),
            (ApiVersion::Dated(ReleaseMonth { year: 7, month: 12 }), r#""0007-12""#),
        ] {
            assert_eq!(serde_json::to_string(&version).unwrap(), json);
            assert_eq!(serde_json::from_str::<ApiVersion>(json).unwrap(), version);
        }
        let error = |json| serde_json::from_str::<ApiVersion>(json).unwrap_err().to_string();
        assert_eq!(error("3"), "invalid type: integer `3`, expected a string at line 1 column 1");
        let text = "`api_version` is not an API version: use v1, v3 or a month such as 2026-09";
        assert_eq!(error(r#""v2""#), text);
    }

    #[test]
    fn versions_are_written_as_they_are_read() {
        for name in ["v1", "v3", "2026-03", "2026-09", "2031-12"] {
            assert_eq!(name.parse::<ApiVersion>().unwrap().to_string(), name);
        }
        assert_eq!("2026-09".parse(), Ok(ApiVersion::LATEST));
    }

    #[test]
    fn another_text_is_refused_with_the_name_of_the_argument() {
        for name in
            ["", "v2", "V1", "1", "2026", "2026-9", "2026-13", "2026-00", "2026-09-01", "+026-09", " v1"]
        {
            assert_eq!(name.parse::<ApiVersion>().unwrap_err().argument, "api_version", "{name:?}");
        }
    }

    /// HubSpot's changelog: v1 is removed on 2027-02-16, v3 unsupported from September 2027.
    #[test]
    fn the_announced_ends_of_versions_are_known_to_the_day() {
        let day = |seconds| Timestamp::from(httpdate::parse_http_date(seconds).unwrap());
        assert_eq!(ApiVersion::V1.sunset(), Some(day("Tue, 16 Feb 2027 00:00:00 GMT")));
        assert_eq!(ApiVersion::V3.sunset(), Some(day("Wed, 01 Sep 2027 00:00:00 GMT")));
        assert_eq!(ApiVersion::LATEST.sunset(), None);
    }

    /// HubSpot's "Uninstall an app" and "Account information": `v3` before the dated versions.
    #[test]
    fn an_app_on_v1_uses_the_v3_of_the_other_apis() {
        for (version, api) in
            [(ApiVersion::V1, "v3"), (ApiVersion::V3, "v3"), (ApiVersion::LATEST, "2026-09")]
        {
            let uninstall = version.path(Resource::ExternalInstall);
            assert_eq!(uninstall, format!("/appinstalls/{api}/external-install"));
            assert_eq!(version.path(Resource::AccountDetails), format!("/account-info/{api}/details"));
        }
    }

    #[test]
    fn a_token_in_a_path_is_a_single_segment() {
        let path = ApiVersion::V1.path(Resource::AccessToken("a/b?c#d%e f"));
        assert_eq!(path, "/oauth/v1/access-tokens/a%2Fb%3Fc%23d%25e%20f");
    }

    #[cfg(feature = "server")]
    #[test]
    fn every_path_is_read_back_and_no_other_path_is() {
        for version in [ApiVersion::V1, ApiVersion::V3, ApiVersion::LATEST] {
            for resource in [
                Resource::Token,
                Resource::Introspect,
                Resource::Revoke,
                Resource::AccessToken("t"),
                Resource::RefreshToken("t"),
                Resource::ExternalInstall,
                Resource::AccountDetails,
            ] {
                let read = |known: bool| known.then_some((version, resource));
                let expected = match resource {
                    // They have no `v1`, so an app on `v1` uses their `v3`.
                    Resource::ExternalInstall | Resource::AccountDetails if version == ApiVersion::V1 => {
                        Some((ApiVersion::V3, resource))
                    }
                    Resource::Token | Resource::ExternalInstall | Resource::AccountDetails => read(true),
                    Resource::Introspect | Resource::Revoke => read(version != ApiVersion::V1),
                    Resource::AccessToken(_) | Resource::RefreshToken(_) => read(version == ApiVersion::V1),
                };
                assert_eq!(read_path(&version.path(resource)), expected);
            }
        }
        for path in [
            "/oauth/v2/token",
            "/oauth/v3/token/",
            "/oauth/v3/token/revoke/",
            "/oauth/v1/access-tokens/",
            "/appinstalls/v1/external-install",
            "/appinstalls/v3/external-install/",
            "/appinstalls/v3/token",
            "/account-info/v1/details",
            "/account-info/v3/details/x",
            "/oauth/v3/details",
            "/",
        ] {
            assert_eq!(read_path(path), None, "{path}");
        }
    }
}

//! What a finding looks like.

use regex_automata::meta::{BuildError, Regex};
use regex_automata::util::syntax;

use crate::scan::path;
use crate::scan::rule::Rule;

/// All patterns, ready to be searched for.
pub(crate) struct Patterns {
    /// A word without which a text has no finding. Nearly all files are done after it.
    first: Regex,
    path: Regex,
    calls: Vec<(Regex, &'static Call)>,
    hubspot: Regex,
    timeline: Regex,
    legacy_package: Regex,
}

/// A call of an SDK. Its first group is the name of what is called.
struct Call {
    pattern: &'static str,
    rule: Named,
    requires: Requires,
}

/// The rule that a call is found by.
enum Named {
    /// The class that the pattern's first group names.
    ByClass,
    Legacy,
}

/// What a file has to name for a hit to be a finding, which is known at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Requires {
    Nothing,
    /// HubSpot.
    HubSpot,
    /// HubSpot, and not its timeline, whose SDK has a class of the same name.
    HubSpotWithoutTimeline,
    /// The package `hubspot` of JavaScript.
    LegacyPackage,
}

/// A text that may be a finding.
#[derive(Debug)]
pub(crate) struct Hit {
    /// Where it is in the text.
    pub(crate) offset: usize,
    pub(crate) rule: Rule,
    pub(crate) requires: Requires,
    /// Whether the hit itself names HubSpot.
    pub(crate) names_hubspot: bool,
}

/// What a text names besides its hits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Names {
    pub(crate) hubspot: bool,
    pub(crate) timeline: bool,
    pub(crate) legacy_package: bool,
}

impl Patterns {
    /// Compiles the patterns.
    pub(crate) fn new() -> Result<Self, Box<BuildError>> {
        Ok(Self {
            first: compile("oauth|tokens_?api|refreshaccesstoken|gettokensby")?,
            path: compile(PATH)?,
            calls: CALLS
                .iter()
                .map(|call| Ok((compile(call.pattern)?, call)))
                .collect::<Result<_, Box<BuildError>>>()?,
            hubspot: compile(HUBSPOT)?,
            timeline: compile("timeline")?,
            legacy_package: compile(r#"['"]hubspot['"]"#)?,
        })
    }

    /// Returns whether the text can have a hit. It is much faster than [`hits`](Self::hits).
    pub(crate) fn may_have_hits(&self, text: &[u8]) -> bool {
        self.first.is_match(text)
    }

    /// Returns the hits, sorted by where they are.
    pub(crate) fn hits(&self, text: &[u8]) -> Vec<Hit> {
        let mut hits: Vec<Hit> = self
            .path
            .find_iter(text)
            .filter_map(|found| {
                let judged = path::judge(text, found.range())?;
                Some(Hit {
                    offset: found.start(),
                    rule: judged.rule,
                    requires: if judged.is_known { Requires::Nothing } else { Requires::HubSpot },
                    names_hubspot: judged.names_hubspot,
                })
            })
            .collect();
        for (regex, call) in &self.calls {
            hits.extend(regex.captures_iter(text).filter_map(|captures| {
                let name = captures.get_group(1)?;
                let rule = match call.rule {
                    Named::ByClass => rule_of_class(text.get(name.range())?),
                    Named::Legacy => Rule::LegacySdk,
                };
                let names_hubspot = self.hubspot.is_match(text.get(captures.get_match()?.range())?);
                Some(Hit { offset: name.start, rule, requires: call.requires, names_hubspot })
            }));
        }
        hits.sort_by_key(|hit| hit.offset);
        hits
    }

    /// Returns what the text names.
    pub(crate) fn names(&self, text: &[u8]) -> Names {
        Names {
            hubspot: self.hubspot.is_match(text),
            timeline: self.timeline.is_match(text),
            legacy_package: self.legacy_package.is_match(text),
        }
    }
}

impl Requires {
    /// Returns whether a file that names this has it.
    pub(crate) const fn is_met_by(self, names: Names) -> bool {
        match self {
            Self::Nothing => true,
            Self::HubSpot => names.hubspot,
            Self::HubSpotWithoutTimeline => names.hubspot && !names.timeline,
            Self::LegacyPackage => names.legacy_package,
        }
    }
}

impl Hit {
    /// Takes over what another hit of the same rule on the same line has to say for itself.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.names_hubspot |= other.names_hubspot;
        if other.requires < self.requires {
            self.requires = other.requires;
        }
    }
}

impl Names {
    /// Adds what another part of the text names.
    pub(crate) fn add(&mut self, other: Self) {
        self.hubspot |= other.hubspot;
        self.timeline |= other.timeline;
        self.legacy_package |= other.legacy_package;
    }
}

/// Returns the rule of a class of the SDKs by its name, in whatever spelling.
fn rule_of_class(name: &[u8]) -> Rule {
    match name.first().map(u8::to_ascii_lowercase) {
        Some(b'a') => Rule::SdkAccessTokens,
        Some(b'r') => Rule::SdkRefreshTokens,
        // Early SDKs have one class for all, which is named `DefaultApi`.
        _ => Rule::SdkTokens,
    }
}

/// Text is bytes here: a file need not be UTF-8, and without Unicode's tables the program is smaller.
fn compile(pattern: &str) -> Result<Regex, Box<BuildError>> {
    let syntax = syntax::Config::new().case_insensitive(true).unicode(false).utf8(false).multi_line(true);
    Regex::builder().syntax(syntax).build(pattern).map_err(Box::new)
}

/// HubSpot, and the host of its API.
const HUBSPOT: &str = "hubspot|hubapi";

/// The slashes can be those of JSON, of a regular expression or of a query string.
const PATH: &str = r"oauth(?:\\*/|%2f)+v1";

/// What was written between `oauth` and the name of a class: `.`, `?.`, `->`, `::`, `['`, on one line or on two.
macro_rules! oauth_then {
    ($name:literal) => {
        concat!(
            r#"o_?auth\w*(?:['"]\s*\])?(?:\s*\(\s*\))?\s*(?:[?!]?\.|\??->|::|\??\.?\[\s*['":])\s*"#,
            $name
        )
    };
}

/// The calls of HubSpot's SDKs: `@hubspot/api-client` up to 14 and `hubspot` (JavaScript), `hubspot-api-client` up to 12 and `hubspot3` (Python),
/// `hubspot-api-client` up to 20 and `hubspot-ruby` (Ruby), `hubspot/api-client` up to 14 and `hubspot/hubspot-php` (PHP).
static CALLS: [Call; 14] = [
    // client.oauth.tokensApi, client.auth.o_auth.tokens_api, $client->auth()->oAuth()->tokensApi(), Hubspot::OAuth::TokensApi
    Call {
        pattern: oauth_then!(r"((?:access_?|refresh_?)?tokens_?api)\b"),
        rule: Named::ByClass,
        requires: Requires::Nothing,
    },
    // The only class of the first versions: client.auth.oauth.default_api
    Call { pattern: oauth_then!(r"(default_?api)\b"), rule: Named::ByClass, requires: Requires::HubSpot },
    // use HubSpot\Client\Oauth\Api\TokensApi;
    Call {
        pattern: r"oauth\\+api\\+(?:\{[^{}]{0,200}?)?\b((?:access|refresh)?tokensapi|defaultapi)\b",
        rule: Named::ByClass,
        requires: Requires::Nothing,
    },
    // from hubspot.oauth import TokensApi
    Call {
        pattern: r"hubspot\.(?:auth\.)?oauth(?:\.api)?\s+import\s+(?:\([^)]{0,300}?|[^\n(;#]{0,200}?)\b((?:access|refresh)?tokensapi|defaultapi)\b",
        rule: Named::ByClass,
        requires: Requires::Nothing,
    },
    // from hubspot.auth.oauth.api.tokens_api import TokensApi
    Call {
        pattern: r"hubspot\.(?:auth\.)?oauth\.api\.((?:access_|refresh_)?tokens_api|default_api)\b",
        rule: Named::ByClass,
        requires: Requires::Nothing,
    },
    // import { TokensApi } from "@hubspot/api-client/lib/codegen/oauth"
    Call {
        pattern: r#"\b(?:promise)?((?:access|refresh)?tokensapi)\b[^;{}]{0,200}\}\s*(?:from|=\s*require\s*\()\s*['"]@hubspot/api-client/lib/codegen/oauth\b"#,
        rule: Named::ByClass,
        requires: Requires::Nothing,
    },
    // const { tokensApi } = client.oauth
    Call {
        pattern: r"\b((?:access|refresh)?tokensapi)\b[^;{}]{0,200}\}\s*=\s*[^;{}]{1,120}?oauth\b",
        rule: Named::ByClass,
        requires: Requires::HubSpot,
    },
    // tokensApi.create(…), where it is not said of which API
    Call {
        pattern: r"\b((?:access_?|refresh_?)?tokens_?api)(?:\s*\(\s*\))?\s*(?:[?!]?\.|\??->)\s*(?:create|get|archive)(?:_?(?:access_?|refresh_?)?token)?(?:_?with_?http_?info)?\s*\(",
        rule: Named::ByClass,
        requires: Requires::HubSpotWithoutTimeline,
    },
    // hubspot/hubspot-php: $hubspot->oAuth2()->getTokensByCode(…)
    Call {
        pattern: r"oauth2?(?:\s*\(\s*\))?\s*\??->\s*(gettokensbycode|gettokensbyrefresh|getaccesstokeninfo|getrefreshtokeninfo|deleterefreshtoken)\b",
        rule: Named::Legacy,
        requires: Requires::HubSpot,
    },
    Call {
        pattern: r"->\s*(gettokensbycode|gettokensbyrefresh)\s*\(",
        rule: Named::Legacy,
        requires: Requires::HubSpot,
    },
    // hubspot (JavaScript): hubspot.oauth.getAccessToken(…), hubspot.refreshAccessToken()
    Call {
        pattern: r"oauth\s*\??\.\s*(getaccesstoken|getportalinfo)\s*\(",
        rule: Named::Legacy,
        requires: Requires::LegacyPackage,
    },
    Call {
        pattern: r"\.\s*(refreshaccesstoken)\s*\(",
        rule: Named::Legacy,
        requires: Requires::LegacyPackage,
    },
    // hubspot3 (Python)
    Call {
        pattern: r"(?:from|import)\s+hubspot3\.(oauth2)\b",
        rule: Named::Legacy,
        requires: Requires::Nothing,
    },
    // hubspot-ruby: Hubspot::OAuth.refresh(…)
    Call {
        pattern: r"hubspot::oauth\s*&?\.\s*(create|refresh|oauth_post|token_url)\b",
        rule: Named::Legacy,
        requires: Requires::Nothing,
    },
];

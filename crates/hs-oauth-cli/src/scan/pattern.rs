//! What a finding looks like.
//!
//! A finding has `oauth` or the name of a class in it. So a text is searched for these words, which is fast, and only what is around them is
//! compared with patterns.

use memchr::memchr2_iter;
use regex_lite::{Error, Regex, RegexBuilder};

use crate::scan::path;
use crate::scan::rule::Rule;

/// All patterns, ready to be searched for.
pub(crate) struct Patterns {
    after_oauth: Vec<(Regex, &'static Call)>,
    after_class: Vec<(Regex, &'static Call)>,
}

/// A call of an SDK.
struct Call {
    /// What stands before the pattern. If it is none of these, there is no finding.
    after: &'static [&'static str],
    /// From `oauth` or the name of a class on. The first group is the name of what is called.
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
    pub(crate) fn new() -> Result<Self, Error> {
        let compile_all = |calls: &'static [Call]| {
            calls.iter().map(|call| Ok((compile(call.pattern)?, call))).collect::<Result<Vec<_>, Error>>()
        };
        Ok(Self { after_oauth: compile_all(&AFTER_OAUTH)?, after_class: compile_all(&AFTER_CLASS)? })
    }

    /// Returns the hits, sorted by where they are.
    pub(crate) fn hits(&self, text: &[u8]) -> Vec<Hit> {
        let mut hits = Vec::new();
        for start in oauth(text) {
            hits.extend(path_at(text, start));
            self.calls(&self.after_oauth, text, start, &mut hits);
        }
        for start in classes_and_methods(text) {
            self.calls(&self.after_class, text, start, &mut hits);
        }
        hits.sort_by_key(|hit| hit.offset);
        hits
    }

    /// Adds the calls that begin at a place.
    fn calls(&self, calls: &[(Regex, &'static Call)], text: &[u8], start: usize, hits: &mut Vec<Hit>) {
        let before =
            text.get(start.saturating_sub(MAX_BEFORE)..start).unwrap_or_default().to_ascii_lowercase();
        let mut window = None;
        for (regex, call) in calls {
            if !call.after.is_empty() && !call.after.iter().any(|after| before.ends_with(after.as_bytes())) {
                continue;
            }
            let window = window.get_or_insert_with(|| readable(text.get(start..).unwrap_or_default()));
            let Some(captures) = regex.captures(window) else { continue };
            let Some(name) = captures.get(1) else { continue };
            hits.push(Hit {
                offset: start + name.start(),
                rule: match call.rule {
                    Named::ByClass => rule_of_class(name.as_str()),
                    Named::Legacy => Rule::LegacySdk,
                },
                requires: call.requires,
                names_hubspot: call.after.iter().any(|after| after.contains("hubspot"))
                    || captures
                        .get(0)
                        .is_some_and(|all| all.as_str().to_ascii_lowercase().contains("hubspot")),
            });
        }
    }

    /// Returns what the text names.
    pub(crate) fn names(&self, text: &[u8]) -> Names {
        Names {
            hubspot: contains(text, b"hubspot") || contains(text, b"hubapi"),
            timeline: contains(text, b"timeline"),
            legacy_package: contains(text, b"'hubspot'") || contains(text, b"\"hubspot\""),
        }
    }
}

/// Returns the path of `v1` that begins at `oauth`, if there is one. Its slashes can be those of JSON, of a regular expression or of a query.
fn path_at(text: &[u8], start: usize) -> Option<Hit> {
    let mut rest = text.get(start..)?;
    rest = rest.get(b"oauth".len()..)?;
    let mut has_slash = false;
    loop {
        let backslashes = rest.iter().take_while(|byte| **byte == b'\\').count();
        let slash = rest.get(backslashes..)?;
        rest = match slash {
            [b'/', rest @ ..] => rest,
            [b'%', b'2', b'f' | b'F', rest @ ..] if backslashes == 0 => rest,
            _ => break,
        };
        has_slash = true;
    }
    let version = rest.get(..2).filter(|version| has_slash && version.eq_ignore_ascii_case(b"v1"))?;
    let end = text.len() - rest.len() + version.len();
    let judged = path::judge(text, start..end)?;
    Some(Hit {
        offset: start,
        rule: judged.rule,
        requires: if judged.is_known { Requires::Nothing } else { Requires::HubSpot },
        names_hubspot: judged.names_hubspot,
    })
}

/// Returns where `oauth` or `o_auth` is.
fn oauth(text: &[u8]) -> impl Iterator<Item = usize> {
    memchr2_iter(b'u', b'U', text).filter_map(|at| {
        let start = at.checked_sub(2)?;
        if text.get(start..start + 5)?.eq_ignore_ascii_case(b"oauth") {
            return Some(start);
        }
        let start = at.checked_sub(3)?;
        text.get(start..start + 6)?.eq_ignore_ascii_case(b"o_auth").then_some(start)
    })
}

/// Returns where the name of a class is that has to do with tokens, or that of a method which is not called on `oauth`.
fn classes_and_methods(text: &[u8]) -> impl Iterator<Item = usize> {
    memchr2_iter(b'k', b'K', text).filter_map(|at| {
        let start = at.checked_sub(2)?;
        let rest = text.get(start..)?;
        if !rest.get(..5)?.eq_ignore_ascii_case(b"token") {
            return None;
        }
        let before = text.get(start.saturating_sub(MAX_BEFORE)..start)?.to_ascii_lowercase();
        let prefix = ["refreshaccess", "access_", "access", "refresh_", "refresh", "get", ""];
        let prefix = prefix.into_iter().find(|prefix| before.ends_with(prefix.as_bytes()))?;
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        if before.strip_suffix(prefix.as_bytes())?.last().is_some_and(is_part) {
            return None;
        }
        let rest = rest.get(5..rest.len().min(16))?.to_ascii_lowercase();
        let is_name = match prefix {
            "refreshaccess" => true,
            "get" => rest.starts_with(b"sby"),
            _ => [&b"s_api"[..], b"sapi", b"_api", b"api"].iter().any(|api| rest.starts_with(api)),
        };
        is_name.then_some(start - prefix.len())
    })
}

/// Returns whether a text contains a word, whose case does not matter.
fn contains(text: &[u8], word: &[u8]) -> bool {
    // `b` and `m` are rare enough in code, and every word has one of them.
    let Some(rare) = word.iter().position(|byte| matches!(byte, b'b' | b'm')) else { return false };
    let Some(byte) = word.get(rare) else { return false };
    memchr2_iter(*byte, byte.to_ascii_uppercase(), text).any(|at| {
        let start = at.checked_sub(rare);
        start
            .and_then(|start| text.get(start..start + word.len()))
            .is_some_and(|text| text.eq_ignore_ascii_case(word))
    })
}

/// Returns the beginning of a text as text. Bytes that are no text are replaced one by one, so that places stay where they are.
fn readable(text: &[u8]) -> String {
    let text = text.get(..text.len().min(MAX_AFTER)).unwrap_or_default();
    let mut readable = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        readable.push_str(chunk.valid());
        readable.extend(chunk.invalid().iter().map(|_| '?'));
    }
    readable
}

/// How much of a text before and after a word is looked at, in bytes.
const MAX_BEFORE: usize = 24;
const MAX_AFTER: usize = 600;

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
fn rule_of_class(name: &str) -> Rule {
    match name.bytes().next().map(|byte| byte.to_ascii_lowercase()) {
        Some(b'a') => Rule::SdkAccessTokens,
        Some(b'r') => Rule::SdkRefreshTokens,
        // Early SDKs have one class for all, which is named `DefaultApi`.
        _ => Rule::SdkTokens,
    }
}

fn compile(pattern: &str) -> Result<Regex, Error> {
    RegexBuilder::new(&format!("^(?:{pattern})")).case_insensitive(true).build()
}

/// What was written between `oauth` and the name of a class: `.`, `?.`, `->`, `::`, `['`, on one line or on two.
macro_rules! oauth_then {
    ($name:literal) => {
        concat!(
            r#"o_?auth\w*(?:['"]\s*\])?(?:\s*\(\s*\))?\s*(?:[?!]?\.|\??->|::|\??\.?\[\s*['":])\s*"#,
            $name
        )
    };
}

// The calls of HubSpot's SDKs: `@hubspot/api-client` up to 14 and `hubspot` (JavaScript), `hubspot-api-client` up to 12 and `hubspot3`
// (Python), `hubspot-api-client` up to 20 and `hubspot-ruby` (Ruby), `hubspot/api-client` up to 14 and `hubspot/hubspot-php` (PHP).

/// Those that begin with `oauth`.
static AFTER_OAUTH: [Call; 9] = [
    // client.oauth.tokensApi, client.auth.o_auth.tokens_api, $client->auth()->oAuth()->tokensApi(), Hubspot::OAuth::TokensApi
    Call {
        after: &[],
        pattern: oauth_then!(r"((?:access_?|refresh_?)?tokens_?api)\b"),
        rule: Named::ByClass,
        requires: Requires::Nothing,
    },
    // The only class of the first versions: client.auth.oauth.default_api
    Call {
        after: &[],
        pattern: oauth_then!(r"(default_?api)\b"),
        rule: Named::ByClass,
        requires: Requires::HubSpot,
    },
    // use HubSpot\Client\Oauth\Api\TokensApi;
    Call {
        after: &[],
        pattern: r"oauth\\+api\\+(?:\{[^{}]{0,200}?)?\b((?:access|refresh)?tokensapi|defaultapi)\b",
        rule: Named::ByClass,
        requires: Requires::Nothing,
    },
    // from hubspot.oauth import TokensApi
    Call {
        after: &["hubspot.", "hubspot.auth."],
        pattern: r"oauth(?:\.api)?\s+import\s+(?:\([^)]{0,300}?|[^\n(;#]{0,200}?)\b((?:access|refresh)?tokensapi|defaultapi)\b",
        rule: Named::ByClass,
        requires: Requires::Nothing,
    },
    // from hubspot.auth.oauth.api.tokens_api import TokensApi
    Call {
        after: &["hubspot.", "hubspot.auth."],
        pattern: r"oauth\.api\.((?:access_|refresh_)?tokens_api|default_api)\b",
        rule: Named::ByClass,
        requires: Requires::Nothing,
    },
    // hubspot/hubspot-php: $hubspot->oAuth2()->getTokensByCode(…)
    Call {
        after: &[],
        pattern: r"oauth2?(?:\s*\(\s*\))?\s*\??->\s*(gettokensbycode|gettokensbyrefresh|getaccesstokeninfo|getrefreshtokeninfo|deleterefreshtoken)\b",
        rule: Named::Legacy,
        requires: Requires::HubSpot,
    },
    // hubspot (JavaScript): hubspot.oauth.getAccessToken(…)
    Call {
        after: &[],
        pattern: r"oauth\s*\??\.\s*(getaccesstoken|getportalinfo)\s*\(",
        rule: Named::Legacy,
        requires: Requires::LegacyPackage,
    },
    // hubspot3 (Python): from hubspot3.oauth2 import OAuth2Client
    Call {
        after: &["from hubspot3.", "import hubspot3."],
        pattern: r"(oauth2)\b",
        rule: Named::Legacy,
        requires: Requires::Nothing,
    },
    // hubspot-ruby: Hubspot::OAuth.refresh(…)
    Call {
        after: &["hubspot::"],
        pattern: r"oauth\s*&?\.\s*(create|refresh|oauth_post|token_url)\b",
        rule: Named::Legacy,
        requires: Requires::Nothing,
    },
];

/// Those that begin with the name of a class or of a method.
static AFTER_CLASS: [Call; 5] = [
    // import { TokensApi } from "@hubspot/api-client/lib/codegen/oauth"
    Call {
        after: &[],
        pattern: r#"((?:access|refresh)?tokensapi)\b[^;{}]{0,200}\}\s*(?:from|=\s*require\s*\()\s*['"]@hubspot/api-client/lib/codegen/oauth\b"#,
        rule: Named::ByClass,
        requires: Requires::Nothing,
    },
    // const { tokensApi } = client.oauth
    Call {
        after: &[],
        pattern: r"((?:access|refresh)?tokensapi)\b[^;{}]{0,200}\}\s*=\s*[^;{}]{1,120}?oauth\b",
        rule: Named::ByClass,
        requires: Requires::HubSpot,
    },
    // tokensApi.create(…), where it is not said of which API
    Call {
        after: &[],
        pattern: r"((?:access_?|refresh_?)?tokens_?api)(?:\s*\(\s*\))?\s*(?:[?!]?\.|\??->)\s*(?:create|get|archive)(?:_?(?:access_?|refresh_?)?token)?(?:_?with_?http_?info)?\s*\(",
        rule: Named::ByClass,
        requires: Requires::HubSpotWithoutTimeline,
    },
    // hubspot/hubspot-php: $resource->getTokensByCode(…)
    Call {
        after: &["->"],
        pattern: r"(gettokensbycode|gettokensbyrefresh)\s*\(",
        rule: Named::Legacy,
        requires: Requires::HubSpot,
    },
    // hubspot (JavaScript): hubspot.refreshAccessToken()
    Call {
        after: &["."],
        pattern: r"(refreshaccesstoken)\s*\(",
        rule: Named::Legacy,
        requires: Requires::LegacyPackage,
    },
];

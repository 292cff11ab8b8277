//! `scan`: what it finds in each language, what it leaves out, and how it says so.

use serde_json::{Value, json};

use crate::harness::{Outcome, Run, hs_oauth};

/// A file, and the lines of it that are found, each with its rule.
struct Case {
    path: &'static str,
    content: &'static str,
    found: &'static [(u64, &'static str)],
}

const CORPUS: &[Case] = &[
    Case {
        path: "node/client.js",
        content: r#"const hubspot = require("@hubspot/api-client");
const tokens = await hubspotClient.oauth.tokensApi.create("refresh_token", undefined, undefined, id, secret, token);
const info = await hubspotClient.oauth
  .accessTokensApi
  .get(tokens.accessToken);
await hubspotClient?.oauth?.refreshTokensApi.archive(token);
const { tokensApi, refreshTokensApi: revoke } = hubspotClient.oauth;
const { tokensApi: other } = hubspotClient['oauth'];
hubspotClient["oauth"]["tokensApi"].createToken("authorization_code");
// await hubspotClient.oauth.tokensApi.create()
const url = hubspotClient.oauth.getAuthorizationUrl(id, redirect, scope);
await hubspotClient.crm.timeline.eventsApi.create(event);
await hubspotClient.apiRequest({ method: "POST", path: "/oauth/v1/token" });
"#,
        found: &[
            (2, "sdk-tokens"),
            (4, "sdk-access-tokens"),
            (6, "sdk-refresh-tokens"),
            (7, "sdk-tokens"),
            (7, "sdk-refresh-tokens"),
            (8, "sdk-tokens"),
            (9, "sdk-tokens"),
            (10, "sdk-tokens"),
            (13, "v1-token"),
        ],
    },
    Case {
        path: "node/import.ts",
        content: r#"import {
  AccessTokensApi,
  createConfiguration,
} from "@hubspot/api-client/lib/codegen/oauth";
import { TokensApi } from '@hubspot/api-client/lib/codegen/oauth/apis/TokensApi';
import type { TokenResponseIF } from "@hubspot/api-client/lib/codegen/oauth/models/TokenResponseIF";
import { TokensApi as TimelineTokens } from "@hubspot/api-client/lib/codegen/crm/timeline";
export const refresh = (api: Tokens) => api.tokensApi.create("refresh_token");
"#,
        found: &[(2, "sdk-access-tokens"), (5, "sdk-tokens")],
    },
    Case {
        path: "node/passed.ts",
        content: "// HubSpot\nexport const refresh = (tokensApi: any) => tokensApi.create(\"refresh_token\");\n",
        found: &[(2, "sdk-tokens")],
    },
    Case {
        path: "node/legacy.js",
        content: r#"const Hubspot = require('hubspot')
const hubspot = new Hubspot({ clientId, clientSecret, redirectUri, refreshToken })
hubspot.refreshAccessToken().then(save)
hubspot.oauth.getAccessToken({ code }).then(save)
hubspot.oauth.getAuthorizationUrl({ scopes })
hubspot.oauth.getPortalInfo()
"#,
        found: &[(3, "sdk-legacy"), (4, "sdk-legacy"), (6, "sdk-legacy")],
    },
    Case {
        path: "node/url.mjs",
        content: r#"const base = "https://api.hubapi.com";
await fetch(`${base}/oauth/v1/token`, { method: "POST", body });
await fetch(base + "/oauth/v1/access-tokens/" + token);
await fetch(`https://api.hubapi.com/oauth/v1/refresh-tokens/${token}`, { method: "DELETE" });
app.get("/oauth/v1/callback", callback);
await fetch(`${base}/oauth/v3/token`, { method: "POST", body });
await fetch(`${base}/oauth/2026-09/token`, { method: "POST", body });
const match = /\/oauth\/v1\/token/.test(url);
"#,
        found: &[
            (2, "v1-token"),
            (3, "v1-access-tokens"),
            (4, "v1-refresh-tokens"),
            (5, "v1-path"),
            (8, "v1-token"),
        ],
    },
    Case {
        path: "python/client.py",
        content: r#"from hubspot import HubSpot
from hubspot.oauth import ApiException
from hubspot.oauth import (
    ApiException,
    RefreshTokensApi,
)
from hubspot.auth.oauth.api.tokens_api import TokensApi
from hubspot.crm.timeline import TokensApi as TimelineTokensApi
from hubspot.utils.oauth import get_auth_url

tokens = api_client.oauth.tokens_api.create(grant_type="refresh_token", refresh_token=token)
tokens = HubSpot().auth.oauth.default_api.create_token(grant_type="authorization_code", code=code)
info = api_client.auth.oauth.access_tokens_api.get_access_token(token)
tokens = (
    api_client.oauth.
    refresh_tokens_api.archive(token)
)
requests.post(f"{BASE}/oauth/v1/token", data=form)
from hubspot3.oauth2 import OAuth2Client
"#,
        found: &[
            (5, "sdk-refresh-tokens"),
            (7, "sdk-tokens"),
            (11, "sdk-tokens"),
            (12, "sdk-tokens"),
            (13, "sdk-access-tokens"),
            (16, "sdk-refresh-tokens"),
            (18, "v1-token"),
            (19, "sdk-legacy"),
        ],
    },
    Case {
        path: "ruby/client.rb",
        content: r#"require 'hubspot-api-client'
tokens = Hubspot::Client.new.oauth.tokens_api.create(grant_type: :refresh_token)
api = ::Hubspot::OAuth::TokensApi.new
old = Hubspot::OAuth::DefaultApi.new.create_token(grant_type: 'authorization_code')
new = Hubspot::Oauth::AccessTokensApi.new
url = Hubspot::OAuthHelper.authorize_url(client_id: id, redirect_uri: uri, scope: scope)
legacy = Hubspot::OAuth.refresh(token)
page = Hubspot::OAuth.authorize_url(["contacts"])
tokens = Hubspot::Client.new.auth.o_auth.tokens_api.create(grant_type: :refresh_token)
"#,
        found: &[
            (2, "sdk-tokens"),
            (3, "sdk-tokens"),
            (4, "sdk-tokens"),
            (5, "sdk-access-tokens"),
            (7, "sdk-legacy"),
            (9, "sdk-tokens"),
        ],
    },
    Case {
        path: "php/client.php",
        content: r#"<?php
use HubSpot\Client\Auth\OAuth\Api\TokensApi;
use HubSpot\Client\Oauth\Api\{AccessTokensApi, RefreshTokensApi};
use HubSpot\Utils\OAuth2;
$tokens = Factory::create()->auth()->oAuth()->tokensApi()->create('authorization_code', $code);
$tokens = $hubspot->oauth()
    ->refreshTokensApi()
    ->archive($token);
$url = OAuth2::getAuthUrl($id, $uri, $scope);
$name = $hubspot->crm()->timeline()->tokensApi()->create($type, $app, $request);
$json = '{"url":"https:\/\/api.hubapi.com\/oauth\/v1\/token"}';
"#,
        found: &[
            (2, "sdk-tokens"),
            (3, "sdk-access-tokens"),
            (5, "sdk-tokens"),
            (7, "sdk-refresh-tokens"),
            (11, "v1-token"),
        ],
    },
    Case {
        path: "php/legacy.php",
        content: r#"<?php
$hubspot = SevenShores\Hubspot\Factory::create($key);
$tokens = $hubspot->oAuth2()->getTokensByRefresh($id, $secret, $token);
$oauth = $hubspot->oAuth2();
$tokens = $oauth->getTokensByCode($id, $secret, $uri, $code);
$info = $hubspot->oAuth2()->getAccessTokenInfo($token);
$hubspot->oAuth2()->deleteRefreshToken($token);
"#,
        found: &[(3, "sdk-legacy"), (5, "sdk-legacy"), (6, "sdk-legacy"), (7, "sdk-legacy")],
    },
    Case {
        path: ".env.example",
        content: "# comments count\n# HUBSPOT_TOKEN_URL=https://api.hubapi.com/oauth/v1/token\nA=1\nHUBSPOT_OAUTH_BASE=https://api.hubapi.com/oauth/v1\n",
        found: &[(2, "v1-token"), (4, "v1-path")],
    },
    Case {
        path: "config/nginx.conf",
        content: "location /oauth/v1/ {\n  proxy_pass https://api.hubapi.com;\n}\n",
        found: &[(1, "v1-path")],
    },
    Case {
        path: "config/redirect.txt",
        content: "https%3A%2F%2Fapi.hubapi.com%2Foauth%2Fv1%2Ftoken\r\n",
        found: &[(1, "v1-token")],
    },
    Case {
        path: "lookalikes/other.ts",
        content: r#"import { tokens } from "./oauth/v1/token";
await fetch("https://apis.roblox.com/oauth/v1/token");
await fetch("https://login.example.com/oauth/v1/token");
await fetch("/my-oauth/v1/token"); await fetch("/oauth/v10/token"); await fetch("/oauth/v1.1/token");
const token = await tokensApi.create({ scope });
const user = await careCloud.tokensApi().create(body);
const oauth = new OAuth2(); oauth.getAccessToken(code); oauth.refreshAccessToken();
"#,
        found: &[],
    },
    Case {
        path: "lookalikes/timeline.py",
        content: "from hubspot.crm.timeline import TokensApi\nclient.crm.timeline.tokens_api.create(event_template_id=1)\ntokens_api = client.crm.timeline.tokens_api\ntokens_api.create(event_template_id=1)\n",
        found: &[],
    },
];

fn with_corpus(arguments: &[&str]) -> Run {
    CORPUS.iter().fold(hs_oauth(arguments), |run, case| run.file(case.path, case.content))
}

/// Returns the findings that `--format json` prints, after a look at the exit status.
fn findings(run: Run) -> Vec<Value> {
    let outcome = run.run();
    let findings = outcome.json()["findings"].as_array().unwrap().clone();
    assert_eq!((outcome.status, outcome.stderr.as_str()), (if findings.is_empty() { 0 } else { 6 }, ""));
    findings
}

/// The names are those of the SDKs' own sources.
#[test]
fn each_language_has_its_findings_at_their_lines_and_no_others() {
    let found = findings(with_corpus(&["scan", "--format", "json"]));
    for case in CORPUS {
        let of_file: Vec<_> = found.iter().filter(|finding| finding["file"] == case.path).collect();
        let lines: Vec<_> = of_file
            .iter()
            .map(|finding| (finding["line"].as_u64().unwrap(), finding["rule"].as_str().unwrap()))
            .collect();
        assert_eq!(lines, case.found, "{}", case.path);
        for finding in of_file {
            let line = case.content.lines().nth(finding["line"].as_u64().unwrap() as usize - 1).unwrap();
            assert_eq!(finding["text"], line.trim(), "{finding}");
            assert_eq!(finding["certain"], true, "{finding}");
        }
    }
    assert_eq!(found.len(), CORPUS.iter().map(|case| case.found.len()).sum::<usize>());
}

#[test]
fn a_call_is_answered_in_its_own_language() {
    let found = findings(with_corpus(&["scan", "--format", "json"]));
    for (file, line, instead) in [
        (
            "node/client.js",
            2,
            "fetch(\"https://api.hubapi.com/oauth/2026-09/token\", { method: \"POST\", body: new URLSearchParams({ grant_type, client_id, client_secret, refresh_token }) })",
        ),
        (
            "python/client.py",
            13,
            "requests.post(\"https://api.hubapi.com/oauth/2026-09/token/introspect\", data={\"client_id\": client_id, \"client_secret\": client_secret, \"token\": token})",
        ),
        (
            "ruby/client.rb",
            2,
            "Net::HTTP.post_form(URI(\"https://api.hubapi.com/oauth/2026-09/token\"), grant_type: grant_type, client_id: client_id, client_secret: client_secret, refresh_token: refresh_token)",
        ),
        (
            "php/client.php",
            7,
            "->post('https://api.hubapi.com/oauth/2026-09/token/introspect', ['form_params' => ['client_id' => $client_id, 'client_secret' => $client_secret, 'token' => $token]])",
        ),
        (".env.example", 2, "/oauth/2026-09/token, with the same form"),
    ] {
        let finding =
            found.iter().find(|finding| finding["file"] == file && finding["line"] == line).unwrap();
        assert!(finding["instead"].as_str().unwrap().contains(instead), "{finding}");
    }
}

#[test]
fn people_read_the_place_the_line_and_what_to_write_instead() {
    let outcome = hs_oauth(&["scan", "src"])
        .file("src/a.js", "// HubSpot\n  fetch(base + '/oauth/v1/token')\n")
        .file("src/b.js", "fetch(base + '/oauth/v1/token')\n")
        .run();
    assert_eq!((outcome.status, outcome.stderr.as_str()), (6, ""));
    let (findings, sum) = outcome.stdout.split_once("\n\n").unwrap();
    assert_eq!(
        findings,
        "src/a.js:2:18: fetch(base + '/oauth/v1/token')\n    \
         write instead: /oauth/2026-09/token, with the same form\n\
         src/b.js:1:16: fetch(base + '/oauth/v1/token')\n    \
         write instead: /oauth/2026-09/token, with the same form (if it is HubSpot's: nothing in the file says so)"
    );
    assert!(
        sum.starts_with("2 uses of v1 found (3 lines in 2 files). HubSpot removes v1 on 2027-02-16, in "),
        "{sum}"
    );
}

#[test]
fn a_clean_folder_has_exit_status_0() {
    let outcome =
        hs_oauth(&["scan"]).file("a.js", "fetch('https://api.hubapi.com/oauth/2026-09/token')\n").run();
    assert_eq!(
        outcome.succeeded().stdout,
        "nothing found that needs v1 of HubSpot's OAuth API (1 line in 1 file)\n"
    );
}

#[test]
fn a_folder_that_is_not_there_and_a_wrong_flag_have_exit_status_2() {
    for arguments in [&["scan", "nowhere"][..], &["scan", "--format", "xml"]] {
        let outcome = hs_oauth(arguments).run();
        assert_eq!((outcome.status, outcome.stdout.as_str()), (2, ""), "{outcome:?}");
    }
}

const FOUND: &str = "https://api.hubapi.com/oauth/v1/token\n";

fn files_of(findings: &[Value]) -> Vec<&str> {
    findings.iter().map(|finding| finding["file"].as_str().unwrap()).collect()
}

fn with_ignored_files(arguments: &[&str]) -> Run {
    hs_oauth(arguments)
        .file(".gitignore", "node_modules/\n*.log\n!kept.log\n")
        .file("sub/.gitignore", "here.js\n")
        .file(".ignore", "generated.js\n")
        .file(".git/config", FOUND)
        .file("node_modules/sdk/index.js", FOUND)
        .file("a.log", FOUND)
        .file("kept.log", FOUND)
        .file("sub/here.js", FOUND)
        .file("here.js", FOUND)
        .file("generated.js", FOUND)
        .file(".github/workflows/ci.yml", FOUND)
        .file("binary", [b"\0\x01", FOUND.as_bytes()].concat())
}

/// <https://git-scm.com/docs/gitignore>
#[test]
fn what_gitignore_names_binary_files_and_git_itself_are_left_out_and_hidden_files_are_not() {
    let found = findings(with_ignored_files(&["scan", "--format", "json"]));
    assert_eq!(files_of(&found), [".github/workflows/ci.yml", "here.js", "kept.log"]);
}

#[test]
fn ignored_files_are_searched_on_request_and_others_can_be_left_out() {
    let found = findings(with_ignored_files(&[
        "scan",
        "--format=json",
        "--no-ignore",
        "--exclude=*.log",
        "--exclude=/.github/",
    ]));
    assert_eq!(files_of(&found), ["generated.js", "here.js", "node_modules/sdk/index.js", "sub/here.js"]);
}

#[test]
fn a_file_can_be_named_and_is_then_searched_whatever_gitignore_says() {
    let found = findings(with_ignored_files(&["scan", "--json", "a.log", "sub"]));
    assert_eq!(files_of(&found), ["a.log"]);
}

/// Returns where the findings are: file, line and column.
fn places(findings: &[Value]) -> Vec<(&str, u64, u64)> {
    let number = |finding: &Value, name: &str| finding[name].as_u64().unwrap();
    let place = |finding| (number(finding, "line"), number(finding, "column"));
    files_of(findings)
        .into_iter()
        .zip(findings.iter().map(place))
        .map(|(file, (line, column))| (file, line, column))
        .collect()
}

#[test]
fn huge_files_huge_lines_and_bytes_that_are_no_text_are_searched() {
    let spaces = |count: usize| b" ".repeat(count);
    let one_line = [
        &spaces(5_000_000)[..],
        b"HubSpot /oauth/v1/token",
        &spaces(5_000_000),
        b"/oauth/v1/token\n/oauth/v1/token",
    ];
    let many_lines = [&b"\n".repeat(3_000_000)[..], b"\xff\xfe hubspot \xff/oauth/v1/token\xff\n"];
    let run = hs_oauth(&["scan", "--format", "json"]);
    let found = findings(run.file("one_line", one_line.concat()).file("many_lines", many_lines.concat()));
    assert_eq!(
        places(&found),
        [("many_lines", 3_000_001, 14), ("one_line", 1, 5_000_010), ("one_line", 2, 2)]
    );
}

/// A file is read in pieces of 1 MiB, of which the last 4 KiB are searched with the next one.
#[test]
fn what_lies_on_the_border_of_two_pieces_is_found_once() {
    const URL: &str = "https://api.hubapi.com/oauth/v1/token";
    for border in [(1 << 20) - 4096, 1 << 20] {
        let mut run = hs_oauth(&["scan", "--format", "json"]);
        for shift in 0..=URL.len() {
            // One line, then the URL, so that `shift` of its characters are before the border.
            let content = format!("\n{}{URL}{}", " ".repeat(border - shift - 1), " ".repeat(10_000));
            run = run.file(&format!("{shift:02}"), content);
        }
        let found = findings(run);
        let names: Vec<_> = (0..=URL.len()).map(|shift| format!("{shift:02}")).collect();
        let column = |shift: usize| (border - shift + URL.find("oauth").unwrap()) as u64;
        let expected: Vec<_> =
            names.iter().enumerate().map(|(shift, name)| (name.as_str(), 2, column(shift))).collect();
        assert_eq!(places(&found), expected);
    }
}

#[cfg(unix)]
#[test]
fn links_are_not_followed_unless_they_are_named() {
    let run = hs_oauth(&["scan", "--json", ".", "link"]).file("a/a.js", FOUND).file("b.js", "");
    let folder = run.folder().to_owned();
    for (name, to) in [("dangling", "nowhere"), ("a/loop", ".."), ("b", "a"), ("link", "a/a.js")] {
        std::os::unix::fs::symlink(to, folder.join(name)).unwrap();
    }
    assert_eq!(files_of(&findings(run)), ["a/a.js", "link"]);
}

/// Reading the memory of a process from its start fails for everyone.
#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_read_is_named_and_is_not_taken_for_clean() {
    let outcome = hs_oauth(&["scan", ".", "/proc/self/mem"]).file("a.js", "").run();
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert!(outcome.stderr.starts_with("hs-oauth: could not read /proc/self/mem: "), "{outcome:?}");
    let outcome = hs_oauth(&["scan", "--json", ".", "/proc/self/mem"]).file("a.js", FOUND).run();
    assert_eq!((outcome.status, &outcome.json()["unreadable"][0]["file"]), (6, &json!("/proc/self/mem")));
}

/// SARIF 2.1.0 §3.13 (sarifLog), §3.14 (run), §3.27 (result), §3.49 (reportingDescriptor).
#[test]
fn sarif_has_the_shape_that_code_hosts_read() {
    let run = hs_oauth(&["scan", "--format", "sarif"])
        .file("src/a b#ü.js", "// HubSpot\n\tübü('/oauth/v1/token')\n")
        .file("b.js", "'/oauth/v1/token'\n");
    let outcome = run.run();
    assert_eq!(outcome.status, 6);
    let log = outcome.json();
    assert_eq!(
        (&log["version"], &log["$schema"]),
        (&json!("2.1.0"), &json!("https://json.schemastore.org/sarif-2.1.0.json"))
    );
    let run = &log["runs"][0];
    let driver = &run["tool"]["driver"];
    assert_eq!(
        (&driver["name"], &driver["version"]),
        (&json!("hs-oauth"), &json!(env!("CARGO_PKG_VERSION")))
    );
    for rule in driver["rules"].as_array().unwrap() {
        // GitHub's code scanning asks for all of them.
        for text in ["shortDescription", "fullDescription", "help"] {
            assert!(rule[text]["text"].as_str().unwrap().ends_with('.'), "{rule}");
        }
    }
    let results = run["results"].as_array().unwrap();
    let places: Vec<_> = results
        .iter()
        .map(|result| {
            let place = &result["locations"][0]["physicalLocation"];
            let rule = &driver["rules"][result["ruleIndex"].as_u64().unwrap() as usize];
            assert_eq!(rule["id"], result["ruleId"]);
            assert!(
                result["message"]["text"].as_str().unwrap().contains("Write instead: /oauth/2026-09/token")
            );
            let region = &place["region"];
            (
                &place["artifactLocation"]["uri"],
                &region["startLine"],
                &region["startColumn"],
                &result["level"],
            )
        })
        .collect();
    assert_eq!(
        places,
        [
            (&json!("b.js"), &json!(1), &json!(3), &json!("warning")),
            (&json!("src/a%20b%23%C3%BC.js"), &json!(2), &json!(8), &json!("error")),
        ]
    );
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    assert_eq!(run["invocations"][0]["executionSuccessful"], true);
}

#[test]
fn secrets_beside_a_finding_are_not_repeated() {
    let content = "curl -d client_secret=0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0 https://api.hubapi.com/oauth/v1/refresh-tokens/na1-6f18f26a-4b5a-4978-8796-a5b4c3d2e1f0\n";
    for format in ["text", "json", "sarif"] {
        let outcome: Outcome = hs_oauth(&["scan", "--format", format]).file("a.sh", content).run();
        assert_eq!(outcome.status, 6);
        assert!(!outcome.stdout.contains("a5b4c3d2e1f0"), "{}", outcome.stdout);
        assert!(outcome.stdout.contains("client_secret=0f1e…"), "{}", outcome.stdout);
    }
}

//! What the program is to do: flags first, then environment variables, then the configuration file, then the defaults.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use hmac_sha256::Hash;
use hs_oauth_core::Scopes;
use hs_oauth_emulator::{
    AppSettings, HubSettings, LogFormat, RegisteredScopes, SERVED_VERSIONS, Settings, check_redirect_uri,
};

use super::arguments::Arguments;
use super::config_file::{AppTable, ConfigFile, HubTable};

/// What the program is to do.
pub(super) struct Options {
    pub(super) listen: Vec<SocketAddr>,
    pub(super) state: Option<PathBuf>,
    pub(super) log_format: LogFormat,
    pub(super) settings: Settings,
}

const DEFAULT_ADDRESS: &str = "127.0.0.1:4380";

impl Options {
    /// Joins what the command line, the environment and the file say, and checks it.
    ///
    /// # Errors
    /// A message that names the flag, or the field of the file. It never has a secret.
    pub(super) fn new(arguments: Arguments, config: ConfigFile) -> Result<Self, String> {
        let listen = arguments.listen.clone().or(config.listen.clone());
        let listen = listen.as_deref().unwrap_or(DEFAULT_ADDRESS);
        let addresses = listen.to_socket_addrs().map_err(|error| format!("--listen: '{listen}': {error}"))?;
        Ok(Self {
            listen: addresses.collect(),
            state: arguments.state.clone().or(config.state.clone()),
            log_format: arguments.log_format.or(config.log_format).unwrap_or_default(),
            settings: settings(arguments, config)?,
        })
    }
}

fn settings(arguments: Arguments, config: ConfigFile) -> Result<Settings, String> {
    let mut settings = match arguments.seed.or(config.seed) {
        Some(seed) => Settings::new(Hash::hash(seed.as_bytes())),
        None => Settings::random().map_err(|error| error.to_string())?,
    };
    settings.strict_redirects = !arguments.lenient_redirects.or(config.lenient_redirects).unwrap_or(false);

    let mut apps = config.apps.into_iter();
    if let Some(mut table) = apps.next() {
        table.app_name.get_or_insert(settings.app_name);
        let app = app_settings(table, settings.app_id)?;
        settings.client_id = app.client_id;
        settings.client_secret = app.client_secret;
        settings.app_name = app.app_name;
        settings.app_id = app.app_id;
        settings.redirect_uris = app.redirect_uris;
        settings.registered_scopes = app.registered_scopes;
    }
    let ids = settings.app_id + 1..;
    settings.more_apps = apps.zip(ids).map(|(app, id)| app_settings(app, id)).collect::<Result<_, _>>()?;
    set(&mut settings.client_id, arguments.client_id);
    set(&mut settings.client_secret, arguments.client_secret);
    set(&mut settings.app_name, arguments.app_name);
    set(&mut settings.app_id, arguments.app_id);
    if !arguments.redirect_uris.is_empty() {
        settings.redirect_uris = arguments.redirect_uris;
    }
    let scopes = [arguments.required_scopes, arguments.conditional_scopes, arguments.optional_scopes];
    if let Some(scopes) = registered_scopes(&FLAGS, scopes)? {
        settings.registered_scopes = Some(scopes);
    }
    check_apps(&settings)?;

    let mut hubs = config.hubs.into_iter();
    if let Some(hub) = hubs.next().map(hub_settings).transpose()? {
        settings.hub_id = hub.hub_id;
        settings.hub_domain = hub.hub_domain;
        settings.hub_lacks = hub.lacks;
    }
    settings.more_hubs = hubs.map(hub_settings).collect::<Result<_, _>>()?;
    set(&mut settings.hub_id, arguments.hub_id);
    set(&mut settings.hub_domain, arguments.hub_domain);
    check_hubs(&settings)?;

    set(&mut settings.user.id, arguments.user_id.or(config.user.id));
    set(&mut settings.user.email, arguments.user_email.or(config.user.email));
    set(&mut settings.user.permissions.super_admin, config.user.super_admin);
    set(&mut settings.user.permissions.marketplace_access, config.user.marketplace_access);
    set(&mut settings.rotation, arguments.rotation.or(config.rotation));
    set(
        &mut settings.access_token_lifetime,
        arguments.access_token_lifetime.or(config.access_token_lifetime),
    );
    set(&mut settings.code_lifetime, arguments.code_lifetime.or(config.code_lifetime));
    set(&mut settings.auto_approve, arguments.auto_approve.or(config.auto_approve));
    settings.removed_versions = if arguments.sunset.is_empty() { config.sunset } else { arguments.sunset };
    if let Some(unknown) =
        settings.removed_versions.iter().find(|version| !SERVED_VERSIONS.contains(&version.as_str()))
    {
        return Err(format!("--sunset: '{unknown}' is none of {}", SERVED_VERSIONS.join(", ")));
    }
    if settings.access_token_lifetime == 0 || settings.code_lifetime == 0 {
        return Err("access_token_lifetime and code_lifetime must be at least 1".to_owned());
    }
    Ok(settings)
}

fn set<T>(setting: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *setting = value;
    }
}

fn app_settings(table: AppTable, default_id: i64) -> Result<AppSettings, String> {
    let mut app = AppSettings::new(table.client_id, table.client_secret);
    set(&mut app.app_name, table.app_name);
    app.app_id = table.app_id.unwrap_or(default_id);
    if !table.redirect_uris.is_empty() {
        app.redirect_uris = table.redirect_uris;
    }
    let scopes = [table.required_scopes, table.conditional_scopes, table.optional_scopes];
    app.registered_scopes = registered_scopes(&FIELDS, scopes)?;
    Ok(app)
}

const FLAGS: [&str; 3] = ["--required-scopes", "--conditional-scopes", "--optional-scopes"];
const FIELDS: [&str; 3] = ["required_scopes", "conditional_scopes", "optional_scopes"];

/// Returns the scopes of the three lists, or `None` if none of them is given.
fn registered_scopes(names: &[&str; 3], lists: [Vec<String>; 3]) -> Result<Option<RegisteredScopes>, String> {
    if lists.iter().all(Vec::is_empty) {
        return Ok(None);
    }
    let mut parsed = [Scopes::NONE, Scopes::NONE, Scopes::NONE];
    for ((name, list), scopes) in names.iter().zip(&lists).zip(&mut parsed) {
        for text in list {
            scopes.extend(text.parse::<Scopes>().map_err(|error| format!("{name}: '{text}': {error}"))?);
        }
    }
    let [required, conditionally_required, optional] = parsed;
    RegisteredScopes::new(required, conditionally_required, optional).map(Some)
}

fn hub_settings(table: HubTable) -> Result<HubSettings, String> {
    let mut hub = HubSettings::new(table.hub_id);
    set(&mut hub.hub_domain, table.hub_domain);
    hub.lacks = Scopes::from_names(table.lacks).map_err(|error| format!("lacks: {error}"))?;
    Ok(hub)
}

fn check_apps(settings: &Settings) -> Result<(), String> {
    let first = (&settings.client_id, &settings.client_secret, &settings.redirect_uris);
    let others = settings.more_apps.iter();
    let others = others.map(|app| (&app.client_id, &app.client_secret, &app.redirect_uris));
    let mut seen = Vec::new();
    for (client_id, client_secret, redirect_uris) in std::iter::once(first).chain(others) {
        if !is_printable(client_id) {
            return Err(format!("--client-id: '{client_id}' {PRINTABLE}"));
        }
        if seen.contains(&client_id) {
            return Err(format!("two apps have the client id '{client_id}'"));
        }
        seen.push(client_id);
        if !is_printable(client_secret) {
            return Err(format!("--client-secret of the app {client_id}: it {PRINTABLE}"));
        }
        for uri in redirect_uris {
            if let Err(problem) = check_redirect_uri(uri, settings.strict_redirects) {
                let lenient = match check_redirect_uri(uri, false) {
                    Ok(()) => "; --lenient-redirects takes it",
                    Err(_) => "",
                };
                return Err(format!("--redirect-uri: '{uri}' {problem}{lenient}"));
            }
        }
    }
    Ok(())
}

fn check_hubs(settings: &Settings) -> Result<(), String> {
    let mut seen = Vec::new();
    let ids = settings.more_hubs.iter().map(|hub| hub.hub_id);
    for hub_id in std::iter::once(settings.hub_id).chain(ids) {
        if hub_id < 1 {
            return Err(format!("--hub-id: {hub_id} must be at least 1"));
        }
        if seen.contains(&hub_id) {
            return Err(format!("two accounts have the hub id {hub_id}"));
        }
        seen.push(hub_id);
    }
    Ok(())
}

const PRINTABLE: &str = "must be printable ASCII, and not empty";

fn is_printable(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use hs_oauth_emulator::Rotation;

    use super::*;

    const CONFIG: &str = r#"
listen = "127.0.0.1:0"
state = "emulator.json"
seed = "one"
log_format = "json"
rotation = "rotate"
access_token_lifetime = 60
code_lifetime = 30
auto_approve = true
sunset = ["v1"]

[user]
id = 7
email = "ada@example.com"
super_admin = false

[[apps]]
client_id = "first"
client_secret = "first-secret"
app_name = "First"
app_id = 1
redirect_uris = ["https://first.example/cb", "http://localhost:3000/cb"]
required_scopes = ["oauth", "tickets"]
optional_scopes = ["files forms"]

[[apps]]
client_id = "second"
client_secret = "second-secret"

[[hubs]]
hub_id = 11
hub_domain = "eleven.example"

[[hubs]]
hub_id = 12
lacks = ["automation"]
"#;

    fn options(flags: &[&str], config: &str) -> Result<Options, String> {
        let arguments = Arguments::try_parse_from([&["hs-oauth-emulator"], flags].concat())
            .map_err(|error| error.to_string())?;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("emulator.toml");
        std::fs::write(&path, config).unwrap();
        Options::new(arguments, ConfigFile::read(Some(&path), None, None)?)
    }

    fn error(flags: &[&str], config: &str) -> String {
        options(flags, config).err().unwrap_or_else(|| panic!("{flags:?} {config} is taken"))
    }

    #[test]
    fn the_file_sets_everything_for_several_apps_and_accounts() {
        let Options { listen, state, log_format, settings } = options(&[], CONFIG).unwrap();
        assert_eq!(listen, ["127.0.0.1:0".parse().unwrap()]);
        assert_eq!((state, log_format), (Some(PathBuf::from("emulator.json")), LogFormat::Json));
        assert_eq!((settings.client_id.as_str(), settings.client_secret.as_str()), ("first", "first-secret"));
        assert_eq!((settings.app_name.as_str(), settings.app_id), ("First", 1));
        assert_eq!(settings.redirect_uris, ["https://first.example/cb", "http://localhost:3000/cb"]);
        let scopes = settings.registered_scopes.unwrap();
        assert_eq!(scopes.required().to_string(), "oauth tickets");
        assert_eq!(scopes.optional().to_string(), "files forms");
        let [second] = settings.more_apps.as_slice() else { panic!("{:?}", settings.more_apps) };
        assert_eq!((second.client_id.as_str(), second.client_secret.as_str()), ("second", "second-secret"));
        assert_eq!(second.redirect_uris, ["http://localhost:3000/oauth/callback"]);
        assert_eq!((settings.hub_id, settings.hub_domain.as_str()), (11, "eleven.example"));
        let [twelve] = settings.more_hubs.as_slice() else { panic!("{:?}", settings.more_hubs) };
        assert_eq!((twelve.hub_id, twelve.hub_domain.as_str()), (12, "hub-12.example.com"));
        assert_eq!(twelve.lacks.to_string(), "automation");
        assert_eq!((settings.user.id, settings.user.email.as_str()), (7, "ada@example.com"));
        assert!(!settings.user.permissions.super_admin && settings.user.permissions.marketplace_access);
        assert_eq!(settings.rotation, Rotation::Rotate);
        assert_eq!((settings.access_token_lifetime, settings.code_lifetime), (60, 30));
        assert!(settings.auto_approve && settings.strict_redirects);
        assert_eq!(settings.removed_versions, ["v1"]);
        assert_eq!(settings.seed, Hash::hash(b"one"));
    }

    #[test]
    fn a_flag_overrides_the_file_and_changes_the_first_app_and_account() {
        let flags = [
            "--client-id=other",
            "--redirect-uri=https://a.example/cb https://b.example/cb",
            "--redirect-uri=https://c.example/cb",
            "--hub-id=99",
            "--rotation=strict",
            "--auto-approve=false",
            "--log-format=text",
            "--seed=two",
            "--sunset=v3",
            "--user-email=bob@example.com",
        ];
        let Options { log_format, settings, .. } = options(&flags, CONFIG).unwrap();
        assert_eq!((settings.client_id.as_str(), settings.client_secret.as_str()), ("other", "first-secret"));
        assert_eq!(
            settings.redirect_uris,
            ["https://a.example/cb", "https://b.example/cb", "https://c.example/cb"]
        );
        assert_eq!((settings.hub_id, settings.hub_domain.as_str()), (99, "eleven.example"));
        assert_eq!((settings.rotation, log_format), (Rotation::Strict, LogFormat::Text));
        assert!(!settings.auto_approve);
        assert_eq!(settings.seed, Hash::hash(b"two"));
        assert_eq!(settings.removed_versions, ["v3"]);
        assert_eq!((settings.user.id, settings.user.email.as_str()), (7, "bob@example.com"));
    }

    #[test]
    fn without_anything_the_defaults_apply_and_each_run_has_a_seed_of_its_own() {
        let (one, two) = (options(&[], "").unwrap(), options(&[], "").unwrap());
        assert_eq!(one.listen, [DEFAULT_ADDRESS.parse().unwrap()]);
        assert_ne!(one.settings.seed, two.settings.seed);
        let defaults = format!("{:?}", Settings::new([0; 32]))
            .replace("strict_redirects: false", "strict_redirects: true");
        assert_eq!(format!("{:?}", one.settings), defaults);
    }

    #[test]
    fn lists_of_apps_and_accounts_come_from_the_environment_too() {
        let apps = r#"[{"client_id":"env","client_secret":"s","redirect_uris":["https://env.example/cb"]}]"#;
        let config = ConfigFile::read(None, Some(apps), Some(r#"[{"hub_id":5}]"#)).unwrap();
        let settings = Options::new(Arguments::parse_from(["x"]), config).unwrap().settings;
        assert_eq!((settings.client_id.as_str(), settings.hub_id), ("env", 5));
        assert_eq!((settings.app_name.as_str(), settings.app_id), ("Example app", 456_789));
        let error = ConfigFile::read(None, Some("[{}]"), None).err().unwrap();
        assert!(error.contains("HS_OAUTH_EMULATOR_APPS") && error.contains("client_id"), "{error}");
    }

    #[test]
    fn an_error_names_the_flag_or_the_line_and_field_but_never_shows_a_secret() {
        for secret in ["s\u{e9}cret-canary", "canary\n", ""] {
            for flags in [&["--client-secret", secret][..], &[&format!("--client-secret={secret}")]] {
                let error = error(flags, "");
                assert!(error.contains("--client-secret") && !error.contains("canary"), "{error}");
            }
        }
        for (config, expected) in [
            ("[[apps]]\nclient_id = \"a\"\nclient_secret = 4242\n", "client_secret must be text"),
            ("[[apps]]\nclient_id = \"a\"\nclient_secret = \"4242\n", "line 3"),
            ("[[apps]]\nclient_id = \"a\"\nclient_secret = \"4242\\u00e9\"\n", "--client-secret"),
            ("[[apps]]\nclient_id = \"a\"\nclient_secrte = \"4242\"\n", "client_secrte"),
        ] {
            let error = error(&[], config);
            assert!(error.contains(expected) && !error.contains("4242"), "{error}");
        }
        assert_eq!(options(&["--client-secret", "--canary"], "").unwrap().settings.client_secret, "--canary");
    }

    /// HubSpot's OAuth guide: a domain, and https except on this machine.
    #[test]
    fn a_redirect_uri_that_hubspot_does_not_take_is_wrong_usage_unless_the_program_is_lenient() {
        for uri in ["http://192.0.2.7:3000/cb", "http://app.example/cb"] {
            let problem = error(&["--redirect-uri", uri], "");
            assert!(
                problem.contains("--redirect-uri") && problem.contains("--lenient-redirects"),
                "{problem}"
            );
            let flags = ["--redirect-uri", uri, "--lenient-redirects"];
            assert!(!options(&flags, "").unwrap().settings.strict_redirects);
            assert!(options(&["--redirect-uri", uri], "lenient_redirects = true").is_ok());
        }
        for query in ["code=1", "a=b&state", "error="] {
            let uri = format!("http://localhost:3000/cb?{query}");
            let problem = error(&["--redirect-uri", &uri, "--lenient-redirects"], "");
            assert!(problem.contains("--redirect-uri") && problem.contains("`state`"), "{problem}");
            assert!(!problem.contains("--lenient-redirects"), "{problem}");
        }
        for uri in ["http://localhost:3000/cb?x=code", "http://127.0.0.1:3000/cb", "http://[::1]:3000/cb"] {
            assert!(options(&["--redirect-uri", uri], "").is_ok(), "{uri}");
        }
    }

    #[test]
    fn registered_scopes_are_separated_by_spaces_or_each_has_its_own_flag() {
        let read = |flags: &[&str]| options(flags, "").unwrap().settings.registered_scopes;
        assert_eq!(read(&[]), None);
        let expected =
            RegisteredScopes::new("a b".parse().unwrap(), "c".parse().unwrap(), "d e".parse().unwrap()).ok();
        let one = ["--required-scopes", "oauth a b", "--conditional-scopes", "c", "--optional-scopes=d e"];
        assert_eq!(read(&one), expected);
        let each = ["--required-scopes=a", "--required-scopes=b", "--conditional-scopes=c"];
        assert_eq!(
            read(&[&each[..], &["--optional-scopes", "d", "--optional-scopes", " e "]].concat()),
            expected
        );
        assert_eq!(read(&["--optional-scopes="]).unwrap().required().to_string(), "oauth");
    }

    #[test]
    fn what_cannot_be_is_wrong_usage() {
        for (flags, config, expected) in [
            (&["--required-scopes", "oauth,a"][..], "", "put spaces between scopes"),
            (&["--required-scopes=a", "--optional-scopes=a"], "", "`a` is registered as more than one kind"),
            (&["--conditional-scopes", "a\"b"], "", "--conditional-scopes"),
            (&["--hub-id=0"], "", "--hub-id"),
            (&["--listen=nowhere"], "", "--listen"),
            (&["--sunset=v2"], "", "v1, v3, 2026-03, 2026-09"),
            (&["--client-id="], "", "--client-id"),
            (&["--rotation=x"], "", "keep, rotate or strict"),
            (&[], "rotation = \"x\"", "line 1"),
            (&[], "log_format = \"x\"", "text or json"),
            (&[], "code_lifetime = 0", "code_lifetime"),
            (&[], "liisten = \"x\"", "liisten"),
            (&[], "\n\nhub_id = 5", "line 3"),
            (&[], "[[hubs]]\nhub_id = 62515\n[[hubs]]\nhub_id = 62515", "two accounts"),
            (&["--client-id=second"], CONFIG, "two apps"),
        ] {
            let problem = error(flags, config);
            assert!(problem.contains(expected), "{flags:?}: {problem}");
        }
        let error = ConfigFile::read(Some("no/such.toml".as_ref()), None, None).err().unwrap();
        assert!(error.contains("no/such.toml"), "{error}");
    }
}

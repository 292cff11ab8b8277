//! The program `hs-oauth-emulator`: the emulator's HTTP server with a command line. When the server is ready, one line
//! of JSON goes to standard output. Log lines go to standard error.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use hs_oauth_core::{InvalidArgument, Scopes};
use hs_oauth_emulator::{RegisteredScopes, Rotation, Server, Settings, check_redirect_uri};

#[derive(Parser)]
#[command(version, about = "HubSpot's OAuth on your own machine, for development and tests", after_help = CONTROL)]
struct Arguments {
    /// The address to listen on; port 0 chooses a free port
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4380", value_parser = listen_addresses)]
    listen: ListenAddresses,
    /// The app's client id
    #[arg(long, value_name = "ID", default_value = "a1b2c3d4-e5f6-7890-abcd-ef1234567890", value_parser = printable)]
    client_id: String,
    /// The app's client secret
    #[arg(
        long,
        value_name = "SECRET",
        default_value = "0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0",
        allow_hyphen_values = true
    )]
    client_secret: String,
    /// A registered redirect URI; can be given more than once
    #[arg(long = "redirect-uri", value_name = "URI", default_value = "http://localhost:3000/oauth/callback")]
    redirect_uris: Vec<String>,
    /// Take redirect URIs that HubSpot does not take: on an IP address, and `http` anywhere
    #[arg(long)]
    lenient_redirects: bool,
    /// Scopes that are registered for the app as required, separated by spaces or each with its own flag; `oauth` is always one
    /// of them [default: without any of these three flags, the app can ask for any scope]
    #[arg(long, value_name = "SCOPES", value_parser = scopes)]
    required_scopes: Vec<Scopes>,
    /// Scopes that are registered as conditionally required
    #[arg(long, value_name = "SCOPES", value_parser = scopes)]
    conditional_scopes: Vec<Scopes>,
    /// Scopes that are registered as optional
    #[arg(long, value_name = "SCOPES", value_parser = scopes)]
    optional_scopes: Vec<Scopes>,
    /// The id of the account that exists at the start
    #[arg(long, value_name = "NUMBER", default_value_t = 62515, value_parser = clap::value_parser!(i64).range(1..))]
    hub_id: i64,
    /// What a refresh does to the refresh token: keep (as HubSpot today), rotate (replace it), strict (replace it, and
    /// end the grant if it is used again)
    #[arg(long, value_name = "keep|rotate|strict", default_value = "keep", value_parser = rotation)]
    rotation: Rotation,
    /// The lifetime of an access token
    #[arg(long, value_name = "SECONDS", default_value_t = 1800, value_parser = clap::value_parser!(u32).range(1..))]
    access_token_lifetime: u32,
    /// Consent to everything at once instead of showing the page [default: show the page]
    #[arg(long)]
    auto_approve: bool,
}

const CONTROL: &str = "\
When the emulator listens, it writes one line of JSON to standard output: its address and the app's settings.

Control (reads and writes JSON; send content-type: application/json):
  GET  /_emulator/                        the state and these paths
  POST /_emulator/faults                  {\"operation\":\"refresh\",\"count\":2,\"status\":503,\"retry_after\":1}
                                          or delay_ms, drop (before|after the effect), truncate (bytes),
                                          members (of the response), raw_body; GET, DELETE
  POST /_emulator/clock                   {\"advance\":1800}; GET
  POST /_emulator/hubs                    {\"hub_id\":2,\"hub_domain\":\"two.example.com\",\"lacks\":[\"automation\"]}; GET
  POST /_emulator/hubs/{hub_id}           {\"lacks\":[\"automation\"]}; scopes that it cannot grant from now on; GET
  POST /_emulator/hubs/{hub_id}/uninstall {}
  DELETE /_emulator/hubs/{hub_id}         delete the account
  POST /_emulator/user                    {\"super_admin\":false,\"marketplace_access\":false}; GET
  POST /_emulator/webhooks                {\"url\":\"http://localhost:3000/webhooks\",\"version\":\"v3\",\"body\":[]}; sends a
                                          signed request and responds with what came back
  GET  /_emulator/marketplace             the installs that began on the page /marketplace
  POST /_emulator/rotation                {\"rotation\":\"strict\"}; GET
  POST /_emulator/sunset                  {\"versions\":[\"v1\"]}; GET, DELETE
  GET  /_emulator/journal                 the requests that came in, secrets masked; DELETE
  POST /_emulator/reset                   {}; go back to the start

Exit status: 0 ended by SIGINT or SIGTERM, 1 cannot listen, 2 wrong usage.";

#[derive(Clone)]
struct ListenAddresses(Vec<SocketAddr>);

/// The line of JSON that says that the emulator is ready.
#[derive(serde::Serialize)]
struct ReadyLine<'a> {
    listening: &'a str,
    client_id: &'a str,
    client_secret: &'a str,
    redirect_uris: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    registered_scopes: Option<&'a RegisteredScopes>,
    hub_id: i64,
    rotation: Rotation,
    access_token_lifetime: u32,
    auto_approve: bool,
}

fn main() -> ExitCode {
    let arguments = parse_arguments(std::env::args_os()).unwrap_or_else(|error| error.exit());
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse_arguments(given: impl IntoIterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    let arguments = Arguments::try_parse_from(given)?;
    // This is not done by a value parser, because clap's error message would show the value, which is a secret.
    if let Err(reason) = printable(&arguments.client_secret) {
        let message = format!("invalid value for '--client-secret <SECRET>': {reason}");
        return Err(Arguments::command().error(ErrorKind::ValueValidation, message));
    }
    for uri in &arguments.redirect_uris {
        if let Err(problem) = check_redirect_uri(uri, !arguments.lenient_redirects) {
            let message = format!(
                "invalid value '{uri}' for '--redirect-uri <URI>': it {problem} (--lenient-redirects)"
            );
            return Err(Arguments::command().error(ErrorKind::ValueValidation, message));
        }
    }
    if let Err(reason) = registered_scopes(&arguments) {
        return Err(Arguments::command().error(ErrorKind::ValueValidation, reason));
    }
    Ok(arguments)
}

/// Returns the scopes of the three flags, or `None` if none of them is given.
fn registered_scopes(arguments: &Arguments) -> Result<Option<RegisteredScopes>, String> {
    let Arguments { required_scopes, conditional_scopes, optional_scopes, .. } = arguments;
    let given = [required_scopes, conditional_scopes, optional_scopes];
    if given.iter().all(|flag| flag.is_empty()) {
        return Ok(None);
    }
    let [required, conditionally_required, optional] =
        given.map(|flag| flag.iter().flatten().cloned().collect());
    RegisteredScopes::new(required, conditionally_required, optional).map(Some)
}

fn run(arguments: Arguments) -> io::Result<()> {
    let registered_scopes = registered_scopes(&arguments).map_err(io::Error::other)?;
    let ListenAddresses(addresses) = arguments.listen;
    let mut settings = Settings::random()?;
    settings.client_id = arguments.client_id;
    settings.client_secret = arguments.client_secret;
    settings.redirect_uris = arguments.redirect_uris;
    settings.strict_redirects = !arguments.lenient_redirects;
    settings.registered_scopes = registered_scopes;
    settings.hub_id = arguments.hub_id;
    settings.rotation = arguments.rotation;
    settings.access_token_lifetime = arguments.access_token_lifetime;
    settings.auto_approve = arguments.auto_approve;

    // Signals have to be caught before the ready line is written, because the program that reads it may send one at
    // once.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = runtime.block_on(async { Signals::new() })?;
    let log = |line: &str| _ = writeln!(io::stderr(), "{line}");
    let server = Server::builder(settings).with_log(log).start(addresses.as_slice());
    let server = server.map_err(|error| cannot_listen(&addresses, &error))?;

    if !server.address().ip().is_loopback() {
        let warning = "warning: other machines can reach the emulator and control it, under any name";
        let _ = writeln!(io::stderr(), "{warning}");
    }
    let settings = server.settings();
    let ready = serde_json::to_string(&ReadyLine {
        listening: server.url(),
        client_id: &settings.client_id,
        client_secret: &settings.client_secret,
        redirect_uris: &settings.redirect_uris,
        registered_scopes: settings.registered_scopes.as_ref(),
        hub_id: settings.hub_id,
        rotation: settings.rotation,
        access_token_lifetime: settings.access_token_lifetime,
        auto_approve: settings.auto_approve,
    })?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{ready}")?;
    stdout.flush()?;
    runtime.block_on(signals.wait());
    Ok(())
}

fn cannot_listen(addresses: &[SocketAddr], error: &io::Error) -> io::Error {
    let wanted: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
    let wanted = wanted.join(", ");
    io::Error::other(format!(
        "cannot listen on {wanted}: {error}; give another --listen, or one with port 0 for a free port"
    ))
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn wait(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn wait(self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}

fn listen_addresses(text: &str) -> Result<ListenAddresses, String> {
    let addresses = text.to_socket_addrs().map_err(|error| error.to_string())?;
    Ok(ListenAddresses(addresses.collect()))
}

fn printable(text: &str) -> Result<String, String> {
    match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        true => Ok(text.to_owned()),
        false => Err("must be printable ASCII, and not empty".to_owned()),
    }
}

fn scopes(text: &str) -> Result<Scopes, String> {
    text.parse().map_err(|error: InvalidArgument| error.to_string())
}

fn rotation(text: &str) -> Result<Rotation, String> {
    match text {
        "keep" => Ok(Rotation::Keep),
        "rotate" => Ok(Rotation::Rotate),
        "strict" => Ok(Rotation::Strict),
        _ => Err("must be keep, rotate or strict".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage_error(given: &[&str]) -> String {
        let all = ["hs-oauth-emulator"].iter().chain(given).map(OsString::from);
        match parse_arguments(all) {
            Err(error) if error.exit_code() == 2 => error.to_string(),
            Err(error) => panic!("{given:?} ends with {}", error.exit_code()),
            Ok(_) => panic!("{given:?} is taken"),
        }
    }

    #[test]
    fn an_error_names_the_flag_of_a_secret_but_never_shows_its_value() {
        for secret in ["s\u{e9}cret-canary", "canary\n", ""] {
            for given in [&["--client-secret", secret][..], &[&format!("--client-secret={secret}")]] {
                let error = usage_error(given);
                assert!(error.contains("--client-secret") && !error.contains("canary"), "{error}");
            }
        }
        let secret = ["hs-oauth-emulator", "--client-secret", "--canary"].map(OsString::from);
        assert_eq!(parse_arguments(secret).ok().unwrap().client_secret, "--canary");
    }

    #[test]
    fn a_redirect_uri_with_a_parameter_of_the_response_is_wrong_usage() {
        for query in ["code=1", "a=b&state", "error="] {
            let error = usage_error(&["--redirect-uri", &format!("http://localhost:3000/cb?{query}")]);
            assert!(error.contains("--redirect-uri") && error.contains("`state`"), "{error}");
        }
        let good = ["hs-oauth-emulator", "--redirect-uri", "http://localhost:3000/cb?x=code"];
        assert!(parse_arguments(good.map(OsString::from)).is_ok());
    }

    #[test]
    fn registered_scopes_are_separated_by_spaces_or_each_has_its_own_flag() {
        let read = |given: &[&str]| {
            let all = ["hs-oauth-emulator"].iter().chain(given).map(OsString::from);
            registered_scopes(&parse_arguments(all).ok().unwrap()).unwrap()
        };
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
    fn registered_scopes_with_commas_or_of_two_kinds_are_wrong_usage() {
        for (given, expected) in [
            (&["--required-scopes", "oauth,a"][..], "put spaces between scopes"),
            (&["--required-scopes=a", "--optional-scopes=a"], "`a` is registered as more than one kind"),
            (&["--conditional-scopes", "a\"b"], "--conditional-scopes"),
        ] {
            let error = usage_error(given);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn the_error_of_an_occupied_address_says_what_to_do() {
        let address = ([127, 0, 0, 1], 4380).into();
        let error = cannot_listen(&[address], &io::ErrorKind::AddrInUse.into()).to_string();
        for part in ["127.0.0.1:4380", "address in use", "--listen", "port 0"] {
            assert!(error.contains(part), "{error}");
        }
    }
}

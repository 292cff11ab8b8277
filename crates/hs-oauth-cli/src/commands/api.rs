use std::fs::File;
use std::io::{self, Read};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use hs_oauth_blocking::http::{HeaderName, HeaderValue, Method, Request, Response, header};
use hs_oauth_blocking::ureq::Body;
use hs_oauth_blocking::{Account, App, SendError, printable};
use serde_json::{Map, Value, json};

use crate::accounts;
use crate::failure::Failure;
use crate::report::Report;
use crate::session::Session;
use crate::settings::Settings;

/// Send one request to HubSpot's API with an account's token
///
/// The body of the response is printed as it is. After a 401 the token is renewed, and the request sent
/// once more. The exit status is 6 if the status of the response is 400 or above.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = EXAMPLES)]
pub(crate) struct Api {
    /// The path with its query, such as /crm/v3/objects/contacts?limit=1
    #[arg(value_name = "PATH")]
    path: String,
    /// GET unless set, or POST with -d
    #[arg(long, short = 'X', value_name = "METHOD")]
    method: Option<Method>,
    /// The body; `@FILE` reads a file and `@-` standard input
    #[arg(long, short, value_name = "DATA")]
    data: Option<String>,
    /// Another header, such as 'accept: text/csv'
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    headers: Vec<Header>,
    /// The account, which may be left out if only one is connected
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<Account>,
    /// Print the status and the headers of the response, too
    #[arg(long, short)]
    include: bool,
}

const EXAMPLES: &str = "\
Examples:
  hs-oauth api '/crm/v3/objects/contacts?limit=1'
  hs-oauth api /crm/v3/objects/contacts -d '{\"properties\":{\"email\":\"a@example.com\"}}'
  hs-oauth api /crm/v3/objects/contacts/1 -X DELETE --account 62515 --include";

/// How long a response may take. Searches and exports take longer than a token request.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A header of the request.
#[derive(Clone, Debug)]
struct Header(HeaderName, HeaderValue);

impl FromStr for Header {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once(':').ok_or("not `NAME: VALUE`")?;
        let name = HeaderName::from_str(name.trim()).map_err(|_| "the name is not allowed")?;
        if name == header::AUTHORIZATION {
            return Err("the program sets this header itself");
        }
        Ok(Self(name, HeaderValue::from_str(value.trim()).map_err(|_| "the value is not allowed")?))
    }
}

impl Api {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        let body = self.body()?;
        let (session, store) = Session::open_existing_within(settings, TIMEOUT)?;
        let account = accounts::choose(&session.profile, &store, self.account)?;
        let request = self.request(session.app())?;
        let send = || match body {
            None => session.manager.send(account, request.map(|()| ())),
            Some(body) => session.manager.send(account, request.map(|()| body)),
        };
        let response = session.ask(|_| send()).map_err(not_sent)?;
        self.report(response)
    }

    /// Returns the request without its body. It goes to the API that the app uses, and nowhere else.
    fn request(&self, app: &App) -> Result<Request<()>, Failure> {
        let wrong = || {
            Failure::usage(
                "PATH is the path of an address of HubSpot's API, beginning with `/` and without the host",
            )
        };
        if !self.path.starts_with('/') {
            return Err(wrong());
        }
        let method = self.method.clone().unwrap_or(match self.data {
            None => Method::GET,
            Some(_) => Method::POST,
        });
        let mut request = Request::builder().method(method).uri(format!("{}{}", app.api_base(), self.path));
        if let Some(headers) = request.headers_mut() {
            if self.data.is_some() {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            for Header(name, value) in &self.headers {
                headers.insert(name, value.clone());
            }
        }
        let request = request.body(()).map_err(|_| wrong())?;
        let base: Option<hs_oauth_blocking::http::Uri> = app.api_base().parse().ok();
        match base.is_some_and(|base| base.authority() == request.uri().authority()) {
            true => Ok(request),
            false => Err(wrong()),
        }
    }

    fn body(&self) -> Result<Option<Vec<u8>>, Failure> {
        let Some(data) = &self.data else { return Ok(None) };
        let Some(file) = data.strip_prefix('@') else { return Ok(Some(data.clone().into_bytes())) };
        let mut body = Vec::new();
        let read = match file {
            "-" => io::stdin().lock().read_to_end(&mut body),
            file => File::open(file).and_then(|mut file| file.read_to_end(&mut body)),
        };
        read.map_err(|error| Failure::usage(format!("could not read the body from {file}: {error}")))?;
        Ok(Some(body))
    }

    fn report(&self, response: Response<Body>) -> Result<Report, Failure> {
        let (parts, body) = response.into_parts();
        let mut bytes = Vec::new();
        body.into_reader()
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::TimedOut(format!("the response did not arrive whole: {error}")))?;
        let headers: Map<String, Value> = parts
            .headers
            .iter()
            .map(|(name, value)| {
                (name.to_string(), printable(&String::from_utf8_lossy(value.as_bytes())).into())
            })
            .collect();
        let body: Value =
            serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into());
        let report =
            Report::new(&json!({ "status": parts.status.as_u16(), "headers": headers, "body": body }))?;
        let mut text = Vec::new();
        if self.include {
            text.extend(format!("HTTP {}\n", parts.status).into_bytes());
            for (name, value) in &headers {
                text.extend(format!("{name}: {}\n", value.as_str().unwrap_or_default()).into_bytes());
            }
            text.push(b'\n');
        }
        text.extend(bytes);
        let failed = parts.status.is_client_error() || parts.status.is_server_error();
        Ok(report.shown_as(text).with_exit_status(if failed { 6 } else { 0 }))
    }
}

/// Returns the failure of a request to which no response came.
fn not_sent(error: SendError) -> Failure {
    match error {
        SendError::Token(error) => error.into(),
        error => {
            let text = error.to_string();
            let text = text.split("; next: ").next().unwrap_or_default();
            match error {
                SendError::Http(_) => Failure::TimedOut(text.to_owned()),
                _ => Failure::usage(text),
            }
        }
    }
}

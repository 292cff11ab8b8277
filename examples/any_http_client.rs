//! A request of hs-oauth-core over an HTTP client of your own, here hyper.
//!
//! For any HTTP client, an application writes a function like `send`, and the three lines in `main` that build the request,
//! send it and read the response.

use std::error::Error;
use std::time::SystemTime;

use hs_oauth_core::{App, ClientCredentials, ClientSecret, Endpoint, MAX_RESPONSE_SIZE, TIMEOUT};
use hs_oauth_emulator::{Server, Settings};
use hs_oauth_examples::describe;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// Sends a request and returns its response. The size of the response and the time of the exchange are limited. Redirects are
/// not followed, as hyper follows none.
async fn send(request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Box<dyn Error + Send + Sync>> {
    let exchange = async {
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let (parts, body) = client.request(request.map(|body| Full::new(body.into()))).await?.into_parts();
        let body = Limited::new(body, MAX_RESPONSE_SIZE).collect().await?;
        Ok(Response::from_parts(parts, body.to_bytes().to_vec()))
    };
    tokio::time::timeout(TIMEOUT, exchange).await?
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let hubspot = Server::start("127.0.0.1:0", Settings::random()?)?;
    let settings = hubspot.settings();
    let app = App::hubspot(&settings.client_id, ClientSecret::new(&settings.client_secret)?)
        .with_api_base(hubspot.url())
        .build()?;

    let endpoint = ClientCredentials::new("developer.webhooks_journal.read".parse()?);
    let sent_at = SystemTime::now().into();
    let response = send(endpoint.to_http(&app)).await?;
    let tokens = endpoint.read_response(&app, sent_at, &response)?;
    describe(&tokens);
    Ok(())
}

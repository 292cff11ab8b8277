//! `hs-oauth`, over its crates for core, async and blocking.

use std::hint::black_box;
use std::sync::Arc;
use std::time::SystemTime;

use hs_oauth_core::{
    AccessToken, Account, App, AppBuilder, Authorize, ClientSecret, Endpoint as _, Randomness, Refresh,
    RefreshToken, RequestVerifier, Scopes, Timestamp, TokenSet,
};
use http::{Request, Response, StatusCode};
use tokio::runtime::Runtime;

use crate::given;
use crate::work::{
    Failure, SharedWork, Task, Work, repeat, repeat_async, repeat_shared, runtime, shared_runtime,
};

const ACCOUNT: Account = Account::hub(62515);

pub(crate) fn prepare(task: Task, server: &str) -> Result<Option<Work>, Failure> {
    let app = match task.is_over_loopback() {
        true => app()?.with_api_base(server).build()?,
        false => app()?.build()?,
    };
    let refresh = Refresh::new(RefreshToken::new(given::REFRESH_TOKEN)?);
    let now = Timestamp::from_secs(0);
    match task {
        Task::Build => repeat::<_, Failure>(move || Ok(black_box(&refresh).to_http(&app))),
        Task::Parse => {
            let response = Response::new(given::RESPONSE.to_vec());
            repeat(move || refresh.read_response(&app, now, black_box(&response)))
        }
        Task::ParseError => {
            let mut response = Response::new(given::ERROR_RESPONSE.to_vec());
            *response.status_mut() = StatusCode::BAD_REQUEST;
            repeat::<_, Failure>(move || match refresh.read_response(&app, now, black_box(&response)) {
                Ok(_) => Err("no error".into()),
                Err(error) => {
                    black_box(error.next_step());
                    Ok(error)
                }
            })
        }
        Task::Call => {
            let send = |request: Request<Vec<u8>>| {
                drop(black_box(request));
                given::response()
            };
            repeat(move || {
                let response = send(black_box(&refresh).to_http(&app));
                refresh.read_response(&app, now, &response)
            })
        }
        Task::Authorize => {
            let authorize = Authorize::new(given::SCOPES.parse::<Scopes>()?);
            repeat(move || {
                let bytes = Randomness::new(black_box(given::STATE_BYTES), black_box(given::VERIFIER_BYTES));
                authorize.begin_with(&app, now, bytes)
            })
        }
        Task::Verify => {
            let verifier = RequestVerifier::new(ClientSecret::new(given::CLIENT_SECRET)?);
            let (parts, now) = (given::webhook()?, Timestamp::from_millis(given::WEBHOOK_TIMESTAMP.parse()?));
            repeat(move || {
                let (url, body) = black_box((given::WEBHOOK_URL, given::WEBHOOK_BODY));
                verifier.verify(now, black_box(&parts), url, body)
            })
        }
        Task::Async => {
            let client = hs_oauth_async::Client::new(app)?;
            repeat_async(runtime()?, async move || Ok(client.call(&refresh).await?))
        }
        Task::Blocking => {
            let client = hs_oauth_blocking::Client::new(app);
            repeat(move || client.call(&refresh))
        }
        _ => Ok(None),
    }
}

/// Prepares the reading of a response with this body.
pub(crate) fn parse(body: Vec<u8>) -> Result<Option<Work>, Failure> {
    let (app, response) = (app()?.build()?, Response::new(body));
    let refresh = Refresh::new(RefreshToken::new(given::REFRESH_TOKEN)?);
    repeat(move || refresh.read_response(&app, Timestamp::from_secs(0), black_box(&response)))
}

pub(crate) fn bearer() -> Result<SharedWork, Failure> {
    let manager = blocking()?;
    Ok(repeat_shared(move || Ok(manager.bearer(black_box(ACCOUNT))?)))
}

pub(crate) fn lent() -> Result<SharedWork, Failure> {
    let manager = blocking()?;
    Ok(repeat_shared(move || Ok(manager.with_bearer(black_box(ACCOUNT), |bearer| _ = black_box(bearer))?)))
}

pub(crate) fn async_bearer() -> Result<SharedWork, Failure> {
    let (manager, runtime) = asynchronous()?;
    Ok(Arc::new(move |times| {
        runtime.block_on(async {
            for _ in 0..times {
                black_box(manager.bearer(black_box(ACCOUNT)).await?);
            }
            Ok(())
        })
    }))
}

pub(crate) fn async_lent() -> Result<SharedWork, Failure> {
    let (manager, runtime) = asynchronous()?;
    Ok(Arc::new(move |times| {
        runtime.block_on(async {
            for _ in 0..times {
                manager.with_bearer(black_box(ACCOUNT), |bearer| _ = black_box(bearer)).await?;
            }
            Ok(())
        })
    }))
}

fn blocking() -> Result<hs_oauth_blocking::TokenManager, Failure> {
    let client = hs_oauth_blocking::Client::new(app()?.build()?);
    let manager = hs_oauth_blocking::TokenManager::new(client, hs_oauth_blocking::MemoryStore::new());
    manager.install_tokens_as(ACCOUNT, tokens()?)?;
    Ok(manager)
}

fn asynchronous() -> Result<(hs_oauth_async::TokenManager, Runtime), Failure> {
    let client = hs_oauth_async::Client::new(app()?.build()?)?;
    let manager = hs_oauth_async::TokenManager::new(client, hs_oauth_async::MemoryStore::new());
    let runtime = shared_runtime()?;
    runtime.block_on(manager.install_tokens_as(ACCOUNT, tokens()?))?;
    Ok((manager, runtime))
}

fn app() -> Result<AppBuilder, Failure> {
    let secret = ClientSecret::new(given::CLIENT_SECRET)?;
    Ok(App::hubspot(given::CLIENT_ID, secret).with_redirect_uri(given::REDIRECT_URI))
}

fn tokens() -> Result<TokenSet, Failure> {
    let mut tokens = TokenSet::new(AccessToken::new(given::ACCESS_TOKEN)?, 86_400, SystemTime::now().into());
    tokens.refresh_token = Some(RefreshToken::new(given::REFRESH_TOKEN)?);
    tokens.hub_id = Some(ACCOUNT.hub_id);
    Ok(tokens)
}

//! This project.

use std::hint::black_box;
use std::time::SystemTime;

use hs_oauth_core::{
    AccessToken, Account, App, AppBuilder, Authorize, ClientSecret, Endpoint as _, Randomness, Refresh, RefreshToken, Scopes,
    Timestamp, TokenSet,
};
use http::{Request, Response, StatusCode};

use crate::given;
use crate::work::{Failure, SharedWork, Task, Work, alone, repeat, repeat_async, repeat_shared, runtime, shared_runtime};

const ACCOUNT: Account = Account::hub(62515);

pub(crate) fn prepare(task: Task, server: &str) -> Result<Option<Work>, Failure> {
    let app = match task.is_over_loopback() {
        true => app()?.api_base(server).build()?,
        false => app()?.build()?,
    };
    let refresh = Refresh::new(RefreshToken::new(given::REFRESH_TOKEN)?);
    let now = Timestamp::from_secs(0);
    match task {
        Task::Build => repeat(move || Ok(black_box(&refresh).to_http(&app))),
        Task::Parse => {
            let answer = Response::new(given::ANSWER);
            repeat(move || Ok(refresh.from_http(&app, now, black_box(&answer))?))
        }
        Task::Refuse => {
            let mut answer = Response::new(given::REFUSAL);
            *answer.status_mut() = StatusCode::BAD_REQUEST;
            repeat(move || match refresh.from_http(&app, now, black_box(&answer)) {
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
                given::answer()
            };
            repeat(move || {
                let response = send(black_box(&refresh).to_http(&app));
                Ok(refresh.from_http(&app, now, &response)?)
            })
        }
        Task::Authorize => {
            let authorize = Authorize::scopes(given::SCOPES.parse::<Scopes>()?);
            repeat(move || {
                let bytes = Randomness::new(black_box(given::STATE_BYTES), black_box(given::VERIFIER_BYTES));
                Ok(authorize.begin_with(&app, bytes)?)
            })
        }
        Task::Async => {
            let client = hs_oauth_async::Client::new(app)?;
            alone(repeat_async(runtime()?, move || {
                let (client, refresh) = (client.clone(), refresh.clone());
                async move { Ok(client.call(&refresh).await?) }
            }))
        }
        Task::Blocking => {
            let client = hs_oauth_blocking::Client::new(app);
            repeat(move || Ok(client.call(&refresh)?))
        }
        _ => Ok(None),
    }
}

pub(crate) fn bearer() -> Result<SharedWork, Failure> {
    let client = hs_oauth_blocking::Client::new(app()?.build()?);
    let manager = hs_oauth_blocking::TokenManager::new(client, hs_oauth_blocking::MemoryStore::new());
    manager.install_tokens(ACCOUNT, tokens()?)?;
    Ok(repeat_shared(move || Ok(manager.bearer(black_box(ACCOUNT))?)))
}

pub(crate) fn async_bearer() -> Result<SharedWork, Failure> {
    let client = hs_oauth_async::Client::new(app()?.build()?)?;
    let manager = hs_oauth_async::TokenManager::new(client, hs_oauth_async::MemoryStore::new());
    let runtime = shared_runtime()?;
    runtime.block_on(manager.install_tokens(ACCOUNT, tokens()?))?;
    Ok(repeat_async(runtime, move || {
        let bearer = manager.clone();
        async move { Ok(bearer.bearer(black_box(ACCOUNT)).await?) }
    }))
}

fn app() -> Result<AppBuilder, Failure> {
    let secret = ClientSecret::new(given::CLIENT_SECRET)?;
    Ok(App::hubspot(given::CLIENT_ID, secret).redirect_uri(given::REDIRECT_URI))
}

fn tokens() -> Result<TokenSet, Failure> {
    let mut tokens = TokenSet::new(AccessToken::new(given::ACCESS_TOKEN)?, 86_400, SystemTime::now().into());
    tokens.refresh_token = Some(RefreshToken::new(given::REFRESH_TOKEN)?);
    Ok(tokens)
}

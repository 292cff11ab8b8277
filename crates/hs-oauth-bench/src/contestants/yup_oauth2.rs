//! The crate `yup-oauth2`: its storage loads the token from a file and keeps it in memory.

use std::hint::black_box;
use std::sync::Arc;

use serde_json::json;
use yup_oauth2::authorized_user::AuthorizedUserSecret;

use crate::given;
use crate::work::{Failure, SharedWork, shared_runtime};

const SCOPES: &[&str] = &["oauth"];

pub(crate) fn bearer() -> Result<SharedWork, Failure> {
    let file = std::env::temp_dir().join(format!("hs-oauth-bench-{}.json", std::process::id()));
    // Year, day of the year, hour, minute, second, nanosecond and offset, as the crate itself writes them.
    let expires_at = [2999, 1, 0, 0, 0, 0, 0, 0, 0];
    let token = json!({ "access_token": given::ACCESS_TOKEN, "refresh_token": null, "expires_at": expires_at, "id_token": null });
    std::fs::write(&file, json!([{ "scopes": SCOPES, "token": token }]).to_string())?;
    let secret = AuthorizedUserSecret {
        client_id: given::CLIENT_ID.to_owned(),
        client_secret: given::CLIENT_SECRET.to_owned(),
        refresh_token: given::REFRESH_TOKEN.to_owned(),
        key_type: "authorized_user".to_owned(),
    };
    let runtime = shared_runtime()?;
    let authenticator = runtime.block_on(async {
        let builder = yup_oauth2::AuthorizedUserAuthenticator::builder(secret);
        let authenticator = builder.persist_tokens_to_disk(&file).build().await?;
        authenticator.token(SCOPES).await?;
        Ok::<_, Failure>(authenticator)
    });
    std::fs::remove_file(&file)?;
    let authenticator = authenticator?;
    Ok(Arc::new(move |times| {
        runtime.block_on(async {
            for _ in 0..times {
                black_box(authenticator.token(SCOPES).await?);
            }
            Ok(())
        })
    }))
}

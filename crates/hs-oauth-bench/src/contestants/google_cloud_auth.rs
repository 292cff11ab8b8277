//! The crate `google-cloud-auth`: the credentials of a user, with a token from the server of this crate.

use std::hint::black_box;
use std::sync::Arc;

use google_cloud_auth::credentials::user_account::Builder;
use http::Extensions;
use serde_json::json;

use crate::given;
use crate::work::{Failure, SharedWork, shared_runtime};

pub(crate) fn bearer(server: &str) -> Result<SharedWork, Failure> {
    let user = json!({
        "client_id": given::CLIENT_ID,
        "client_secret": given::CLIENT_SECRET,
        "refresh_token": given::REFRESH_TOKEN,
        "type": "authorized_user",
    });
    let runtime = shared_runtime()?;
    let credentials = runtime.block_on(async {
        let credentials =
            Builder::new(user).with_token_uri(format!("{server}{}", given::TOKEN_PATH)).build()?;
        credentials.headers(Extensions::new()).await?;
        Ok::<_, Failure>(credentials)
    })?;
    Ok(Arc::new(move |times| {
        runtime.block_on(async {
            for _ in 0..times {
                black_box(credentials.headers(Extensions::new()).await?);
            }
            Ok(())
        })
    }))
}

//! A token in a `Mutex` of tokio, as services write it by hand.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::given;
use crate::work::{Failure, SharedWork, shared_runtime};

struct CurrentTokens {
    token: String,
    usable_until: Instant,
}

pub(crate) fn bearer() -> Result<SharedWork, Failure> {
    let usable_until = Instant::now() + Duration::from_secs(86_400);
    let current = Mutex::new(CurrentTokens { token: given::ACCESS_TOKEN.to_owned(), usable_until });
    let runtime = shared_runtime()?;
    Ok(Arc::new(move |times| {
        runtime.block_on(async {
            for _ in 0..times {
                let tokens = current.lock().await;
                match Instant::now() < tokens.usable_until {
                    true => drop(black_box(tokens.token.clone())),
                    false => return Err("the token has expired".into()),
                }
            }
            Ok(())
        })
    }))
}

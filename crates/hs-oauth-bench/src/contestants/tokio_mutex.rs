//! A token in tokio's `Mutex`, which is what services write by hand.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::given;
use crate::work::{Failure, SharedWork, shared_runtime};

struct CurrentTokens {
    token: String,
    good_until: Instant,
}

pub(crate) fn bearer() -> Result<SharedWork, Failure> {
    let good_until = Instant::now() + Duration::from_secs(86_400);
    let held = Mutex::new(CurrentTokens { token: given::ACCESS_TOKEN.to_owned(), good_until });
    let runtime = shared_runtime()?;
    Ok(Arc::new(move |times| {
        runtime.block_on(async {
            for _ in 0..times {
                let held = held.lock().await;
                match Instant::now() < held.good_until {
                    true => drop(black_box(held.token.clone())),
                    false => return Err("it is over".into()),
                }
            }
            Ok(())
        })
    }))
}

//! A token in tokio's `Mutex`, which is what services write by hand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::given;
use crate::work::{Failure, SharedWork, repeat_async, shared_runtime};

struct Held {
    token: String,
    good_until: Instant,
}

pub(crate) fn bearer() -> Result<SharedWork, Failure> {
    let good_until = Instant::now() + Duration::from_secs(86_400);
    let held = Arc::new(Mutex::new(Held { token: given::ACCESS_TOKEN.to_owned(), good_until }));
    Ok(repeat_async(shared_runtime()?, move || {
        let held = Arc::clone(&held);
        async move {
            let held = held.lock().await;
            match Instant::now() < held.good_until {
                true => Ok(held.token.clone()),
                false => Err("it is over".into()),
            }
        }
    }))
}

//! The crate `ureq`.

use super::reqwest::{FORM, Tokens};
use crate::given;
use crate::work::{Failure, Task, Work, repeat};

pub(crate) fn prepare(task: Task, server: &str) -> Result<Option<Work>, Failure> {
    let url = format!("{server}{}", given::TOKEN_PATH);
    match task {
        Task::Blocking => {
            let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
            repeat::<_, Failure>(move || {
                Ok(agent.post(&url).send_form(FORM)?.body_mut().read_json::<Tokens>()?)
            })
        }
        _ => Ok(None),
    }
}

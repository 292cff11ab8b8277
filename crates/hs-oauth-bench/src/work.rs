//! What is done again and again, and by whom.

use std::hint::black_box;
use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::contestants;

/// Whatever went wrong.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Does its work so many times.
pub type Work = Box<dyn FnMut(u64) -> Result<(), Failure>>;

/// The same, from many threads at once.
pub type SharedWork = Arc<dyn Fn(u64) -> Result<(), Failure> + Send + Sync>;

macro_rules! named {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $type {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in tables and on command lines.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The one of that name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }
    };
}

named! {
    /// A piece of work.
    Task {
        /// Building the request of a refresh.
        Build = "build the refresh request",
        /// Reading an answer with tokens, all eight fields.
        Parse = "parse the 200, all fields typed",
        /// Reading an answer that says no, down to what to do next.
        Refuse = "parse the 400, classified",
        /// Building, being handed an answer, and reading it.
        Call = "build + parse through a call, canned answer",
        /// The URL of the consent page.
        Authorize = "authorization URL, state + PKCE",
        /// A request and its answer over loopback, async.
        Async = "async over loopback, a request",
        /// A request and its answer over loopback, blocking.
        Blocking = "blocking over loopback, a request",
        /// A bearer that is held and good, from blocking code.
        Bearer = "a valid bearer, blocking",
        /// A bearer that is held and good, from async code, without a wait.
        AsyncBearer = "a valid bearer, async",
        /// The same, shown where it is held instead of handed out.
        Lent = "a valid bearer lent, blocking",
        /// The same, from async code.
        AsyncLent = "a valid bearer lent, async",
        /// [`Call`](Self::Call) with an answer that says no: only to take other figures from.
        RefusedCall = "a call that is refused",
        /// Making the answer that [`Call`](Self::Call) is handed.
        Answer = "the canned answer",
        /// Making the answer that [`RefusedCall`](Self::RefusedCall) is handed.
        Refusal = "the canned refusal",
    }
}

named! {
    /// Who does it.
    Who {
        /// This project.
        Ours = "ours",
        /// By hand, with no library that knows OAuth.
        Floor = "floor",
        /// The crate `oauth2`.
        Oauth2 = "oauth2",
        /// The crate `tame-oauth`.
        TameOauth = "tame-oauth",
        /// The crate `reqwest` as its readme has it: `.form().json()`.
        Reqwest = "reqwest",
        /// The same with the body made by hand, and read by hand.
        LeanReqwest = "reqwest, lean",
        /// The crate `ureq`.
        Ureq = "ureq",
        /// The crate `hyper`, over one connection.
        Hyper = "hyper",
        /// The crate `google-cloud-auth`.
        Google = "google-cloud-auth",
        /// The crate `yup-oauth2`.
        Yup = "yup-oauth2",
        /// A token in tokio's `Mutex`.
        TokioMutex = "tokio Mutex",
    }
}

impl Task {
    /// Those in the table.
    pub fn shown() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|task| *task < Self::RefusedCall)
    }

    /// Whether a server is needed.
    pub fn is_over_loopback(self) -> bool {
        matches!(self, Self::Async | Self::Blocking)
    }

    /// What the work is made of where it cannot be done by itself: the first without the others.
    pub fn parts(self, who: Who) -> Option<[Self; 3]> {
        match (self, who) {
            (Self::Parse, Who::Oauth2) => Some([Self::Call, Self::Build, Self::Answer]),
            (Self::Refuse, Who::Oauth2) => Some([Self::RefusedCall, Self::Build, Self::Refusal]),
            _ => None,
        }
    }
}

/// Makes a bearer ready to be read, from blocking or from async code; none if `who` has none for such code.
///
/// # Errors
/// Whatever keeps it from being made ready.
pub fn prepare_bearer(task: Task, who: Who, server: &str) -> Result<Option<SharedWork>, Failure> {
    let work = match (task, who) {
        (Task::Bearer, Who::Ours) => contestants::ours::bearer()?,
        (Task::AsyncBearer, Who::Ours) => contestants::ours::async_bearer()?,
        (Task::Lent, Who::Ours) => contestants::ours::lent()?,
        (Task::AsyncLent, Who::Ours) => contestants::ours::async_lent()?,
        (Task::Bearer | Task::AsyncBearer, Who::Floor) => contestants::floor::bearer()?,
        (Task::Lent | Task::AsyncLent, Who::Floor) => contestants::floor::lent()?,
        (Task::Bearer | Task::AsyncBearer, Who::TameOauth) => contestants::tame_oauth::bearer()?,
        (Task::AsyncBearer, Who::TokioMutex) => contestants::tokio_mutex::bearer()?,
        #[cfg(feature = "google")]
        (Task::AsyncBearer, Who::Google) => contestants::google_cloud_auth::bearer(server)?,
        #[cfg(feature = "google")]
        (Task::AsyncBearer, Who::Yup) => contestants::yup_oauth2::bearer()?,
        _ => return Ok(None),
    };
    let _ = server;
    Ok(Some(work))
}

/// Makes an answer with this body ready to be read; none if `who` cannot do it.
///
/// # Errors
/// Whatever keeps it from being made ready.
pub fn prepare_parse(who: Who, body: Vec<u8>) -> Result<Option<Work>, Failure> {
    match who {
        Who::Ours => contestants::ours::parse(body),
        Who::Floor => contestants::floor::parse(body),
        Who::Oauth2 => contestants::oauth2::parse(body),
        _ => Ok(None),
    }
}

/// Makes everything ready; none if `who` cannot do it. `server` is the canned server's URL.
///
/// # Errors
/// Whatever keeps it from being made ready.
pub fn prepare(task: Task, who: Who, server: &str) -> Result<Option<Work>, Failure> {
    if let Some(work) = prepare_bearer(task, who, server)? {
        return Ok(Some(Box::new(move |times| work(times))));
    }
    match who {
        Who::Ours => contestants::ours::prepare(task, server),
        Who::Floor => contestants::floor::prepare(task),
        Who::Oauth2 => contestants::oauth2::prepare(task, server),
        Who::TameOauth => contestants::tame_oauth::prepare(task),
        Who::Reqwest => contestants::reqwest::prepare(task, server),
        Who::LeanReqwest => contestants::reqwest::prepare_lean(task, server),
        Who::Ureq => contestants::ureq::prepare(task, server),
        Who::Hyper => contestants::hyper::prepare(task, server),
        Who::Google | Who::Yup | Who::TokioMutex => Ok(None),
    }
}

/// The same thing again and again.
pub(crate) fn repeat<T, E: Into<Failure>>(
    mut once: impl FnMut() -> Result<T, E> + 'static,
) -> Result<Option<Work>, Failure> {
    Ok(Some(Box::new(move |times| {
        for _ in 0..times {
            // Looked at where it is: moving it would be measured, too.
            match once() {
                Ok(done) => _ = black_box(&done),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    })))
}

/// The same thing again and again, from many threads at once.
pub(crate) fn repeat_shared<T>(once: impl Fn() -> Result<T, Failure> + Send + Sync + 'static) -> SharedWork {
    Arc::new(move |times| {
        for _ in 0..times {
            black_box(&once()?);
        }
        Ok(())
    })
}

/// The same future again and again.
pub(crate) fn repeat_async<T>(
    runtime: Runtime,
    mut once: impl AsyncFnMut() -> Result<T, Failure> + 'static,
) -> Result<Option<Work>, Failure> {
    Ok(Some(Box::new(move |times| {
        runtime.block_on(async {
            for _ in 0..times {
                black_box(&once().await?);
            }
            Ok(())
        })
    })))
}

/// A runtime of one thread.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// A runtime that many threads may wait on at once.
pub(crate) fn shared_runtime() -> Result<Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?)
}

//! The tasks, the contestants, and the loops that repeat a task.

use std::hint::black_box;
use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::contestants;

/// Any error. It ends the program.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Does a task as many times as the argument says.
pub type Work = Box<dyn FnMut(u64) -> Result<(), Failure>>;

/// The same as [`Work`], for many threads at once.
pub type SharedWork = Arc<dyn Fn(u64) -> Result<(), Failure> + Send + Sync>;

macro_rules! named {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $type {
            /// Every value, in the order of the tables.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns the name in tables and on command lines.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Returns the value with this name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }
    };
}

named! {
    /// What is measured.
    Task {
        /// Builds the request of a refresh.
        Build = "build the refresh request",
        /// Reads a response with tokens, all eight fields.
        Parse = "parse the 200, all fields typed",
        /// Reads an error response, and decides what to do next.
        ParseError = "parse the 400, classified",
        /// Builds a request, receives a response that is made in the process, and reads it.
        Call = "build + parse through a call, canned response",
        /// Builds the URL of the consent page.
        Authorize = "authorization URL, state + PKCE",
        /// Verifies the `v3` signature of a webhook of 2 KiB.
        Verify = "verify a v3 signature, 2 KiB",
        /// Sends a refresh over loopback and reads the response, async.
        Async = "async over loopback, a request",
        /// Sends a refresh over loopback and reads the response, blocking.
        Blocking = "blocking over loopback, a request",
        /// Returns the bearer of a token that is valid, from blocking code.
        Bearer = "a valid bearer, blocking",
        /// Returns the bearer of a token that is valid, from async code, without a wait.
        AsyncBearer = "a valid bearer, async",
        /// Lends the bearer to a closure instead of returning it.
        Lent = "a valid bearer lent, blocking",
        /// Lends the bearer to a closure, from async code.
        AsyncLent = "a valid bearer lent, async",
        /// [`Call`](Self::Call) with an error response. It is not in the tables; other figures are computed from it.
        FailedCall = "a call with an error response",
        /// Makes the response of [`Call`](Self::Call).
        Response = "the canned response",
        /// Makes the response of [`FailedCall`](Self::FailedCall).
        ErrorResponse = "the canned error response",
    }
}

named! {
    /// A contestant.
    Who {
        /// `hs-oauth`.
        Ours = "ours",
        /// Code written by hand, with no library that knows OAuth.
        Floor = "floor",
        /// The crate `oauth2`.
        Oauth2 = "oauth2",
        /// The crate `tame-oauth`.
        TameOauth = "tame-oauth",
        /// The crate `reqwest` as in its readme: `.form().json()`.
        Reqwest = "reqwest",
        /// The crate `reqwest`, with the body encoded and read by hand.
        LeanReqwest = "reqwest, lean",
        /// The crate `ureq`.
        Ureq = "ureq",
        /// The crate `hyper`, over one connection.
        Hyper = "hyper",
        /// The crate `google-cloud-auth`.
        Google = "google-cloud-auth",
        /// The crate `yup-oauth2`.
        Yup = "yup-oauth2",
        /// A token in a `Mutex` of tokio, as services write it by hand.
        TokioMutex = "tokio Mutex",
    }
}

impl Task {
    /// Returns the tasks that are in the tables.
    pub fn shown() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|task| *task < Self::FailedCall)
    }

    /// Returns whether the task needs the server.
    pub fn is_over_loopback(self) -> bool {
        matches!(self, Self::Async | Self::Blocking)
    }

    /// Returns how to compute the cost of a task that a contestant cannot do alone: the cost of the first task less those of the others.
    pub fn parts(self, who: Who) -> Option<[Self; 3]> {
        match (self, who) {
            (Self::Parse, Who::Oauth2) => Some([Self::Call, Self::Build, Self::Response]),
            (Self::ParseError, Who::Oauth2) => Some([Self::FailedCall, Self::Build, Self::ErrorResponse]),
            _ => None,
        }
    }
}

/// Prepares a task that reads a bearer. Returns none if the contestant cannot do it. `server` is the URL of the server.
///
/// # Errors
/// If the contestant cannot be prepared.
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

/// Prepares the reading of a response with this body. Returns none if the contestant cannot do it.
///
/// # Errors
/// If the contestant cannot be prepared.
pub fn prepare_parse(who: Who, body: Vec<u8>) -> Result<Option<Work>, Failure> {
    match who {
        Who::Ours => contestants::ours::parse(body),
        Who::Floor => contestants::floor::parse(body),
        Who::Oauth2 => contestants::oauth2::parse(body),
        _ => Ok(None),
    }
}

/// Prepares any task. Returns none if the contestant cannot do it. `server` is the URL of the server.
///
/// # Errors
/// If the contestant cannot be prepared.
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

/// Returns work that calls `once` again and again.
pub(crate) fn repeat<T, E: Into<Failure>>(
    mut once: impl FnMut() -> Result<T, E> + 'static,
) -> Result<Option<Work>, Failure> {
    Ok(Some(Box::new(move |times| {
        for _ in 0..times {
            // The result is not moved, since a move would be measured too.
            match once() {
                Ok(done) => _ = black_box(&done),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    })))
}

/// Returns work that calls `once` again and again, from many threads at once.
pub(crate) fn repeat_shared<T>(once: impl Fn() -> Result<T, Failure> + Send + Sync + 'static) -> SharedWork {
    Arc::new(move |times| {
        for _ in 0..times {
            black_box(&once()?);
        }
        Ok(())
    })
}

/// Returns work that awaits the future of `once` again and again.
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

/// Returns a runtime that has no thread of its own.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Returns a runtime on which many threads can block at once.
pub(crate) fn shared_runtime() -> Result<Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?)
}

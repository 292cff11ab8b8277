//! Async managers that are used from several runtimes, or from none.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use hs_oauth_async::{Client, SpawnBlocking, TokenManager};
use hs_oauth_core::ApiVersion;
use hs_oauth_core::renewal::TokenError;
use hs_oauth_emulator::{Settings, Target};
use tokio::runtime::{Builder, Runtime};

use super::setup::{HUB, Setup, long_times};

fn setup() -> Setup {
    Setup::new(0, Settings::new([3; 32]), ApiVersion::LATEST, long_times())
}

/// Returns a runtime that makes progress only while somebody calls `block_on`.
fn idle_runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn driven_runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn on_runtime(setup: &Setup, client: Client, runtime: &Runtime) -> TokenManager {
    let store = SpawnBlocking::new(Arc::clone(&setup.store));
    TokenManager::builder(client, store).with_runtime(runtime.handle().clone()).build()
}

/// reqwest keeps a connection, and its task on the runtime on which it was made. A request over it waits until that runtime is driven.
#[test]
fn a_renewal_does_not_wait_for_a_connection_of_a_runtime_that_nobody_drives() {
    let (idle, driven, caller) = (idle_runtime(), driven_runtime(), idle_runtime());
    let setup = setup();
    let client = Client::new(setup.app.clone()).unwrap();
    // The client keeps a connection on the idle runtime.
    let tokens = idle.block_on(client.exchange_code(setup.code())).unwrap();
    let manager = on_runtime(&setup, client, &driven);
    caller.block_on(manager.install_tokens(tokens)).unwrap();
    let bearer = caller.block_on(manager.refresh_now(HUB)).unwrap();
    assert!(setup.accepts(bearer));

    // So do the manager's own calls, and those of its client.
    let tokens = idle.block_on(manager.client().exchange_code(setup.code())).unwrap();
    idle.block_on(manager.install_tokens(tokens)).unwrap();
    idle.block_on(manager.refresh_now(HUB)).unwrap();
    caller.block_on(manager.refresh_now(HUB)).unwrap();
    caller.block_on(manager.install(setup.code())).unwrap();
    assert_eq!((setup.sent(Target::Refresh), setup.sent(Target::ExchangeCode)), (3, 3));
}

/// Drives a future on this thread, as `futures::executor::block_on` does. There is no tokio runtime here.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn with_a_runtime_every_call_works_outside_of_one() {
    let driven = driven_runtime();
    let setup = setup();
    let manager = on_runtime(&setup, Client::new(setup.app.clone()).unwrap(), &driven);
    let installed = block_on(manager.install(setup.code())).unwrap();
    assert_eq!(installed.account, HUB);
    let old = block_on(manager.bearer(HUB)).unwrap();
    assert_eq!(block_on(manager.accounts()).unwrap(), [HUB]);
    let token = block_on(manager.access_token(HUB)).unwrap();
    assert!(block_on(manager.client().introspect(token)).unwrap().is_active());
    let new = block_on(manager.bearer_after_401(HUB, &old)).unwrap();
    assert_ne!(new, old);
    setup.store.expire();
    let another = on_runtime(&setup, Client::new(setup.app.clone()).unwrap(), &driven);
    assert_ne!(block_on(another.bearer(HUB)).unwrap(), new);
    block_on(manager.disconnect(HUB)).unwrap();
    assert!(matches!(block_on(manager.bearer(HUB)), Err(TokenError::NotInstalled)));
    assert_eq!(block_on(manager.shutdown()), []);
}

#[test]
fn without_a_runtime_every_call_outside_of_one_ends_with_an_error_and_no_panic() {
    let setup = setup();
    let client = Client::new(setup.app.clone()).unwrap();
    let manager = TokenManager::new(client, SpawnBlocking::new(Arc::clone(&setup.store)));
    assert!(matches!(block_on(manager.install(setup.code())), Err(TokenError::NoRuntime)));
    assert!(matches!(block_on(manager.bearer(HUB)), Err(TokenError::NoRuntime)));
    assert!(matches!(block_on(manager.accounts()), Err(TokenError::NoRuntime)));
    assert!(matches!(block_on(manager.disconnect(HUB)), Err(TokenError::NoRuntime)));
    assert_eq!(block_on(manager.shutdown()), []);
}

/// A handle does not keep its runtime alive.
#[test]
fn after_the_end_of_the_managers_runtime_every_call_ends_with_an_error_and_no_panic() {
    let (ended, caller) = (driven_runtime(), idle_runtime());
    let setup = setup();
    let manager = on_runtime(&setup, Client::new(setup.app.clone()).unwrap(), &ended);
    block_on(manager.install(setup.code())).unwrap();
    drop(ended);
    assert!(caller.block_on(manager.bearer(HUB)).is_ok(), "it is in memory");
    assert!(matches!(caller.block_on(manager.refresh_now(HUB)), Err(TokenError::Interrupted)));
    assert!(matches!(caller.block_on(manager.install(setup.code())), Err(TokenError::Interrupted)));
    assert!(matches!(caller.block_on(manager.accounts()), Err(TokenError::Interrupted)));
    assert!(caller.block_on(manager.client().exchange_code(setup.code())).is_err());
    assert_eq!(caller.block_on(manager.shutdown()), []);
}

//! Work on a runtime that may be another than the caller's.

use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// Does `work` on this runtime, and returns its result. If the future is dropped, the work is given up. Returns `None` if the work panicked,
/// or if the runtime shuts down meanwhile.
pub(crate) async fn run_on<T: Send + 'static>(
    runtime: &Handle,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    if Handle::try_current().is_ok_and(|current| current.id() == runtime.id()) {
        return Some(work.await);
    }
    let mut task = JoinSet::new();
    task.spawn_on(work, runtime);
    task.join_next().await?.ok()
}

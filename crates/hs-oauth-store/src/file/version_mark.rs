//! The versions of records. Each stripe of accounts (see `lock.rs`) has a mark: a file such as `.mark-26` with a number that is
//! above every version given out in the stripe. The mark keeps a version from being given out again after a record was removed
//! or damaged.

use std::time::{SystemTime, UNIX_EPOCH};

use hs_oauth_core::{StoreError, StoreErrorKind};

use super::lock::StripeLock;

/// How far above a version the mark is set when the version reaches it. A greater step saves writes of the mark.
const MARK_STEP: u64 = 64;

/// Returns the version that follows `current`, or the first version of a new record file if `current` is `None`.
///
/// The mark is above every version given out in the stripe, and it is durable before they are given out. A new record file starts
/// at the mark. So it does not matter what was there before: a record that was removed, a damaged record whose version cannot be
/// read, or nothing.
///
/// There is no mark in a new stripe, and in a folder that was restored from a copy without its marks. The number of microseconds
/// since 1970 is then used instead. It is greater than the number of writes that a disk could have made since then.
pub(super) fn next_version(lock: &StripeLock<'_>, current: Option<u64>) -> Result<u64, StoreError> {
    let path = lock.folder().file(&format!(".mark-{:02x}", lock.stripe()));
    let text = lock.folder().read(&path)?;
    let stored_mark = text.and_then(|text| std::str::from_utf8(&text).ok()?.trim_ascii().parse::<u64>().ok());
    let mark = stored_mark.unwrap_or_else(now_in_microseconds);
    let version = match current {
        None => mark,
        Some(version) => version.saturating_add(1),
    };
    let Some(next_mark) = version.checked_add(MARK_STEP) else {
        return Err(StoreError::with_source(StoreErrorKind::Refused, "there are no versions left"));
    };
    if stored_mark.is_none() || version >= mark {
        lock.replace(&path, next_mark.max(mark).to_string().as_bytes())?;
    }
    Ok(version)
}

fn now_in_microseconds() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_micros()).unwrap_or_default().max(1)
}

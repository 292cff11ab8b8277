//! Counts, in tests, the accounts that are looked at one after the other. That is what a consent must not do more of when
//! there are more of them.

/// Returns the same items. A test can ask how many of them were looked at.
pub(super) fn counted<T>(items: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
    #[cfg(test)]
    let items = items.inspect(|_| VISITS.set(VISITS.get() + 1));
    items
}

#[cfg(test)]
thread_local! {
    static VISITS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Returns how many items are looked at while `action` runs.
#[cfg(test)]
pub(crate) fn during(action: impl FnOnce()) -> u64 {
    let before = VISITS.get();
    action();
    VISITS.get() - before
}

//! Counts, in tests, the accounts and grants that are looked at one after the other. That is what a consent must not do
//! more of when there are more of them.

/// Returns the same items. A test can ask how many of them were looked at.
pub(super) fn counted<T>(items: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
    #[cfg(test)]
    let items = items.inspect(|_| count::VISITS.set(count::VISITS.get() + 1));
    items
}

#[cfg(test)]
mod count {
    use std::cell::Cell;

    thread_local! {
        pub(super) static VISITS: Cell<u64> = const { Cell::new(0) };
    }
}

/// Returns how many items `action` looks at.
#[cfg(test)]
pub(crate) fn during(action: impl FnOnce()) -> u64 {
    let before = count::VISITS.get();
    action();
    count::VISITS.get() - before
}

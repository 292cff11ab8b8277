use crate::{Cursor, Entry, Page};

/// Goes through all pages of a store, of a sync one or of an async one: it says which page is read next, and the caller reads it.
///
/// It does no IO, so the caller decides what a failed read means. A page that was not handed in is asked for again.
///
/// ```
/// use hs_oauth_store::{AllPages, MemoryStore, TokenStore};
///
/// let store = MemoryStore::new();
/// let mut pages = AllPages::new();
/// while let Some(cursor) = pages.cursor() {
///     let page = store.page(cursor, 500)?; // with `.await` for an `AsyncTokenStore`
///     for entry in pages.read(page) {
///         println!("{}", entry.account);
///     }
/// }
/// # Ok::<(), hs_oauth_store::StoreError>(())
/// ```
///
/// An account may be in several pages, as [`TokenStore::page`](crate::TokenStore::page) says.
#[derive(Clone, Debug, Default)]
pub struct AllPages {
    cursor: Option<Cursor>,
    is_done: bool,
}

impl AllPages {
    /// Begins with the first page.
    pub const fn new() -> Self {
        Self { cursor: None, is_done: false }
    }

    /// Returns with which cursor the next page is read, or `None` after the last page. The first page has no cursor.
    pub const fn cursor(&self) -> Option<Option<&Cursor>> {
        match self.is_done {
            true => None,
            false => Some(self.cursor.as_ref()),
        }
    }

    /// Takes the page that was read, and returns its entries.
    pub fn read(&mut self, page: Page) -> Vec<Entry> {
        self.is_done = page.next.is_none();
        self.cursor = page.next;
        page.entries
    }
}

#[cfg(test)]
mod tests {
    use hs_oauth_core::renewal::{GrantId, GrantState, Record};
    use hs_oauth_core::{Account, Random};

    use super::*;
    use crate::{MemoryStore, StoreError, StoreErrorKind, TokenStore};

    fn accounts(mut page: impl FnMut(Option<&Cursor>) -> Result<Page, StoreError>) -> Vec<i64> {
        let (mut pages, mut accounts) = (AllPages::new(), Vec::new());
        while let Some(cursor) = pages.cursor() {
            // What fails is asked for again.
            if let Ok(page) = page(cursor) {
                accounts.extend(pages.read(page).iter().map(|entry| entry.account.hub_id));
            }
        }
        accounts
    }

    #[test]
    fn every_page_is_read_once_however_many_entries_it_has() {
        let store = MemoryStore::new();
        assert_eq!(accounts(|cursor| store.page(cursor, 2)), [0; 0]);
        let record = Record::without_tokens(GrantId::generate(&mut Random::new([1; 32])), GrantState::Live);
        for hub_id in 1..=5 {
            store.swap(Account::hub(hub_id), None, &record).unwrap();
        }
        for limit in 1..=6 {
            assert_eq!(accounts(|cursor| store.page(cursor, limit)), [1, 2, 3, 4, 5], "{limit}");
        }
        let mut is_first = true;
        let with_an_empty_page = |cursor: Option<&Cursor>| match std::mem::replace(&mut is_first, false) {
            true => Ok(Page { entries: Vec::new(), next: Some(Cursor::new("0")) }),
            false => store.page(cursor, 2),
        };
        assert_eq!(accounts(with_an_empty_page), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_page_that_could_not_be_read_is_asked_for_again() {
        let mut calls = Vec::new();
        let read = |cursor: Option<&Cursor>| {
            calls.push(cursor.map(|cursor| cursor.as_str().to_owned()));
            match calls.len() {
                1 => Ok(Page { entries: Vec::new(), next: Some(Cursor::new("a")) }),
                2 => Err(StoreError::new(StoreErrorKind::Unavailable)),
                _ => Ok(Page::default()),
            }
        };
        assert_eq!(accounts(read), [0; 0]);
        assert_eq!(calls, [None, Some("a".to_owned()), Some("a".to_owned())]);
    }
}

//! How much of a request fits into an entry of the journal.

/// The space in an entry that is not used yet, in bytes of JSON.
pub(super) struct Space {
    left: usize,
    is_exceeded: bool,
}

impl Space {
    pub(super) fn new(size: usize) -> Self {
        Self { left: size, is_exceeded: false }
    }

    /// Returns whether something did not fit. Nothing fits after it.
    pub(super) fn is_exceeded(&self) -> bool {
        self.is_exceeded
    }

    /// Takes this much space, if there is so much. Returns whether there was.
    pub(super) fn take(&mut self, size: usize) -> bool {
        let left = self.left.checked_sub(size).filter(|_| !self.is_exceeded);
        self.is_exceeded = left.is_none();
        self.left = left.unwrap_or(0);
        left.is_some()
    }

    /// Takes the space for as much of `text` as fits, and returns that part.
    ///
    /// The secrets in `text` have to be masked before: a part of a secret would not be noticed as one.
    pub(super) fn fit(&mut self, mut text: String) -> String {
        let end = text.char_indices().find(|(_, char)| !self.take(size_in_json(*char)));
        if let Some((index, _)) = end {
            text.truncate(index);
        }
        text
    }
}

/// Returns how many bytes `serde_json` writes for a character of a string.
fn size_in_json(char: char) -> usize {
    match char {
        '"' | '\\' | '\u{8}' | '\t' | '\n' | '\u{c}' | '\r' => 2,
        '\0'..='\u{1f}' => 6,
        char => char.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_character_is_that_in_json() {
        for char in ('\0'..='\u{ff}').chain(['€', '\u{2028}', '\u{ffff}', '😀']) {
            let json = serde_json::to_string(&char).unwrap();
            assert_eq!(size_in_json(char), json.len() - 2, "{json}");
        }
    }

    #[test]
    fn a_text_is_cut_between_two_characters_and_nothing_comes_after_it() {
        let mut space = Space::new(10);
        assert_eq!((space.fit("ab".to_owned()), space.is_exceeded()), ("ab".to_owned(), false));
        assert_eq!((space.fit("€€€".to_owned()), space.is_exceeded()), ("€€".to_owned(), true));
        assert_eq!((space.fit("c".to_owned()), space.take(0)), (String::new(), false));
    }
}

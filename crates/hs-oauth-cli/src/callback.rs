//! A callback that a person pastes.

/// Returns the query of a callback, which may be a whole URL, a request target or only the query.
pub(crate) fn query(callback: &str) -> &str {
    let callback = callback.split('#').next().unwrap_or(callback);
    callback.split_once('?').map_or(callback, |(_, query)| query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_found_in_every_form_of_a_callback_that_a_user_may_copy() {
        for callback in [
            "http://localhost:3000/cb?code=1&state=2",
            "https://app.example/cb?code=1&state=2#_",
            "/cb?code=1&state=2",
            "?code=1&state=2",
            "code=1&state=2",
        ] {
            assert_eq!(query(callback), "code=1&state=2");
        }
    }
}

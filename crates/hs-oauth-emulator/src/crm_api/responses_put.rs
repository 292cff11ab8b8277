//! The responses that were put at paths of the CRM API.

use std::collections::BTreeMap;

use serde_json::Value;

/// The size of all responses together, in bytes of JSON with their paths: 16 MiB.
const MAX_SIZE: usize = 16 * 1024 * 1024;

/// The body of the response of each path that was given one. It is the same for every method and account.
#[derive(Default)]
pub(crate) struct PutResponses {
    by_path: BTreeMap<String, Value>,
    size: usize,
}

impl PutResponses {
    pub(crate) fn get(&self, path: &str) -> Option<&Value> {
        self.by_path.get(path)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.by_path.iter().map(|(path, body)| (path.as_str(), body))
    }

    /// Puts a response at a path, in place of the one that may be there.
    ///
    /// # Errors
    /// A message, if all responses together would be too large.
    pub(crate) fn put(&mut self, path: &str, body: Value) -> Result<(), String> {
        let size = size(path, &body) + self.size - self.get(path).map_or(0, |body| size(path, body));
        if size > MAX_SIZE {
            return Err(format!("all responses together can have at most {MAX_SIZE} bytes"));
        }
        self.size = size;
        self.by_path.insert(path.to_owned(), body);
        Ok(())
    }

    pub(crate) fn remove(&mut self, path: &str) {
        if let Some(body) = self.by_path.remove(path) {
            self.size -= size(path, &body);
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn size(path: &str, body: &Value) -> usize {
    path.len() + body.to_string().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_responses_together_are_limited_and_one_that_is_replaced_does_not_count() {
        let mut responses = PutResponses::default();
        let large = |letters: usize| Value::from("a".repeat(letters));
        responses.put("/crm/a", large(MAX_SIZE / 2)).unwrap();
        responses.put("/crm/a", large(MAX_SIZE / 2)).unwrap();
        assert!(responses.put("/crm/b", large(MAX_SIZE / 2)).is_err());
        assert!(responses.get("/crm/b").is_none());
        responses.remove("/crm/a");
        assert_eq!(responses.size, 0);
        responses.put("/crm/b", large(MAX_SIZE / 2)).unwrap();
    }
}

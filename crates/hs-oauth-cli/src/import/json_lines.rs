//! A table as one JSON object a line.

use serde_json::{Map, Value};

use crate::import::row::{Field, Fields, Grant, Invalid, Row};

/// Reads the rows. Empty lines are left out.
pub(crate) fn rows(text: &str) -> Vec<Row> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(line, text)| Row { line, content: grant(text) }).collect()
}

fn grant(text: &str) -> Result<Grant, Invalid> {
    let object: Map<String, Value> =
        serde_json::from_str(text).map_err(|_| Invalid::new("the line is no JSON object"))?;
    // A number is read as it is written.
    let texts: Vec<_> = object
        .iter()
        .filter_map(|(name, value)| {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => return None,
            };
            Some((Field::of_name(name)?, text))
        })
        .collect();
    let mut fields = Fields::default();
    for (field, text) in &texts {
        fields.set(*field, text);
    }
    fields.grant()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_numbers_or_texts_and_other_fields_are_ignored() {
        let text = "{\"hub_id\":7,\"refresh_token\":\"na1-a\",\"x\":{\"hub_id\":1}}\n\n{\"portalId\":\"8\",\"userId\":9,\"refreshToken\":\"na1-b\"}\n[]\n{\"hub_id\":7.5,\"refresh_token\":\"CANARY\"}\n{";
        let shown: Vec<_> = rows(text)
            .into_iter()
            .map(|row| match row.content {
                Ok(grant) => format!("{}: {} {:?}", row.line, grant.hub_id, grant.user_id),
                Err(error) => format!("{}: {}", row.line, error.0),
            })
            .collect();
        assert_eq!(
            shown,
            [
                "1: 7 None",
                "3: 8 Some(9)",
                "4: the line is no JSON object",
                "5: the hub id is no positive number",
                "6: the line is no JSON object",
            ]
        );
    }
}

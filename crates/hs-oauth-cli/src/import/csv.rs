//! A table as CSV (RFC 4180), with the names of its columns in the first line.

use csv::{ByteRecord, ReaderBuilder, Trim};
use memchr::memchr_iter;

use crate::import::row::{Field, Fields, Grant, Invalid, Row};

/// Reads the rows. Fails if the first line does not name the columns that are needed.
pub(crate) fn rows(text: &str) -> Result<Vec<Row>, Invalid> {
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter(text))
        .flexible(true)
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    let names = reader.headers().map_err(|error| Invalid::new(error.to_string()))?;
    let columns: Vec<_> = names.iter().map(Field::of_name).collect();
    for (field, name) in [(Field::HubId, "hub_id"), (Field::RefreshToken, "refresh_token")] {
        let number = columns.iter().filter(|column| **column == Some(field)).count();
        if number != 1 {
            let problem = if number == 0 { "no column" } else { "more than one column" };
            return Err(Invalid::new(format!(
                "the first line of the CSV names {problem} {name}: it has to name hub_id and refresh_token, and may name user_id and client_id"
            )));
        }
    }
    let mut rows = Vec::new();
    let mut record = ByteRecord::new();
    let mut lines = Lines { rest: text.as_bytes(), offset: 0, line: 1 };
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok(rows),
            Err(error) => return Err(Invalid::new(error.to_string())),
        }
        let line = lines.line_at(record.position().map_or(0, csv::Position::byte));
        rows.push(Row { line, content: grant(&columns, &record) });
    }
}

/// Counts lines. The reader's own count is that of the line before, if a record begins with the break that ended the one before it.
struct Lines<'a> {
    rest: &'a [u8],
    offset: u64,
    line: u64,
}

impl Lines<'_> {
    /// Returns the line of a record that begins at this offset, or after the line breaks there. Records are asked about in their order.
    fn line_at(&mut self, offset: u64) -> u64 {
        let length =
            usize::try_from(offset.saturating_sub(self.offset)).unwrap_or(usize::MAX).min(self.rest.len());
        let (before, after) = self.rest.split_at(length);
        let breaks = after.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let (skipped, rest) = after.split_at(breaks);
        self.line +=
            [before, skipped].into_iter().map(|text| memchr_iter(b'\n', text).count() as u64).sum::<u64>();
        self.offset += (length + breaks) as u64;
        self.rest = rest;
        self.line
    }
}

fn grant(columns: &[Option<Field>], record: &ByteRecord) -> Result<Grant, Invalid> {
    let mut fields = Fields::default();
    for (column, value) in columns.iter().zip(record) {
        if let Some(field) = column {
            let value = str::from_utf8(value).map_err(|_| Invalid::new("the row is not UTF-8"))?;
            fields.set(*field, value);
        }
    }
    fields.grant()
}

/// Returns what is between the columns. Spreadsheets write semicolons where a comma stands in numbers.
fn delimiter(text: &str) -> u8 {
    let first = text.lines().next().unwrap_or_default();
    let count = |delimiter: u8| first.bytes().filter(|byte| *byte == delimiter).count();
    b",;\t".iter().copied().rev().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let shown = |row: Row| match row.content {
            Ok(grant) => {
                format!("{}: {} {:?} {}", row.line, grant.hub_id, grant.user_id, grant.refresh_token.expose())
            }
            Err(error) => format!("{}: {}", row.line, error.0),
        };
        rows(text).unwrap().into_iter().map(shown).collect()
    }

    /// RFC 4180 §2.
    #[test]
    fn columns_stand_in_any_order_between_quotes_or_not_and_with_others() {
        let text = "name,\"Refresh Token\",portalId,user_id\r\n\"Smith, \"\"Co\"\"\nLtd\",na1-a,7,\r\nB,\" na1-b \",8,9\r\n\r\nC,na1-c\r\n";
        assert_eq!(shown(text), ["2: 7 None na1-a", "4: 8 Some(9) na1-b", "6: there is no hub id"]);
        assert_eq!(shown("hub_id;refresh_token\n7;na1-a"), ["2: 7 None na1-a"]);
        assert_eq!(shown("hub_id\trefresh_token\n7\tna1-a\n"), ["2: 7 None na1-a"]);
        assert_eq!(shown("hub_id,refresh_token\n"), [""; 0]);
    }

    #[test]
    fn a_table_without_the_columns_that_are_needed_is_refused() {
        for text in [
            "",
            "7,na1-CANARY\n",
            "hub_id\n7\n",
            "refresh_token\nna1-CANARY\n",
            "hub_id,portal_id,refresh_token\n",
        ] {
            let error = rows(text).unwrap_err().0;
            assert!(error.contains("hub_id and refresh_token") && !error.contains("CANARY"), "{error}");
        }
    }
}

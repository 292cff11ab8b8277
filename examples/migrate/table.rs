//! The table that the application has kept: an account and its refresh token in each row.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use hs_oauth_examples::BoxError;
use serde::{Deserialize, Serialize};

/// A row of the table.
#[derive(Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) hub_id: i64,
    pub(crate) refresh_token: String,
}

/// Writes the table.
pub(crate) fn write(path: &Path, rows: &[Row]) -> Result<(), BoxError> {
    let mut file = BufWriter::new(File::create(path)?);
    for row in rows {
        writeln!(file, "{}", serde_json::to_string(row)?)?;
    }
    Ok(file.flush()?)
}

/// Reads the table.
pub(crate) fn read(path: &Path) -> Result<Vec<Row>, BoxError> {
    BufReader::new(File::open(path)?).lines().map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}

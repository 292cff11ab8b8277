//! The report: it is printed, and written to `target/bench/report.md`.

use std::fmt::Display;
use std::io::Write as _;
use std::path::PathBuf;
use std::{fs, io};

use crate::work::Failure;

/// A section of the report. Its name decides its place in the report.
#[derive(Debug)]
pub struct Section {
    name: &'static str,
    text: String,
}

/// A table of a section.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Section {
    /// Creates a section with nothing but its title.
    pub fn new(name: &'static str, title: &str) -> Self {
        let mut section = Self { name, text: String::new() };
        section.say(format!("## {title}\n"));
        section
    }

    /// Adds a line, and prints it.
    pub fn say(&mut self, line: impl Display) {
        say(&line);
        self.text += &format!("{line}\n");
    }

    /// Adds a table, and prints it.
    pub fn table(&mut self, table: &Table) {
        self.say(table.markdown());
    }

    /// Adds a chart, and writes it to a file beside the report.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn chart(&mut self, name: &str, title: &str, svg: &str) -> Result<(), Failure> {
        fs::create_dir_all(folder())?;
        fs::write(folder().join(name), svg)?;
        self.text += &format!("![{title}]({name})\n\n");
        Ok(())
    }

    /// Writes the section to a file, and writes the report anew from the files of all sections.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub fn write(self) -> Result<(), Failure> {
        let sections = folder().join("sections");
        fs::create_dir_all(&sections)?;
        fs::write(sections.join(self.name).with_extension("md"), self.text)?;
        let mut files: Vec<PathBuf> = fs::read_dir(&sections)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        files.sort();
        let mut report = "# What hs-oauth costs\n".to_owned();
        for file in files {
            report += "\n";
            report += &fs::read_to_string(file)?;
        }
        let path = folder().join("report.md");
        fs::write(&path, report)?;
        say(format!("written to {}", path.display()));
        Ok(())
    }
}

impl Table {
    /// Creates a table with these headings and no rows.
    pub fn new<S: Into<String>>(headings: impl IntoIterator<Item = S>) -> Self {
        Self { rows: vec![headings.into_iter().map(S::into).collect()] }
    }

    /// Adds a row, which has a cell for each heading.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(S::into).collect());
    }

    fn markdown(&self) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut lines = Vec::new();
        for (index, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            lines.push(format!("| {} |", cells.collect::<Vec<_>>().join(" | ")));
            if index == 0 {
                let rule = widths.iter().enumerate().map(|(column, &width)| match column {
                    0 => "-".repeat(width + 2),
                    _ => format!("{}:", "-".repeat(width + 1)),
                });
                lines.push(format!("|{}|", rule.collect::<Vec<_>>().join("|")));
            }
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

/// Returns the folder of the report.
pub fn folder() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(&here).join("target/bench")
}

/// Prints a line to standard output.
pub fn say(line: impl Display) {
    // An error means that the other end of a pipe is closed, and there is no one else to report that to.
    let _ = writeln!(io::stdout(), "{line}");
}

/// Returns a number with commas between its thousands.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man as Page;
use serde_json::json;

use crate::command_line::Cli;
use crate::failure::Failure;
use crate::report::Report;

/// Print the manual page of the program or of a command
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Man {
    /// The command; without it, the program as a whole
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
    /// Write all pages into this folder instead, as `hs-oauth.1`, `hs-oauth-login.1`, …
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    dir: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  hs-oauth man | man -l -
  hs-oauth man login | man -l -
  hs-oauth man --dir ~/.local/share/man/man1";

impl Man {
    pub(crate) fn run(&self) -> Result<Report, Failure> {
        let mut program = Cli::command().disable_help_subcommand(true);
        program.build();
        if let Some(folder) = &self.dir {
            return write_all(&program, folder);
        }
        let page = match &self.command {
            None => program,
            Some(name) => {
                let command = program.find_subcommand(name).cloned();
                command
                    .ok_or_else(|| Failure::usage("there is no such command: `hs-oauth --help` lists them"))?
            }
        };
        let mut text = Vec::new();
        write_page(&page, &mut text)
            .map_err(|error| Failure::Other(format!("could not make the page: {error}")))?;
        let name = self.command.as_deref().unwrap_or("hs-oauth");
        Ok(Report::new(&json!({ "command": name, "page": String::from_utf8_lossy(&text) }))?.shown_as(text))
    }
}

fn write_all(program: &Command, folder: &Path) -> Result<Report, Failure> {
    let written = fs::create_dir_all(folder).and_then(|()| write_with_subcommands(program, folder));
    let path = folder.display().to_string();
    written.map_err(|error| Failure::usage(format!("could not write the pages into {path}: {error}")))?;
    Ok(Report::new(&json!({ "folder": path }))?.shown_as(format!("The pages are in {path}.\n")))
}

fn write_with_subcommands(command: &Command, folder: &Path) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    write_page(command, &mut fs::File::create(folder.join(format!("{name}.1")))?)?;
    command.get_subcommands().try_for_each(|command| write_with_subcommands(command, folder))
}

/// Writes the page of a command. Its foot names the program, as that of a subcommand would else name the subcommand.
fn write_page(command: &Command, to: &mut dyn Write) -> io::Result<()> {
    Page::new(command.clone()).source(concat!("hs-oauth ", env!("CARGO_PKG_VERSION"))).render(to)
}

//! Opens the person's browser.

use std::process::{Command, Stdio};

/// Opens an address in the browser that `BROWSER` names, or else in the one of the desktop. Returns whether there is one.
pub(crate) fn open(url: &str) -> bool {
    if let Some(browsers) = std::env::var("BROWSER").ok().filter(|browsers| !browsers.is_empty()) {
        return browsers
            .split(':')
            .filter_map(|browser| command(browser, url))
            .any(|mut browser| start(&mut browser));
    }
    has_desktop() && open::that_detached(url).is_ok()
}

/// Reads a command as `BROWSER` names it: words, and `%s` where the address goes, which is the end if there is none.
fn command(browser: &str, url: &str) -> Option<Command> {
    let mut words = browser.split_whitespace();
    let mut command = Command::new(words.next()?);
    command.args(words.map(|word| word.replace("%s", url)));
    if !browser.contains("%s") {
        command.arg(url);
    }
    Some(command)
}

/// Starts a browser that neither reads from the terminal nor writes to it.
fn start(browser: &mut Command) -> bool {
    browser.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().is_ok()
}

/// Returns whether somebody sits at this machine: a browser in the terminal would be in the way.
fn has_desktop() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(any(windows, target_os = "macos"))
        || ["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"].into_iter().any(is_set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_goes_where_the_variable_says_or_to_the_end() {
        let words = |browser| {
            let command = command(browser, "http://a/").unwrap();
            let all = [command.get_program()].into_iter().chain(command.get_args());
            all.map(|word| word.to_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(words("firefox"), "firefox http://a/");
        assert_eq!(words("firefox --new-window"), "firefox --new-window http://a/");
        assert_eq!(words("open -u %s -n"), "open -u http://a/ -n");
        assert!(command(" ", "http://a/").is_none());
    }
}

/// Text from outside, fit to be shown: cut at 512 characters, and with control characters replaced, so that it can neither
/// forge a log line nor steer a terminal. Every text in an error of this crate went through it.
pub fn printable(text: &str) -> String {
    const LONGEST: usize = 512;
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .take(LONGEST)
        .map(|c| if steers(c) { '\u{fffd}' } else { c })
        .collect()
}

//! Characters of names.

/// True for characters that would break a line, show nothing, or turn the text around them.
pub(super) fn is_invisible(c: char) -> bool {
    let others = ['\u{200b}'..='\u{200f}', '\u{2028}'..='\u{202e}', '\u{2060}'..='\u{206f}'];
    c.is_control() || "\u{ad}\u{feff}".contains(c) || others.iter().any(|range| range.contains(&c))
}

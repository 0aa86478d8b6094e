//! Text that is not the program's own, made fit to be shown to people: names in a configuration,
//! strings of an event log, paths and words of the command line.
//!
//! A terminal obeys control characters, and a line break or a mark of direction makes one line look
//! like another. Programs get such text as it is, in JSON.

use std::borrow::Cow;
use std::path::Path;

/// Whether a character does no more than stand there.
fn is_plain(it: char) -> bool {
    let hides_or_turns = matches!(
        it,
        '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}'
    );
    !it.is_control() && !hides_or_turns
}

/// The text with `\u{1b}` and the like for every character that does more than stand there.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for it in text.chars() {
        match is_plain(it) {
            true => out.push(it),
            false => out.extend(it.escape_unicode()),
        }
    }
    Cow::Owned(out)
}

/// A path to show.
pub(crate) fn path(path: &Path) -> String {
    plain(&path.display().to_string()).into_owned()
}

/// The text with as many bytes as before, so that every place in it stays where it is. Characters
/// of one byte are left to whoever lays it out.
pub(crate) fn in_place(text: &str) -> Cow<'_, str> {
    let stand_in = |it: char| match it.len_utf8() {
        2 if !is_plain(it) => '\u{b7}',
        3 if !is_plain(it) => '\u{fffd}',
        _ => it,
    };
    match text.chars().all(|it| stand_in(it) == it) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(text.chars().map(stand_in).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_written_out_and_all_else_stays() {
        for (text, shown) in [
            ("", ""),
            ("Büro, 東京 😀", "Büro, 東京 😀"),
            ("a\x1b[31mb", "a\\u{1b}[31mb"),
            ("one\ntwo\r\t", "one\\u{a}two\\u{d}\\u{9}"),
            ("\x1b]0;title\x07", "\\u{1b}]0;title\\u{7}"),
            ("\u{9b}2J\u{7f}", "\\u{9b}2J\\u{7f}"),
            ("gnp\u{202e}.exe", "gnp\\u{202e}.exe"),
            ("\u{feff}\u{2066}\u{200b}", "\\u{feff}\\u{2066}\\u{200b}"),
        ] {
            assert_eq!(plain(text), shown);
        }
        assert_eq!(path(Path::new("a\nb")), "a\\u{a}b");
    }

    #[test]
    fn in_place_nothing_moves() {
        let text = "a\u{9b}b\u{202e}c\u{2028}ü東";
        let shown = in_place(text);
        assert_eq!(shown, "a\u{b7}b\u{fffd}c\u{fffd}ü東");
        assert_eq!(shown.len(), text.len());
        assert!(matches!(in_place("ü東\t"), Cow::Borrowed(_)));
    }
}

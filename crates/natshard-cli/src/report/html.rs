//! Text made fit for HTML, and numbers made fit for people.

use std::fmt;

pub(crate) use crate::config::plural;

/// Text escaped for element content and quoted attributes. Control characters, which HTML does
/// not allow, become the replacement character.
pub(crate) struct Esc<'a>(pub(crate) &'a str);

impl fmt::Display for Esc<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => fmt::Write::write_char(f, letter)?,
                _ if letter.is_control() => f.write_str("\u{fffd}")?,
                _ => fmt::Write::write_char(f, letter)?,
            }
        }
        Ok(())
    }
}

/// A count with its thousands set apart by commas.
pub(crate) struct Grouped(pub(crate) u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::config::grouped(self.0.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_text_can_leave_its_element_or_attribute() {
        let text = Esc("<b title='\"'>&\u{7}\n").to_string();
        assert_eq!(text, "&lt;b title=&#39;&quot;&#39;&gt;&amp;\u{fffd}\n");
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(Grouped(0).to_string(), "0");
        assert_eq!(Grouped(999).to_string(), "999");
        assert_eq!(Grouped(1000).to_string(), "1,000");
        assert_eq!(Grouped(u64::MAX).to_string(), "18,446,744,073,709,551,615");
    }
}

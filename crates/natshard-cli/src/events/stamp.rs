//! Moments of the wall clock, as RFC 3339 writes them.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::format_description::well_known::{Iso8601, Rfc3339};
use time::{Date, OffsetDateTime, PrimitiveDateTime};

/// Milliseconds since 1970 in UTC, leap seconds not counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(crate) struct Stamp(pub(crate) i64);

impl Stamp {
    /// So many nanoseconds since 1970, as captures have it.
    pub(crate) const fn from_nanos(nanos: u64) -> Self {
        Stamp((nanos / 1_000_000) as i64)
    }

    /// Without the part of a second: `2026-01-05T10:00:00Z`.
    pub(crate) fn seconds(self) -> String {
        let mut text = self.to_string();
        if text.len() == 24 {
            text.replace_range(19..23, "");
        }
        text
    }

    /// So many milliseconds later, or as late as can be.
    pub(crate) const fn after(self, millis: u64) -> Self {
        let millis = if millis > i64::MAX as u64 {
            i64::MAX
        } else {
            millis as i64
        };
        Stamp(self.0.saturating_add(millis))
    }

    /// So many milliseconds earlier.
    pub(crate) const fn before(self, millis: u64) -> Self {
        let millis = if millis > i64::MAX as u64 {
            i64::MAX
        } else {
            millis as i64
        };
        Stamp(self.0.saturating_sub(millis))
    }
}

/// In UTC with milliseconds: `2026-01-05T10:00:00.000Z`.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = i128::from(self.0) * 1_000_000;
        let Ok(at) = OffsetDateTime::from_unix_timestamp_nanos(nanos) else {
            return write!(f, "{} ms after 1970", self.0);
        };
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.millisecond()
        )
    }
}

impl FromStr for Stamp {
    type Err = time::error::Parse;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let at = OffsetDateTime::parse(text, &Rfc3339)?;
        let millis = at.unix_timestamp_nanos().div_euclid(1_000_000);
        // Years up to 9999 fit.
        Ok(Stamp(millis as i64))
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Stamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as 2026-01-05T10:00:00.000Z")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Stamp, E> {
                let wrong = |_| E::invalid_value(de::Unexpected::Str(text), &self);
                text.parse().map_err(wrong)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// The time somebody asks about: as long as the last digit of it says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Asked {
    /// The milliseconds it may be.
    pub(crate) span: Range<i64>,
}

impl Asked {
    /// The first moment it may be.
    pub(crate) const fn first(&self) -> Stamp {
        Stamp(self.span.start)
    }

    /// Whether it is a whole second.
    pub(crate) const fn is_second(&self) -> bool {
        self.span.start % 1000 == 0 && self.span.end - self.span.start == 1000
    }

    /// The last moment it may be.
    pub(crate) const fn last(&self) -> Stamp {
        Stamp(self.span.end - 1)
    }
}

/// A time with a zone; whole seconds mean any moment of the second, and the leap second 60 any of
/// the two that clocks without leap seconds show instead.
///
/// # Errors
/// In words, what is missing.
impl FromStr for Asked {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // RFC 3339, section 5.6 allows a space and lower case.
        let mut text = text.trim().to_uppercase();
        if text.as_bytes().get(10) == Some(&b' ') {
            text.replace_range(10..11, "T");
        }
        let Stamp(at) = text.parse().map_err(|_| complaint(&text))?;
        let fraction = match text.split_once('.') {
            Some((_, rest)) => rest.bytes().take_while(u8::is_ascii_digit).count(),
            None => 0,
        };
        let millis = match fraction {
            0 => 1000,
            1 => 100,
            2 => 10,
            _ => 1,
        };
        let is_leap_second = text.get(17..19) == Some("60");
        let span = match is_leap_second {
            true => {
                let second = at.div_euclid(1000) * 1000;
                second..second + 2000
            }
            false => at..at + millis,
        };
        Ok(Asked { span })
    }
}

/// What a text lacks to be a time.
fn complaint(text: &str) -> String {
    let example = "2026-01-05T10:00:00Z or 2026-01-05T11:00:00+01:00";
    let is_local = PrimitiveDateTime::parse(text, &Iso8601::DEFAULT).is_ok();
    if is_local {
        return format!(
            "{text} has no zone: write {text}Z if it is UTC, or add the offset it was read with, \
             such as {text}+01:00"
        );
    }
    if Date::parse(text, &Iso8601::DEFAULT).is_ok() {
        return format!("{text} has no time of day and no zone: write it like {example}");
    }
    format!("not a time of RFC 3339 with a zone: write it like {example}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(text: &str) -> Range<i64> {
        text.parse::<Asked>().unwrap().span
    }

    #[test]
    fn a_time_lasts_as_long_as_its_last_digit() {
        let base = 1_767_607_200_000;
        assert_eq!(span("2026-01-05T10:00:00Z"), base..base + 1000);
        assert_eq!(span("2026-01-05T10:00:00.0Z"), base..base + 100);
        assert_eq!(span("2026-01-05T10:00:00.25Z"), base + 250..base + 260);
        assert_eq!(span("2026-01-05T10:00:00.250Z"), base + 250..base + 251);
        assert_eq!(span("2026-01-05T10:00:00.2509Z"), base + 250..base + 251);
    }

    #[test]
    fn an_offset_is_taken_off_whatever_the_season() {
        let utc = span("2026-07-05T10:00:00Z");
        for same in [
            "2026-07-05T12:00:00+02:00",
            "2026-07-05 12:00:00+02:00",
            "2026-07-05t10:00:00z",
            "2026-07-05T10:00:00-00:00",
            "2026-07-05T05:30:00-04:30",
            "2026-07-04T23:00:00-11:00",
        ] {
            assert_eq!(span(same), utc, "{same}");
        }
        // The hour that occurs twice when summer time ends is two hours with an offset.
        let summer = span("2026-10-25T02:30:00+02:00");
        let winter = span("2026-10-25T02:30:00+01:00");
        assert_eq!(winter.start - summer.start, 3_600_000);
    }

    #[test]
    fn a_leap_second_is_what_clocks_show_instead_of_it() {
        let before = span("2016-12-31T23:59:59Z");
        let after = span("2017-01-01T00:00:00Z");
        assert_eq!(span("2016-12-31T23:59:60Z"), before.start..after.end);
        assert_eq!(span("2017-01-01T00:59:60+01:00"), before.start..after.end);
        // Not at the end of a month: no such second.
        assert!("2016-12-30T23:59:60Z".parse::<Asked>().is_err());
    }

    #[test]
    fn a_time_without_a_zone_is_refused_and_told_what_it_lacks() {
        let complaint = |text: &str| text.parse::<Asked>().unwrap_err();
        for local in [
            "2026-01-05T10:00:00",
            "2026-01-05 10:00:00.5",
            "2026-01-05T10:00",
        ] {
            let said = complaint(local);
            assert!(said.contains("no zone"), "{local}: {said}");
            assert!(said.contains("+01:00") && said.contains('Z'), "{said}");
        }
        assert!(complaint("2026-01-05").contains("no time of day"));
        for nonsense in [
            "",
            "yesterday",
            "10:00:00Z",
            "2026-02-30T10:00:00Z",
            "1767607200",
        ] {
            assert!(complaint(nonsense).contains("RFC 3339"), "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(millis in 0_i64..=253_402_300_799_999) {
            let text = Stamp(millis).to_string();
            prop_assert_eq!(text.parse::<Stamp>().unwrap(), Stamp(millis));
            prop_assert_eq!(text.parse::<Asked>().unwrap().span, millis..millis + 1);
            prop_assert_eq!(text.len(), 24);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,30}") {
            let _ = text.parse::<Asked>();
        }
    }
}

//! Whole numbers in JSON. For JSON Schema `5.0` is a whole number (2020-12, section 6.1.1), and languages with only
//! floating-point numbers write it like that.

use std::fmt;

use serde::{
    Deserializer,
    de::{Error, Unexpected, Visitor},
};

/// Reads an optional number of seconds.
pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    deserializer.deserialize_any(Seconds)
}

struct Seconds;

impl Visitor<'_> for Seconds {
    type Value = Option<u32>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "whole seconds from 0 to {}", u32::MAX)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<u32>, E> {
        let seconds =
            u32::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))?;
        Ok(Some(seconds))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Option<u32>, E> {
        // An f64 represents every u32 exactly.
        if number.fract() != 0.0 || !(0.0..=f64::from(u32::MAX)).contains(&number) {
            return Err(E::invalid_value(Unexpected::Float(number), &self));
        }
        Ok(Some(number as u32))
    }

    fn visit_unit<E>(self) -> Result<Option<u32>, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::from_str;

    use super::super::{Item, Release};

    #[test]
    fn a_whole_number_may_have_a_fraction_of_zero() {
        for (number, seconds) in [("5", 5), ("5.0", 5), ("4294967295", u32::MAX)] {
            let release: Release = from_str(&format!(r#"{{"lease": "a", "delay": {number}}}"#)).unwrap();
            assert_eq!(release.delay, Some(seconds));
            let item: Item = from_str(&format!(r#"{{"content": "a", "ttlSeconds": {number}}}"#)).unwrap();
            assert_eq!(item.head.ttl_seconds, Some(seconds));
        }
        assert_eq!(from_str::<Release>(r#"{"lease": "a", "delay": null}"#).unwrap().delay, None);
        for bad in ["5.5", "-1", "4294967296", "\"5\""] {
            assert!(from_str::<Release>(&format!(r#"{{"lease": "a", "delay": {bad}}}"#)).is_err(), "{bad}");
        }
    }
}

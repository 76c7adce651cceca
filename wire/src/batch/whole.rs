//! Whole numbers in JSON. To JSON Schema `5.0` is one (2020-12, section 6.1.1), and a sender whose language knows only
//! floating-point numbers writes it so.

use serde::{Deserialize, Deserializer, de::Error as _};

/// A number of seconds, which may be absent.
pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    // Each u32 is a number of its own among the f64.
    let Some(number) = Option::<f64>::deserialize(deserializer)? else { return Ok(None) };
    if number.fract() != 0.0 || !(0.0..=f64::from(u32::MAX)).contains(&number) {
        return Err(D::Error::custom(format!("{number} is not a whole number of seconds")));
    }
    Ok(Some(number as u32))
}

#[cfg(test)]
mod tests {
    use serde_json::from_str;

    use super::super::{Item, Release};

    #[test]
    fn a_whole_number_may_be_written_with_a_fraction_of_nothing() {
        for (said, seconds) in [("5", 5), ("5.0", 5), ("4294967295", u32::MAX)] {
            let release: Release = from_str(&format!(r#"{{"lease": "a", "delay": {said}}}"#)).unwrap();
            assert_eq!(release.delay, Some(seconds));
            let item: Item = from_str(&format!(r#"{{"content": "a", "ttlSeconds": {said}}}"#)).unwrap();
            assert_eq!(item.head.ttl_seconds, Some(seconds));
        }
        assert_eq!(from_str::<Release>(r#"{"lease": "a", "delay": null}"#).unwrap().delay, None);
        for bad in ["5.5", "-1", "4294967296", "\"5\""] {
            assert!(from_str::<Release>(&format!(r#"{{"lease": "a", "delay": {bad}}}"#)).is_err(), "{bad}");
        }
    }
}

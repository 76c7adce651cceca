//! Addresses, to which senders push messages and from which receivers pull them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, de};

/// The maximum length of an address, in bytes: the limit of a DNS name (RFC 1035 section 2.3.4), so that one can stand
/// for the other.
pub const ADDRESS_BYTES_MAX: usize = 253;
/// The minimum number of segments of an address: a namespace and a name in it.
pub const ADDRESS_SEGMENTS_MIN: usize = 2;
/// The maximum number of segments of an address.
pub const ADDRESS_SEGMENTS_MAX: usize = 8;
/// The maximum length of a relative address, in bytes: [`ADDRESS_BYTES_MAX`] minus the longest namespace (63 bytes, an
/// RFC 1123 label) and a `/`.
pub const RELATIVE_ADDRESS_BYTES_MAX: usize = ADDRESS_BYTES_MAX - 63 - 1;

/// An address of the broker: 2 to 8 segments of `[a-z0-9]([-a-z0-9]*[a-z0-9])?` joined by `/`, at most 253 bytes.
///
/// The first segment is the Kubernetes namespace of the channel that owns the address. Addresses are compared byte for
/// byte and never normalised, so that two programs cannot disagree on whether two addresses are the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Address(Box<str>);

/// Why a text is not a valid address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Longer than [`ADDRESS_BYTES_MAX`].
    #[error("it has {0} bytes, which exceeds the limit of {ADDRESS_BYTES_MAX}")]
    TooLong(usize),
    /// Fewer than [`ADDRESS_SEGMENTS_MIN`] or more than [`ADDRESS_SEGMENTS_MAX`] segments.
    #[error(
        "it has {0} segments; an address has {ADDRESS_SEGMENTS_MIN} to {ADDRESS_SEGMENTS_MAX}, for example \
         namespace/name"
    )]
    SegmentCount(usize),
    /// An empty segment, because of a leading, trailing or doubled `/`.
    #[error("segment {0} is empty; remove the leading, trailing or doubled slash")]
    EmptySegment(usize),
    /// A segment with other characters than lower-case letters, digits and inner hyphens.
    #[error(
        "segment {0} must be lower-case letters, digits and hyphens, and begin and end with a letter or digit"
    )]
    Segment(usize),
}

impl Address {
    /// The address `namespace/relative`.
    pub fn new(namespace: &str, relative: &str) -> Result<Self, AddressError> {
        format!("{namespace}/{relative}").parse()
    }

    /// The address as text, in the form that a path has.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first segment: the Kubernetes namespace of the channel that owns the address.
    pub fn namespace(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.len() > ADDRESS_BYTES_MAX {
            return Err(AddressError::TooLong(text.len()));
        }
        let mut count = 0;
        for segment in text.split('/') {
            count += 1;
            if segment.is_empty() {
                return Err(AddressError::EmptySegment(count));
            }
            if !is_label(segment) {
                return Err(AddressError::Segment(count));
            }
        }
        if !(ADDRESS_SEGMENTS_MIN..=ADDRESS_SEGMENTS_MAX).contains(&count) {
            return Err(AddressError::SegmentCount(count));
        }
        Ok(Self(text.into()))
    }
}

/// Whether a text is `[a-z0-9]([-a-z0-9]*[a-z0-9])?`, the alphabet of an RFC 1123 label without its length limit.
pub(crate) fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let letter_or_digit = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    bytes.first().is_some_and(letter_or_digit)
        && bytes.last().is_some_and(letter_or_digit)
        && bytes.iter().all(|byte| letter_or_digit(byte) || *byte == b'-')
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl AsRef<str> for Address {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Address {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error| de::Error::custom(format!("the address {text:?} is invalid: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_two_to_eight_segments() {
        assert!("acme/orders".parse::<Address>().is_ok());
        assert!("a/b/c/d/e/f/g/h".parse::<Address>().is_ok());
        assert_eq!("acme".parse::<Address>(), Err(AddressError::SegmentCount(1)));
        assert_eq!("a/b/c/d/e/f/g/h/i".parse::<Address>(), Err(AddressError::SegmentCount(9)));
    }

    #[test]
    fn an_address_that_other_systems_would_normalise_is_refused() {
        for (text, error) in [
            ("acme/Orders", AddressError::Segment(2)),
            ("acme/or%64ers", AddressError::Segment(2)),
            ("acme//orders", AddressError::EmptySegment(2)),
            ("acme/orders/", AddressError::EmptySegment(3)),
            ("/acme/orders", AddressError::EmptySegment(1)),
            ("", AddressError::EmptySegment(1)),
            ("acme/-orders", AddressError::Segment(2)),
            ("acme/orders-", AddressError::Segment(2)),
            ("acme/örders", AddressError::Segment(2)),
            ("acme/..", AddressError::Segment(2)),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text}");
        }
    }

    #[test]
    fn the_longest_address_has_253_bytes() {
        let name = "n".repeat(ADDRESS_BYTES_MAX - "acme/".len());
        assert!(Address::new("acme", &name).is_ok());
        assert_eq!(Address::new("acme", &format!("{name}n")), Err(AddressError::TooLong(254)));
    }

    #[test]
    fn the_first_segment_is_the_namespace() {
        let address: Address = "acme/bridge/factory".parse().unwrap();
        assert_eq!(address.namespace(), "acme");
    }
}

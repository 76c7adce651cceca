//! Sizes as Kubernetes writes them: `1Gi`, `1.5Mi`, `1000000`.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::{Schema, SchemaGenerator, json_schema};

/// The form of a size. Kubernetes' exponents (`1e3`) and fractions of a byte (`m`) are excluded, because they are
/// typing errors.
const BYTES_PATTERN: &str = r"^[0-9]{1,18}(\.[0-9]{1,3})?(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$";
/// The form of any quantity, to catch typing errors early. Kubernetes validates quantities itself.
const ANY_PATTERN: &str =
    r"^[0-9]{1,18}(\.[0-9]{1,9})?(m|u|n|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]{1,3})?$";

/// Why a text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a number with one of the suffixes.
    #[error(
        "{0:?} is not a size: write a number, optionally followed by k, M, G, T, P, Ki, Mi, Gi, Ti or Pi, such as 1Gi"
    )]
    Malformed(String),
    /// More than 64 bits.
    #[error("{0:?} exceeds the largest size, 2^64 - 1 bytes")]
    TooLarge(String),
}

/// The bytes of a quantity, rounded up to whole bytes as Kubernetes does.
pub fn bytes(quantity: &Quantity) -> Result<u64, QuantityError> {
    parse(&quantity.0)
}

/// The bytes of a size in Kubernetes' notation.
pub(crate) fn parse(text: &str) -> Result<u64, QuantityError> {
    let malformed = || QuantityError::Malformed(text.to_owned());
    let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits_end);
    let multiplier: u128 = match suffix {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "P" => 1_000_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        "Pi" => 1 << 50,
        _ => return Err(malformed()),
    };
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() && fraction.len() <= 3 => (whole, fraction),
        Some(_) => return Err(malformed()),
        None => (number, ""),
    };
    if whole.is_empty() || whole.len() > 18 {
        return Err(malformed());
    }
    let scale = 10_u128.pow(u32::try_from(fraction.len()).map_err(|_| malformed())?);
    let scaled: u128 = format!("{whole}{fraction}").parse().map_err(|_| malformed())?;
    // At most 10^21 · 2^50, which is below 2^128.
    u64::try_from((scaled * multiplier).div_ceil(scale)).map_err(|_| QuantityError::TooLarge(text.to_owned()))
}

/// A size in Kubernetes' notation, with the largest binary suffix that leaves a whole number.
pub(crate) fn text(bytes: u64) -> String {
    let suffixes = [(50, "Pi"), (40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")];
    let largest = suffixes.into_iter().find(|(shift, _)| bytes > 0 && bytes.trailing_zeros() >= *shift);
    largest.map_or_else(|| bytes.to_string(), |(shift, suffix)| format!("{}{suffix}", bytes >> shift))
}

/// The schema of a size.
pub(crate) fn bytes_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-int-or-string": true, "pattern": BYTES_PATTERN })
}

/// The schema of a map from resource (`cpu`, `memory`) to quantity.
pub(crate) fn resources_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": { "x-kubernetes-int-or-string": true, "pattern": ANY_PATTERN },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_as_kubernetes_reads_it() {
        for (text, expected) in [
            ("0", 0),
            ("1", 1),
            ("1k", 1_000),
            ("1Ki", 1_024),
            ("1.5Ki", 1_536),
            ("0.001Ki", 2),
            ("1Mi", 1 << 20),
            ("1Gi", 1 << 30),
            ("20Ti", 20 << 40),
        ] {
            assert_eq!(bytes(&Quantity(text.into())), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_size_is_written_with_the_largest_suffix_that_keeps_it_whole() {
        for (bytes, expected) in
            [(0, "0"), (1, "1"), (1000, "1000"), (1536, "1536"), (3 << 10, "3Ki"), (1 << 30, "1Gi")]
        {
            assert_eq!(text(bytes), expected);
            assert_eq!(parse(expected), Ok(bytes));
        }
    }

    #[test]
    fn an_invalid_size_is_refused() {
        for text in ["", "Gi", "1 Gi", "1gi", "-1", "1.", ".5Gi", "1.5.5", "1e3", "1m", "1.2345Gi"] {
            assert_eq!(bytes(&Quantity(text.into())), Err(QuantityError::Malformed(text.into())), "{text}");
        }
        let most = "999999999999999999Pi";
        assert_eq!(bytes(&Quantity(most.into())), Err(QuantityError::TooLarge(most.into())));
    }
}

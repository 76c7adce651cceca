//! Message contents that identify their message, and that a receiver can check byte for byte.

/// Hexadecimal digits of the key at the beginning of a content.
const KEY_DIGITS: usize = 16;

/// The content of the message with this key: the key, and up to `bytes_max` bytes derived from it.
pub(crate) fn of(key: u64, bytes_max: usize) -> Vec<u8> {
    let mut content = format!("{key:0KEY_DIGITS$x}").into_bytes();
    let mut state = key;
    let length = next(&mut state) as usize % (bytes_max + 1);
    content.extend(std::iter::repeat_with(|| next(&mut state) as u8).take(length));
    content
}

/// The key of a content, if the content is complete and unchanged.
pub(crate) fn key_of(content: &[u8], bytes_max: usize) -> Option<u64> {
    let digits = std::str::from_utf8(content.get(..KEY_DIGITS)?).ok()?;
    let key = u64::from_str_radix(digits, 16).ok()?;
    (of(key, bytes_max) == content).then_some(key)
}

/// SplitMix64 (Steele, Lea and Flood, 2014): a pseudorandom sequence that depends only on the seed.
pub(crate) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[test]
fn a_body_contains_its_key_and_a_changed_byte_is_detected() {
    for key in [0, 1, u64::MAX] {
        let content = of(key, 100);
        assert_eq!(key_of(&content, 100), Some(key));
        for place in 0..content.len() {
            let mut changed = content.clone();
            changed[place] ^= 1;
            assert_ne!(key_of(&changed, 100), Some(key), "byte {place}");
        }
        assert_eq!(key_of(&content[..content.len() - 1], 100), None);
    }
}
